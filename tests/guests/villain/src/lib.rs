//! Means harm, in every way that needs more than a few instructions: one input, one harm.
//!
//! It is granted something of everything and then asks for more. What stops it is the host's business; where a harm has an end of
//! its own, the answer tells what came of it.

mod asks;
mod tells;
mod web;

use kennel_sdk::prelude::*;

use asks::{Fan, Flood};
use web::Ask;

/// What it is told to do.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Harm {
    /// Takes timers, and gives none back.
    HoldHandles,
    /// Waits for the end of time.
    SleepForEver,
    /// Waits for so many timers that have rung already, again and again.
    PollStorm(u32),
    /// Writes so many MiB to standard output, and then a line that does not end.
    Print(usize),
    /// Ends itself.
    Die(tells::How),
    /// Fills so many MiB of its memory and holds them for so many milliseconds.
    Touch(usize, u64),
    /// Calls peers, who may call peers.
    Fan(Fan),
    /// Asks for so many peers in one call.
    Crowd(usize),
    /// Fills its state.
    FlushState(Flood),
    /// Emits events of this type that tell whoever hears them to do the same, so many each time.
    Storm(String, u32),
    /// Sends each request, and tells what came of it.
    Web(Vec<Ask>),
    /// Sends so many requests, and waits for none of them.
    WebFlood(String, u32),
    /// Looks at the clock and throws dice.
    Chance,
}

struct Villain;

impl Agent for Villain {
    type Input = Harm;
    type Output = Value;
    const SKILL: &'static str = "harm";
    const DESCRIPTION: &'static str = "Does harm.";

    fn handle(harm: Harm, _: &Task) -> Result<Value, Error> {
        Ok(match harm {
            Harm::HoldHandles => tells::hold_handles(),
            Harm::SleepForEver => tells::sleep_for_ever(),
            Harm::PollStorm(timers) => tells::poll_storm(timers),
            Harm::Print(mib) => tells::print(mib),
            Harm::Die(how) => tells::die(how),
            Harm::Touch(mib, milliseconds) => tells::touch(mib, milliseconds),
            Harm::Chance => tells::chance(),
            Harm::Fan(fan) => asks::fan(fan),
            Harm::Crowd(size) => asks::crowd(size),
            Harm::FlushState(flood) => asks::flush_state(&flood),
            Harm::Storm(kind, times) => asks::storm(&kind, times),
            Harm::Web(asks) => asks.iter().map(web::tell).collect(),
            Harm::WebFlood(authority, times) => web::flood(&authority, times),
        })
    }
}

kennel_sdk::export!(Villain);
