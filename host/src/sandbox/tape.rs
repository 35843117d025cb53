//! The tape: the host's answers to one attempt, in order, so that the attempt can be executed again in isolation.
//!
//! While it records, it keeps what a guest cannot work out by itself: the time, the seed of its randomness, what state, peers and
//! servers answered, and what it found ready. While it plays, the same answers come from it and nothing is asked: a guest that asks
//! something else than it did is told apart at that very call. Granted files and blobs are not on it; they are read as they are now,
//! and blobs that a replay writes stay with it.

pub(super) mod wire;

use std::collections::{HashMap, VecDeque};
use std::mem;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::call::{Answers, Bounds};
use crate::failure::{Failure, FailureKind};
use crate::units;

/// The first byte of every tape. A tape of another version is refused.
const VERSION: u8 = 1;
/// Bytes of a call's description that are kept.
const WHAT: usize = 96;

/// Why a recording cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TapeError {
    /// It was made by another kennel.
    #[error("the recording has format {0}, and this kennel plays {VERSION}")]
    Version(u8),
    /// It cannot be read.
    #[error("the recording is damaged: {0}")]
    Damaged(String),
}

/// One thing on a tape. Stored; variants are only added, at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Entry {
    /// The time of day, in milliseconds since the epoch.
    Wall(u64),
    /// The time since the attempt first looked, in milliseconds.
    Elapsed(u64),
    /// What the attempt's randomness grows from.
    Seed([u8; 32]),
    /// Whether something was ready.
    Ready(bool),
    /// What of a list was ready.
    Polled(Vec<u32>),
    /// A call and its answer.
    Asked(Asked, Bytes),
    /// An HTTP request; its answer comes later, under its number.
    Sent(Asked),
    /// How the answer to an HTTP request began.
    Head(u32, wire::Head),
    /// A piece of the body of the answer, after so many looks that found nothing.
    Frame(u32, u32, wire::Frame),
    /// A request's body, once all of it was sent.
    Body(u32, u64),
}

impl Entry {
    fn what(&self) -> String {
        match self {
            Self::Wall(_) => "the time of day".into(),
            Self::Elapsed(_) => "the time since its start".into(),
            Self::Seed(_) => "randomness".into(),
            Self::Ready(_) => "whether something is ready".into(),
            Self::Polled(_) => "what is ready".into(),
            Self::Asked(asked, _) | Self::Sent(asked) => format!("`{}`", asked.what),
            Self::Head(..) | Self::Frame(..) | Self::Body(..) => {
                "a part of an HTTP exchange".into()
            }
        }
    }
}

/// A call of the guest: what, in words, and a digest of all its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    what: String,
    args: u64,
}

/// The bounds that an attempt had, at the beginning of its tape.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Header {
    fuel: Option<u64>,
    memory: Option<u64>,
}

/// The tape of one attempt. Shared with its HTTP exchanges, which go on beside the guest.
#[derive(Debug)]
pub(super) struct Tape(Mutex<Side>);

#[derive(Debug)]
enum Side {
    Off,
    Records(Recorder),
    Plays(Box<Player>),
}

#[derive(Debug)]
struct Recorder {
    bytes: Vec<u8>,
    limit: u64,
    bounds: Bounds,
    requests: u32,
    /// Set when it met its limit; then nothing is kept.
    over: bool,
}

#[derive(Debug, Default)]
struct Player {
    ahead: VecDeque<Entry>,
    exchanges: HashMap<u32, Exchange>,
    /// Answers given so far.
    given: u64,
    requests: u32,
    diverged: Option<String>,
}

/// What came back for one HTTP request.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) head: Option<wire::Head>,
    pub(super) frames: VecDeque<(u32, wire::Frame)>,
    /// The digest of the request's body, and whether it was sent before the answer began.
    pub(super) body: Option<(u64, bool)>,
}

/// Where the answer to an HTTP request comes from.
pub(super) enum Sent {
    /// From the network; it is recorded under this number, if there is one.
    Live(Option<u32>),
    /// From the tape.
    Taped(Exchange),
    /// From nowhere: the attempt did not send this when it was recorded.
    Diverged(Failure),
}

