//! The agent `bi-coordinator`: plans which workers answer a question about a table, and writes the report of what they found. It
//! understands questions by rules, not by a language model, computes no finding of its own, and says so when it does not understand.

mod chart;
mod periods;
mod plan;
mod profile;
mod question;
mod report;
mod scale;
mod told;
mod words;

use kennel_sdk::prelude::*;

use crate::plan::Subtask;

/// A question about a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// The question, in English: "Why did revenue fall in Q2 2026?", "Which region sells most?", "Forecast units for the next 3 months".
    question: String,
    /// The table, CSV with a header; as a file or as text.
    data: Content,
}

/// The work to be done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Planned {
    /// One task for each worker that can add to the answer.
    subtasks: Vec<Subtask>,
}

/// What the workers did.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Done {
    /// The question and the table.
    input: Input,
    /// What the workers answered.
    #[serde(default)]
    results: Vec<Answer>,
    /// The workers that failed.
    #[serde(default)]
    failures: Vec<Failure>,
}

/// What one worker answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The kind of worker.
    agent_type: String,
    /// Its output.
    output: Value,
}

/// A worker that failed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// The kind of worker.
    agent_type: String,
    /// How it failed.
    #[serde(default)]
    kind: String,
    /// Why.
    #[serde(default)]
    message: String,
}

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The answer in a sentence or two.
    headline: String,
    /// The report as Markdown, with the chart in it.
    report: String,
    /// The chart as SVG.
    chart: String,
}

/// The skill `plan`.
pub struct Plan;

impl Agent for Plan {
    type Input = Input;
    type Output = Planned;
    const SKILL: &'static str = "plan";
    const DESCRIPTION: &'static str =
        "Decides which workers answer a question about a table, and with which columns and days.";
    const TAGS: &'static [&'static str] = &["data", "question", "plan"];

    fn handle(input: Input, _: &Task) -> Result<Planned, Error> {
        let (profile, question) = understand(&input)?;
        let data = shared(input.data)?;
        Ok(Planned {
            subtasks: plan::subtasks(&profile, &question, &data),
        })
    }
}

/// The skill `synthesize`.
pub struct Synthesize;

impl Agent for Synthesize {
    type Input = Done;
    type Output = Report;
    const SKILL: &'static str = "synthesize";
    const DESCRIPTION: &'static str = "Writes a report of what the workers found, with a headline, a chart and what to be careful about.";
    const TAGS: &'static [&'static str] = &["data", "report", "chart"];

    fn handle(done: Done, _: &Task) -> Result<Report, Error> {
        if done.results.is_empty() {
            let why: Vec<String> = done
                .failures
                .iter()
                .map(|failure| {
                    format!(
                        "{}: {} ({})",
                        failure.agent_type, failure.message, failure.kind
                    )
                })
                .collect();
            return Err(Error::fatal(format_args!(
                "no worker answered; {}",
                why.join("; ")
            )));
        }
        let (profile, question) = understand(&done.input)?;
        Ok(report::write(&done, &profile, &question))
    }
}

kennel_sdk::export!(Plan, Synthesize);

fn understand(input: &Input) -> Result<(profile::Profile, question::Question), Error> {
    let profile = profile::Profile::of(&input.data)?;
    let question = question::Question::read(&input.question, &profile)?;
    Ok((profile, question))
}

/// A text goes into one blob that all workers share, instead of into the input of each.
fn shared(data: Content) -> Result<Content, Error> {
    let blob = match data {
        Content::Text(text) => Blob::new("text/csv", text),
        Content::Blob(blob) => blob,
    };
    // Written here, once: a clone that was never written writes itself again.
    blob.digest()?;
    Ok(Content::Blob(blob))
}

#[cfg(test)]
mod tests;
