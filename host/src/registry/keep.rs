//! Keeps in the store how agents fare while a process asks them: the book of health, the circuit breakers, and what others may see of this
//! very moment.
//!
//! It looks a few times a second, beside the work: no call waits for it or tells it anything, and whatever happened between two looks is
//! written once. Where nothing happens nothing is written. It decides nothing but when to write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Registry;
use super::breakers::{Kept, Marked};
use super::live::{Doing, OwnPages};
use crate::health::{Book, Page, Trouble, in_time};
use crate::id::AgentName;
use crate::policy::{Breakers, Standing};
use crate::store::SharedBackend;

/// How often it looks: what turned is seen by others, and a word from outside is heard, within about a second.
const LOOK: Duration = Duration::from_millis(500);
/// How often mere counts are written.
const COUNTS: Duration = Duration::from_secs(1);

/// Keeps how agents fare until it is ended.
pub struct Keeper {
    stop: CancellationToken,
    looking: AbortOnDropHandle<()>,
}

impl Keeper {
    /// Begins for the agents of `registry` and whatever `book` turns to later. How things stand now counts as known.
    pub fn begin(registry: &Registry, book: Arc<Book>, backend: SharedBackend) -> Self {
        Self::over(book, registry.providers.shared.breakers.clone(), backend)
    }

    fn over(book: Arc<Book>, breakers: Arc<Breakers>, backend: SharedBackend) -> Self {
        let stop = CancellationToken::new();
        let looks = Looks::begin(book, breakers, backend).until(stop.clone());
        Self {
            stop,
            looking: AbortOnDropHandle::new(tokio::spawn(looks)),
        }
    }

    /// Writes everything a last time; from then on nothing goes on here.
    pub async fn end(self) {
        self.stop.cancel();
        // It neither panics nor is aborted while this has it.
        let _ = self.looking.await;
    }
}

struct Looks {
    book: Arc<Book>,
    breakers: Arc<Breakers>,
    backend: SharedBackend,
    /// The breakers that the store has.
    kept: Kept,
    /// What others see of this process.
    own: OwnPages,
    /// The quarantines that the book has.
    shut: BTreeMap<AgentName, Instant>,
    /// When the book was written last.
    saved: Instant,
    trouble: Trouble,
}

impl Looks {
    fn begin(book: Arc<Book>, breakers: Arc<Breakers>, backend: SharedBackend) -> Self {
        let pages = book.pages();
        Self {
            kept: Kept::found(marked(&breakers, &pages)),
            own: OwnPages::new(),
            shut: shut(&pages),
            saved: Instant::now(),
            trouble: Trouble::default(),
            book,
            breakers,
            backend,
        }
    }

    async fn until(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Never in the middle of a look: what was given up half way might be counted twice.
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.look().await,
            }
        }
        self.book.hear().await;
        self.book.save().await;
        let marked = marked(&self.breakers, &self.book.pages());
        self.write(&marked, &[]).await;
    }

    async fn look(&mut self) {
        self.book.hear().await;
        let pages = self.book.pages();
        let now = Instant::now();
        let shut = shut(&pages);
        if shut != self.shut || now.duration_since(self.saved) >= COUNTS {
            self.book.save().await;
            self.shut = shut;
            self.saved = now;
        }
        let marked = marked(&self.breakers, &pages);
        let doing = doing(&pages, &marked, now);
        self.write(&marked, &doing).await;
    }

    async fn write(&mut self, marked: &BTreeMap<AgentName, Marked>, doing: &[(AgentName, Doing)]) {
        let kv = self.backend.kv();
        let written = in_time(async {
            self.kept.keep(kv, marked).await?;
            self.own.turn(kv, doing).await
        });
        let what = "how the agents stand is not shown to others";
        self.trouble.said(written.await, what);
    }
}

/// The breakers of the agents on these pages.
fn marked(breakers: &Breakers, pages: &[Page]) -> BTreeMap<AgentName, Marked> {
    let plugins: BTreeMap<_, _> = pages
        .iter()
        .map(|page| (&page.agent, page.plugin))
        .collect();
    let marks = breakers.marks().into_iter();
    marks
        .filter_map(|(agent, mark)| Some((*plugins.get(&agent)?, mark, agent)))
        .map(|(plugin, mark, agent)| (agent, (plugin, mark)))
        .collect()
}