impl Tape {
    /// A tape that does nothing.
    pub(super) fn off() -> Self {
        Self(Mutex::new(Side::Off))
    }

    /// A tape that records up to `limit` bytes. It takes no memory before the first answer.
    pub(super) fn record(limit: units::Bytes, bounds: Bounds) -> Self {
        Self(Mutex::new(Side::Records(Recorder {
            bytes: Vec::new(),
            limit: limit.0,
            bounds,
            requests: 0,
            over: false,
        })))
    }

    /// A tape that plays what was recorded, and the bounds that the attempt had.
    pub(super) fn play(recorded: Option<&[u8]>) -> Result<(Self, Bounds), TapeError> {
        let mut player = Player::default();
        let mut bounds = Bounds::default();
        if let Some(bytes) = recorded {
            bounds = player.load(bytes)?;
        }
        Ok((Self(Mutex::new(Side::Plays(Box::new(player)))), bounds))
    }

    /// Whether it plays.
    pub(super) fn plays(&self) -> bool {
        matches!(*self.0.lock(), Side::Plays(_))
    }

    /// What was recorded; nothing when the attempt asked nothing and had no bounds of its own. Nothing is recorded afterwards.
    pub(super) fn recorded(&self) -> Option<Answers> {
        let Side::Records(recorder) = mem::replace(&mut *self.0.lock(), Side::Off) else {
            return None;
        };
        if recorder.over {
            let limit = units::Bytes(recorder.limit);
            return Some(Answers::Lost(format!(
                "the host's answers took more than {limit}; `limits.tape` bounds what is kept of them"
            )));
        }
        let nothing = recorder.bytes.is_empty() && recorder.bounds == Bounds::default();
        (!nothing).then(|| Answers::Inline(recorder.sealed()))
    }

    /// How the guest went another way than the recording, if it did; at its end also when it asked for less.
    pub(super) fn divergence(&self) -> Option<String> {
        let Side::Plays(player) = &mut *self.0.lock() else {
            return None;
        };
        if let (None, Some(next)) = (&player.diverged, player.ahead.front()) {
            let (given, what) = (player.given, next.what());
            player.diverged = Some(format!(
                "after {given} answers it asked nothing more; then the recorded attempt asked for {what}"
            ));
        }
        player.diverged.clone()
    }

    /// Notes that the guest went another way, and ends it with what is returned.
    pub(super) fn diverges(&self, how: String) -> Failure {
        if let Side::Plays(player) = &mut *self.0.lock() {
            player.diverged.get_or_insert_with(|| how.clone());
        }
        Failure::new(
            FailureKind::HostError,
            format!("the replay diverged: {how}"),
        )
    }

    pub(super) fn wall(&self, live: impl FnOnce() -> u64) -> wasmtime::Result<u64> {
        self.simple(Entry::Wall, live, |entry| match entry {
            Entry::Wall(millis) => Some(*millis),
            _ => None,
        })
    }

    pub(super) fn elapsed(&self, live: impl FnOnce() -> u64) -> wasmtime::Result<u64> {
        self.simple(Entry::Elapsed, live, |entry| match entry {
            Entry::Elapsed(millis) => Some(*millis),
            _ => None,
        })
    }

    pub(super) fn seed(&self, live: impl FnOnce() -> [u8; 32]) -> wasmtime::Result<[u8; 32]> {
        self.simple(Entry::Seed, live, |entry| match entry {
            Entry::Seed(seed) => Some(*seed),
            _ => None,
        })
    }

    /// An answer of one value; `live` is asked unless it plays.
    fn simple<T: Clone + Default>(
        &self,
        entry: fn(T) -> Entry,
        live: impl FnOnce() -> T,
        of: fn(&Entry) -> Option<T>,
    ) -> wasmtime::Result<T> {
        match self.next(of, || entry(T::default()).what())? {
            Some(taped) => Ok(taped),
            None => {
                let answer = live();
                self.put(|| entry(answer.clone()));
                Ok(answer)
            }
        }
    }

    /// Whether something was ready, when it plays.
    pub(super) fn taped_ready(&self) -> wasmtime::Result<Option<bool>> {
        let of = |entry: &Entry| match entry {
            Entry::Ready(ready) => Some(*ready),
            _ => None,
        };
        self.next(of, || Entry::Ready(false).what())
    }

