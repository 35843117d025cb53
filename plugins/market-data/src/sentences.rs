//! Sentences by Unicode's boundaries (UAX #29), which do not know English abbreviations: those are put together again here.

use unicode_segmentation::UnicodeSegmentation;

/// What ends in a full stop without ending a sentence, when a capital may follow.
const ABBREVIATIONS: &[&str] = &[
    "approx.", "co.", "corp.", "dr.", "e.g.", "est.", "i.e.", "inc.", "ltd.", "mr.", "mrs.", "ms.",
    "no.", "plc.", "prof.", "st.", "vs.",
];

/// One sentence and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence<'a> {
    /// The sentence without space around it.
    pub text: &'a str,
    /// Where it begins, in Unicode scalar values.
    pub start: usize,
    /// Where it ends, in Unicode scalar values; the offset after its last character.
    pub end: usize,
}

/// The sentences of a text, in order. A line break ends one, too.
pub fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut sentences = Vec::new();
    let (mut from, mut counted, mut characters) = (0, 0, 0);
    for (at, piece) in text.split_sentence_bound_indices() {
        let end = at + piece.len();
        if end < text.len() && is_abbreviated(&text[from..end]) && !piece.contains('\n') {
            continue;
        }
        let whole = &text[from..end];
        from = end;
        let trimmed = whole.trim();
        if trimmed.is_empty() {
            continue;
        }
        let begins = end - whole.len() + (whole.len() - whole.trim_start().len());
        // Counted on from the sentence before: the time stays linear.
        characters += text[counted..begins].chars().count();
        let start = characters;
        characters += trimmed.chars().count();
        counted = begins + trimmed.len();
        sentences.push(Sentence {
            text: trimmed,
            start,
            end: characters,
        });
    }
    sentences
}

fn is_abbreviated(sentence: &str) -> bool {
    let Some(last) = sentence.split_whitespace().next_back() else {
        return false;
    };
    let last = last.trim_start_matches(|c: char| !c.is_alphanumeric());
    let mut characters = last.chars();
    // An initial: one capital and a full stop.
    let is_initial = characters.next().is_some_and(char::is_uppercase)
        && characters.next() == Some('.')
        && characters.next().is_none();
    is_initial || ABBREVIATIONS.contains(&last.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = sentences(text);
        let texts: Vec<&str> = found.iter().map(|sentence| sentence.text).collect();
        assert_eq!(texts, expected);
        let characters: Vec<char> = text.chars().collect();
        for sentence in found {
            let sliced: String = characters[sentence.start..sentence.end].iter().collect();
            assert_eq!(sliced, sentence.text);
        }
    }

    #[test]
    fn sentences_end_at_marks_and_line_breaks_and_know_where_they_lie() {
        check(
            "  Prices fell 2.5% in Malmö. Why? Nobody\u{a0}knows!\nBüro",
            &[
                "Prices fell 2.5% in Malmö.",
                "Why?",
                "Nobody\u{a0}knows!",
                "Büro",
            ],
        );
        check(" \n ", &[]);
    }

    #[test]
    fn an_abbreviation_or_an_initial_ends_no_sentence() {
        check(
            "Tallow Inc. Shares rose. Dr. J. Fenn of Ostrava Corp. Said so.",
            &[
                "Tallow Inc. Shares rose.",
                "Dr. J. Fenn of Ostrava Corp. Said so.",
            ],
        );
        check("They came from Orrin Ltd.", &["They came from Orrin Ltd."]);
        check(
            "Made by Orrin Ltd.\nNext line",
            &["Made by Orrin Ltd.", "Next line"],
        );
    }
}
