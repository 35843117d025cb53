//! Serving an event-driven flow: each event starts one run, several are driven at the same time, until somebody stops it.
//!
//! Events come from the flow's queue and its own timers, or from a recording. A recording is a rehearsal: its events are delivered to
//! nobody else, and each time it is played they count anew. In either case a run is durable before its event counts as handled.

mod live;
mod replay;
mod runs;
mod tally;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;

pub use self::replay::Speed;
pub use self::tally::{Spread, Tally};
use super::state::RunState;
use super::{Calls, EngineError, Watch};
use crate::event::CloudEvent;
use crate::id::{AgentName, Digest, EventType, RunId};
use crate::plan::Plan;

/// What tells the time that people read. Tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The agents of a flow at one moment. A run has one of these from its begin to its end, so it never sees two versions of an agent.
pub struct Fleet {
    /// The calls of its steps.
    pub calls: Calls,
    /// The agents that its runs are pinned to.
    pub agents: BTreeMap<AgentName, Digest>,
}

/// A flow that is ready to be served. Cheap to clone.
#[derive(Clone)]
pub struct Serving {
    /// The flow.
    pub plan: Arc<Plan>,
    /// What runs begin with. Whoever stores another one leaves those that have begun as they are.
    pub fleet: Arc<ArcSwap<Fleet>>,
    /// The types of events that it handles, each with how often the host makes such an event itself.
    pub types: BTreeMap<EventType, Option<Duration>>,
    /// Runs at the same time.
    pub parallel: usize,
    /// Who watches the runs.
    pub watch: Watch,
    /// The time.
    pub clock: Clock,
}

/// What is told while a flow is served.
pub enum Told<'a> {
    /// A run begins, or one that an earlier process has left unfinished goes on.
    Began {
        /// The run.
        run: RunId,
        /// Its event; `None` for a run of an earlier process.
        event: Option<&'a CloudEvent>,
    },
    /// A run is no longer driven here.
    Ended(&'a Ended),
    /// A run of an earlier process that is not driven on.
    Left {
        /// The run.
        run: RunId,
        /// Why not.
        why: &'a str,
    },
    /// Something went wrong that is tried again.
    Trouble(&'a str),
}

/// Hears what is told.
pub type Teller<'a> = dyn FnMut(Told<'_>) + Send + 'a;

/// A run that is no longer driven here.
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// Its event; `None` for a run of an earlier process.
    pub event: Option<Arc<CloudEvent>>,
    /// From the acceptance of its event until now.
    pub took: Duration,
    /// Where it stands, or why it is not driven on. `None` when somebody else has done it or is at it.
    pub how: Result<Option<RunState>, EngineError>,
}
