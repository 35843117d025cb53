//! Harm through what Kennel itself offers: peers, state, events.

use kennel_sdk::peers::Request;
use kennel_sdk::prelude::*;

/// Calls of one skill, all at once, down to a depth.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Fan {
    skill: String,
    /// Peers of each.
    times: usize,
    /// Generations below this one.
    depth: u32,
}

/// What came of a tree of calls.
#[derive(Default, Serialize, Deserialize)]
struct Fanned {
    /// Tasks that were executed, this one included.
    tasks: u64,
    /// Calls that were not answered.
    refused: u64,
    /// Why, once for each reason.
    why: Vec<String>,
}

pub(crate) fn fan(
    Fan {
        skill,
        times,
        depth,
    }: Fan,
) -> Value {
    let mut all = Fanned {
        tasks: 1,
        ..Fanned::default()
    };
    if depth > 0 {
        let input = json!({ "fan": { "skill": skill, "times": times, "depth": depth - 1 } });
        let request = Request::new(&skill, &input).expect("it is JSON");
        for answer in peers::call_all::<Fanned>(vec![request; times]) {
            match answer {
                Ok(below) => {
                    all.tasks += below.tasks;
                    all.refused += below.refused;
                    below.why.into_iter().for_each(|why| all.note(why));
                }
                Err(error) => {
                    all.refused += 1;
                    all.note(error.to_string());
                }
            }
        }
    }
    json!({ "tasks": all.tasks, "refused": all.refused, "why": all.why })
}

impl Fanned {
    fn note(&mut self, why: String) {
        // Only what kind of refusal it is; what it says may count.
        let why = why.split(':').take(2).collect::<Vec<_>>().join(":");
        if !self.why.contains(&why) {
            self.why.push(why);
        }
    }
}

pub(crate) fn crowd(size: usize) -> Value {
    let request = Request::new("harm", &json!("chance")).expect("it is JSON");
    let answers = peers::call_all::<Value>(vec![request; size]);
    json!(answers.len())
}

/// What goes into the state.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Flood {
    /// So many keys.
    keys: u32,
    /// Bytes of each value.
    value: usize,
    /// One more key, as it is.
    key: String,
}

/// How many were kept, and why the first of the others was not.
pub(crate) fn flush_state(flood: &Flood) -> Value {
    let value = "v".repeat(flood.value);
    let mut kept = 0;
    let mut why = String::new();
    for key in 0..flood.keys {
        match state::set(&format!("key-{key}"), &value) {
            Ok(_) => kept += 1,
            Err(error) if why.is_empty() => why = error.to_string(),
            Err(_) => {}
        }
    }
    let odd = state::set(&flood.key, &1).map_err(|error| error.to_string());
    json!({ "kept": kept, "why": why, "odd": odd.err() })
}

pub(crate) fn storm(kind: &str, times: u32) -> Value {
    let mut refused = Vec::new();
    for number in 0..times {
        let data = json!({ "storm": [kind, times], "number": number });
        if let Err(error) = events::emit(kind, None, &data) {
            refused.push(error.to_string());
        }
    }
    json!({ "refused": refused })
}
