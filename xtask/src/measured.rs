//! Figures that a chore has measured, put into a document between two marks.
//!
//! A document says `<!-- NAME:begin -->` and `<!-- NAME:end -->` where the figures of NAME go. What stands between them is replaced
//! whole; nothing outside them is touched, and a document without the marks is an error and never changed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Replaces what stands between the marks of `name` in the document at `path` by `text`.
pub(crate) fn write(path: &Path, name: &str, text: &str) -> Result<()> {
    let shown = path.display();
    let before = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let after = replaced(&before, name, text).with_context(|| format!("cannot update {shown}"))?;
    fs::write(path, after).with_context(|| format!("cannot write {shown}"))
}

/// `document` with `text` between the marks of `name`, a blank line from each: Markdown begins a table only there.
fn replaced(document: &str, name: &str, text: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|side| format!("<!-- {name}:{side} -->"));
    for mark in [&begin, &end] {
        let found = document.matches(mark.as_str()).count();
        ensure!(
            found == 1,
            "it has the line `{mark}` {found} times, and should have it once"
        );
    }
    let halves = document.split_once(&begin);
    let parts = halves.and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
    let (head, tail) = parts.with_context(|| format!("`{end}` stands before `{begin}`"))?;
    let text = text.trim();
    Ok(format!("{head}{begin}\n\n{text}\n\n{end}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        "# A\n<!-- x:begin -->\nold\n<!-- x:end -->\nrest <!-- y:begin --><!-- y:end -->\n";

    #[test]
    fn only_what_is_between_the_marks_changes_and_writing_twice_is_writing_once() {
        let once = replaced(DOCUMENT, "x", "\n| a |\n").expect("it has the marks");
        assert_eq!(
            once,
            "# A\n<!-- x:begin -->\n\n| a |\n\n<!-- x:end -->\nrest <!-- y:begin --><!-- y:end -->\n"
        );
        assert_eq!(replaced(&once, "x", "| a |").expect("still"), once);
        let both = replaced(&once, "y", "| b |").expect("it has those too");
        assert!(both.contains("| a |") && both.contains("| b |"), "{both}");
    }

    #[test]
    fn a_document_without_exactly_one_pair_of_marks_in_order_is_left_alone() {
        for (document, reason) in [
            ("", "`<!-- x:begin -->` 0 times"),
            ("<!-- x:begin -->", "`<!-- x:end -->` 0 times"),
            ("<!-- x:begin --><!-- x:begin --><!-- x:end -->", "2 times"),
            ("<!-- x:end --><!-- x:begin -->", "stands before"),
        ] {
            let error = replaced(document, "x", "new").expect_err(document);
            assert!(error.to_string().contains(reason), "{error}");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.md");
        fs::write(&path, "no marks").expect("written");
        let error = write(&path, "x", "new").expect_err("it has no marks");
        assert!(format!("{error:#}").contains("a.md"), "{error:#}");
        assert_eq!(fs::read_to_string(&path).expect("read"), "no marks");
        fs::write(&path, DOCUMENT).expect("written");
        write(&path, "x", "new").expect("it has the marks");
        assert!(fs::read_to_string(&path).expect("read").contains("\nnew\n"));
    }
}
