//! The crash programme: what kills, broken and full disks and jumping clocks leave behind, and whether all of it comes right.
//!
//! The binary is the one that is shipped. What goes wrong is done to it from outside, by `tests/nemesis`; what is left is judged from its
//! store, by `oracle`. Part of every test run with as much as fits into two minutes; `cargo xtask crash` prints what was measured,
//! and `cargo xtask crash --all` takes every position.

#[expect(
    dead_code,
    unused_imports,
    reason = "the harness serves another test binary too"
)]
#[path = ".."]
mod shared {
    pub(crate) mod harness;
}

mod clocks;
mod draw;
mod full;
mod kills;
mod matrix;
mod nemesis;
mod oracle;
mod programme;
mod workloads;

pub(crate) use shared::harness;
