//! `cargo xtask test`: builds what the tests run, then hands over to `cargo test`.
//!
//! Doc tests go first: in one go cargo runs them last, and a log should close on the summary of the tests themselves.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::Result;

use crate::cargo;
use crate::child;
use crate::guests::Workspace;
use crate::step::{announce, step};
use crate::wasm_target;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for one `cargo test`, instead of running every test
    #[arg(last = true)]
    cargo_test: Vec<std::ffi::OsString>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    build(&workspace)?;
    if args.cargo_test.is_empty() {
        every_test(&workspace)
    } else {
        announce("the tests that were asked for")?;
        child::run(&mut cargo_test(&workspace, &args.cargo_test))
    }
}

/// Builds everything that the tests run.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    wasm_target::ensure()?;
    workspace.build_plugins()?;
    workspace.build_test_guests()?;
    build_nemesis(workspace)?;
    build_tests(workspace)
}

/// The program that lets file operations go wrong. A workspace of its own, so a target directory of its own too.
fn build_nemesis(workspace: &Workspace) -> Result<()> {
    let mut command = cargo::cargo();
    command.current_dir(workspace.root().join("tests/nemesis"));
    command.args(["build", "--locked", "--target-dir"]);
    command.arg(workspace.target().join("nemesis"));
    step("the fault injector", || {
        child::run(&mut command).map(|()| "built")
    })
}

/// Builds the tests, and in the same go the `kennel` binary that some of them start: apart, their features would differ.
pub(crate) fn build_tests(workspace: &Workspace) -> Result<()> {
    let mut command = cargo::cargo();
    command.current_dir(workspace.root());
    command.args(["build", "--workspace", "--bin", "kennel", "--tests"]);
    step("the host and the tests", || {
        child::run(&mut command).map(|()| "built")
    })
}

/// Runs on after a failure, so that one run shows all of them. Prints nothing after cargo's closing lines.
fn every_test(workspace: &Workspace) -> Result<()> {
    let kind = |flag| cargo_test(workspace, &["--workspace", "--no-fail-fast", flag]);
    let docs = step("doc tests", || {
        child::run(&mut kind("--doc")).map(|()| "passed")
    });
    announce("all other tests")?;
    let others = child::run(&mut kind("--tests"));
    docs.and(others)
}

fn cargo_test(workspace: &Workspace, args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = cargo::cargo();
    command.current_dir(workspace.root()).arg("test").args(args);
    command
}
