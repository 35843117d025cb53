//! What the command line prints, and how: results on standard output, everything else on standard error.
//!
//! Text from guests, files and journals passes [`safe`] before it reaches a terminal.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;

use super::exit::CliError;
use crate::id::Digest;
use crate::units::{Bytes, Fuel};

/// The style of what went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// The style of what failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of what deserves a look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// The style of what is less important.
pub(crate) const DIM: Style = Style::new().dimmed();
/// The style of headings.
pub(crate) const BOLD: Style = Style::new().bold();

/// `text` in `style`; colours are dropped where the stream cannot show them.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// `text` without what could steer a terminal or mislead a reader: control characters but line ends and tabs, and the invisible
/// characters that reorder text, are shown as escapes.
pub(crate) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if misleads(c) => drop(write!(shown, "{}", c.escape_unicode())),
            c => shown.push(c),
        }
    }
    shown
}

fn misleads(c: char) -> bool {
    let reorders =
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    reorders || c.is_control()
}

/// JSON text in which nothing steers a terminal: what JSON allows as it is and [`safe`] would not is written as JSON's own escapes,
/// so that the text stays JSON and says the same.
fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Only between values: inside strings JSON has them escaped already.
            '\n' => plain.push(c),
            // All of these are below U+10000, so one escape each is enough.
            c if misleads(c) => drop(write!(plain, "\\u{:04x}", u32::from(c))),
            c => plain.push(c),
        }
    }
    plain
}

/// One line on standard output. A reader that has gone (`| head`) ends the command quietly.
pub(crate) fn out(line: impl std::fmt::Display) -> Result<(), CliError> {
    writeln!(anstream::stdout(), "{line}").map_err(|_| CliError::Failed)
}

/// One line on standard error. Nothing can be done when that fails.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// `value` as JSON on standard output: indented for people, on one line for programs.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = if std::io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    out(plain_json(&text.map_err(unwritable)?))
}

/// One value on a line of its own, for streams of them.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value);
    out(plain_json(&text.map_err(unwritable)?))
}

/// A list whose items come one by one, an item a line.
#[derive(Default)]
pub(crate) struct JsonList {
    begun: bool,
}

impl JsonList {
    /// Prints the next item.
    pub(crate) fn add(&mut self, item: &impl Serialize) -> Result<(), CliError> {
        let before = if self.begun { "," } else { "[" };
        self.begun = true;
        let text = serde_json::to_string(item).map_err(unwritable)?;
        out(format_args!("{before}{}", plain_json(&text)))
    }

    /// Prints the end.
    pub(crate) fn end(self) -> Result<(), CliError> {
        out(if self.begun { "]" } else { "[]" })
    }
}

/// A result: text as it is (made safe on a terminal only), anything else as indented JSON.
pub(crate) fn value(value: &Value) -> Result<(), CliError> {
    match value {
        Value::String(text) if std::io::stdout().is_terminal() => out(safe(text)),
        Value::String(text) => writeln!(std::io::stdout(), "{text}").map_err(|_| CliError::Failed),
        value => out(plain_json(
            &serde_json::to_string_pretty(value).map_err(unwritable)?,
        )),
    }
}

fn unwritable(error: serde_json::Error) -> CliError {
    CliError::Store(format!("write the result: {error}"))
}

/// A duration with three digits: `1.24 ms`.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// Fuel, rounded: `3.4M`.
pub(crate) fn fuel(fuel: u64) -> String {
    match fuel {
        f if f >= 1_000_000_000 => format!("{:.1}G", f as f64 / 1e9),
        f if f >= 1_000_000 => format!("{:.1}M", f as f64 / 1e6),
        f if f >= 1_000 => format!("{:.0}k", f as f64 / 1e3),
        f => Fuel(f).to_string(),
    }
}

/// A digest as people compare it by eye: `sha256:12345678…`.
pub(crate) fn short(digest: &Digest) -> String {
    let digits: String = digest.hex().chars().take(8).collect();
    format!("sha256:{digits}…")
}

/// Bytes, rounded: `1.2 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 20 => format!("{:.1} MiB", b as f64 / f64::from(1 << 20)),
        b if b >= 1 << 10 => format!("{:.0} KiB", b as f64 / f64::from(1 << 10)),
        b => format!("{} B", Bytes(b).0),
    }
}

/// Rows in columns, left-aligned, with a heading. Cells may be styled.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| width(cell))
            .chain([heading[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..heading.len()).map(wide).collect();
    let line = |cells: &[String]| {
        let padded: Vec<_> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide.saturating_sub(width(cell)))))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let heading: Vec<_> = heading.iter().map(|&cell| cell.to_owned()).collect();
    out(styled(BOLD, line(&heading)))?;
    rows.iter().try_for_each(|row| out(line(row)))
}

/// The characters of `cell` that are seen, which its styles are not.
fn width(cell: &str) -> usize {
    anstream::adapter::strip_str(cell)
        .map(|seen| seen.chars().count())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_cannot_steer_a_terminal() {
        let shown = safe("a\u{1b}[2Jb\u{202e}c\r\n\td\u{9b}31m");
        assert_eq!(shown, "a\\u{1b}[2Jb\\u{202e}c\\u{d}\n\td\\u{9b}31m");
    }

    #[test]
    fn json_stays_json_and_says_the_same() {
        let hostile = Value::String("a\u{1b}[2Jb\u{202e}c\u{9b}31m\u{7f}\n".into());
        let plain = plain_json(&hostile.to_string());
        assert!(plain.chars().all(|c| !misleads(c)), "{plain:?}");
        assert_eq!(serde_json::from_str::<Value>(&plain).ok(), Some(hostile));
    }

    #[test]
    fn a_styled_cell_is_as_wide_as_what_is_seen_of_it() {
        assert_eq!(width(&styled(GOOD, "gut, größer")), 11);
        assert_eq!(width("plain"), 5);
    }

    #[test]
    fn amounts_are_rounded_for_people() {
        assert_eq!(time(Duration::from_micros(1240)), "1.2 ms");
        assert_eq!(fuel(3_400_000), "3.4M");
        assert_eq!(bytes(1_258_291), "1.2 MiB");
    }
}
