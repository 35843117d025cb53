//! Who is mentioned: names and other names, found as whole words.

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;

use crate::tokens::{Kind, Token, tokens};

/// Settings of this prefix are competitors: `competitor.NAME = "other name, other name"`.
const PREFIX: &str = "competitor.";

/// A competitor and what it is called.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Competitor {
    /// The name by which the answer calls it.
    pub(crate) name: String,
    /// What else it is called.
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
}

/// The competitors of the agent's settings, by name.
pub(crate) fn configured() -> Result<Vec<Competitor>, Error> {
    let settings: BTreeMap<String, String> = config::all()?.into_iter().collect();
    Ok(settings
        .into_iter()
        .filter_map(|(key, aliases)| {
            let name = key.strip_prefix(PREFIX)?.to_owned();
            let aliases = aliases.split(',').map(str::trim);
            let aliases = aliases.filter(|alias| !alias.is_empty());
            Some(Competitor {
                name,
                aliases: aliases.map(str::to_owned).collect(),
            })
        })
        .collect())
}

/// All names of all competitors, ready to be looked for.
pub(crate) struct Names {
    /// The words of a name and whose it is, names of more words first.
    names: Vec<(Vec<String>, usize)>,
}

impl Names {
    /// Refuses a name that is empty, and one that two competitors have.
    pub(crate) fn new(competitors: &[Competitor]) -> Result<Self, Error> {
        let mut owners: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for (place, competitor) in competitors.iter().enumerate() {
            for name in std::iter::once(&competitor.name).chain(&competitor.aliases) {
                let words: Vec<String> = tokens(name).iter().map(|t| t.text.to_owned()).collect();
                if words.is_empty() {
                    return Err(Error::invalid_input(format_args!(
                        "a name of competitor #{} is empty",
                        place + 1
                    )));
                }
                if let Some(&other) = owners.get(&words)
                    && other != place
                {
                    return Err(Error::invalid_input(format_args!(
                        "`{name}` is a name of two competitors, `{}` and `{}`",
                        competitors[other].name, competitor.name
                    )));
                }
                owners.insert(words, place);
            }
        }
        let mut names: Vec<_> = owners.into_iter().collect();
        names.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
        Ok(Self { names })
    }

    /// The tokens with each name that stands among them made one token.
    pub(crate) fn mark<'a>(&self, sentence: &'a str) -> Vec<Token<'a>> {
        let plain = tokens(sentence);
        let mut marked = Vec::with_capacity(plain.len());
        let mut at = 0;
        while at < plain.len() {
            let found = self.names.iter().find(|(words, _)| {
                plain.len() - at >= words.len()
                    && words
                        .iter()
                        .zip(&plain[at..])
                        .all(|(word, token)| is_written(word, token.text))
            });
            let mut token = plain[at].clone();
            if let Some((words, owner)) = found {
                token.kind = Kind::Mention(*owner);
                at += words.len();
            } else {
                at += 1;
            }
            marked.push(token);
        }
        marked
    }
}

/// As it is written, or all in capitals, as headlines may be. Small letters would find the common noun of the same name.
fn is_written(word: &str, text: &str) -> bool {
    word == text || word.to_uppercase() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let competitor = |name: &str, aliases: &[&str]| Competitor {
            name: name.to_owned(),
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        };
        Names::new(&[
            competitor("Orrin", &["Orrin Audio", "OA"]),
            competitor("Finch & Sons", &["Finch"]),
        ])
        .unwrap()
    }

    fn mentions(sentence: &str) -> Vec<usize> {
        let marked = names().mark(sentence);
        let mentions = marked.iter().filter_map(|token| match token.kind {
            Kind::Mention(owner) => Some(owner),
            _ => None,
        });
        mentions.collect()
    }

    #[test]
    fn names_are_found_as_whole_words_the_longest_first() {
        assert_eq!(mentions("Orrin Audio's plant, ORRIN and OA."), [0, 0, 0]);
        assert_eq!(mentions("Finch & Sons; Finch."), [1, 1]);
        assert!(mentions("Orrington, finch, an orrin, Oa, OAs").is_empty());
    }

    #[test]
    fn a_name_of_nobody_or_of_two_is_refused() {
        let competitor = |name: &str| Competitor {
            name: name.to_owned(),
            aliases: vec!["Both".to_owned()],
        };
        let error = Names::new(&[competitor("A"), competitor("B")])
            .err()
            .unwrap();
        assert!(
            error
                .message()
                .contains("`Both` is a name of two competitors, `A` and `B`")
        );
        assert!(Names::new(&[competitor(" ")]).is_err());
    }
}
