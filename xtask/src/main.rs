//! `cargo xtask`: the set-up and build chores of this repository, and nothing that a user of Kennel needs.
//!
//! Every command can be run again at any time: what is already done is found done. What a child process prints goes
//! straight to the terminal, its exit code becomes ours, and Ctrl-C ends in 130.

mod cargo;
mod child;
mod collect;
mod crash;
mod demo;
mod fuzz;
mod guests;
mod hostile;
mod languages;
mod load;
mod measured;
mod step;
mod suite;
mod wasm_target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up and build chores for Kennel
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build everything that a demo flow needs, then run it
    Demo(demo::Args),
    /// Build the agents, then run every test: doc tests first, then the rest
    Test(suite::Args),
    /// Build the agents under plugins/ into target/agents
    #[command(long_about = "Build the agents under plugins/ into target/agents.\n\n\
        The folder belongs to this command: an agent that is no longer built is removed from it.")]
    Plugins,
    /// Kill the host, break its disk, fill it, and see whether all comes right; print what was measured
    Crash(crash::Args),
    /// Put the host under load: 10 000 agents at once, 100 000 tasks, none of them lost
    Load,
    /// Try the host's parsers and decoders with made-up input
    #[command(long_about = fuzz::ABOUT)]
    Fuzz(fuzz::Args),
    /// Strike the host with everything that means harm, and print what was measured
    Hostile(hostile::Args),
    /// Build agents in Python and JavaScript with the tools of their languages, load and call them
    Languages(languages::Args),
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                                    run the document-intelligence flow
  cargo xtask demo --input '{\"document\": \"@my.png\"}'  the same on a page of yours
  cargo xtask test                                    run every test
  cargo xtask test -- -p kennel breaker               run some: after -- as for cargo test
  cargo xtask plugins                                 only build the agents
  cargo xtask crash --all                             let every write, sync and rename go wrong in every way
  cargo xtask load                                    see what the host bears, in less than a minute
  cargo xtask fuzz                                    try every target for five seconds
  cargo xtask fuzz flow journal --seconds 3600        try two of them for an hour
  cargo xtask hostile --only spin-16                  see one of the attacks that it withstands";

fn main() -> ExitCode {
    let chore = Cli::parse().chore;
    let done = child::outlive_interrupts().and_then(|()| match chore {
        Chore::Demo(args) => demo::run(&args),
        Chore::Test(args) => suite::run(&args),
        Chore::Plugins => plugins(),
        Chore::Crash(args) => crash::run(&args),
        Chore::Load => load::run(),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Hostile(args) => hostile::run(&args),
        Chore::Languages(args) => languages::run(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

fn plugins() -> anyhow::Result<()> {
    let workspace = guests::Workspace::load()?;
    wasm_target::ensure()?;
    workspace.build_plugins()
}

/// Says what went wrong, unless the user stopped it, and picks the exit code.
fn report(error: &anyhow::Error) -> ExitCode {
    let code = match error.downcast_ref::<child::Ended>() {
        Some(child::Ended::Interrupted) => return ExitCode::from(130),
        Some(child::Ended::Failed { code, .. }) => *code,
        None => 1,
    };
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
