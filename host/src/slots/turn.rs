//! The turns of one task: a slot for each poll, and the wait between them.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use super::gate::{Entry, Pass, Ticket};
use super::wakes::Watched;
use super::{Admitted, Slots};

impl Admitted<'_> {
    /// Awaits `work`, with a slot whenever it is polled. Once `deadline` has passed it is polled without one, so that it can end.
    ///
    /// What `work` itself awaits on the same task shares its slot: a task does one thing at a time. So an agent that waits for
    /// another one never waits for a slot that it holds itself.
    pub async fn execute<F: Future>(&self, deadline: Option<Instant>, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut turn = Turn {
            admitted: self,
            slot: None,
            ticket: None,
            deadline,
            alarm: None,
        };
        let mut watched = Watched::default();
        std::future::poll_fn(|cx| {
            let slot = ready!(turn.poll(cx));
            let executing = Executing::begin(self.slots);
            let (polled, yields) = watched.poll(cx, work.as_mut());
            drop(executing);
            if let Some(slot) = slot.filter(|_| yields) {
                turn.again(slot);
            }
            polled
        })
        .await
    }
}

/// The wait for the next slot of one task.
struct Turn<'a> {
    admitted: &'a Admitted<'a>,
    /// Kept from the turn before, because nobody else wanted it.
    slot: Option<Pass<'a>>,
    ticket: Option<Ticket<'a, 'a>>,
    deadline: Option<Instant>,
    /// Made when the task waits for the first time.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<'a> Turn<'a> {
    /// Ready with a slot, or without one when none is needed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Pass<'a>>> {
        let Admitted {
            slots,
            claim,
            waited,
            ..
        } = self.admitted;
        if Executing::has(slots) {
            (self.slot, self.ticket) = (None, None);
            return Poll::Ready(None);
        }
        if let Some(slot) = self.slot.take() {
            return Poll::Ready(Some(slot));
        }
        let ticket = match &mut self.ticket {
            Some(ticket) => ticket,
            None => match slots.cores.enter(claim, 0, waited, usize::MAX) {
                Entry::Inside(slot) => return Poll::Ready(Some(slot)),
                Entry::Waits(ticket) => self.ticket.insert(ticket),
                Entry::Full => return Poll::Ready(None), // never: this line has no bound of its own
            },
        };
        if let Poll::Ready(slot) = ticket.poll(cx) {
            self.ticket = None;
            return Poll::Ready(Some(slot));
        }
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(alarm.as_mut().poll(cx));
        self.ticket = None;
        Poll::Ready(None)
    }

    /// After a turn with `slot`, when the task could go on at once.
    fn again(&mut self, slot: Pass<'a>) {
        let Admitted {
            slots,
            claim,
            waited,
            ..
        } = self.admitted;
        match slots.cores.again(slot, claim, 0, waited) {
            Entry::Inside(slot) => self.slot = Some(slot),
            Entry::Waits(ticket) => self.ticket = Some(ticket),
            Entry::Full => {} // never: this line has no bound of its own
        }
    }
}

thread_local! {
    /// The slots of which one is held by what this thread polls at the moment; 0 for none.
    static EXECUTING: Cell<usize> = const { Cell::new(0) };
}

/// While it lives, what this thread polls has a slot.
pub(super) struct Executing {
    before: usize,
}

impl Executing {
    fn begin(slots: &Slots) -> Self {
        let before = EXECUTING.replace(address(slots));
        Self { before }
    }

    pub(super) fn has(slots: &Slots) -> bool {
        EXECUTING.get() == address(slots)
    }
}

impl Drop for Executing {
    fn drop(&mut self) {
        EXECUTING.set(self.before);
    }
}

/// Tells the slots of one host from those of another one in the same process.
fn address(slots: &Slots) -> usize {
    std::ptr::from_ref(slots).addr()
}
