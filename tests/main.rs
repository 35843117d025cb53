//! Tests of Kennel as a whole, each named after what it claims: the binary from outside, with agents that mean well and agents
//! that do not.
//!
//! Nothing here knows how the host is built inside, but for `reload` (what two registries share, and what a journal says) and `layers`
//! (the shape of the source). Agents and files that mean harm to others than themselves are in `hostile/`, a test binary of its own.
//! Run them with `cargo xtask test`, which builds the agents first.

mod harness;
#[path = "hostile/agents.rs"]
#[expect(dead_code, reason = "the other test binary uses the rest")]
mod hostile;

mod cli;
mod flows;
mod patterns;
mod systems;

mod capabilities;
mod sandbox;

mod events;
mod health;
mod recovery;
mod reload;
mod replay;

mod layers;
mod readme;
