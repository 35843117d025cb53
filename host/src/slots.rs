//! Execution slots: how many tasks execute at the same time, how many are in flight, and how many may wait.
//!
//! A task is *in flight* from its admission to its end: that bounds memory. It holds a *slot* only while it is being polled: that
//! bounds the use of cores. Guests yield every million units of fuel, so a slot comes back after about a millisecond, and a guest that
//! waits in a call into the host - for HTTP, for state, for another agent - holds none. Whoever waits, waits in the order of
//! [`Priority`], and in turn among the agents of one class; an agent whose turns are long has fewer of them. Slots know no deadline but as the end of a wait.

mod average;
mod gate;
mod line;
mod priority;
#[cfg(test)]
mod tests;
mod turn;
mod wakes;

use std::num::NonZeroUsize;
use std::time::Duration;

use self::gate::{Entry, Gate, Pass, Waited};
pub use self::priority::Priority;
use crate::id::AgentName;

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// How many tasks execute at the same time: the cores of the machine when nothing else is said.
    pub slots: NonZeroUsize,
    /// How many tasks are in flight: 1 000 when nothing else is said. Times the limit of an agent's memory it is the most memory
    /// that guests can hold together.
    pub in_flight: NonZeroUsize,
    /// How many more wait to be: 1 024 when nothing else is said, enough for a burst, few enough that the last one is served in time.
    pub queue: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            slots: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            in_flight: NonZeroUsize::new(1_000).unwrap_or(NonZeroUsize::MIN),
            queue: 1_024,
        }
    }
}

impl Sizes {
    /// How many threads a runtime needs so that tasks, which occupy one for each slot and may do so for milliseconds, never keep the
    /// host's own work waiting: timers, the journal, the next call of somebody else.
    pub fn threads(&self) -> usize {
        self.slots.get().saturating_add(2)
    }

    /// How many more may be in flight for each agent that waits above, so that calls of calls come to an end on a full host.
    fn deeper(&self) -> usize {
        (self.in_flight.get() / 100).max(1)
    }

    /// The most tasks that are in flight at once, when agents call agents at most `depth` deep.
    pub fn most_in_flight(&self, depth: usize) -> usize {
        let deeper = self.deeper().saturating_mul(depth);
        self.in_flight.get().saturating_add(deeper)
    }
}

/// The slots of a host, shared by all runs.
#[derive(Debug)]
pub struct Slots {
    sizes: Sizes,
    /// In front of everything: who is in flight.
    flight: Gate,
    /// Who executes.
    cores: Gate,
}

/// Who wants to execute.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The agent that is asked.
    pub agent: AgentName,
    /// How urgent it is.
    pub priority: Priority,
}

/// The queue is full: nobody else may wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{in_flight} tasks are in flight and {queue} wait already")]
pub struct QueueFull {
    in_flight: usize,
    queue: usize,
}

impl Slots {
    /// Slots, and what is in front of them.
    pub fn new(sizes: Sizes) -> Self {
        Self {
            flight: Gate::new(sizes.in_flight.get(), sizes.deeper()),
            cores: Gate::new(sizes.slots.get(), 0).timed(),
            sizes,
        }
    }

    /// How much there is of everything.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// How many tasks are in flight.
    pub fn in_flight(&self) -> usize {
        self.flight.inside()
    }

    /// How many tasks wait to be in flight.
    pub fn waiting(&self) -> usize {
        self.flight.waiting()
    }

    /// How busy the host is: 0 is idle, 1 is full, more is a queue. It is the higher of two shares: of the slots that were in use or
    /// waited for over the last quarter of a second, and of the places in flight that are taken, with the share of the queue on top.
    pub fn load(&self) -> f64 {
        let Sizes {
            in_flight, queue, ..
        } = self.sizes;
        let flight = self.flight.inside() as f64 / in_flight.get() as f64;
        let queued = self.flight.waiting() as f64 / queue.max(1) as f64;
        self.cores.busy().max(flight + queued)
    }

    /// Lets a task in, after waiting in the queue when there is no room. `depth` is how many agents wait for it, each above the other:
    /// for a task that another one waits for there is a little more room, and no bound to the queue. Dropping the future leaves.
    pub async fn admit(&self, claim: Claim, depth: usize) -> Result<Admitted<'_>, QueueFull> {
        let waited = Waited::default();
        let flight = match self.flight.enter(&claim, depth, &waited, self.sizes.queue) {
            Entry::Inside(pass) => pass,
            Entry::Waits(mut ticket) => std::future::poll_fn(|cx| ticket.poll(cx)).await,
            Entry::Full => {
                return Err(QueueFull {
                    in_flight: self.flight.inside(),
                    queue: self.sizes.queue,
                });
            }
        };
        Ok(Admitted {
            slots: self,
            claim,
            waited,
            _flight: flight,
        })
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new(Sizes::default())
    }
}

/// A task in flight; dropping it lets the next one in.
#[derive(Debug)]
pub struct Admitted<'s> {
    slots: &'s Slots,
    claim: Claim,
    waited: Waited,
    _flight: Pass<'s>,
}

impl Admitted<'_> {
    /// The time spent waiting so far: to be let in, and for every slot since then.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }
}
