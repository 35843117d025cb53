//! Words of a question against the names and values of a table. Endings of plurals do not matter; nothing else is guessed.

use tabular::Filter;

use crate::profile::Profile;

/// Words that mean the same measure.
pub(crate) const SYNONYMS: [&[&str]; 4] = [
    &["revenue", "sale", "turnover", "income", "amount", "earning"],
    &["unit", "quantity", "volume", "piece", "item", "count"],
    &["profit", "margin"],
    &["cost", "expense", "spending"],
];

/// The words of a text in lower case.
pub(crate) fn of(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Without the ending of a plural.
fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
        _ => word.to_owned(),
    }
}

/// Whether all words of a column's name are in the question.
pub(crate) fn names(column: &str, question: &[String]) -> bool {
    let column = of(column);
    let said = |word: &String| {
        question
            .iter()
            .any(|other| singular(other) == singular(word))
    };
    !column.is_empty() && column.iter().all(said)
}

pub(crate) fn names_any(column: &str, list: &[&str]) -> bool {
    of(column)
        .iter()
        .any(|word| list.contains(&singular(word).as_str()))
}

/// The measure that the question names, by its name or by a word that means the same.
pub(crate) fn measure(question: &[String], profile: &Profile) -> Option<String> {
    let by_name = profile.measures.iter().find(|name| names(name, question));
    let by_synonym = || {
        let said = SYNONYMS.iter().filter(|list| {
            question
                .iter()
                .any(|word| list.contains(&singular(word).as_str()))
        });
        said.flat_map(|list| profile.measures.iter().find(|name| names_any(name, list)))
            .next()
    };
    by_name.or_else(by_synonym).cloned()
}

/// The values of dimensions that the question names: column, value and where it stands.
pub(crate) fn values(question: &[String], profile: &Profile) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for (column, values) in &profile.dimensions {
        for value in values {
            let value_words = of(value);
            let long = value_words.iter().map(String::len).sum::<usize>() >= 3;
            let place = question
                .windows(value_words.len().max(1))
                .position(|window| {
                    let same = |(a, b): (&String, &String)| a == b || singular(a) == singular(b);
                    window.iter().zip(&value_words).all(same)
                });
            if let (true, Some(place)) = (long, place) {
                found.push((place, column.clone(), value.clone()));
            }
        }
    }
    found.sort();
    found
}

/// One value of a column is a filter; two are segments to compare.
pub(crate) fn choose(
    values: Vec<(usize, String, String)>,
) -> (Filter, Option<(String, String, String)>) {
    let mut filter = Filter::default();
    let mut segments: Option<(String, String, String)> = None;
    for (_, column, value) in values {
        match (filter.equals.remove(&column), &segments) {
            (Some(first), None) => segments = Some((column, first, value)),
            (None, Some((compared, ..))) if *compared == column => {}
            _ => _ = filter.equals.insert(column, value),
        }
    }
    (filter, segments)
}
