//! A master and its workers in one: plans what it is told to plan, doubles numbers one by one or in batches, reads pages.

use kennel_sdk::prelude::*;

/// The number that nobody can double.
const UNLUCKY: i64 = 13;

#[derive(Deserialize, JsonSchema)]
struct Question {
    /// The plan's subtasks, as they are to be handed on.
    subtasks: Vec<Value>,
}

struct Plan;

impl Agent for Plan {
    type Input = Question;
    type Output = Value;
    const SKILL: &'static str = "plan";
    const DESCRIPTION: &'static str = "Plans the subtasks that the question has.";

    fn handle(input: Question, _: &Task) -> Result<Value, Error> {
        Ok(json!({ "subtasks": input.subtasks }))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Ended {
    results: Vec<Value>,
    failures: Vec<Value>,
}

struct Synthesize;

impl Agent for Synthesize {
    type Input = Ended;
    type Output = Value;
    const SKILL: &'static str = "synthesize";
    const DESCRIPTION: &'static str = "Adds up the results and lists the kinds of the failures.";

    fn handle(input: Ended, _: &Task) -> Result<Value, Error> {
        let sum: i64 = input
            .results
            .iter()
            .filter_map(|result| result["output"].as_i64())
            .sum();
        let failed: Vec<&Value> = input
            .failures
            .iter()
            .map(|failure| &failure["kind"])
            .collect();
        Ok(json!({ "sum": sum, "failed": failed }))
    }
}

struct Double;

impl Agent for Double {
    type Input = i64;
    type Output = i64;
    const SKILL: &'static str = "double";
    const DESCRIPTION: &'static str = "Doubles a number.";

    fn handle(input: i64, _: &Task) -> Result<i64, Error> {
        match input {
            UNLUCKY => Err(Error::fatal("nobody can double 13")),
            number => Ok(2 * number),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Range {
    /// How many numbers there are.
    total: i64,
    /// How many a page has.
    size: i64,
    /// Where the page begins.
    #[serde(default)]
    cursor: i64,
}

struct Count;

impl Agent for Count {
    type Input = Range;
    type Output = Value;
    const SKILL: &'static str = "count";
    const DESCRIPTION: &'static str = "Counts from 0, page by page.";

    fn handle(input: Range, _: &Task) -> Result<Value, Error> {
        let end = (input.cursor + input.size).min(input.total);
        let items: Vec<i64> = (input.cursor..end).collect();
        Ok(json!({ "items": items, "next": (end < input.total).then_some(end) }))
    }
}

kennel_sdk::export!(batch: Plan, Synthesize, Double, Count);
