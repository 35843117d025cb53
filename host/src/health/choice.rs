//! Who is asked for a skill: among the agents that have it, the one with the least to do that is likely to answer soonest.
//!
//! Looks at how things stand at the moment of the choice, so nothing here is kept from when the agents were loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Health, Turn, shown_until, wall};
use crate::call::Call;
use crate::failure::{Failure, FailureKind};
use crate::id::{AgentName, SkillName};

/// Who can be asked for which skill. The registry makes a new one whenever plugins come or go; how the agents fare is looked up live.
#[derive(Clone, Default)]
pub struct Directory {
    /// For each skill the agents that have it.
    pub skills: BTreeMap<SkillName, Vec<Peer>>,
}

/// An agent that can be asked for a skill.
#[derive(Clone)]
pub struct Peer {
    /// The agent.
    pub agent: AgentName,
    /// What it does, for people and for agents that choose.
    pub description: String,
    /// Handles the task, policies included.
    pub call: Arc<dyn Call>,
    /// How it fares.
    pub health: Arc<Health>,
    /// Until when its circuit breaker is open, if it has one.
    pub breaker: Option<Arc<OpenUntil>>,
}

/// Tells until when a circuit breaker is open; `None` while it is not.
pub type OpenUntil = dyn Fn() -> Option<Instant> + Send + Sync;

impl Peer {
    /// Why it cannot be asked now: what follows its name.
    fn shut(&self) -> Option<String> {
        if let Some(refused) = self.health.refuses() {
            return Some(shown_until(refused));
        }
        let until = self.breaker.as_ref()?()?;
        Some(format!(
            "keeps failing and is not asked until {}",
            wall(until)
        ))
    }
}

/// How an agent stands when it is compared with others. Less is better, field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// Tasks that it has not answered yet.
    pub in_flight: u64,
    /// The time in microseconds after which it has probably answered, failed tries included. 0 while nothing is known: it is tried.
    pub cost: u64,
}

/// The agents of `peers` that would take a task now, the best first. Equals go by their names, so that the same is chosen everywhere.
pub fn ranked(peers: &[Peer]) -> Vec<&Peer> {
    let mut open: Vec<_> = peers
        .iter()
        .filter(|peer| peer.shut().is_none())
        .map(|peer| ((peer.health.standing(), &peer.agent), peer))
        .collect();
    open.sort_by_key(|(rank, _)| *rank);
    open.into_iter().map(|(_, peer)| peer).collect()
}

/// The best of `peers` for `skill` that does not itself wait for the one who asks. Its turn counts from now until it is dropped, so
/// many choices at once are spread.
pub fn choose<'p>(
    skill: &SkillName,
    peers: &'p [Peer],
    waits: impl Fn(&AgentName) -> bool,
) -> Result<(&'p Peer, Turn), Failure> {
    let best = ranked(peers).into_iter().find(|peer| !waits(&peer.agent));
    if let Some(peer) = best {
        return Ok((peer, peer.health.turn()));
    }
    let shut: Vec<_> = peers
        .iter()
        .filter(|peer| !waits(&peer.agent))
        .filter_map(|peer| Some(format!("`{}` {}", peer.agent, peer.shut()?)))
        .collect();
    Err(if shut.is_empty() {
        let message =
            format!("every agent that has the skill `{skill}` waits for this call itself");
        Failure::new(FailureKind::CallCycle, message)
    } else {
        let shut = shut.join(", ");
        let message = format!("no agent with the skill `{skill}` can be asked: {shut}");
        Failure::new(FailureKind::BreakerOpen, message)
    })
}
