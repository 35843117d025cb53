//! A gate: so many may be inside at once, and the others stand in [`Line`].
//!
//! What becomes free is handed to whoever is next, so nobody overtakes. A gate knows no deadline and refuses nobody but whom a full
//! line refuses: dropping a [`Ticket`] leaves the line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Claim;
use super::average::Average;
use super::line::Line;
use crate::id::AgentName;

/// How long a turn usually is: what a guest takes for the fuel after which it yields.
const TURN: Duration = Duration::from_millis(1);

/// Lets a bounded number in at the same time.
#[derive(Debug)]
pub(super) struct Gate {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    size: usize,
    /// How many more than `size` there may be for each call that waits above: whoever is inside waits only for deeper ones, so as
    /// long as a deeper one always finds a place in the end, nobody waits for ever.
    deeper: usize,
    inside: usize,
    /// By depth.
    lines: BTreeMap<usize, Line<Arc<Seat>>>,
    /// How many are inside or in line, over time; only where somebody asks for it, because it reads the clock.
    busy: Option<Average>,
}

/// What a waiting task and the gate share.
#[derive(Debug, Default)]
struct Seat {
    granted: AtomicBool,
    waker: AtomicWaker,
}

/// The time spent in lines, in microseconds. Survives whoever waits, so it is known of those who gave up too.
#[derive(Debug, Default)]
pub(super) struct Waited(AtomicU64);

impl Waited {
    /// The time so far.
    pub(super) fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

/// What becomes of whoever comes to a gate.
pub(super) enum Entry<'g, 'w> {
    /// In.
    Inside(Pass<'g>),
    /// In line.
    Waits(Ticket<'g, 'w>),
    /// As many wait already as may.
    Full,
}

impl Gate {
    /// A gate for `size` at once, and `deeper` more for each caller above.
    pub(super) fn new(size: usize, deeper: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                size,
                deeper,
                inside: 0,
                lines: BTreeMap::new(),
                busy: None,
            }),
        }
    }

    /// The same, and it looks at the clock: it remembers how busy it was, and who was inside for long has fewer turns.
    pub(super) fn timed(self) -> Self {
        self.inner.lock().busy = Some(Average::new(Instant::now()));
        self
    }

    /// How many are inside.
    pub(super) fn inside(&self) -> usize {
        self.inner.lock().inside
    }

    /// How many stand in line.
    pub(super) fn waiting(&self) -> usize {
        self.inner.lock().waiting()
    }

    /// How many were inside or in line lately, for each that may be inside.
    pub(super) fn busy(&self) -> f64 {
        let inner = self.inner.lock();
        let busy = inner
            .busy
            .as_ref()
            .map_or(0.0, |busy| busy.at(Instant::now()));
        busy / inner.size as f64
    }

    /// Goes in when there is room; stands in line otherwise, unless `most` do so already. A line has no bound for whoever is deeper
    /// than a root: only its end lets its caller's memory go.
    pub(super) fn enter<'g, 'w>(
        &'g self,
        claim: &Claim,
        depth: usize,
        waited: &'w Waited,
        most: usize,
    ) -> Entry<'g, 'w> {
        let mut inner = self.inner.lock();
        if inner.has_room(depth) {
            inner.inside += 1;
            let since = inner.busy.is_some().then(Instant::now);
            inner.note(since);
            return Entry::Inside(Pass {
                gate: self,
                timed: since.map(|since| (claim.agent.clone(), since)),
            });
        }
        if depth == 0 && inner.waiting() >= most {
            return Entry::Full;
        }
        let now = Instant::now();
        let ticket = self.line_up(&mut inner, claim, depth, waited, now);
        inner.note(Some(now));
        Entry::Waits(ticket)
    }

    /// Lets whoever is next have the turn of one who wants another turn. That may be the same one: it stands in line before it gives
    /// its turn away, so nobody less urgent comes in between.
    pub(super) fn again<'g, 'w>(
        &'g self,
        mut pass: Pass<'g>,
        claim: &Claim,
        depth: usize,
        waited: &'w Waited,
    ) -> Entry<'g, 'w> {
        let mut inner = self.inner.lock();
        if inner.lines.is_empty() {
            drop(inner);
            // Nobody went without anything, so the time is not held against anybody.
            if let Some((_, since)) = &mut pass.timed {
                *since = Instant::now();
            }
            return Entry::Inside(pass);
        }
        let ticket = self.line_up(&mut inner, claim, depth, waited, Instant::now());
        drop(inner);
        drop(pass);
        Entry::Waits(ticket)
    }

    fn line_up<'g, 'w>(
        &'g self,
        inner: &mut Inner,
        claim: &Claim,
        depth: usize,
        waited: &'w Waited,
        now: Instant,
    ) -> Ticket<'g, 'w> {
        let seat = Arc::new(Seat::default());
        let Claim { agent, priority } = claim;
        let line = inner.lines.entry(depth).or_default();
        let number = line.join(seat.clone(), agent, *priority, waited.get(), now);
        Ticket {
            gate: self,
            agent: agent.clone(),
            seat,
            depth,
            number,
            since: now,
            waited,
            over: false,
        }
    }

    fn release(&self, timed: Option<(AgentName, Instant)>) {
        let mut inner = self.inner.lock();
        inner.inside -= 1;
        if let Some((agent, since)) = timed {
            inner.charge(&agent, since);
        }
        let next = inner.hand_over();
        inner.note(None);
        drop(inner);
        if let Some(seat) = next {
            seat.waker.wake();
        }
    }
}

