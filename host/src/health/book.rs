//! The book of health: what is known about agents, kept in the store, so that the next process goes on where this one was.
//!
//! Several processes write into one book: each adds what it has counted since it wrote last, and the last one says how things stand.
//! Nothing of it may ever hold up or fail a task, so a store that does not answer in time is left alone. When to write is not decided
//! here.

mod page;

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream};

pub(super) use self::page::Doubt;
use self::page::{Found, Fresh, read};
use super::Health;
use super::patience::{Trouble, in_time};
use super::release::{self, Releases};
use crate::id::{AgentName, Digest, RunId};
use crate::store::{Expect, KvBy, KvCas, KvQuota, SharedBackend, StoreError};

/// No agent can have this name, so none can read or write here.
pub const NAMESPACE: &str = ".health";
/// What all pages together may take.
const QUOTA: KvQuota = KvQuota {
    keys: 10_000,
    bytes: 256 << 20,
};
/// How often a page is tried when others write it at the same time.
const TRIES: usize = 16;
/// Pages that are written at the same time: the store makes one commit of them.
const AT_ONCE: usize = 16;

/// An agent whose health is kept. A new version of its plugin begins anew: what the old one did says nothing about it.
pub struct Page {
    /// The agent.
    pub agent: AgentName,
    /// Its plugin.
    pub plugin: Digest,
    /// How it fares.
    pub health: Arc<Health>,
}

/// The agents of this process, and where their health is kept.
pub struct Book {
    backend: SharedBackend,
    /// Tells its writes from those of others.
    process: RunId,
    pages: ArcSwap<Vec<Page>>,
    /// Held while pages are written: an old one must not be written over a new version's.
    writing: tokio::sync::Mutex<()>,
    reading: Trouble,
    keeping: Trouble,
}

impl Book {
    /// Reads what earlier processes wrote about these agents.
    pub async fn open(backend: SharedBackend, pages: Vec<Page>) -> Self {
        let book = Self {
            backend,
            process: RunId::generate(), // unique
            pages: ArcSwap::from_pointee(pages),
            writing: tokio::sync::Mutex::default(),
            reading: Trouble::default(),
            keeping: Trouble::default(),
        };
        book.recall(|_| true).await;
        book
    }

    /// The agents as they are now.
    pub fn pages(&self) -> Arc<Vec<Page>> {
        self.pages.load_full()
    }

    /// Goes on with these agents. What others did is written a last time: from now on their plugins are of the past, and what tasks of
    /// theirs are still in flight says nothing about the new ones.
    pub async fn turn(&self, pages: Vec<Page>) {
        let writing = self.writing.lock().await;
        self.write_all().await;
        let before = self.pages.swap(Arc::new(pages));
        drop(writing);
        let was_known = |page: &Page| {
            let same = |old: &Page| old.agent == page.agent && old.plugin == page.plugin;
            before.iter().any(same)
        };
        self.recall(|page| !was_known(page)).await;
    }

    /// Reads what was written about the agents that `which` chooses.
    async fn recall(&self, which: impl Fn(&Page) -> bool) {
        let pages = self.pages.load_full();
        let reading = async {
            let kv = self.backend.kv();
            // The words first: what is said from here on is heard later.
            let said = release::read(kv).await?;
            for page in pages.iter().filter(|page| which(page)) {
                let found = read(kv, page).await?.page;
                page.health.restore(found.as_ref(), said.of(&page.agent));
            }
            Ok(())
        };
        let read = in_time(reading).await;
        self.reading.said(read, "the agents' health is not known");
    }

    /// Lets the agents through of which somebody has said so since this was asked last. Bounded in time.
    pub async fn hear(&self) {
        let said = in_time(release::read(self.backend.kv())).await;
        let said = said.map(|said| self.obey(&said));
        self.reading
            .said(said, "nobody knows who is to be released");
    }

    fn obey(&self, said: &Releases) {
        for page in self.pages.load().iter() {
            page.health.obey(said.of(&page.agent));
        }
    }

    /// Ends the quarantine of `agent`: here, in the book, and for every process that hears of it.
    ///
    /// # Errors
    /// When the word could not be left in the store.
    pub async fn release(&self, agent: &AgentName) -> Result<(), StoreError> {
        let kv = self.backend.kv();
        let said = in_time(async {
            release::leave(kv, agent).await?;
            release::read(kv).await
        });
        self.obey(&said.await?);
        // The word is enough: who opens a page that is older than it lets the agent through.
        self.save().await;
        Ok(())
    }

    /// Writes what was counted since it was written last.
    pub async fn save(&self) {
        let _writing = self.writing.lock().await;
        self.write_all().await;
    }

