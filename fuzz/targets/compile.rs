//! The compile child: plugins that the scan takes, compiled as a host would do it.
//!
//! The oracle: a child gives an artefact or a reason, within the time and memory that it has. A child that dies is a hole in the scan.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use kennel::id::Digest;
use kennel::sandbox::compile::{CompileError, CompileLimits, Compiler};
use kennel::sandbox::prescan::{ScanCaps, prescan};
use tokio::runtime::Runtime;

use crate::harness::{Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "compile",
    ending: "wasm",
    inputs: 8,
    seeds: || {
        super::component::seeds()
            .into_iter()
            .rev()
            .take(2)
            .collect()
    },
    words: super::component::TARGET.words,
    make,
    check,
};

/// Mostly components that the scan takes: a child for any other would only repeat what the scan says.
fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    let mut made = super::component::make(maker);
    for _ in 0..50 {
        if prescan(&made, &ScanCaps::default()).is_ok() {
            break;
        }
        made = super::component::make(maker);
    }
    made
}

/// The `kennel` binary beside this test's own executable, which is in target/PROFILE/deps.
fn kennel() -> PathBuf {
    let own = std::env::current_exe().expect("this executable has a path");
    let path = own
        .ancestors()
        .nth(2)
        .expect("it is in target/PROFILE/deps")
        .join("kennel");
    assert!(
        path.exists(),
        "{} is not there; build it with `cargo xtask fuzz compile` or `cargo xtask test`",
        path.display()
    );
    path
}

fn check(input: &[u8]) -> String {
    static HOST: LazyLock<(Runtime, Compiler)> = LazyLock::new(|| {
        let limits = CompileLimits {
            wall: Duration::from_secs(50),
            cpu_seconds: 30,
            ..CompileLimits::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        (
            runtime.expect("a runtime"),
            Compiler::with_program(kennel(), ScanCaps::default(), limits),
        )
    });
    let (runtime, compiler) = &*HOST;
    let scan = prescan(input, &ScanCaps::default());
    match (
        scan,
        runtime.block_on(compiler.compile(&Digest::of(input), input)),
    ) {
        (Ok(_), Ok(compiled)) => {
            assert!(!compiled.bytes().is_empty());
            "compiled".to_owned()
        }
        // What the two versions of the validator see differently is refused all the same.
        (Ok(_), Err(CompileError::Invalid(reason))) => reason
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .take(60)
            .collect(),
        (Err(scan), Err(CompileError::Scan(child))) => {
            assert_eq!(scan, child, "host and child see another reason");
            "refused".to_owned()
        }
        (Err(scan), Ok(_)) => panic!("the scan refuses it, and it was compiled: {scan}"),
        (_, Err(error)) => panic!("{}: {error}", error.kind()),
    }
}
