//! What processes do at this moment: a page or a few for each one that has something to tell, which it takes away when it has not.
//!
//! A page that was not written anew for some seconds counts for nothing: its process is gone, whichever way. Clocks may jump; a page
//! that seems to be of another time counts again as soon as it is written the next time. Nothing is decided by what stands here.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Plugin;
use crate::health::in_time;
use crate::id::{AgentName, Digest, RunId};
use crate::policy::{Mark, Snapshot, Standing};
use crate::store::{Expect, Kv, KvBy, KvCas, KvQuota, KvValue, StoreError};

/// No agent can have this name, so none can read or write here.
const NAMESPACE: &str = ".live";
/// Pages that are read and kept.
const PAGES: usize = 1_000;
/// Agents on one page, which the store thus keeps in one piece: a larger value would be a blob, and there would be one for each time.
const AGENTS: usize = 64;
/// What all pages together may take.
const QUOTA: KvQuota = KvQuota {
    keys: PAGES as u64,
    bytes: 64 << 20,
};
/// The format of a page. Another one says nothing.
const VERSION: u32 = 1;
/// How often a page is written although it says the same.
const BEAT: Duration = Duration::from_secs(2);
/// How old a page may be that counts: more than one beat can be missed on a busy machine.
const FRESH: Duration = Duration::from_secs(5);
/// How old a page is that anybody may take away.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What one process does with one agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Doing {
    /// The plugin it is about.
    pub(super) plugin: Digest,
    /// Tasks that have not ended.
    pub(super) in_flight: u64,
    /// Until when it leaves the agent alone.
    pub(super) shut: Option<Instant>,
    /// Its circuit breaker, unless that is closed.
    pub(super) breaker: Option<Mark>,
}

impl Doing {
    /// Whether there is anything to tell.
    pub(super) fn is_something(&self) -> bool {
        self.in_flight > 0 || self.shut.is_some() || self.breaker.is_some()
    }
}

/// The pages of this process.
pub(super) struct OwnPages {
    process: String,
    /// What stands on each.
    written: Vec<OwnPage>,
    /// Whether pages of the dead were looked for.
    swept: bool,
}

/// What stands on a page, and since when.
type OwnPage = (Vec<(AgentName, Doing)>, Instant);

impl OwnPages {
    pub(super) fn new() -> Self {
        Self {
            process: RunId::generate().to_string(), // unique
            written: Vec::new(),
            swept: false,
        }
    }

    /// Writes what is done now, when that is news or a page would soon be too old. Without anything to tell there is none.
    pub(super) async fn turn(
        &mut self,
        kv: &dyn Kv,
        doing: &[(AgentName, Doing)],
    ) -> Result<(), StoreError> {
        if !doing.is_empty() && !self.swept {
            sweep(kv, Timestamp::now()).await?;
            self.swept = true;
        }
        let now = Instant::now();
        let pages = doing.chunks(AGENTS);
        while self.written.len() > pages.len() {
            put(kv, &self.key(self.written.len() - 1), None).await?;
            self.written.pop();
        }
        for (nth, doing) in pages.enumerate() {
            let stands = |(before, at): &OwnPage| before == doing && now - *at < BEAT;
            if self.written.get(nth).is_some_and(stands) {
                continue;
            }
            let told = doing.iter();
            let page = Page {
                version: VERSION,
                at: Timestamp::now(),
                agents: told
                    .map(|(agent, doing)| (agent.clone(), Told::of(doing, now)))
                    .collect(),
            };
            put(kv, &self.key(nth), Some(&page)).await?;
            let page = (doing.to_vec(), now);
            match self.written.get_mut(nth) {
                Some(before) => *before = page,
                None => self.written.push(page),
            }
        }
        Ok(())
    }

    fn key(&self, nth: usize) -> String {
        format!("{}/{nth}", self.process)
    }
}

/// What all processes together do at the moment.
#[derive(Debug, Default)]
pub struct Live(BTreeMap<AgentName, Vec<Told>>);

/// What all processes together do with one agent at the moment. Where they differ, it is the one that asks the agent least.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Present {
    /// Tasks that wait for a slot or execute.
    pub in_flight: u64,
    /// How long it is in quarantine yet; nothing when a task tries it, or the next one will.
    pub quarantined_for: Option<Duration>,
    /// A circuit breaker that is not closed.
    pub breaker: Option<Snapshot>,
}

impl Live {
    /// Reads it. A store that does not answer in time tells nothing.
    pub async fn read(kv: &dyn Kv) -> Self {
        let read = in_time(async {
            let mut pages = Vec::new();
            for key in kv.keys(NAMESPACE, "", None, PAGES).await? {
                pages.extend(page(kv, &key).await?);
            }
            Ok(pages)
        });
        match read.await {
            Ok(pages) => Self::at(Timestamp::now(), pages),
            Err(error) => {
                tracing::warn!(%error, "what other processes do is not known");
                Self::default()
            }
        }
    }

