//! One page of the book: how what is known about an agent is written down, added to what others have written, and read back.
//!
//! It decides neither when to write nor what to do when that fails.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::quarantine::{Kept, Quarantine};
use super::super::{Health, LastFailure, Recent, State, Tally};
use super::{NAMESPACE, Page};
use crate::failure::{Failure, FailureKind};
use crate::id::{Digest, RunId};
use crate::store::{Kv, KvValue, Rev, StoreError};

/// The format of a page. A newer one is left as it is.
const VERSION: u32 = 1;
/// Writers that a page remembers, so that none of them adds the same twice.
const HANDS: usize = 16;
/// Writes of which nobody knows whether they arrived, and that are kept apart. With more than that something may be counted twice.
const DOUBTS: usize = 8;
/// Bytes of the last failure's message that are kept.
const MESSAGE: usize = 1 << 10;

/// What was sent to the store as this write of its process, and may have arrived.
pub(in super::super) struct Doubt {
    write: u64,
    tally: Tally,
}

/// What a health has counted since it was written last. Goes back when it could not be written, or when nobody waits for it any more.
pub(super) struct Fresh<'h> {
    health: &'h Health,
    write: u64,
    tally: Option<Tally>,
    /// Whether it is on its way, and may arrive although nobody hears of it.
    pub(super) sent: bool,
}

impl<'h> Fresh<'h> {
    pub(super) fn take(health: &'h Health) -> Option<Self> {
        let mut state = health.known.state.lock();
        let changed = std::mem::take(&mut state.changed);
        changed.then(|| {
            state.writes += 1;
            Self {
                health,
                write: state.writes,
                tally: Some(std::mem::take(&mut state.fresh)),
                sent: false,
            }
        })
    }

    /// The page with this added, and whatever did not arrive before.
    pub(super) fn over(&self, found: Option<Written>, page: &Page, process: RunId) -> KvValue {
        let mut tally = found.as_ref().map(Written::tally).unwrap_or_default();
        let mut hands = found.map(|found| found.hands).unwrap_or_default();
        let arrived = hands.iter().find(|(of, _)| *of == process);
        let arrived = arrived.map_or(0, |(_, write)| *write);
        hands.retain(|(of, _)| *of != process);
        hands.push((process, self.write));
        hands.drain(..hands.len().saturating_sub(HANDS));

        let state = self.health.known.state.lock();
        let lost = state.doubts.iter().filter(|doubt| doubt.write > arrived);
        for more in lost.map(|doubt| &doubt.tally).chain(&self.tally) {
            tally.add(more);
        }
        let written = Written {
            hands,
            ..Written::of(page.plugin, &tally, &state)
        };
        KvValue {
            format: "json".to_owned(),
            bytes: serde_json::json!(written).to_string().into(),
        }
    }

    pub(super) fn keep(mut self) {
        self.tally = None;
        self.health.known.state.lock().doubts.clear();
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if let Some(tally) = self.tally.take() {
            let mut state = self.health.known.state.lock();
            state.changed = true;
            if self.sent && state.doubts.len() < DOUBTS {
                let write = self.write;
                state.doubts.push(Doubt { write, tally });
            } else {
                state.fresh.add(&tally);
            }
        }
    }
}

/// A page as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Written {
    version: u32,
    plugin: Digest,
    written: Timestamp,
    succeeded: u64,
    failed: std::collections::BTreeMap<FailureKind, u64>,
    queue_us: u64,
    fuel: u64,
    /// HdrHistogram's V2 encoding, in hexadecimal.
    latency: String,
    faults: u32,
    quarantines: u32,
    quarantined_until: Option<Timestamp>,
    recent: Option<(f64, f64)>,
    last_failure: Option<(Timestamp, Failure)>,
    /// The last word of a release that was known.
    #[serde(default)]
    released: u64,
    /// Who wrote here last, the latest at the end, and which of its writes that was.
    #[serde(default)]
    hands: Vec<(RunId, u64)>,
}

impl Written {
    fn of(plugin: Digest, tally: &Tally, state: &State) -> Self {
        let now = Timestamp::now();
        let Kept {
            faults,
            trips,
            left,
        } = state.quarantine.kept(Instant::now());
        let until = |left| now.saturating_add(left).unwrap_or(Timestamp::MAX);
        Self {
            version: VERSION,
            plugin,
            written: now,
            succeeded: tally.succeeded,
            failed: tally.failed.clone(),
            queue_us: tally.queue_us,
            fuel: tally.fuel,
            latency: hex::encode(tally.encoded()),
            faults,
            quarantines: trips,
            quarantined_until: left.map(until),
            recent: state.recent.map(|recent| (recent.micros, recent.success)),
            released: state.released,
            hands: Vec::new(),
            last_failure: state.last_failure.as_ref().map(|last| {
                let mut failure = last.failure.clone();
                failure.message = failure.message.chars().take(MESSAGE).collect();
                (last.at, failure)
            }),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally {
            succeeded: self.succeeded,
            failed: self.failed.clone(),
            queue_us: self.queue_us,
            fuel: self.fuel,
            ..Tally::default()
        };
        if !hex::decode(&self.latency).is_ok_and(|bytes| tally.decode(&bytes)) {
            tracing::warn!("the latencies that were kept cannot be read; they begin anew");
        }
        tally
    }
}

impl Health {
    /// Goes on from what was found, if anything was. `said` is the last word that the agent is to be let through.
    pub(super) fn restore(&self, found: Option<&Written>, said: u64) {
        let Some(found) = found else {
            self.known.state.lock().released = said;
            return;
        };
        let now = Timestamp::now();
        let left = found.quarantined_until.map(|until| {
            Duration::try_from(until.duration_since(now)).unwrap_or_default() // over already
        });
        let kept = Kept {
            faults: found.faults,
            trips: found.quarantines,
            left,
        };
        let tally = found.tally();
        let sound = |(micros, success): &(f64, f64)| {
            micros.is_finite() && *micros >= 0.0 && (0.0..=1.0).contains(success)
        };
        let mut state = self.known.state.lock();
        state.total.add(&tally);
        state.released = said.max(found.released);
        state.quarantine = match found.released < said {
            true => Quarantine::default(),
            false => Quarantine::restored(kept, Instant::now()),
        };
        state.recent = found
            .recent
            .filter(sound)
            .map(|(micros, success)| Recent { micros, success });
        state.last_failure = found
            .last_failure
            .clone()
            .map(|(at, failure)| LastFailure { failure, at });
    }
}

/// What stands in the store: the page when it is about this plugin, and where it stands.
pub(super) struct Found {
    pub(super) page: Option<Written>,
    pub(super) rev: Rev,
    /// A newer kennel wrote it.
    pub(super) newer: bool,
}

pub(super) async fn read(kv: &dyn Kv, page: &Page) -> Result<Found, StoreError> {
    let Some(entry) = kv.get(NAMESPACE, page.agent.as_str()).await? else {
        return Ok(Found {
            page: None,
            rev: Rev::NONE,
            newer: false,
        });
    };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let bytes = &entry.value.bytes;
    let version = serde_json::from_slice::<Version>(bytes).map(|found| found.version);
    // What cannot be read begins anew.
    let written = serde_json::from_slice::<Written>(bytes).ok();
    Ok(Found {
        page: written.filter(|written| written.plugin == page.plugin && written.version == VERSION),
        rev: entry.rev,
        newer: version.is_ok_and(|version| version > VERSION),
    })
}
