//! Batch: gathers requests of the same skill of an agent, of all runs, into one call that its sandbox handles together.
//!
//! The first one waits for others, at most as long as the rule says; the last one that fits sends all of them off. Together they are
//! one call for what lies below: one slot, one sandbox. What becomes of one of them does not depend on the deadline of another, nor
//! on whether somebody else gave up. A further try goes alone, because a batch that failed may fail for one of its tasks only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::{Bounds, Call, CallError, Reply, Request, Together};
use crate::failure::FailureKind;
use crate::id::{Digest, SkillName};
use crate::plan;

/// How much longer than its deadline one waits for a batch: what lies below keeps deadlines itself, and says what was used.
const GRACE: Duration = Duration::from_millis(100);

/// The batches that are being gathered, of all agents.
#[derive(Default)]
pub struct Batches(Mutex<Table>);

#[derive(Default)]
struct Table {
    begun: u64,
    open: HashMap<Key, Open>,
}

/// What may go together: the same skill of the same agent under the same settings.
type Key = (Digest, Option<SkillName>);

struct Open {
    number: u64,
    gathering: Arc<Gathering>,
    /// Weak, because only those who wait keep a batch alive.
    ending: WeakShared<Ending>,
}

type Results = Arc<[Option<Result<Reply, CallError>>]>;
type Ending = BoxFuture<'static, Results>;

/// The requests of a batch in the order in which they came; `None` where somebody gave up.
#[derive(Default)]
struct Gathering {
    requests: Mutex<Gathered>,
    full: Notify,
}

#[derive(Default)]
struct Gathered {
    requests: Vec<Option<Request>>,
    sent: bool,
}

/// Gathers requests to `inner` as `rule` says. `timeout` bounds each of them from here on, so `inner` must not bound all by that of one.
pub(super) fn wrap(
    inner: Arc<dyn Call>,
    digest: Digest,
    rule: Option<&plan::Batch>,
    timeout: Option<Duration>,
    batches: &Arc<Batches>,
) -> Arc<dyn Call> {
    match rule {
        Some(rule) if rule.size > 1 => Arc::new(Batching {
            inner,
            digest,
            rule: *rule,
            timeout,
            batches: batches.clone(),
        }),
        _ => inner,
    }
}

struct Batching {
    inner: Arc<dyn Call>,
    digest: Digest,
    rule: plan::Batch,
    timeout: Option<Duration>,
    batches: Arc<Batches>,
}

impl Call for Batching {
    fn call(&self, mut request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        let own = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        request.deadline = own.into_iter().chain(request.deadline).min();
        // An agent's question to a peer never waits for others': it holds what they may need to be answered.
        if request.attempt > 1 || !request.lineage.callers.is_empty() {
            return self.inner.call(request);
        }
        Box::pin(self.join(request))
    }
}

impl Batching {
    async fn join(&self, request: Request) -> Result<Reply, CallError> {
        let cut_off = request.deadline.and_then(|by| by.checked_add(GRACE));
        let (place, ending) = self.place(request);
        let ended = match cut_off {
            None => Some(ending.await),
            Some(cut_off) => timeout_at(cut_off, ending).await.ok(),
        };
        let Some(results) = ended else {
            let message = "the deadline passed before the batch was done; raise the step's `timeout`, or lower `batch.wait`";
            return Err(CallError::new(FailureKind::Deadline, message));
        };
        // Whoever has a place has a result: only giving up takes it away.
        let lost = || {
            let message = "the host lost the result of a task in a batch";
            Err(CallError::new(FailureKind::HostError, message))
        };
        let result = results.get(place.at).cloned().flatten();
        result.unwrap_or_else(lost)
    }

    /// A place in the batch that is being gathered, or in a new one.
    fn place(&self, request: Request) -> (Place, Shared<Ending>) {
        let key = (self.digest, request.skill.clone());
        let mut table = self.batches.0.lock();
        if let Some(open) = table.open.get(&key)
            && let Some(ending) = open.ending.upgrade()
            && let Some(place) = open.gathering.take_place(&request, self.rule.size)
        {
            return (place, ending);
        }
        table.begun += 1;
        let number = table.begun;
        let gathering = Arc::new(Gathering::default());
        let ending = self
            .ending(key.clone(), number, gathering.clone(), &request)
            .boxed()
            .shared();
        let at = gathering.push(request);
        // It was made just now, so it can be found again.
        if let Some(weak) = ending.downgrade() {
            let open = Open {
                number,
                gathering: gathering.clone(),
                ending: weak,
            };
            table.open.insert(key, open);
        }
        (Place { gathering, at }, ending)
    }

