//! Tests of Kennel as a whole, each named after what it claims: the binary from outside, with agents that mean well and agents
//! that do not.
//!
//! Nothing here knows how the host is built inside, but for `neighbours` (one process, many callers), `reload` (what two
//! registries share, and what a journal says) and `layers` (the shape of the source). Run them with `cargo xtask test`, which builds the agents first.

mod harness;
mod hostile;

mod cli;
mod flows;
mod patterns;
mod systems;

mod capabilities;
mod neighbours;
mod sandbox;

mod events;
mod kills;
mod recovery;
mod reload;
mod replay;

mod layers;
mod readme;
