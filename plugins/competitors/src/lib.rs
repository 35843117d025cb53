//! The agent `competitors`: which competitors the news mention, how often, and what those did. It reads patterns of words; what is told
//! in another way it misses.

mod forms;
mod grammar;
mod mentions;
mod moves;
mod rules;
mod tokens;

use kennel_sdk::prelude::*;
use market_data::{Article, Table, Time, rounded};

pub use crate::grammar::Role;
pub use crate::mentions::Competitor;
use crate::mentions::Names;
use crate::moves::Rules;
pub use crate::moves::{Evidence, Place, Status};
pub use crate::rules::MoveKind;

/// Articles and whom to look for.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// The articles.
    articles: Table<Article>,
    /// The competitors; those of the agent's settings (`competitor.NAME = "other name, other name"`) when left out.
    #[serde(default)]
    competitors: Option<Table<Competitor>>,
}

/// What the articles tell of competitors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Each competitor, the one mentioned most often first, equals by name.
    competitors: Vec<Voice>,
    /// What they did: by date, those without one last; then in the order of the articles.
    moves: Vec<Move>,
}

/// How much is said of one competitor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Voice {
    /// Its name.
    name: String,
    /// How often it is mentioned, headlines included.
    mentions: usize,
    /// How many articles mention it.
    articles: usize,
    /// Its part of all mentions of competitors.
    share: f64,
}

/// Something that a competitor did, or that was done to it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Move {
    /// When the article came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Time>,
    /// The competitor.
    competitor: String,
    /// What it is.
    kind: MoveKind,
    /// `actor` when the competitor did it, `target` when it was done to the competitor.
    role: Role,
    /// Whether it happened.
    status: Status,
    /// The article that tells of it: its id, or its place such as `#1`.
    article: String,
    /// The sentences that tell of it.
    evidence: Vec<Evidence>,
}

/// The skill `track-competitors`.
pub struct TrackCompetitors;

impl Agent for TrackCompetitors {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "track-competitors";
    const DESCRIPTION: &'static str = "Finds which competitors English news mention, and their launches, acquisitions, prices and other moves.";
    const TAGS: &'static [&'static str] = &["news", "competitors", "english"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        let competitors = match input.competitors {
            Some(competitors) => competitors.rows("competitors")?,
            None => mentions::configured()?,
        };
        if competitors.is_empty() {
            return Err(Error::invalid_input(
                "no competitors to look for: give input.competitors, or the operator configures `competitor.NAME`",
            ));
        }
        let names = Names::new(&competitors)?;
        Ok(read(
            &input.articles.rows("articles")?,
            &competitors,
            &names,
        ))
    }
}

kennel_sdk::export!(TrackCompetitors);

fn read(articles: &[Article], competitors: &[Competitor], names: &Names) -> Output {
    let rules = Rules::new();
    let mut voices: Vec<Voice> = competitors
        .iter()
        .map(|competitor| Voice {
            name: competitor.name.clone(),
            mentions: 0,
            articles: 0,
            share: 0.0,
        })
        .collect();
    let mut moves = Vec::new();
    for (place, article) in articles.iter().enumerate() {
        let (found, mentions) = rules.read(article, names);
        for (competitor, count) in mentions {
            voices[competitor].mentions += count;
            voices[competitor].articles += 1;
        }
        moves.extend(found.into_iter().map(|found| Move {
            date: article.date.clone(),
            competitor: competitors[found.competitor].name.clone(),
            kind: found.kind,
            role: found.role,
            status: found.status,
            article: article.name(place),
            evidence: found.evidence,
        }));
    }
    // Stable, so that moves of the same day stay in the order of the articles.
    let day = |m: &Move| m.date.as_ref().map_or(f64::INFINITY, Time::position);
    moves.sort_by(|a, b| day(a).total_cmp(&day(b)));
    let total: usize = voices.iter().map(|voice| voice.mentions).sum();
    for voice in &mut voices {
        voice.share = rounded(voice.mentions as f64 / total.max(1) as f64, 4);
    }
    voices.sort_by(|a, b| (b.mentions, &a.name).cmp(&(a.mentions, &b.name)));
    Output {
        competitors: voices,
        moves,
    }
}

#[cfg(test)]
mod tests;
