//! JSON Schema: of a run's input and of agents' skills.
//!
//! Patterns run on an engine that never goes back, so no schema and no input can make one slow. Nothing is fetched: a reference to
//! another file or host is an error.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::diagnostic::safe;
use crate::failure::{Failure, FailureKind};

/// The most violations that one message lists.
const LISTED: usize = 20;

/// Checks the input of `flow` against its schema, when it has one. Compiles the schema each time, some 50 µs: a plan is pure data and a run begins
/// once.
pub fn check_input(flow: &str, schema: Option<&Value>, input: &Value) -> Result<(), Failure> {
    let Some(schema) = schema else {
        return Ok(());
    };
    let violations = match validator(schema) {
        Ok(validator) => violations(&validator, input),
        Err(faults) => {
            let reason = faults
                .into_iter()
                .map(|(_, message)| message)
                .collect::<Vec<_>>()
                .join("; ");
            return Err(Failure::new(
                FailureKind::HostError,
                format!("the flow's `input` is not a valid JSON Schema: {reason}"),
            ));
        }
    };
    if violations.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = violations
        .into_iter()
        .map(|(path, message)| match path.as_str() {
            "" => message,
            path => format!("{path}: {message}"),
        })
        .collect();
    Err(Failure::new(
        FailureKind::InvalidInput,
        format!(
            "the input does not fit the flow `{flow}`: {}",
            list.join("; ")
        ),
    ))
}

/// The compiled schema, or each fault with its JSON pointer into the schema.
pub(super) fn validator(schema: &Value) -> Result<Validator, Vec<(String, String)>> {
    let fault =
        |error: &jsonschema::ValidationError<'_>, path: String| (path, short(&error.to_string()));
    let meta = jsonschema::meta::validator_for(schema)
        .map_err(|error| vec![fault(&error, String::new())])?;
    let faults = meta.iter_errors(schema).take(LISTED);
    let faults: Vec<_> = faults
        .map(|error| fault(&error, error.instance_path().to_string()))
        .collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(schema)
        .map_err(|error| vec![fault(&error, error.schema_path().to_string())])
}

/// What in `value` does not fit, each with its JSON pointer.
pub(super) fn violations(validator: &Validator, value: &Value) -> Vec<(String, String)> {
    let errors = validator.iter_errors(value).take(LISTED);
    errors
        .map(|error| (error.instance_path().to_string(), short(&error.to_string())))
        .collect()
}

/// Messages repeat the value they are about, which may be large.
fn short(message: &str) -> String {
    let mut short: String = safe(message).chars().take(200).collect();
    if short.len() < message.len() {
        short.push('…');
    }
    short
}
