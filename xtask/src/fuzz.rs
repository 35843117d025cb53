//! `cargo xtask fuzz`: tries the host's parsers and decoders with made-up input, for as long as it is told.
//!
//! The targets are the tests of fuzz/; this only says for how long and from which seed.

use anyhow::Result;

use crate::cargo;
use crate::child;
use crate::guests::Workspace;
use crate::step::{announce, step};

const TARGETS: [&str; 10] = [
    "compile",
    "component",
    "egress",
    "event",
    "expression",
    "flow",
    "journal",
    "record",
    "settings",
    "store",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to try; everything when absent
    #[arg(value_name = "TARGET", value_parser = TARGETS)]
    targets: Vec<String>,
    /// How long each target is tried; several are tried at the same time, on as many cores
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Where the inputs come from: the same seed makes the same ones; a new one each time when absent
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many targets are tried at the same time; the cores when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
}

pub(crate) const ABOUT: &str = "\
Tries the host's parsers and decoders with made-up input.\n\n\
Inputs are made from seeds, from what was kept, and from those that brought something new. What fails is made smaller and written to \
fuzz/kept/TARGET/, where every `cargo test` tries it first from then on: mend the host, and commit the file with the change. A \
target ends at its first failure; the others go on.";

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    // The whole workspace: apart, the features of what is below would differ, and it would be compiled again.
    let mut build = cargo::cargo();
    build.current_dir(workspace.root());
    build.args(["build", "--workspace", "--bin", "kennel", "--test", "fuzz"]);
    step("the host and the targets", || {
        child::run(&mut build).map(|()| "built")
    })?;
    let mut command = cargo::cargo();
    command.current_dir(workspace.root());
    command.args(["test", "--quiet", "--workspace", "--no-fail-fast"]);
    command.args(["--test", "fuzz", "--", "--nocapture", "--exact"]);
    let targets: Vec<&str> = match args.targets.is_empty() {
        true => TARGETS.to_vec(),
        false => args.targets.iter().map(String::as_str).collect(),
    };
    command.args(&targets);
    if let Some(jobs) = args.jobs {
        command.arg(format!("--test-threads={jobs}"));
    }
    command.env("KENNEL_FUZZ_SECONDS", args.seconds.to_string());
    if let Some(seed) = args.seed {
        command.env("KENNEL_FUZZ_SEED", seed.to_string());
    }
    announce(&format!("{}, {} s each", targets.join(", "), args.seconds))?;
    child::run(&mut command)
}

#[test]
fn the_targets_are_those_of_the_tests() {
    let main = include_str!("../../fuzz/main.rs");
    let list = main
        .split("targets! {")
        .nth(1)
        .expect("the list of targets");
    let named: Vec<_> = list
        .trim_end()
        .trim_end_matches('}')
        .split_whitespace()
        .collect();
    assert_eq!(named, TARGETS);
}