fn shut(pages: &[Page]) -> BTreeMap<AgentName, Instant> {
    let shut = |page: &Page| Some((page.agent.clone(), page.health.shut()?));
    pages.iter().filter_map(shut).collect()
}

fn doing(
    pages: &[Page],
    marked: &BTreeMap<AgentName, Marked>,
    now: Instant,
) -> Vec<(AgentName, Doing)> {
    let doing = |page: &Page| Doing {
        plugin: page.plugin,
        in_flight: page.health.in_flight(),
        shut: page.health.shut(),
        breaker: marked
            .get(&page.agent)
            .map(|(_, mark)| *mark)
            .filter(|mark| mark.snapshot(now).standing != Standing::Closed),
    };
    pages
        .iter()
        .map(|page| (page.agent.clone(), doing(page)))
        .filter(|(_, doing)| doing.is_something())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::live::{Live, Present};
    use super::*;
    use crate::call::{CallError, Request};
    use crate::failure::FailureKind;
    use crate::health::Health;
    use crate::health::quarantine::FAULTS;
    use crate::id::Digest;
    use crate::payload::Payload;
    use crate::policy::{Shared, Snapshot};
    use crate::store::Backend as _;
    use crate::store::memory::{Faults, MemoryStore};

    /// A process that keeps how one agent fares.
    struct Process {
        store: MemoryStore,
        health: Arc<Health>,
        shared: Shared,
        keeper: Keeper,
    }

    fn agent() -> AgentName {
        "a".parse().expect("a name")
    }

    fn page() -> Page {
        Page {
            agent: agent(),
            plugin: Digest::of(b"v1"),
            health: Arc::default(),
        }
    }

    impl Process {
        async fn begin(store: &MemoryStore) -> Self {
            let backend: SharedBackend = Arc::new(store.clone());
            let book = Arc::new(Book::open(backend.clone(), vec![page()]).await);
            let shared = Shared::default();
            Self {
                store: store.clone(),
                health: book.pages()[0].health.clone(),
                keeper: Keeper::over(book, shared.breakers.clone(), backend),
                shared,
            }
        }

        fn trap(&self) {
            let watch = self.health.admit(&request(), None).expect("let through");
            watch.saw(&[Err(CallError::new(FailureKind::Trapped, "a trap"))]);
        }

        /// What another process sees now: the counts and quarantine of the book, and the page about this moment.
        async fn seen(&self) -> (crate::health::Report, Present) {
            let book = Book::open(Arc::new(self.store.clone()), vec![page()]).await;
            let live = Live::read(self.store.kv()).await;
            let report = book.pages()[0].health.report();
            (report, live.present(&agent(), page().plugin))
        }

        /// The breaker that the next process begins with.
        async fn breaker(&self) -> Option<Snapshot> {
            let entry = self.store.kv().get(".breakers", "a").await.expect("read")?;
            let written: serde_json::Value =
                serde_json::from_slice(&entry.value.bytes).expect("it is JSON");
            serde_json::from_value(written["breaker"].clone()).ok()
        }
    }

    fn request() -> Request {
        Request::new("task", Arc::new(Payload::Text("?".into())))
    }

    /// A second of the process's life, with some time for what is written at its end.
    async fn second() {
        tokio::time::sleep(Duration::from_millis(1_010)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_in_flight_is_seen_within_a_second_and_no_more_once_it_has_ended() {
        let process = Process::begin(&MemoryStore::new()).await;
        second().await;
        assert_eq!(process.seen().await.1, Present::default());
        let watch = process.health.admit(&request(), None).expect("let through");
        second().await;
        assert_eq!(process.seen().await.1.in_flight, 1);
        drop(watch);
        second().await;
        assert_eq!(process.seen().await.1, Present::default());
    }

    #[tokio::test(start_paused = true)]
    async fn counts_and_a_quarantine_are_seen_within_a_second_while_the_process_goes_on() {
        let process = Process::begin(&MemoryStore::new()).await;
        process.trap();
        second().await;
        assert_eq!(process.seen().await.0.tally.completed(), 1);
        (1..FAULTS).for_each(|_| process.trap());
        tokio::time::sleep(LOOK + Duration::from_millis(10)).await;
        let (report, present) = process.seen().await;
        assert!(report.refused.is_some(), "{report:?}");
        assert!(
            present.quarantined_for > Some(Duration::ZERO),
            "{present:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_is_seen_where_it_stands_and_outlives_a_process_that_never_ends_well() {
        let process = Process::begin(&MemoryStore::new()).await;
        process.shared.restore(
            &agent(),
            &Snapshot {
                standing: Standing::Open,
                failures: 3,
                open_for: Some(Duration::from_secs(60)),
            },
        );
        second().await;
        let breaker = process.seen().await.1.breaker.expect("it is not closed");
        assert_eq!(breaker.standing, Standing::Open);
        process.shared.restore(
            &agent(),
            &Snapshot {
                standing: Standing::HalfOpen,
                failures: 3,
                open_for: None,
            },
        );
        second().await;
        let breaker = process.seen().await.1.breaker.expect("it is not closed");
        assert_eq!(breaker.standing, Standing::HalfOpen);
        let kept = process.breaker().await.expect("it is kept");
        assert_eq!((kept.standing, kept.failures), (Standing::HalfOpen, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_that_did_not_move_in_a_process_is_not_written_by_it() {
        let store = MemoryStore::new();
        let idle = Process::begin(&store).await;
        idle.shared.restore(
            &agent(),
            &Snapshot {
                standing: Standing::Closed,
                failures: 0,
                open_for: None,
            },
        );
        let busy = Process::begin(&store).await;
        let open = Snapshot {
            standing: Standing::Open,
            failures: 3,
            open_for: Some(Duration::from_secs(60)),
        };
        busy.shared.restore(&agent(), &open);
        second().await;
        idle.keeper.end().await;
        let kept = busy.breaker().await.expect("it is kept");
        assert_eq!(kept.standing, Standing::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_reaches_a_process_that_drives_within_a_second() {
        let store = MemoryStore::new();
        let process = Process::begin(&store).await;
        // Longer and longer, so that the time alone does not end it.
        for faults in [FAULTS, 1, 1, 1] {
            while process.health.admit(&request(), None).is_err() {
                second().await;
            }
            (0..faults).for_each(|_| process.trap());
        }
        second().await;
        assert!(process.health.refuses().is_some());
        let operator = Book::open(Arc::new(store.clone()), vec![page()]).await;
        operator.release(&agent()).await.expect("the word is left");
        second().await;
        assert_eq!(process.health.refuses(), None);
        let (report, present) = process.seen().await;
        assert_eq!((report.refused, report.quarantined), (None, false));
        assert_eq!(present.quarantined_for, None);
    }

    #[tokio::test(start_paused = true)]
    async fn many_tasks_in_a_second_are_written_a_few_times_and_none_is_lost_or_counted_twice() {
        let process = Process::begin(&MemoryStore::new()).await;
        for _ in 0..1_000 {
            let watch = process.health.admit(&request(), None).expect("let through");
            watch.saw(&[Err(CallError::new(FailureKind::Recoverable, "busy"))]);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let kv = process.store.kv();
        let entry = kv.get(crate::health::NAMESPACE, "a").await.expect("read");
        let rev = entry.expect("there is a page").rev.0;
        assert!(rev <= 10, "written {rev} times in three seconds");
        let Process { keeper, .. } = process;
        keeper.end().await;
        let book = Book::open(Arc::new(process.store), vec![page()]).await;
        assert_eq!(book.pages()[0].health.report().tally.completed(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_ends_leaves_its_counts_and_no_page() {
        let process = Process::begin(&MemoryStore::new()).await;
        let watch = process.health.admit(&request(), None).expect("let through");
        second().await;
        watch.saw(&[Err(CallError::new(FailureKind::Trapped, "a trap"))]);
        let store = process.store.clone();
        process.keeper.end().await;
        let pages = store.kv().keys(".live", "", None, 10).await.expect("read");
        assert_eq!(pages, Vec::<String>::new());
        let book = Book::open(Arc::new(store), vec![page()]).await;
        assert_eq!(book.pages()[0].health.report().tally.completed(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_now_and_then_costs_nothing_but_time() {
        let faults = Faults {
            unavailable: 0.3,
            pause: 0.3,
            ..Faults::default()
        };
        let process = Process::begin(&MemoryStore::with_faults(11, faults)).await;
        let watch = process.health.admit(&request(), None).expect("let through");
        let mut seen = false;
        for _ in 0..30 {
            second().await;
            seen |= process.seen().await.1.in_flight == 1;
        }
        assert!(seen, "it was shown at some time");
        drop(watch);
        process.keeper.end().await;
    }
}
