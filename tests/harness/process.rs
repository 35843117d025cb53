//! One `kennel` process: started, watched, stopped, and what became of it. None outlives its test.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use super::{PATIENCE, compiled};

/// How often the memory of a running process is looked at. The kernel keeps its peak, so this only bounds what the last moments hide.
const LOOK: Duration = Duration::from_millis(10);

/// A process that runs.
pub(crate) struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    begun: Instant,
    peak_rss: u64,
    shown: String,
    state: Option<PathBuf>,
}

/// What a process printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; 128 and the signal's number for one that a signal ended.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// The most bytes that were resident.
    pub(crate) peak_rss: u64,
    shown: String,
}

impl Running {
    pub(super) fn start(mut command: Command, state: Option<PathBuf>) -> Self {
        let [stdout, stderr] =
            [(); 2].map(|()| tempfile::tempfile().expect("a file for the output"));
        command
            .stdout(stdout.try_clone().expect("cloned"))
            .stderr(stderr.try_clone().expect("cloned"));
        let args: Vec<_> = command
            .get_args()
            .map(|arg| arg.to_string_lossy())
            .collect();
        let shown = format!("kennel {}", args.join(" "));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start `{shown}`: {error}"));
        Self {
            child,
            stdout,
            stderr,
            begun: Instant::now(),
            peak_rss: 0,
            shown,
            state,
        }
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        // Read where it stands: the process writes through the same description, whose place must not move.
        let mut bytes = Vec::new();
        let mut part = [0; 64 << 10];
        while let Ok(n @ 1..) = self.stderr.read_at(&mut part, bytes.len() as u64) {
            bytes.extend_from_slice(&part[..n]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Output {
        let ended = self.wait_for(PATIENCE);
        if !ended {
            self.signal(Signal::KILL);
        }
        let status = self.child.wait().expect("it is our child");
        if let Some(state) = &self.state {
            compiled::collect(state);
        }
        let output = Output {
            code: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: text(&mut self.stdout),
            stderr: text(&mut self.stderr),
            took: self.begun.elapsed(),
            peak_rss: self.peak_rss,
            shown: self.shown.clone(),
        };
        assert!(ended, "it had not ended after {PATIENCE:?}: {output}");
        output
    }

    /// Waits for its end, for `time` at most; whether it came. Kills what has no end.
    pub(crate) fn wait_for(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let handle = pidfd_open(self.pid(), PidfdFlags::empty()).expect("it is not reaped yet");
        loop {
            self.peak_rss = peak_rss(self.child.id()).unwrap_or(0).max(self.peak_rss);
            let left = until.saturating_duration_since(Instant::now()).min(LOOK);
            let left = Timespec {
                tv_sec: 0,
                tv_nsec: left.subsec_nanos().into(),
            };
            if poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&left)).expect("polled") > 0 {
                return true;
            }
            if Instant::now() >= until {
                if self.begun.elapsed() > PATIENCE {
                    self.signal(Signal::KILL);
                }
                return false;
            }
        }
    }

    /// What a crash does.
    pub(crate) fn kill(self) -> Output {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(self) -> Output {
        self.signal(Signal::INT);
        self.wait()
    }

    fn signal(&self, signal: Signal) {
        // It is not reaped yet, so the number is still its own.
        let _ = kill_process(self.pid(), signal);
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// Claims how it ended.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "the exit code of {self}");
        self
    }

    /// Claims what stands in standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not said by {self}");
        self
    }

    /// Claims that no character in it does anything to a terminal but colour text and begin a new line. A text result on a pipe is
    /// passed on byte by byte and therefore not looked at; JSON is.
    #[track_caller]
    pub(crate) fn harmless(self) -> Self {
        let steers = |c: &char| {
            (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}')
        };
        let json = self.stdout.starts_with(['{', '[']);
        let stdout = if json { self.stdout.as_str() } else { "" };
        for text in [stdout, &self.stderr] {
            if let Some(found) = without_colour(text).chars().find(steers) {
                panic!(
                    "{found:?} reaches the terminal: {:?}",
                    text.chars().take(2000).collect::<String>()
                );
            }
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}) from {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
            took,
            shown,
            ..
        } = self;
        write!(
            f,
            "`{shown}`\n-- code {code} after {took:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}\n--"
        )
    }
}

/// `text` without the escapes that choose a colour or a weight: the only ones that kennel itself prints.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\u{1b}[", part]),
        }
    }
    plain
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("read");
    String::from_utf8(bytes).expect("kennel prints UTF-8")
}

/// The peak of a process in bytes; `None` once it has ended.
fn peak_rss(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
