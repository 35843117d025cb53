//! Forking: a new run that begins with what another has done before a step, changed where somebody wants it otherwise.

use std::sync::Arc;

use serde_json::Value;

use super::journal::Journal;
use super::state::RunState;
use super::{Engine, EngineError};
use crate::failure::Failure;
use crate::flow;
use crate::id::{RunId, StepPath};
use crate::plan::Plan;
use crate::record::{Event, Held};

/// A value to have been otherwise.
#[derive(Debug, Clone)]
pub enum Change {
    /// A field of the input, by the names on the way to it.
    Input(Vec<String>, Value),
    /// The output of a step before the fork, or a field of it.
    Output(StepPath, Vec<String>, Value),
}

/// Why a run cannot be forked so.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// The run has not come to the step.
    #[error("run {0} has not come to step `{1}`; `kennel runs show {0}` lists those it has")]
    NotReached(RunId, StepPath),
    /// The change is about a step that is not before the fork.
    #[error("step `{0}` has no output before the fork, so there is nothing to change")]
    NotBefore(StepPath),
    /// With the changes the input does not fit the flow's schema.
    #[error("{}", .0.message)]
    Input(Failure),
    /// With the changes the outputs before the fork do not belong to the flow any more.
    #[error("with these changes the run would have gone another way before the fork: {0}")]
    OtherWay(String),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Engine {
    /// Accepts a run that reuses the outputs of `forked`, a run of `plan`, before the step `from`, with `changes`; it has still to be driven.
    ///
    /// Steps that ran beside `from` and had not ended when it was reached are executed again.
    pub async fn fork(
        &self,
        forked: RunId,
        plan: Arc<Plan>,
        from: &StepPath,
        changes: &[Change],
    ) -> Result<RunId, ForkError> {
        let events = self.before(forked, plan.clone(), from).await?;
        let events = changed(events, changes, forked)?;
        if let Some(Event::RunStarted {
            input: Held::Inline(input),
            ..
        }) = events.first()
        {
            flow::check_input(&plan.name, plan.input.as_ref(), input).map_err(ForkError::Input)?;
        }
        let run = RunId::generate();
        RunState::replay(plan, run, &events)
            .map_err(|illegal| ForkError::OtherWay(illegal.to_string()))?;
        Journal::of_new(self, run).append(&events).await?;
        self.enqueue_or_forget(run).await?;
        Ok(run)
    }

    /// The events of `run` up to the one by which `from` was reached.
    async fn before(
        &self,
        run: RunId,
        plan: Arc<Plan>,
        from: &StepPath,
    ) -> Result<Vec<Event>, ForkError> {
        let mut state = RunState::new(plan, run);
        let mut events = Vec::new();
        let mut reading = self.read(run);
        while let Some(record) = reading.next().await? {
            let illegal = |illegal| EngineError::Illegal(run, illegal);
            state.check(&record.event).map_err(illegal)?;
            state.apply(&record.event);
            events.push(record.event);
            if state.step(from).is_some() {
                return Ok(events);
            }
        }
        Err(ForkError::NotReached(run, from.clone()))
    }
}

fn changed(
    mut events: Vec<Event>,
    changes: &[Change],
    forked: RunId,
) -> Result<Vec<Event>, ForkError> {
    if let Some(Event::RunStarted { forked_from, .. }) = events.first_mut() {
        *forked_from = Some(forked);
    }
    for change in changes {
        let (held, way, value) = match change {
            Change::Input(way, value) => {
                let held = events.first_mut().and_then(Event::value_mut);
                (held, way, value)
            }
            Change::Output(path, way, value) => {
                let succeeded = events.iter_mut().find(
                    |event| matches!(event, Event::StepSucceeded { step, .. } if step == path),
                );
                let held = succeeded.and_then(Event::value_mut);
                if held.is_none() {
                    return Err(ForkError::NotBefore(path.clone()));
                }
                (held, way, value)
            }
        };
        if let Some(Held::Inline(whole)) = held {
            let mut new = Value::clone(whole);
            set(&mut new, way, value.clone());
            *whole = Arc::new(new);
        }
    }
    Ok(events)
}

/// Sets what is at the end of `way`, making maps where there are none.
fn set(whole: &mut Value, way: &[String], value: Value) {
    let Some((key, rest)) = way.split_first() else {
        *whole = value;
        return;
    };
    if let (Value::Array(items), Ok(index)) = (&mut *whole, key.parse::<usize>())
        && let Some(item) = items.get_mut(index)
    {
        return set(item, rest, value);
    }
    if !whole.is_object() {
        *whole = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(fields) = whole {
        set(fields.entry(key).or_insert(Value::Null), rest, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_set_at_the_end_of_its_way() {
        for (whole, way, after) in [
            (json!({"a": 1}), "a", json!({"a": 9})),
            (
                json!({"a": {"b": 1, "c": 2}}),
                "a.b",
                json!({"a": {"b": 9, "c": 2}}),
            ),
            (json!({"a": [1, 2]}), "a.1", json!({"a": [1, 9]})),
            (json!("text"), "a.b", json!({"a": {"b": 9}})),
        ] {
            let mut value = whole;
            let way: Vec<_> = way.split('.').map(str::to_owned).collect();
            set(&mut value, &way, json!(9));
            assert_eq!(value, after);
        }
    }
}