    pub(super) fn put_ready(&self, ready: bool) {
        self.put(|| Entry::Ready(ready));
    }

    /// What of a list was ready, when it plays.
    pub(super) fn taped_poll(&self) -> wasmtime::Result<Option<Vec<u32>>> {
        let of = |entry: &Entry| match entry {
            Entry::Polled(ready) => Some(ready.clone()),
            _ => None,
        };
        self.next(of, || Entry::Polled(Vec::new()).what())
    }

    pub(super) fn put_poll(&self, ready: &[u32]) {
        self.put(|| Entry::Polled(ready.to_vec()));
    }

    /// A call with these arguments, to be answered by [`Tape::taped`] or recorded by [`Tape::put_answer`]. `None` when it is off.
    pub(super) fn asked(&self, call: &str, about: &str, args: &[&[u8]]) -> Option<Asked> {
        if matches!(*self.0.lock(), Side::Off) {
            return None;
        }
        let what = match about.is_empty() {
            true => call.to_owned(),
            false => super::text::line(&format!("{call} {about}"), WHAT).into_owned(),
        };
        let args = digest(args);
        Some(Asked { what, args })
    }

    /// The answer to a call, when it plays.
    pub(super) fn taped<T: DeserializeOwned>(
        &self,
        asked: Option<&Asked>,
    ) -> wasmtime::Result<Option<T>> {
        let Some(asked) = asked else { return Ok(None) };
        let found = self.next(
            |entry| match entry {
                Entry::Asked(then, answer) => Some((then.clone(), answer.clone())),
                _ => None,
            },
            || format!("`{}`", asked.what),
        )?;
        let Some((then, answer)) = found else {
            return Ok(None);
        };
        if let Some(how) = self.differs(&then, asked) {
            return Err(self.diverges(how).into());
        }
        match postcard::from_bytes(&answer) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => Err(self
                .diverges(format!(
                    "the recorded answer to `{}` cannot be read: {error}",
                    asked.what
                ))
                .into()),
        }
    }

    /// Records the answer to a call.
    pub(super) fn put_answer<T: Serialize>(
        &self,
        asked: Option<Asked>,
        answer: impl FnOnce() -> T,
    ) {
        let Some(asked) = asked else { return };
        self.put(|| {
            // Plain data has a form in every format.
            let answer = postcard::to_allocvec(&answer()).unwrap_or_default();
            Entry::Asked(asked, answer.into())
        });
    }

    /// An HTTP request is about to be sent.
    pub(super) fn sends(&self, asked: Option<Asked>) -> Sent {
        let Some(asked) = asked else {
            return Sent::Live(None);
        };
        let of = |entry: &Entry| match entry {
            Entry::Sent(then) => Some(then.clone()),
            _ => None,
        };
        match self.next(of, || format!("`{}`", asked.what)) {
            Ok(Some(then)) => match self.differs(&then, &asked) {
                Some(how) => Sent::Diverged(self.diverges(how)),
                None => Sent::Taped(self.exchange()),
            },
            Ok(None) => {
                self.put(|| Entry::Sent(asked));
                let Side::Records(recorder) = &mut *self.0.lock() else {
                    return Sent::Live(None);
                };
                recorder.requests += 1;
                Sent::Live(Some(recorder.requests))
            }
            Err(error) => Sent::Diverged(
                error
                    .downcast_ref::<Failure>()
                    .cloned()
                    .unwrap_or_else(|| self.diverges(error.to_string())),
            ),
        }
    }

    fn exchange(&self) -> Exchange {
        let Side::Plays(player) = &mut *self.0.lock() else {
            return Exchange::default();
        };
        player.requests += 1;
        player
            .exchanges
            .remove(&player.requests)
            .unwrap_or_default()
    }

    pub(super) fn put_head(&self, request: u32, head: impl FnOnce() -> wire::Head) {
        self.put(|| Entry::Head(request, head()));
    }

    pub(super) fn put_frame(&self, request: u32, looks: u32, frame: wire::Frame) {
        self.put(|| Entry::Frame(request, looks, frame));
    }

    pub(super) fn put_body(&self, request: u32, digest: u64) {
        self.put(|| Entry::Body(request, digest));
    }

    fn differs(&self, then: &Asked, now: &Asked) -> Option<String> {
        let given = match &*self.0.lock() {
            Side::Plays(player) => player.given,
            Side::Off | Side::Records(_) => 0,
        };
        if then.what != now.what {
            return Some(format!(
                "call {given} was `{}` when it was recorded, and is `{}` now",
                then.what, now.what
            ));
        }
        (then.args != now.args).then(|| {
            format!(
                "call {given}, `{}`, has other arguments than when it was recorded",
                now.what
            )
        })
    }

    /// The next entry, when it plays; an error when that is not what is asked for.
    fn next<T>(
        &self,
        of: impl Fn(&Entry) -> Option<T>,
        what: impl FnOnce() -> String,
    ) -> wasmtime::Result<Option<T>> {
        let how = {
            let Side::Plays(player) = &mut *self.0.lock() else {
                return Ok(None);
            };
            player.given += 1;
            let given = player.given;
            match player.ahead.pop_front() {
                Some(entry) => match of(&entry) {
                    Some(answer) => return Ok(Some(answer)),
                    None => format!(
                        "call {given} asked for {} when it was recorded, and asks for {} now",
                        entry.what(),
                        what()
                    ),
                },
                None => format!(
                    "call {given} asks for {}; the recorded attempt had asked for everything by then",
                    what()
                ),
            }
        };
        Err(self.diverges(how).into())
    }

    fn put(&self, entry: impl FnOnce() -> Entry) {
        if let Side::Records(recorder) = &mut *self.0.lock() {
            recorder.put(&entry());
        }
    }
}

