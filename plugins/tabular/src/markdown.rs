//! Markdown whose cells hold anybody's text: nothing in one can end it, start a tag or hide a character.

/// Text as it may stand in a table's cell or in a sentence: one line, no markup, at most 80 characters.
pub fn plain(text: &str) -> String {
    within(text, 80)
}

/// Like [`plain`] for whole sentences: at most 600 characters.
pub fn sentence(text: &str) -> String {
    within(text, 600)
}

/// A table whose first column is text and whose other columns are numbers. Cells are written as they are: pass anybody's text through
/// [`plain`].
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut out = line(
        &header
            .iter()
            .map(|&cell| cell.to_owned())
            .collect::<Vec<_>>(),
    );
    out.push_str("|---|");
    out.push_str(&"--:|".repeat(header.len().saturating_sub(1)));
    out.push('\n');
    for row in rows {
        out.push_str(&line(&row));
    }
    out
}

fn within(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for (place, c) in text.trim().chars().enumerate() {
        match c {
            _ if place == most => {
                out.push('…');
                break;
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_whitespace() => out.push(' '),
            // Controls, and what turns the direction of writing round.
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}') =>
            {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_stays_in_its_cell() {
        assert_eq!(
            plain(" a|b\n<b>`x`\u{202e}\u{1b}[1m "),
            "a\\|b &lt;b&gt;\\`x\\`\u{fffd}\u{fffd}\\[1m"
        );
        assert_eq!(plain(&"x".repeat(90)).chars().count(), 81);
    }

    #[test]
    fn a_table_aligns_its_numbers() {
        let rows = [vec!["a".to_owned(), "1".to_owned()]];
        assert_eq!(
            table(&["x", "n"], rows),
            "| x | n |\n|---|--:|\n| a | 1 |\n"
        );
    }
}