impl Inner {
    fn waiting(&self) -> usize {
        self.lines.values().map(Line::len).sum()
    }

    fn has_room(&self, depth: usize) -> bool {
        self.inside < self.size.saturating_add(self.deeper.saturating_mul(depth))
    }

    /// Lets in whoever is next. The deepest go first: there is room for them whenever there is room for anybody.
    fn hand_over(&mut self) -> Option<Arc<Seat>> {
        let depth = *self.lines.last_key_value()?.0;
        if !self.has_room(depth) {
            return None;
        }
        let line = self.lines.get_mut(&depth)?;
        let seat = line.next(Instant::now());
        if line.len() == 0 {
            self.lines.remove(&depth);
        }
        let seat = seat?;
        self.inside += 1;
        seat.granted.store(true, Ordering::Release);
        Some(seat)
    }

    /// Holds against `agent`, while others wait, that its turn was longer than usual.
    fn charge(&mut self, agent: &AgentName, since: Instant) {
        if self.lines.is_empty() {
            return;
        }
        let turns = since.elapsed().as_micros() / TURN.as_micros();
        let more = u32::try_from(turns.saturating_sub(1)).unwrap_or(u32::MAX);
        for line in self.lines.values_mut() {
            line.charge(agent, more);
        }
    }

    fn note(&mut self, now: Option<Instant>) {
        let wanted = self.inside + self.waiting();
        if let Some(busy) = &mut self.busy {
            busy.set(wanted as f64, now.unwrap_or_else(Instant::now));
        }
    }
}

/// Being inside; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    /// Whose it is and since when, where that matters.
    timed: Option<(AgentName, Instant)>,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.release(self.timed.take());
    }
}

/// A place in line; dropping it leaves.
#[derive(Debug)]
pub(super) struct Ticket<'g, 'w> {
    gate: &'g Gate,
    agent: AgentName,
    seat: Arc<Seat>,
    depth: usize,
    number: u64,
    since: Instant,
    waited: &'w Waited,
    over: bool,
}

impl<'g> Ticket<'g, '_> {
    /// Ready when it is this one's turn; not to be polled again then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Pass<'g>> {
        if !self.seat.granted.load(Ordering::Acquire) {
            self.seat.waker.register(cx.waker());
            if !self.seat.granted.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        self.over = true;
        let timed = self.gate.inner.lock().busy.is_some();
        Poll::Ready(Pass {
            gate: self.gate,
            timed: timed.then(|| (self.agent.clone(), Instant::now())),
        })
    }
}

impl Drop for Ticket<'_, '_> {
    fn drop(&mut self) {
        self.waited.add(self.since.elapsed());
        if self.over {
            return;
        }
        let mut inner = self.gate.inner.lock();
        let left = inner
            .lines
            .get_mut(&self.depth)
            .and_then(|line| line.leave(self.number));
        if inner
            .lines
            .get(&self.depth)
            .is_some_and(|line| line.len() == 0)
        {
            inner.lines.remove(&self.depth);
        }
        inner.note(None);
        drop(inner);
        if left.is_none() {
            // Its turn had come already; it is the next one's then.
            self.gate.release(None);
        }
    }
}
