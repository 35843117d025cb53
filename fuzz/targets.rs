//! What is tried: one file a target, each with how its inputs are made and what must hold for whatever comes back.

pub(crate) mod compile;
pub(crate) mod component;
pub(crate) mod egress;
pub(crate) mod event;
pub(crate) mod expression;
pub(crate) mod flow;
pub(crate) mod journal;
pub(crate) mod record;
pub(crate) mod settings;
pub(crate) mod store;

mod play;

use std::fs;
use std::path::Path;

use kennel::plan::Kind;

/// The files of a folder of this repository that end in `ending`, in the order of their names.
fn files(folder: &str, ending: &str) -> impl Iterator<Item = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|own| own == ending));
    paths.sort();
    paths
        .into_iter()
        .map(|path| fs::read(path).expect("a seed can be read"))
}

/// Expressions are read and computed on threads of their own, where a panic becomes an error: here it is a failure all the same.
fn no_engine_fault(said: &str) {
    for fault in ["the expression engine failed", "there is no thread for it"] {
        assert!(!said.contains(fault), "{said}");
    }
}

/// What a step is, in a word.
fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Call(_) => "call",
        Kind::Emit(_) => "emit",
        Kind::Approve(_) => "approve",
        Kind::Sequential(_) => "sequential",
        Kind::Parallel { .. } => "parallel",
        Kind::Hierarchical(_) => "hierarchical",
        Kind::Pipeline(_) => "pipeline",
        Kind::Route(_) => "route",
        Kind::Repeat(_) => "repeat",
        Kind::Flow(_) => "flow",
    }
}