    /// Waits until the batch is full or its time is over, sends it off, and gives each its result.
    fn ending(
        &self,
        key: Key,
        number: u64,
        gathering: Arc<Gathering>,
        first: &Request,
    ) -> impl Future<Output = Results> + Send + use<> {
        let (inner, wait) = (self.inner.clone(), self.rule.wait);
        // It is the first one's agent that is asked, even if the first one gives up.
        let among = first.among.clone();
        let closing = Closing {
            batches: self.batches.clone(),
            key,
            number,
        };
        async move {
            tokio::select! {
                () = gathering.full.notified() => {}
                () = sleep(wait) => {}
            }
            drop(closing);
            let requests = gathering.send();
            let (places, requests): (Vec<_>, Vec<_>) = requests
                .into_iter()
                .enumerate()
                .filter_map(|(at, request)| Some((at, request?)))
                .unzip();
            let last = places.last().map_or(0, |last| last + 1);
            let mut results = vec![None; last];
            for (at, result) in places.into_iter().zip(all(&*inner, requests).await) {
                results[at] = Some(result); // every place is below the last
            }
            drop(among);
            results.into()
        }
    }
}

/// The results of all `requests`, in their order.
async fn all(inner: &dyn Call, mut requests: Vec<Request>) -> Vec<Result<Reply, CallError>> {
    let n = requests.len();
    if n < 2 {
        return match requests.pop() {
            None => Vec::new(),
            Some(alone) => vec![inner.call(alone).await],
        };
    }
    let mut first = requests[0].clone(); // there are at least two
    first.deadline = requests
        .iter()
        .map(|request| request.deadline)
        .reduce(|a, b| Some(a?.max(b?)))
        .flatten();
    let priorities = requests.iter().map(|request| request.priority);
    first.priority = priorities.min().unwrap_or_default();
    let together = Arc::new(Together::new(requests));
    first.together = Some(together.clone());
    // Nobody below but the watch asks for these: a fault says something about the agent only when none of them brings bounds of its own.
    let bounds = together.requests().iter().map(|request| request.bounds);
    first.bounds = bounds.fold(first.bounds, Bounds::lowered_by);
    let of_first = inner.call(first).await;
    let mut results = together.take().unwrap_or_default();
    if results.len() == n {
        results[0] = of_first; // what lies between has added to it
    } else {
        // It did not get as far as the sandbox: what stopped it stopped all.
        let others = of_first
            .as_ref()
            .map(|_| ())
            .map_err(|error| error.failure.clone());
        results = vec![of_first];
        results.extend((1..n).map(|_| {
            Err(match &others {
                Err(failure) => CallError::new(failure.kind, failure.message.clone()),
                Ok(()) => CallError::new(
                    FailureKind::HostError,
                    "the first task of a batch was answered and no other",
                ),
            })
        }));
    }
    for result in &mut results {
        let trail = match result {
            Ok(reply) => &mut reply.trail,
            Err(error) => &mut error.trail,
        };
        trail.batch = u32::try_from(n).ok();
    }
    results
}

impl Gathering {
    /// A place, when it was not sent off and has room. The last one sends it off.
    fn take_place(self: &Arc<Self>, request: &Request, size: usize) -> Option<Place> {
        let mut gathered = self.requests.lock();
        if gathered.sent || gathered.requests.len() >= size {
            return None;
        }
        gathered.requests.push(Some(request.clone()));
        if gathered.requests.len() == size {
            self.full.notify_one();
        }
        Some(Place {
            gathering: self.clone(),
            at: gathered.requests.len() - 1,
        })
    }

    fn push(&self, request: Request) -> usize {
        let mut gathered = self.requests.lock();
        gathered.requests.push(Some(request));
        gathered.requests.len() - 1
    }

    fn send(&self) -> Vec<Option<Request>> {
        let mut gathered = self.requests.lock();
        gathered.sent = true;
        std::mem::take(&mut gathered.requests)
    }
}

/// A place in a batch. Dropped before the batch is sent off, it takes its request out.
struct Place {
    gathering: Arc<Gathering>,
    at: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut gathered = self.gathering.requests.lock();
        if let Some(request) = gathered.requests.get_mut(self.at) {
            *request = None;
        }
    }
}

/// Takes a batch off the table when it is sent off or given up, unless a later one stands in its place.
struct Closing {
    batches: Arc<Batches>,
    key: Key,
    number: u64,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let mut table = self.batches.0.lock();
        if matches!(table.open.get(&self.key), Some(open) if open.number == self.number) {
            table.open.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
