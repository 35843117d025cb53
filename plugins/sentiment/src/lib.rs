//! The agent `sentiment`: how positive or negative texts sound. It knows words and the rules of VADER, and nothing of what is meant.

mod lexicon;
mod vader;
mod words;

use kennel_sdk::prelude::*;
use market_data::{Article, Table, rounded, sentences};

use crate::vader::{Polarity, polarity};

/// A compound score from which a text is called positive; below its negative a text is negative. The authors' own bounds.
const LEANING: f64 = 0.05;

/// Articles, or one text; a bare text stands for itself.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// The articles. Each is scored sentence by sentence, its headline as the first.
    #[serde(default)]
    articles: Option<Table<Article>>,
    /// One short text instead, scored as a whole.
    #[serde(default)]
    text: Option<String>,
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self {
            articles: None,
            text: Some(text),
        }
    }
}

/// How the texts sound, all together and each.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// The mean of all compound scores, from -1 (most negative) to 1 (most positive).
    compound: f64,
    /// What that mean is called.
    label: Label,
    /// Which part of the articles is positive, neutral and negative.
    shares: Shares,
    /// The most positive article, when one is positive.
    most_positive: Option<Extreme>,
    /// The most negative article, when one is negative.
    most_negative: Option<Extreme>,
    /// Each article, in the order of the input.
    articles: Vec<Scored>,
}

/// One scored article.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Scored {
    /// Its id, or its place such as `#1`.
    id: String,
    /// Its headline.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// From -1 to 1; the mean of its sentences.
    compound: f64,
    /// Which part of its words is positive.
    positive: f64,
    /// Which part of its words is neutral.
    neutral: f64,
    /// Which part of its words is negative.
    negative: f64,
    /// What the compound score is called.
    label: Label,
    /// How many sentences were scored.
    sentences: usize,
}

/// Positive from 0.05, negative to -0.05.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// 0.05 and above.
    Positive,
    /// In between.
    Neutral,
    /// -0.05 and below.
    Negative,
}

/// Parts of all articles; together 1.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shares {
    positive: f64,
    neutral: f64,
    negative: f64,
}

/// An article that stands out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Extreme {
    /// Its id, or its place such as `#1`.
    id: String,
    /// Its compound score.
    compound: f64,
}

/// The skill `score-sentiment`.
pub struct ScoreSentiment;

impl Agent for ScoreSentiment {
    type Input = TextOr<Input>;
    type Output = Output;
    const SKILL: &'static str = "score-sentiment";
    const DESCRIPTION: &'static str =
        "Scores how positive or negative English texts sound, each and together (VADER).";
    const TAGS: &'static [&'static str] = &["text", "news", "sentiment", "english"];

    fn handle(TextOr(input): TextOr<Input>, _: &Task) -> Result<Output, Error> {
        let articles = match (input.articles, input.text) {
            (Some(articles), None) => articles
                .rows("articles")?
                .into_iter()
                .enumerate()
                .map(|(place, article)| by_sentence(place, article))
                .collect(),
            (None, Some(text)) => vec![whole(&text)],
            _ => {
                return Err(Error::invalid_input(
                    "give either input.articles or input.text",
                ));
            }
        };
        if let Some(empty) = articles.iter().find(|article| article.sentences == 0) {
            return Err(Error::invalid_input(format_args!(
                "article {} is empty",
                empty.id
            )));
        }
        Ok(together(articles))
    }
}

kennel_sdk::export!(batch: ScoreSentiment);

fn whole(text: &str) -> Scored {
    let scores = if text.trim().is_empty() {
        Vec::new()
    } else {
        vec![polarity(text)]
    };
    scored("#1".to_owned(), None, &scores)
}

/// VADER was made for single sentences: in a longer text everything adds up to one end or the other, so an article gets the mean.
fn by_sentence(place: usize, article: Article) -> Scored {
    let parts = [article.title.as_deref(), Some(&article.text)];
    let scores: Vec<Polarity> = parts
        .into_iter()
        .flatten()
        .flat_map(sentences)
        .map(|sentence| polarity(sentence.text))
        .collect();
    scored(article.name(place), article.title, &scores)
}

fn scored(id: String, title: Option<String>, scores: &[Polarity]) -> Scored {
    let mean = |part: fn(&Polarity) -> f64| mean(scores.iter().map(part));
    let compound = rounded(mean(|p| p.compound), 4);
    Scored {
        id,
        title,
        compound,
        positive: rounded(mean(|p| p.positive), 3),
        neutral: rounded(mean(|p| p.neutral), 3),
        negative: rounded(mean(|p| p.negative), 3),
        label: label(compound),
        sentences: scores.len(),
    }
}

fn together(articles: Vec<Scored>) -> Output {
    let share = |label| {
        let those = articles.iter().filter(|article| article.label == label);
        rounded(those.count() as f64 / articles.len() as f64, 4)
    };
    // Of several equal ones the first.
    let extreme = |label, sign: f64| {
        let those = articles.iter().filter(|article| article.label == label);
        let best = those.reduce(|best, next| {
            if sign * next.compound > sign * best.compound {
                next
            } else {
                best
            }
        });
        best.map(|article| Extreme {
            id: article.id.clone(),
            compound: article.compound,
        })
    };
    let compound = rounded(mean(articles.iter().map(|article| article.compound)), 4);
    Output {
        compound,
        label: label(compound),
        shares: Shares {
            positive: share(Label::Positive),
            neutral: share(Label::Neutral),
            negative: share(Label::Negative),
        },
        most_positive: extreme(Label::Positive, 1.0),
        most_negative: extreme(Label::Negative, -1.0),
        articles,
    }
}

fn label(compound: f64) -> Label {
    if compound >= LEANING {
        Label::Positive
    } else if compound <= -LEANING {
        Label::Negative
    } else {
        Label::Neutral
    }
}

/// 0 for no numbers.
fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0_u32), |(sum, count), number| {
        (sum + number, count + 1)
    });
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests;