    /// Bounded in time, and with it how long anybody waits for the lock.
    async fn write_all(&self) {
        let pages = self.pages.load_full();
        let saving = async {
            // All are tried: one that is given up half way might be counted twice.
            let writing: Vec<_> = pages.iter().map(|page| self.write(page)).collect();
            let writing = stream::iter(writing).buffer_unordered(AT_ONCE);
            let written: Vec<_> = writing.collect().await;
            written.into_iter().collect()
        };
        let kept = in_time(saving).await;
        self.keeping.said(kept, "the agents' health was not kept");
    }

    async fn write(&self, page: &Page) -> Result<(), StoreError> {
        let Some(mut fresh) = Fresh::take(&page.health) else {
            return Ok(());
        };
        let kv = self.backend.kv();
        for _ in 0..TRIES {
            let Found {
                page: found,
                rev,
                newer,
            } = read(kv, page).await?;
            if newer {
                return Ok(());
            }
            let written = fresh.over(found, page, self.process);
            let key = page.agent.as_str();
            let by = KvBy::default();
            let cas = kv.cas(NAMESPACE, key, Expect::Rev(rev), Some(written), QUOTA, &by);
            fresh.sent = true;
            let answer = cas.await?;
            fresh.sent = false;
            match answer {
                KvCas::Committed(_) => {
                    fresh.keep();
                    return Ok(());
                }
                KvCas::Conflict(_) => {}
                KvCas::Quota(which) => return Err(StoreError::Refused(which)),
            }
        }
        let message = format!("others keep writing about `{}`", page.agent);
        Err(StoreError::Unavailable(message))
    }
}

#[cfg(test)]
mod tests {
    use super::super::quarantine::FAULTS;
    use super::super::tests::{end, request, task};
    use super::*;
    use crate::failure::FailureKind;
    use crate::limits::Limits;
    use crate::store::memory::{Faults, MemoryStore};
    use crate::store::{Backend as _, KvValue};

    fn page(plugin: &str) -> Page {
        Page {
            agent: "a".parse().expect("a name"),
            plugin: Digest::of(plugin.as_bytes()),
            health: Arc::default(),
        }
    }

    /// A process: it opens the book, its agent does some tasks, and it writes.
    async fn process(store: &MemoryStore, plugin: &str, work: impl FnOnce(&Arc<Health>)) -> Book {
        let book = Book::open(Arc::new(store.clone()), vec![page(plugin)]).await;
        work(&book.pages.load()[0].health);
        book.save().await;
        book
    }

    async fn seen(store: &MemoryStore, plugin: &str) -> super::super::Report {
        process(store, plugin, |_| ()).await.pages.load()[0]
            .health
            .report()
    }

