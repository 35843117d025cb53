//! The valences of words and emoticons, and what emoji stand for. Both lists are embedded and searched as they are, without being
//! taken apart first: a sandbox lives for one call.
//!
//! The lists are those of vaderSentiment 3.3.2 (MIT, see `lexicon/LICENSE`): the words with their mean valences only, the emoji that
//! are one character, both in the order of their bytes.

const WORDS: &str = include_str!("../lexicon/words.tsv");
const EMOJI: &str = include_str!("../lexicon/emoji.tsv");

/// How positive or negative a word in lower case is, from -4 to 4; `None` when nobody asked people about it.
pub(crate) fn valence(word: &str) -> Option<f64> {
    find(WORDS, word)?.parse().ok()
}

/// What an emoji shows, in words.
pub(crate) fn emoji(character: char) -> Option<&'static str> {
    find(EMOJI, character.encode_utf8(&mut [0; 4]))
}

/// The second field of the line whose first field is `key`, by halving a sorted list of lines.
fn find(lines: &'static str, key: &str) -> Option<&'static str> {
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let middle = low + (high - low) / 2;
        // `\n` is never a part of another character, so both ends lie between characters.
        let start = lines.as_bytes()[..middle]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        let line = lines[start..].lines().next()?;
        let (name, value) = line.split_once('\t')?;
        match name.cmp(key) {
            std::cmp::Ordering::Equal => return Some(value),
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_are_sorted_and_every_entry_is_found() {
        for (lines, count) in [(WORDS, 7506), (EMOJI, 1212)] {
            let entries: Vec<_> = lines
                .lines()
                .map(|line| line.split_once('\t').unwrap())
                .collect();
            assert_eq!(entries.len(), count);
            assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
            for (name, value) in entries {
                assert_eq!(find(lines, name), Some(value), "{name}");
            }
        }
        assert!(WORDS.lines().all(|line| {
            let (word, value) = line.split_once('\t').unwrap();
            valence(word) == Some(value.parse().unwrap())
        }));
    }

    #[test]
    fn what_is_not_listed_is_not_found() {
        for word in ["", "\0", "goo", "goodd", "zzzz", "\u{10ffff}"] {
            assert_eq!(valence(word), None, "{word}");
        }
        assert_eq!((emoji('a'), emoji('😀')), (None, Some("grinning face")));
    }
}
