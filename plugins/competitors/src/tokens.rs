//! The tokens of one sentence: words, numbers and marks, each with where it lies.

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) lower: String,
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    /// Digits, and what belongs to them.
    Number,
    /// A number behind the sign of a currency.
    Money,
    /// Anything else that is no space.
    Mark,
    /// The name of a competitor, by its place in the list.
    Mention(usize),
}

/// Cuts a sentence. `'s` and `’s` become tokens of their own, so that a name before them stands alone.
pub(crate) fn tokens(sentence: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sentence;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let length = length(rest, first);
        let (text, after) = rest.split_at(length);
        rest = after;
        tokens.push(Token {
            text,
            lower: text.to_lowercase(),
            kind: kind(text, first),
        });
    }
    tokens
}

fn length(rest: &str, first: char) -> usize {
    if is_possessive(rest) {
        return rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
    }
    let is_currency = is_currency(first);
    if !first.is_alphanumeric() && !is_currency {
        return first.len_utf8();
    }
    let mut end = first.len_utf8();
    let mut characters = rest[end..].char_indices().peekable();
    let begin = end;
    while let Some((at, character)) = characters.next() {
        let at = begin + at;
        // Inside a word or a number these join what stands on both sides.
        let joins = matches!(character, '-' | '&' | '\'' | '’' | '.' | ',')
            && !is_possessive(&rest[at..])
            && characters
                .peek()
                .is_some_and(|(_, next)| next.is_alphanumeric())
            && (!matches!(character, ',' | '.') || rest[..at].ends_with(|c: char| c.is_numeric()));
        if !character.is_alphanumeric() && !joins {
            break;
        }
        end = at + character.len_utf8();
    }
    end
}

/// Whether an apostrophe and an `s` stand here that end a word.
fn is_possessive(rest: &str) -> bool {
    let mut characters = rest.chars();
    matches!(characters.next(), Some('\'' | '’'))
        && matches!(characters.next(), Some('s' | 'S'))
        && !characters.next().is_some_and(char::is_alphanumeric)
}

fn is_currency(character: char) -> bool {
    matches!(character, '$' | '€' | '£' | '¥')
}

fn kind(text: &str, first: char) -> Kind {
    if is_currency(first) {
        return if text.len() > first.len_utf8() {
            Kind::Money
        } else {
            Kind::Mark
        };
    }
    if first.is_numeric() {
        Kind::Number
    } else if first.is_alphabetic() {
        Kind::Word
    } else {
        Kind::Mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sentence: &str, expected: &[&str]) {
        let tokens = tokens(sentence);
        let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_sentence_is_cut_into_words_numbers_and_marks() {
        check(
            "Brackwater's new R&D-lab didn't cost $1,250.5, «Orrin» said.",
            &[
                "Brackwater",
                "'s",
                "new",
                "R&D-lab",
                "didn't",
                "cost",
                "$1,250.5",
                ",",
                "«",
                "Orrin",
                "»",
                "said",
                ".",
            ],
        );
        check(
            "£40m or 12.5% – in Malmö…",
            &["£40m", "or", "12.5", "%", "–", "in", "Malmö", "…"],
        );
        check(
            "the Finches’ 's 'S $ -",
            &["the", "Finches", "’", "'s", "'S", "$", "-"],
        );
        check("", &[]);
    }

    #[test]
    fn amounts_are_known_by_their_sign() {
        let kinds: Vec<Kind> = tokens("raised €40 or 40 $")
            .iter()
            .map(|t| t.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                Kind::Word,
                Kind::Money,
                Kind::Word,
                Kind::Number,
                Kind::Mark
            ]
        );
    }
}