impl Recorder {
    fn put(&mut self, entry: &Entry) {
        if self.over {
            return;
        }
        let bytes = mem::take(&mut self.bytes);
        match postcard::to_extend(entry, bytes) {
            Ok(bytes) if bytes.len() as u64 <= self.limit => self.bytes = bytes,
            Ok(_) | Err(_) => self.over = true,
        }
    }

    fn sealed(self) -> Bytes {
        let header = Header {
            fuel: self.bounds.fuel,
            memory: self.bounds.memory,
        };
        // Plain data has a form in every format.
        let mut tape = postcard::to_extend(&header, vec![VERSION]).unwrap_or_default();
        tape.extend(self.bytes);
        tape.into()
    }
}

impl Player {
    fn load(&mut self, bytes: &[u8]) -> Result<Bounds, TapeError> {
        let damaged = |error: postcard::Error| TapeError::Damaged(error.to_string());
        let rest = match bytes.split_first() {
            Some((&VERSION, rest)) => rest,
            Some((&other, _)) => return Err(TapeError::Version(other)),
            None => return Err(TapeError::Damaged("it is empty".into())),
        };
        let (header, mut rest): (Header, _) = postcard::take_from_bytes(rest).map_err(damaged)?;
        while !rest.is_empty() {
            let (entry, after) = postcard::take_from_bytes(rest).map_err(damaged)?;
            self.sort(entry);
            rest = after;
        }
        Ok(Bounds {
            fuel: header.fuel,
            memory: header.memory,
            ..Bounds::default()
        })
    }

    fn sort(&mut self, entry: Entry) {
        match entry {
            Entry::Head(request, head) => self.of(request).head = Some(head),
            Entry::Frame(request, looks, frame) => {
                self.of(request).frames.push_back((looks, frame))
            }
            Entry::Body(request, digest) => {
                let exchange = self.of(request);
                exchange.body = Some((digest, exchange.head.is_none()));
            }
            entry => self.ahead.push_back(entry),
        }
    }

    fn of(&mut self, request: u32) -> &mut Exchange {
        self.exchanges.entry(request).or_default()
    }
}

/// Eight bytes of a SHA-256 over `parts` with their lengths: enough to notice an accident, which is all there is to notice here.
fn digest(parts: &[&[u8]]) -> u64 {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    first_eight(sum)
}

pub(super) fn first_eight(sum: Sha256) -> u64 {
    let bytes: [u8; 32] = sum.finalize().into();
    bytes
        .iter()
        .take(8)
        .fold(0, |number, &byte| (number << 8) | u64::from(byte))
}