    #[tokio::test(start_paused = true)]
    async fn what_processes_count_adds_up_also_when_they_run_at_the_same_time() {
        let store = MemoryStore::new();
        let one = process(&store, "v1", |health| task(health, 100, None)).await;
        let two = process(&store, "v1", |health| {
            task(health, 200, Some(FailureKind::Fatal));
        })
        .await;
        for _ in 0..2 {
            task(&one.pages.load()[0].health, 300, None);
            one.save().await;
            task(&two.pages.load()[0].health, 400, None);
            two.save().await;
            two.save().await; // nothing new
        }
        let report = seen(&store, "v1").await;
        assert_eq!(report.tally.completed(), 6);
        assert_eq!(report.tally.failed, [(FailureKind::Fatal, 1)].into());
        assert_eq!((report.tally.fuel, report.tally.queue_us), (42, 18));
        let latency = report.tally.latency().expect("there are some");
        assert_eq!(latency.p99.as_micros() / 10, 40);
        assert!(report.last_failure.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_quarantine_outlives_its_process_and_a_new_version_of_the_plugin_ends_it() {
        let store = MemoryStore::new();
        for _ in 0..FAULTS {
            assert_eq!(seen(&store, "v1").await.refused, None);
            process(&store, "v1", |health| {
                task(health, 1, Some(FailureKind::Trapped))
            })
            .await;
        }
        assert!(seen(&store, "v1").await.refused.is_some());
        let new = seen(&store, "v2").await;
        assert_eq!((new.refused, new.tally.completed()), (None, 0));
        assert!(
            seen(&store, "v1").await.refused.is_some(),
            "it was only looked at"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_reaches_who_drives_and_who_opens_the_book_later_whoever_writes_last() {
        let store = MemoryStore::new();
        let mut late = None;
        let traps = |health: &Arc<Health>| {
            for _ in 0..FAULTS {
                task(health, 1, Some(FailureKind::Trapped));
            }
        };
        let driver = process(&store, "v1", |health| {
            late = health.admit(&request(), None).ok();
            traps(health);
        })
        .await;
        let driven = driver.pages()[0].health.clone();
        let operator = process(&store, "v1", |_| ()).await;
        let agent = operator.pages()[0].agent.clone();
        operator.release(&agent).await.expect("the word is left");
        assert_eq!(seen(&store, "v1").await.refused, None);

        // The driver has not heard of it, and writes once more.
        let late = late.expect("it was let through before the faults");
        late.saw(&[end(1, None)]);
        driver.save().await;
        assert!(driven.refuses().is_some());
        assert_eq!(seen(&store, "v1").await.refused, None, "the word is newer");
        driver.hear().await;
        assert_eq!(driven.refuses(), None);
        assert_eq!(driven.shut(), None);

        // An old word says nothing about the next quarantine.
        traps(&driven);
        driver.hear().await;
        driver.save().await;
        assert!(driven.refuses().is_some());
        assert!(seen(&store, "v1").await.refused.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_that_was_damaged_says_nothing_and_the_next_one_is_heard() {
        let store = MemoryStore::new();
        let book = process(&store, "v1", |_| ()).await;
        let page = &book.pages()[0];
        book.release(&page.agent).await.expect("the word is left");
        let value = KvValue {
            format: "json".into(),
            bytes: "[".into(),
        };
        let quota = KvQuota {
            keys: 1,
            bytes: 100,
        };
        let by = KvBy::default();
        let put = store
            .kv()
            .cas(".releases", "agents", Expect::Any, Some(value), quota, &by);
        put.await.expect("it is written");
        for _ in 0..FAULTS {
            task(&page.health, 1, Some(FailureKind::Trapped));
        }
        book.hear().await;
        assert!(page.health.refuses().is_some());
        book.release(&page.agent).await.expect("the word is left");
        assert_eq!(page.health.refuses(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn plugins_that_go_are_written_a_last_time_and_those_that_stay_go_on() {
        let store = MemoryStore::new();
        let book = process(&store, "v1", |health| task(health, 1, None)).await;
        let old = book.pages.load()[0].health.clone();
        task(&old, 1, None);
        // Other limits, the same plugin: nothing is counted twice, and nothing is forgotten.
        let limits = Limits::default();
        let same = Page {
            health: Arc::new(old.under(&limits)),
            ..page("v1")
        };
        book.turn(vec![same]).await;
        task(&old, 1, None);
        let now = book.pages.load()[0].health.report();
        assert_eq!(now.tally.completed(), 3);
        book.turn(vec![page("v2")]).await;
        assert_eq!(seen(&store, "v1").await.tally.completed(), 3);
        assert_eq!(book.pages.load()[0].health.report().tally.completed(), 0);
        task(&old, 1, None);
        book.save().await;
        assert_eq!(seen(&store, "v1").await.tally.completed(), 3, "of the past");
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_written_is_written_next_time() {
        let faults = Faults {
            unavailable: 1.0,
            ..Faults::default()
        };
        let book = Book {
            backend: Arc::new(MemoryStore::with_faults(7, faults)),
            process: RunId::generate(),
            pages: ArcSwap::from_pointee(vec![page("v1")]),
            writing: tokio::sync::Mutex::default(),
            reading: Trouble::default(),
            keeping: Trouble::default(),
        };
        task(&book.pages.load()[0].health, 1, None);
        book.save().await;
        let store = MemoryStore::new();
        let book = Book {
            backend: Arc::new(store.clone()),
            ..book
        };
        book.save().await;
        assert_eq!(seen(&store, "v1").await.tally.completed(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrived_although_its_answer_was_lost_is_counted_once() {
        let faults = Faults {
            unavailable: 0.2,
            lost_answer: 0.5,
            ..Faults::default()
        };
        for seed in 0..20 {
            let store = MemoryStore::with_faults(seed, faults);
            let books = [
                process(&store, "v1", |_| ()).await,
                process(&store, "v1", |_| ()).await,
            ];
            for _ in 0..10 {
                for book in &books {
                    task(&book.pages()[0].health, 1, None);
                    book.save().await;
                }
            }
            let counted = || async {
                for book in &books {
                    book.save().await;
                }
                let wrote = |book: &Book| !book.pages()[0].health.known.state.lock().changed;
                books.iter().all(wrote)
            };
            while !counted().await {}
            let found = loop {
                if let Ok(found) = read(store.kv(), &page("v1")).await {
                    break found.page.expect("it was written");
                }
            };
            assert_eq!(found.tally().completed(), 20, "seed {seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_page_begins_anew_and_that_of_a_newer_kennel_stays() {
        for (text, completed) in [("{", 1), ("{\"version\": 1}", 1), ("{\"version\": 2}", 0)] {
            let store = MemoryStore::new();
            let value = KvValue {
                format: "json".into(),
                bytes: text.into(),
            };
            let by = KvBy::default();
            let put = store
                .kv()
                .cas(NAMESPACE, "a", Expect::Any, Some(value), QUOTA, &by);
            put.await.expect("it is written");
            process(&store, "v1", |health| task(health, 1, None)).await;
            let found = seen(&store, "v1").await;
            assert_eq!(found.tally.completed(), completed, "{text}");
        }
    }
}