    fn at(now: Timestamp, pages: impl IntoIterator<Item = Page>) -> Self {
        let mut live = Self::default();
        for page in pages {
            let away = page.at.duration_since(now).unsigned_abs();
            if page.version != VERSION || away > FRESH {
                continue;
            }
            let passed = Duration::try_from(now.duration_since(page.at)).unwrap_or_default();
            for (agent, told) in page.agents {
                live.0.entry(agent).or_default().push(told.after(passed));
            }
        }
        live
    }

    /// What is done with the agent of `plugin`.
    pub fn of(&self, plugin: &Plugin) -> Present {
        self.present(&plugin.agent, plugin.digest)
    }

    pub(super) fn present(&self, agent: &AgentName, plugin: Digest) -> Present {
        let all = self.0.get(agent).into_iter().flatten();
        let mut present = Present::default();
        for told in all.filter(|told| told.plugin == plugin) {
            present.in_flight = present.in_flight.saturating_add(told.in_flight);
            present.quarantined_for = present.quarantined_for.max(told.quarantined_for);
            present.breaker = most_open(present.breaker, told.breaker);
        }
        present
    }
}

/// The one of two snapshots under which the agent is asked less.
pub fn most_open(one: Option<Snapshot>, other: Option<Snapshot>) -> Option<Snapshot> {
    let rank = |snapshot: &Snapshot| match snapshot.standing {
        Standing::Closed => (0, snapshot.open_for),
        Standing::HalfOpen => (1, snapshot.open_for),
        Standing::Open => (2, snapshot.open_for),
    };
    one.into_iter().chain(other).max_by_key(rank)
}

/// A page as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Page {
    version: u32,
    at: Timestamp,
    agents: BTreeMap<AgentName, Told>,
}

/// [`Doing`], without the clock of one process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Told {
    plugin: Digest,
    in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    quarantined_for: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    breaker: Option<Snapshot>,
}

impl Told {
    fn of(doing: &Doing, now: Instant) -> Self {
        Self {
            plugin: doing.plugin,
            in_flight: doing.in_flight,
            quarantined_for: doing.shut.map(|until| until.saturating_duration_since(now)),
            breaker: doing.breaker.map(|mark| mark.snapshot(now)),
        }
    }

    /// The same when so much time has passed.
    fn after(mut self, passed: Duration) -> Self {
        let left = |left: Duration| left.saturating_sub(passed);
        self.quarantined_for = self.quarantined_for.map(left);
        if let Some(breaker) = &mut self.breaker {
            breaker.open_for = breaker.open_for.map(left);
        }
        self
    }
}

/// A page, if it can be read.
async fn page(kv: &dyn Kv, key: &str) -> Result<Option<Page>, StoreError> {
    let entry = kv.get(NAMESPACE, key).await?;
    Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value.bytes).ok()))
}

async fn put(kv: &dyn Kv, key: &str, page: Option<&Page>) -> Result<(), StoreError> {
    let value = page.map(|page| KvValue {
        format: "json".to_owned(),
        bytes: serde_json::json!(page).to_string().into(),
    });
    let by = KvBy::default();
    match kv
        .cas(NAMESPACE, key, Expect::Any, value, QUOTA, &by)
        .await?
    {
        KvCas::Quota(which) => Err(StoreError::Refused(which)),
        KvCas::Committed(_) | KvCas::Conflict(_) => Ok(()),
    }
}

