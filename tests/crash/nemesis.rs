//! The program that lets file operations go wrong, from the side of the tests.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Kennel, Output, Running, kennel_binary};

/// What it ends with when it cannot do its work.
const BROKEN: i32 = 125;

/// A command of `kennel` that runs under it.
pub(crate) struct Under {
    pub(crate) running: Running,
    report: PathBuf,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) output: Output,
    /// How many operations there were at which it could go wrong.
    pub(crate) positions: u64,
    pub(crate) injected: u64,
    /// How often it read the wall clock.
    pub(crate) readings: u64,
    /// The first operation that went wrong.
    pub(crate) hit: String,
    /// What was lost with the power.
    pub(crate) lost: Vec<String>,
}

/// Starts `kennel ARGS` with faults in the operations below its state directory.
pub(crate) fn start(kennel: &Kennel, options: &[String], args: &[&str]) -> Under {
    start_command(kennel, options, kennel.command(args))
}

/// Runs another program so.
#[track_caller]
pub(crate) fn run_other(kennel: &Kennel, options: &[String], program: &[&str]) -> Seen {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).current_dir(kennel.root());
    start_command(kennel, options, command).wait()
}

fn start_command(kennel: &Kennel, options: &[String], command: Command) -> Under {
    fs::create_dir_all(kennel.state()).expect("made");
    let report = kennel.root().join("report");
    // A report of an earlier run must not be taken for this one's.
    let _ = fs::remove_file(&report);
    let own = [
        format!("report={}", report.display()),
        format!("below={}", kennel.state().display()),
    ];
    let running = kennel.start_under(own.into_iter().chain(options.iter().cloned()), &command);
    Under { running, report }
}

/// Runs it to its end.
#[track_caller]
pub(crate) fn run(kennel: &Kennel, options: &[String], args: &[&str]) -> Seen {
    start(kennel, options, args).wait()
}

impl Under {
    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(self) -> Seen {
        Self::seen(&self.report, self.running.wait())
    }

    /// Ends it at once, if it has not ended: what runs under it goes with it.
    pub(crate) fn kill(self) -> Output {
        self.running.kill()
    }

    #[track_caller]
    fn seen(report: &PathBuf, output: Output) -> Seen {
        assert_ne!(output.code, BROKEN, "no fault can be injected: {output}");
        let report = fs::read_to_string(report)
            .unwrap_or_else(|error| panic!("no report ({error}) of {output}"));
        let value = |name: &str| {
            let line = report.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.strip_prefix('='))
                .unwrap_or_default()
        };
        let number = |name: &str| value(name).parse().expect("a number");
        let lost = report.lines().filter_map(|line| line.strip_prefix("lost="));
        let lost = lost.map(str::to_owned).collect();
        Seen {
            positions: number("positions"),
            injected: number("injected"),
            readings: number("readings"),
            hit: value("hit").to_owned(),
            lost,
            output,
        }
    }
}

impl Kennel {
    /// One that has whatever this one has, and nothing in common with it. Nobody may be at work in this one.
    pub(crate) fn twin(&self) -> Self {
        let twin = Self::cold();
        copy_all(self.root(), twin.root());
        twin
    }

    /// Starts a command under the program that lets its file operations go wrong, with these options for it.
    fn start_under(&self, options: impl IntoIterator<Item = String>, under: &Command) -> Running {
        let mut command = Command::new(binary());
        command.args(options).arg("--").arg(under.get_program());
        command.args(under.get_args()).env_clear();
        command.current_dir(under.get_current_dir().unwrap_or(self.root()));
        command.stdin(Stdio::null());
        for (name, value) in under.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        self.started(command)
    }
}

/// It is a workspace of its own, and built below the same target directory.
fn binary() -> PathBuf {
    let kennel = kennel_binary();
    let target = kennel.ancestors().nth(2).expect("it is in target/PROFILE");
    let path = target.join("nemesis/debug/nemesis");
    assert!(
        path.exists(),
        "{} is not there; build it and run the tests with `cargo xtask test`",
        path.display()
    );
    path
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("it can be listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            let mode = entry.metadata().expect("its mode").permissions();
            fs::create_dir_all(&target).expect("made");
            copy_all(&entry.path(), &target);
            fs::set_permissions(&target, mode).expect("set");
        } else {
            fs::copy(entry.path(), &target).expect("copied");
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "hit: {}", self.hit)?;
        for lost in &self.lost {
            writeln!(f, "lost: {lost}")?;
        }
        write!(f, "{}", self.output)
    }
}
