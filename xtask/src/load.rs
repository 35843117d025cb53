//! `cargo xtask load`: puts the host under load; ends with an error when a task is lost, or memory or a cancellation passes its bound.
//!
//! In the dev profile, where everything below the host is optimised and has been compiled for the tests already.

use anyhow::Result;

use crate::cargo;
use crate::child;
use crate::guests::Workspace;
use crate::step::announce;

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    let mut command = cargo::cargo();
    command.current_dir(workspace.root());
    // The whole workspace: apart, the features of what is below would differ, and it would be compiled again.
    command.args([
        "bench",
        "--workspace",
        "--profile",
        "dev",
        "--bench",
        "load",
    ]);
    announce("the host under load, built with the dev profile")?;
    child::run(&mut command)
}
