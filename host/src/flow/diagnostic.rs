//! Diagnostics: what is wrong in a file, where, and what to do.
//!
//! Messages are plain text without control characters; only [`Diagnostics::render`] makes them look like something.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// The most diagnostics that are kept; a file with more mistakes needs another look anyway.
const MOST: usize = 100;
/// The longest part of a line that is shown, in bytes on each side of the mistake.
const SHOWN: usize = 200;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// How many characters of the line are meant; at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Everything that is wrong, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostic {
    /// A diagnostic for the bytes `at` of `source`; a range over several lines means its first one.
    pub(super) fn new(source: &str, at: Range<usize>, message: impl AsRef<str>) -> Self {
        let floor = |byte: usize| {
            let byte = byte.min(source.len());
            (0..=byte)
                .rev()
                .find(|&at| source.is_char_boundary(at))
                .unwrap_or(0)
        };
        let (begin, end) = (floor(at.start), floor(at.end));
        let line_begin = source[..begin].rfind('\n').map_or(0, |newline| newline + 1);
        let meant = source[begin..end.max(begin)]
            .lines()
            .next()
            .unwrap_or_default();
        Self {
            line: source[..line_begin].matches('\n').count() + 1,
            column: source[line_begin..begin].chars().count() + 1,
            length: meant.trim_end().chars().count().max(1),
            message: safe(message.as_ref()),
            hint: None,
        }
    }

    /// The same with a way out.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(safe(hint.as_ref()));
        self
    }

    /// The same with a way out, if there is one.
    #[must_use]
    pub(super) fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

impl Diagnostics {
    /// The diagnostics in the order of the file, each once.
    pub(super) fn new(mut all: Vec<Diagnostic>) -> Self {
        all.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
        all.dedup();
        if let Some(more) = all.len().checked_sub(MOST).filter(|more| *more > 0) {
            all.truncate(MOST);
            if let Some(last) = all.last_mut() {
                last.hint = Some(format!("{more} more problems are not shown"));
            }
        }
        Self(all)
    }

    /// The diagnostics, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The diagnostics for a person: message, place, the line with a caret, and the way out. `source` is the text that was read
    /// from `file`. Control characters of either are made visible.
    pub fn render(&self, file: &str, source: &str, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let file = safe(file);
        let reports = self
            .0
            .iter()
            .map(|diagnostic| one(&renderer, diagnostic, &file, source));
        let mut text = reports.collect::<Vec<_>>().join("\n\n");
        text.push('\n');
        text
    }
}

fn one(renderer: &Renderer, diagnostic: &Diagnostic, file: &str, source: &str) -> String {
    let line = source.lines().nth(diagnostic.line - 1).unwrap_or_default(); // lines count from 1
    let byte = |chars: usize| {
        line.char_indices()
            .nth(chars)
            .map_or(line.len(), |(at, _)| at)
    };
    let begin = byte(diagnostic.column - 1); // so do columns
    let end = byte(diagnostic.column - 1 + diagnostic.length);
    let window = window(line, begin, end);
    let before = visible(&line[window.start..begin]);
    let meant = visible(&line[begin..end.min(window.end)]);
    let shown = format!(
        "{before}{meant}{}",
        visible(&line[end.min(window.end)..window.end])
    );
    let span = before.len()..before.len() + meant.len();
    let snippet = Snippet::source(shown)
        .line_start(diagnostic.line)
        .annotation(AnnotationKind::Primary.span(span));
    let title = Level::ERROR.primary_title(diagnostic.message.as_str());
    let mut group = if window.start == 0 {
        title.element(snippet.path(file))
    } else {
        // A part of a line has columns of its own, so the place is written out instead of being counted.
        let place = Origin::path(file)
            .line(diagnostic.line)
            .char_column(diagnostic.column);
        title.element(place).element(snippet)
    };
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// The bytes of a long line that are worth showing.
fn window(line: &str, begin: usize, end: usize) -> Range<usize> {
    let floor = |at: usize| {
        (0..=at)
            .rev()
            .find(|&at| line.is_char_boundary(at))
            .unwrap_or(0)
    };
    let to = end.min(begin + SHOWN).saturating_add(SHOWN).min(line.len());
    floor(begin.saturating_sub(SHOWN))..floor(to)
}

/// A character that a terminal would not show but obey.
fn hidden(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// A piece of a line with one visible character for each that is not; the column stays what it was.
fn visible(piece: &str) -> String {
    let tab = |c: char| c == '\t';
    let shown = |c: char| {
        if hidden(c) && !tab(c) {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    piece.chars().map(shown).collect()
}

/// `text` with its control characters, and those that turn the direction of writing, made visible.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
