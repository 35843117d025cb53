//! The crash programme: what kills, losses of power, broken and full disks and jumping clocks leave behind, whether all of it comes
//! right, and how soon.
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
mod cuts;
mod draw;
mod full;
mod judge;
mod kills;
mod matrix;
mod nemesis;
mod oracle;
mod power;
mod programme;
mod restarts;
#[path = "../harness/share.rs"]
mod share;
mod workloads;

pub(crate) use shared::harness;