/// Takes away the pages of processes that are long gone. One that is not, but whose clock has jumped, writes its own anew.
async fn sweep(kv: &dyn Kv, now: Timestamp) -> Result<(), StoreError> {
    for key in kv.keys(NAMESPACE, "", None, PAGES).await? {
        let at = page(kv, &key).await?.map(|page| page.at);
        if at.is_none_or(|at| at.duration_since(now).unsigned_abs() > FORGOTTEN) {
            put(kv, &key, None).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Shared;
    use crate::store::memory::MemoryStore;
    use crate::store::{Backend as _, KV_INLINE_MAX};

    fn name() -> AgentName {
        "a".parse().expect("a name")
    }

    fn plugin() -> Digest {
        Digest::of(b"v1")
    }

    fn doing(in_flight: u64) -> Vec<(AgentName, Doing)> {
        let doing = Doing {
            plugin: plugin(),
            in_flight,
            shut: None,
            breaker: None,
        };
        vec![(name(), doing)]
    }

    fn told(in_flight: u64, quarantined_for: Option<u64>, breaker: Option<Snapshot>) -> Told {
        Told {
            plugin: plugin(),
            in_flight,
            quarantined_for: quarantined_for.map(Duration::from_secs),
            breaker,
        }
    }

    fn written(at: Timestamp, told: Told) -> Page {
        Page {
            version: VERSION,
            at,
            agents: [(name(), told)].into(),
        }
    }

    fn breaker(standing: Standing, open_for: Option<u64>) -> Snapshot {
        Snapshot {
            standing,
            failures: 3,
            open_for: open_for.map(Duration::from_secs),
        }
    }

    async fn rev(store: &MemoryStore, key: &str) -> Option<u64> {
        let entry = store.kv().get(NAMESPACE, key).await.expect("read");
        entry.map(|entry| entry.rev.0)
    }

    #[test]
    fn processes_add_up_and_the_one_that_asks_least_says_how_an_agent_stands() {
        let now = Timestamp::now();
        let half = breaker(Standing::HalfOpen, None);
        let open = |left| breaker(Standing::Open, Some(left));
        let pages = [
            written(now, told(2, Some(0), Some(half))),
            written(now, told(1, Some(7), Some(open(5)))),
            written(now, told(0, None, Some(open(2)))),
        ];
        let present = Live::at(now, pages).present(&name(), plugin());
        assert_eq!(present.in_flight, 3);
        assert_eq!(present.quarantined_for, Some(Duration::from_secs(7)));
        assert_eq!(present.breaker, Some(open(5)));
    }

    #[test]
    fn another_version_of_the_plugin_is_another_matter() {
        let now = Timestamp::now();
        let live = Live::at(now, [written(now, told(2, Some(5), None))]);
        assert_eq!(live.present(&name(), Digest::of(b"v2")), Present::default());
    }

    #[test]
    fn a_page_counts_for_five_seconds_and_time_passes_for_what_it_says() {
        let at = Timestamp::now();
        let seen = |after: u64| {
            let page = written(at, told(1, Some(3), None));
            Live::at(at + Duration::from_secs(after), [page]).present(&name(), plugin())
        };
        for (after, left) in [(0, 3), (2, 1), (4, 0)] {
            assert_eq!(seen(after).in_flight, 1);
            let left = Some(Duration::from_secs(left));
            assert_eq!(seen(after).quarantined_for, left, "{after}");
        }
        assert_eq!(seen(6), Present::default());
        // A clock that was put back by more than that: until the page is written again, it says nothing.
        let page = written(at, told(1, None, None));
        let live = Live::at(at - Duration::from_secs(3600), [page]);
        assert_eq!(live.present(&name(), plugin()), Present::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_written_when_there_is_news_and_every_two_seconds_and_goes_with_the_last_task()
     {
        let store = MemoryStore::new();
        let mut page = OwnPages::new();
        let key = page.key(0);
        let turn = async |page: &mut OwnPages, what: Vec<_>| {
            page.turn(store.kv(), &what).await.expect("written");
            rev(&store, &key).await
        };
        assert_eq!(turn(&mut page, Vec::new()).await, None);
        let first = turn(&mut page, doing(1)).await;
        assert!(first.is_some());
        assert_eq!(turn(&mut page, doing(1)).await, first, "no news");
        let second = turn(&mut page, doing(2)).await;
        assert!(second > first);
        tokio::time::advance(BEAT).await;
        assert!(turn(&mut page, doing(2)).await > second, "a beat");
        let live = Live::read(store.kv()).await;
        assert_eq!(live.present(&name(), plugin()).in_flight, 2);
        assert_eq!(turn(&mut page, Vec::new()).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_with_many_agents_has_several_pages_none_of_which_is_too_large_for_one_piece()
    {
        let store = MemoryStore::new();
        let shared = Shared::default();
        shared.restore(&name(), &breaker(Standing::Open, Some(9_999_999)));
        let mark = shared.breakers.marks()[0].1;
        let all = (0..=2 * AGENTS).map(|nth| format!("a{nth:0>63}").parse().expect("a name"));
        let doing = Doing {
            plugin: plugin(),
            in_flight: u64::MAX,
            shut: Some(Instant::now() + Duration::from_millis(9_999_999)),
            breaker: Some(mark),
        };
        let many: Vec<(AgentName, _)> = all.map(|agent| (agent, doing)).collect();
        let mut pages = OwnPages::new();
        let kv = store.kv();
        for (agents, expected) in [(many.len(), 3), (AGENTS, 1), (AGENTS + 1, 2), (0, 0)] {
            let doing = &many[..agents];
            pages.turn(kv, doing).await.expect("written");
            let keys = kv.keys(NAMESPACE, "", None, PAGES).await.expect("listed");
            assert_eq!(keys.len(), expected);
            for key in keys {
                let entry = kv.get(NAMESPACE, &key).await.expect("read");
                let size = entry.expect("it is there").value.bytes.len();
                assert!(size <= KV_INLINE_MAX, "{size}");
            }
            let live = Live::read(kv).await;
            assert_eq!(live.0.len(), agents);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_the_dead_are_taken_away_by_the_next_process_that_has_something_to_tell() {
        let store = MemoryStore::new();
        let now = Timestamp::now();
        for (key, ago) in [("dead", 120), ("silent", 20)] {
            let page = written(now - Duration::from_secs(ago), told(1, None, None));
            put(store.kv(), key, Some(&page)).await.expect("written");
        }
        let mut page = OwnPages::new();
        page.turn(store.kv(), &doing(1)).await.expect("written");
        assert_eq!(rev(&store, "dead").await, None);
        assert!(rev(&store, "silent").await.is_some());
        let live = Live::read(store.kv()).await;
        assert_eq!(live.present(&name(), plugin()).in_flight, 1);
    }
}
