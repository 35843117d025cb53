//! Kennel: a WebAssembly plugin host that orchestrates agents.
//!
//! Modules are listed in the order of their layers: each uses only those above it.
#![doc = include_str!("../README.md")]

pub mod failure;
pub mod id;
mod meant;
pub mod payload;
pub mod units;

pub mod grants;
pub mod limits;

pub mod expr;

pub mod answers;

pub mod slots;

pub mod call;
pub mod event;
pub mod plan;
pub mod record;

pub mod store;

pub mod delivery;
pub mod health;

pub mod flow;

pub mod policy;

pub mod engine;

pub mod load;
pub mod settings;
pub mod watch;

pub mod egress;
pub mod sandbox;

pub mod registry;

pub mod cli;
