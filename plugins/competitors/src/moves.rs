//! The moves of competitors in one article: what the patterns match in its sentences, brought together.

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;
use market_data::{Article, Sentence, sentences};

use crate::grammar::{Match, Pattern, Role};
use crate::mentions::Names;
use crate::rules::{DENYING, MoveKind, PLANNING, RULES};
use crate::tokens::{Kind, Token};

/// How many words before a pattern may still deny or plan it.
const BEFORE: usize = 4;

/// How far a move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is said to be a fact.
    Reported,
    /// It is said to come, or to be possible.
    Planned,
    /// It is said not to be so.
    Denied,
}

/// Which part of an article a sentence stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The headline.
    Title,
    /// What follows it.
    Text,
}

/// A sentence that tells of a move.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Evidence {
    /// Where it stands.
    #[serde(rename = "in")]
    place: Place,
    /// The sentence.
    sentence: String,
    /// Where it begins, in Unicode scalar values.
    start: usize,
    /// The offset after its last character.
    end: usize,
    #[serde(skip)]
    role: Role,
    #[serde(skip)]
    status: Status,
}

/// A move without its article.
pub(crate) struct Found {
    pub(crate) competitor: usize,
    pub(crate) kind: MoveKind,
    pub(crate) role: Role,
    pub(crate) status: Status,
    pub(crate) evidence: Vec<Evidence>,
}

/// The patterns of all kinds, ready to be matched.
pub(crate) struct Rules(Vec<(MoveKind, Vec<Pattern>)>);

impl Rules {
    pub(crate) fn new() -> Self {
        let kinds = RULES.iter();
        Self(
            kinds
                .map(|(kind, lines)| (*kind, lines.iter().map(|line| Pattern::new(line)).collect()))
                .collect(),
        )
    }

    /// What an article says, and how often it mentions whom.
    pub(crate) fn read(
        &self,
        article: &Article,
        names: &Names,
    ) -> (Vec<Found>, BTreeMap<usize, usize>) {
        let mut moves: BTreeMap<(usize, MoveKind), Vec<Evidence>> = BTreeMap::new();
        let mut mentions = BTreeMap::new();
        let title = article.title.as_deref().map(|title| (Place::Title, title));
        for (place, text) in title
            .into_iter()
            .chain([(Place::Text, article.text.as_str())])
        {
            for sentence in sentences(text) {
                let tokens = names.mark(sentence.text);
                for token in &tokens {
                    if let Kind::Mention(competitor) = token.kind {
                        *mentions.entry(competitor).or_default() += 1;
                    }
                }
                for (kind, found) in self.matches(&tokens) {
                    let evidence = evidence(place, sentence, &tokens, found);
                    moves
                        .entry((found.competitor, kind))
                        .or_default()
                        .push(evidence);
                }
            }
        }
        (moves.into_iter().map(together).collect(), mentions)
    }

    /// At most one move of a kind for each competitor of a sentence.
    fn matches(&self, tokens: &[Token<'_>]) -> Vec<(MoveKind, Match)> {
        let mut matches = Vec::new();
        for (kind, patterns) in &self.0 {
            let mut of_kind: BTreeMap<usize, Match> = BTreeMap::new();
            for found in patterns.iter().flat_map(|pattern| pattern.matches(tokens)) {
                of_kind.entry(found.competitor).or_insert(found);
            }
            matches.extend(of_kind.into_values().map(|found| (*kind, found)));
        }
        matches
    }
}

fn evidence(place: Place, sentence: Sentence<'_>, tokens: &[Token<'_>], found: Match) -> Evidence {
    Evidence {
        place,
        sentence: sentence.text.to_owned(),
        start: sentence.start,
        end: sentence.end,
        role: found.role,
        status: status(tokens, found),
    }
}

/// Judged by the words of the match and a few before it, in the same clause. A denial of a plan is a denial.
fn status(tokens: &[Token<'_>], found: Match) -> Status {
    let before = tokens[..found.start]
        .iter()
        .rev()
        .take(BEFORE)
        .take_while(|token| token.kind != Kind::Mark);
    let words: Vec<&str> = tokens[found.start..found.end]
        .iter()
        .chain(before)
        .map(|token| token.lower.as_str())
        .collect();
    let says = |list: &[&str]| words.iter().any(|word| list.contains(word));
    if says(DENYING)
        || words
            .iter()
            .any(|word| word.ends_with("n't") || word.ends_with("n’t"))
    {
        Status::Denied
    } else if says(PLANNING) {
        Status::Planned
    } else {
        Status::Reported
    }
}

/// The first sentence of the text decides, because headlines leave out the words that tell who did it and whether it is done.
fn together(((competitor, kind), evidence): ((usize, MoveKind), Vec<Evidence>)) -> Found {
    let telling = evidence
        .iter()
        .find(|evidence| evidence.place == Place::Text)
        .or(evidence.first());
    let (role, status) = telling.map_or((Role::Actor, Status::Reported), |evidence| {
        (evidence.role, evidence.status)
    });
    Found {
        competitor,
        kind,
        role,
        status,
        evidence,
    }
}
