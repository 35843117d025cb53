//! Which of the known names was meant by one that is not known: for the help in messages. Nothing is ever done with a guess.

/// A longer name is not compared: nobody mistypes it, and comparing takes the square of its length.
const LONGEST: usize = 64;

/// The one of `known` that `name` was probably meant to be: the nearest, if at most every third character has to change, and at most four.
/// Two letters that changed places count as one change (the distance of Damerau and Levenshtein).
pub(crate) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .filter(|_| name.len() <= LONGEST)
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_unless_it_is_far_or_nobody_could_have_typed_it() {
        let known = ["memory", "fuel", "timeout", "table-elements"];
        for (name, meant) in [
            ("memroy", Some("memory")),
            ("fule", Some("fuel")),
            ("f", None),
            ("table-elemints", Some("table-elements")),
            ("disk", None),
        ] {
            assert_eq!(near(name, known), meant, "{name}");
        }
        assert_eq!(near(&"x".repeat(65), ["x".repeat(65).as_str()]), None);
    }
}
