//! `nemesis OPTION… -- PROGRAM ARG…`: runs a program, watches its system calls, and lets one go wrong. Tests of what a crash leaves
//! behind are built on it.
//!
//! It changes nothing but the calls it was asked to: the program is the one that is shipped, with no failpoints in it. It judges nothing
//! either; what happened stands in the report. Linux on x86-64 only, because registers are rewritten.
//!
//! Options, each once:
//!
//! - `report=FILE`: where the report goes, one `name=value` a line.
//! - `below=DIR`: operations on files below it count, and so does what the program writes to standard output.
//! - `fault=FAULT` and `at=N`: what goes wrong, and at which of the operations that it applies to; `at=N+` is that one and all after it.
//!   `power-loss` kills it and takes back what is not durable, `power-loss-part` some of that; `disk.rs` says what is durable.
//! - `seed=N`: which part that is follows from it.
//! - `full=FILE`: as long as this file exists, everything below DIR that needs space fails as on a full disk.
//! - `clock=K:SECONDS,…`: from the K-th reading on, the wall clock is off by so much.
//! - `interrupt=K`: Ctrl-C after the K-th write to standard output.
//! - `list`: the report names every operation.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod clock;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod disk;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod options;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod report;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod start;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod stops;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod trace;

use std::process::ExitCode;

/// What it ends with when it could not do its work. A program under it may end with any other code.
const BROKEN: u8 = 125;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> ExitCode {
    let run = || {
        let options = options::Options::read(std::env::args().skip(1))?;
        let started = start::start(&options)?;
        let report = trace::follow(&options, started)?;
        report.write(&options.report)?;
        Ok::<_, String>(report.code)
    };
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("nemesis: {why}");
            ExitCode::from(BROKEN)
        }
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() -> ExitCode {
    eprintln!("nemesis: it rewrites the registers of Linux on x86-64 and works nowhere else");
    ExitCode::from(BROKEN)
}
