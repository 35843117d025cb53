//! Invented tables for trying agents: the same arguments always give the same bytes. Nothing in them is about anyone.

pub mod orders;
pub mod sales;
