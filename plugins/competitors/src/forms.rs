//! The forms of English words by their regular endings. Irregular ones have to be listed where they are meant.

/// Whether `word` is `stem` with a regular ending.
pub(crate) fn is_form_of(stem: &str, word: &str) -> bool {
    if let Some(ending) = word.strip_prefix(stem) {
        let doubled = stem.chars().next_back();
        let after_doubled = doubled.and_then(|last| ending.strip_prefix(last));
        return matches!(ending, "" | "s" | "es" | "d" | "ed" | "ing")
            || matches!(after_doubled, Some("ed" | "ing"));
    }
    let replaced = |last: char, endings: &[&str]| {
        let short = stem.strip_suffix(last);
        let ending = short.and_then(|short| word.strip_prefix(short));
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    replaced('e', &["ing"]) || replaced('y', &["ies", "ied"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_in_every_regular_form() {
        for (stem, forms) in [
            ("launch", "launch launches launched launching"),
            ("acquire", "acquire acquires acquired acquiring"),
            ("cut", "cut cuts cutting"),
            ("buy", "buy buys buying"),
            ("supply", "supplies supplied"),
        ] {
            assert!(
                forms.split(' ').all(|form| is_form_of(stem, form)),
                "{stem}"
            );
        }
        assert!(
            !is_form_of("cut", "cute")
                && !is_form_of("fine", "final")
                && !is_form_of("sue", "suit")
        );
    }
}
