//! The log of one task: what the guest logs, prints and complains about becomes bounded lines of plain text for the observer.
//!
//! Nothing goes to the host's own standard output. Lines beyond the limits are counted, not kept.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Level;

use super::text;
use crate::call::{Notice, Observer};
use crate::id::AgentName;
use crate::limits::Limits;

/// Lines of complaint remembered for the message of a failure.
const LAST_WORDS: usize = 3;
/// What Rust's runtime adds to each panic; it says nothing about the agent.
const NOISE: &str = "note: run with `RUST_BACKTRACE";

/// Which of the two streams a guest writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The log of one task. Shared between the task and its streams.
#[derive(Clone)]
pub(super) struct Log(Arc<Mutex<Inner>>);

struct Inner {
    agent: AgentName,
    observer: Observer,
    line_cap: usize,
    bytes_left: u64,
    lines_left: u64,
    dropped: u64,
    /// Lines that have begun on each stream.
    begun: [Vec<u8>; 2],
    last_words: VecDeque<String>,
    warned: BTreeSet<String>,
}

impl Log {
    /// An empty log that tells `observer`.
    pub(super) fn new(agent: &AgentName, observer: &Observer, limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            agent: agent.clone(),
            observer: observer.clone(),
            line_cap: usize::try_from(limits.log_line.0).unwrap_or(usize::MAX),
            bytes_left: limits.log.0,
            lines_left: limits.log_lines,
            dropped: 0,
            begun: [Vec::new(), Vec::new()],
            last_words: VecDeque::new(),
            warned: BTreeSet::new(),
        })))
    }

    /// A message through `wasi:logging`.
    pub(super) fn message(&self, level: Level, source: &str, message: &str) {
        let mut inner = self.0.lock();
        if level <= Level::WARN {
            inner.remember(message);
        }
        inner.keep(level, source, message);
    }

    /// A warning that is said once in a task, however often there is reason for it.
    pub(super) fn warn_once(&self, source: &str, message: &str) {
        if self.0.lock().warned.insert(message.to_owned()) {
            self.message(Level::WARN, source, message);
        }
    }

    /// Bytes on a stream; each end of a line makes a line.
    pub(super) fn write(&self, stream: Stream, bytes: &[u8]) {
        self.0.lock().write(stream, bytes);
    }

    /// Ends the log: unfinished lines are lines, and what was dropped is counted in one more.
    pub(super) fn finish(&self) {
        let mut inner = self.0.lock();
        inner.end_line(Stream::Out);
        inner.end_line(Stream::Err);
        let dropped = std::mem::take(&mut inner.dropped);
        if dropped > 0 {
            let line = format!(
                "{dropped} lines dropped: the task logged more than `limits.log` or `limits.log-lines` allows"
            );
            inner.observer.tell(
                &inner.agent,
                Notice::Log(Level::WARN, "kennel".to_owned(), line),
            );
        }
    }

    /// The last complaints of the guest, for the message of its failure.
    pub(super) fn last_words(&self) -> Option<String> {
        let inner = self.0.lock();
        (!inner.last_words.is_empty()).then(|| {
            inner
                .last_words
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(" | ")
        })
    }
}

impl Inner {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.begin(stream, line);
            self.end_line(stream);
            rest = after.get(1..).unwrap_or_default();
        }
        self.begin(stream, rest);
    }

    /// Adds to the line that has begun; beyond four times what a line may hold nothing more is kept in memory.
    fn begin(&mut self, stream: Stream, bytes: &[u8]) {
        let cap = self.line_cap.saturating_mul(4).saturating_add(1);
        let begun = &mut self.begun[stream as usize];
        let room = cap.saturating_sub(begun.len());
        begun.extend(bytes.iter().take(room));
    }

    fn end_line(&mut self, stream: Stream) {
        let bytes = std::mem::take(&mut self.begun[stream as usize]);
        if bytes.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&bytes);
        let (level, source) = match stream {
            Stream::Out => (Level::INFO, "stdout"),
            Stream::Err => (Level::WARN, "stderr"),
        };
        if stream == Stream::Err {
            self.remember(&line);
        }
        self.keep(level, source, &line);
    }

    fn keep(&mut self, level: Level, source: &str, message: &str) {
        let line = text::line(message, self.line_cap);
        let size = line.len() as u64 + source.len() as u64;
        if self.lines_left == 0 || self.bytes_left < size {
            self.dropped += 1;
            return;
        }
        self.lines_left -= 1;
        self.bytes_left -= size;
        if self.observer.listens() {
            let notice = Notice::Log(
                level,
                text::line(source, 64).into_owned(),
                line.into_owned(),
            );
            self.observer.tell(&self.agent, notice);
        }
    }

    fn remember(&mut self, line: &str) {
        let line = text::line(line, 512);
        let line = line.trim();
        if line.is_empty() || line.starts_with(NOISE) {
            return;
        }
        if self.last_words.len() == LAST_WORDS {
            self.last_words.pop_front();
        }
        self.last_words.push_back(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    type Lines = Arc<Mutex<Vec<(Level, String, String)>>>;

    fn log(limits: &Limits) -> (Log, Lines) {
        let lines = Lines::default();
        let kept = lines.clone();
        let observer = Observer::new(Arc::new(move |_, _, notice| {
            if let Notice::Log(level, source, line) = notice {
                kept.lock().push((level, source, line));
            }
        }));
        (
            Log::new(&"agent".parse().expect("a name"), &observer, limits),
            lines,
        )
    }

    fn texts(lines: &Lines) -> Vec<String> {
        lines
            .lock()
            .iter()
            .map(|(_, _, line)| line.clone())
            .collect()
    }

    #[test]
    fn bytes_become_lines_wherever_they_are_split() {
        let (log, lines) = log(&Limits::default());
        for piece in ["one", "\ntwo\n", "\nth", "ree"] {
            log.write(Stream::Out, piece.as_bytes());
        }
        log.write(Stream::Err, b"bad \xff byte\n");
        log.finish();
        assert_eq!(texts(&lines), ["one", "two", "bad \u{fffd} byte", "three"]);
        assert_eq!(lines.lock()[2].0, Level::WARN);
    }

    #[test]
    fn a_flood_is_kept_up_to_the_limits_and_counted() {
        let (log, lines) = log(&Limits {
            log_lines: 2,
            ..Limits::default()
        });
        log.write(Stream::Out, "x\n".repeat(10).as_bytes());
        log.finish();
        let lines = texts(&lines);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].starts_with("8 lines dropped"), "{}", lines[2]);
    }

    #[test]
    fn an_endless_line_takes_no_more_memory_than_a_line_may() {
        let (log, lines) = log(&Limits {
            log_line: Bytes(16),
            ..Limits::default()
        });
        for _ in 0..1000 {
            log.write(Stream::Out, &[b'x'; 1000]);
        }
        assert!(log.0.lock().begun[0].capacity() < 1000);
        log.finish();
        assert_eq!(texts(&lines), ["xxxxxxxxxxxxx…"]);
    }

    #[test]
    fn the_last_complaints_are_remembered_without_the_runtime_s_advice() {
        let (log, _) = log(&Limits::default());
        log.write(Stream::Err, b"\nthread '<unnamed>' panicked at src/lib.rs:5:9:\nno page 7\nnote: run with `RUST_BACKTRACE=1` ...\n");
        let words = log.last_words().expect("complaints");
        assert_eq!(
            words,
            "thread '<unnamed>' panicked at src/lib.rs:5:9: | no page 7"
        );
    }
}
