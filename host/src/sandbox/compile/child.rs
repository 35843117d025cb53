//! The compile child: one component in, one answer out, then the process ends.
//!
//! It has no environment, no files but three pipes, and no way to get more memory or time than its header grants. It says nothing
//! but its answer.

use std::io;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::wire::{self, Header, Refused, Reply};
use crate::sandbox::engine::compile_only;
use crate::sandbox::prescan::prescan;

/// Open files the child may have: its three pipes and a few for the loader of the program.
const FILES: u64 = 16;
/// How much others come first: a quarter of what they get, not nearly nothing.
const NICENESS: i32 = 5;
/// Seconds between the signal that ends a child in an orderly way and the one that nothing can catch.
const GRACE: u64 = 1;

/// Runs as a compile child: reads a request from standard input, limits the process, and writes the answer to standard output. Any
/// other end than an answer is for the parent to judge.
pub fn child_main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer() -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    let header = wire::read_header(&mut stdin)?;
    limit(&header)?;
    let component = wire::read_frame(&mut stdin, header.address_space)?;
    let reply = match compile(&header, &component) {
        Ok(artefact) => Reply::Artefact(artefact),
        Err(refused) => Reply::Refused(refused),
    };
    wire::write_reply(&mut io::stdout().lock(), &reply)
}

/// Sets limits that the process cannot lift again. A limit that cannot be set ends the child; only the priority is optional.
fn limit(header: &Header) -> io::Result<()> {
    let set = |resource, soft, hard| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(soft),
                maximum: Some(hard),
            },
        )
        .map_err(io::Error::from)
    };
    set(Resource::Core, 0, 0)?;
    // Pipes are not files in this sense: the child can answer, but not write to a disk.
    set(Resource::Fsize, 0, 0)?;
    set(Resource::Nofile, FILES, FILES)?;
    // At the soft limit comes a signal of its own, which tells a time-out from a crash.
    set(
        Resource::Cpu,
        header.cpu_seconds,
        header.cpu_seconds.saturating_add(GRACE),
    )?;
    set(Resource::As, header.address_space, header.address_space)?;
    // Tasks that run meanwhile come first, but a machine that is always busy must not keep a plugin out for ever.
    let _ = nice(NICENESS);
    Ok(())
}

fn compile(header: &Header, component: &[u8]) -> Result<Vec<u8>, Refused> {
    prescan(component, &header.caps).map_err(Refused::Scan)?;
    let engine = compile_only().map_err(|error| Refused::Compiler(error.to_string()))?;
    engine
        .precompile_component(component)
        .map_err(|error| Refused::Compiler(format!("{error:#}")))
}
