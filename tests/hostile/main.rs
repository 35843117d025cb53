//! The hostile corpus: every agent and every file that means harm, on one host, one after the other, while a neighbour that means
//! well is called twenty times a second.
//!
//! In one process and through the library, because that is where they could get into each other's way, and in a test binary of its
//! own, because threads, open files and memory of this process are what is measured. The table in `table.rs` is the specification;
//! `cargo xtask hostile` runs it and prints what was measured.
//!
//! The test starts itself a second time for it. How much freed memory the C library keeps depends on what was freed before, up to
//! 64 MiB; with a fixed threshold, set before the process begins, what stays resident is what the host holds.

use std::process::Command;

#[expect(dead_code, reason = "the other test binary uses the rest")]
mod agents;
#[path = "../../host/src/sandbox/prescan/bombs.rs"]
#[expect(dead_code, reason = "the tests of the pre-scan use the rest")]
mod bombs;
#[path = "../harness.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the other test binary uses the rest"
)]
mod harness;

mod case;
mod corpus;
mod disk;
mod files;
mod host;
mod measure;
mod neighbour;
mod report;
#[path = "../harness/share.rs"]
mod share;
mod strikes;
mod table;
mod walk;
mod web;

/// Tells the second process that it is that.
const HOST: &str = "KENNEL_HOSTILE_HOST";
const NAME: &str =
    "what_means_harm_gets_no_further_than_itself_and_its_neighbour_is_served_meanwhile";

#[test]
fn what_means_harm_gets_no_further_than_itself_and_its_neighbour_is_served_meanwhile() {
    if std::env::var_os(HOST).is_none() {
        let mut host = Command::new(std::env::current_exe().expect("it has a path"));
        let loud = std::env::args().any(|arg| arg == "--nocapture");
        let ended = host
            .args(["--exact", NAME])
            .args(loud.then_some("--nocapture"))
            .env(HOST, "1")
            .env("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")
            .status();
        let ended = ended.expect("it is started");
        assert!(ended.success(), "the host ended so: {ended}");
        return;
    }
    let broken = walk::runtime().block_on(walk::walk());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
