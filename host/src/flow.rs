//! Flows: from YAML to a checked [`Plan`].
//!
//! Every problem of a file is told at once, with line, column and a caret. That is why nothing here is deserialized into types:
//! the text becomes a tree that knows its places, and small functions lower it and go on after a mistake.
//!
//! This layer does no IO: no includes, no remote schemas, no look at what is loaded. What agents there are comes in as a
//! [`Catalogue`].

mod check;
mod diagnostic;
mod graph;
mod inner;
mod input;
mod keys;
mod lower;
mod patterns;
mod policy;
mod references;
mod rules;
mod schema;
mod step;
#[cfg(test)]
mod tests;
mod tree;
mod values;

pub use check::{Agent, Catalogue, check};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use graph::{Format, graph};
pub use inner::named;
pub use input::check_input;
pub use schema::schema;

use std::collections::BTreeMap;

use crate::plan::Plan;

/// The largest flow file, in bytes.
pub const MAX_SOURCE: usize = 1 << 20;
/// The most values, lists and maps in a flow file.
pub const MAX_NODES: usize = 10_000;
/// How deep a flow file may nest.
pub const MAX_DEPTH: usize = 32;
/// The most steps of a flow.
pub const MAX_STEPS: usize = 500;

/// The format that this version reads.
const VERSION: u64 = 1;

/// Reads a flow. `name_hint` is its name when the file gives none; usually the file's name without its ending. Costs one or
/// two milliseconds for a usual file, and about half a millisecond for each step whose expressions are long.
pub fn parse(source: &str, name_hint: &str) -> Result<Plan, Diagnostics> {
    parse_with(source, name_hint, &BTreeMap::new())
}

/// Reads a flow that may name others: `sources` has their texts under the names that [`named`] gives.
pub fn parse_with(
    source: &str,
    name_hint: &str,
    sources: &BTreeMap<String, String>,
) -> Result<Plan, Diagnostics> {
    let others = inner::Others {
        sources,
        around: vec![String::new()],
    };
    lower::lower(source, name_hint, &others).map(|lowered| lowered.plan)
}
