//! A kennel to try things in: a directory with plugins, settings and files, and the `kennel` binary run in it.
//!
//! ```text
//! Kennel::new().guest("counter").settings("[grants.counter]\nstate = true").run(["call", "counter"]).exits(0)
//! ```
//!
//! Both test binaries have it as a module, each from another place, hence the paths. Every test has a directory of its own, so tests run side by side. What was compiled once is compiled for all of them.

#[path = "harness/artefacts.rs"]
mod artefacts;
#[path = "harness/compiled.rs"]
mod compiled;
#[path = "harness/process.rs"]
mod process;
#[path = "harness/random.rs"]
mod random;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use artefacts::{kennel_binary, repository};
pub(crate) use process::{Output, Running};
pub(crate) use random::{Random, seed};

/// How long a test waits for something that must come, before it says that it did not. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// One kennel.
pub(crate) struct Kennel {
    root: tempfile::TempDir,
}

impl Kennel {
    /// One without plugins and settings. What other tests have compiled is there already.
    pub(crate) fn new() -> Self {
        let kennel = Self::cold();
        compiled::lend(&kennel.state());
        kennel
    }

    /// One that has to compile every plugin itself.
    pub(crate) fn cold() -> Self {
        let root =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the test");
        fs::create_dir(root.path().join("agents")).expect("made");
        Self { root }
    }

    /// The directory that everything is in, and that `kennel` is started in.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The directory of plugins.
    pub(crate) fn agents(&self) -> PathBuf {
        self.root().join("agents")
    }

    /// The state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.root().join(".kennel")
    }

    /// Where the files of `agent` are, on this side of the sandbox.
    pub(crate) fn data(&self, agent: &str) -> PathBuf {
        self.state().join("data").join(agent)
    }

    /// Adds the guest of that name from `tests/guests`.
    pub(crate) fn guest(self, name: &str) -> Self {
        self.guest_as(name, name)
    }

    /// Adds the plugin of that name from `plugins`.
    pub(crate) fn plugin(self, name: &str) -> Self {
        artefacts::copy("agents", name, &self.agents());
        self
    }

    /// Adds an agent that is written as text.
    pub(crate) fn wat(self, name: &str, text: &str) -> Self {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("agent `{name}`: {error}"));
        self.file(&format!("agents/{name}.wasm"), bytes)
    }

    /// Writes the manifest of an agent.
    pub(crate) fn manifest(self, name: &str, text: &str) -> Self {
        self.file(&format!("agents/{name}.toml"), text)
    }

    /// Adds to `kennel.toml`.
    pub(crate) fn settings(self, text: &str) -> Self {
        let before = fs::read_to_string(self.root().join("kennel.toml")).unwrap_or_default();
        self.file("kennel.toml", format!("{before}{text}\n"))
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("made");
        fs::write(path, content).expect("written");
        self
    }

    /// Runs `kennel` to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.start(args).wait()
    }

    /// Runs `kennel` to its end as if somebody watched: nothing is taken out of what it prints.
    pub(crate) fn run_in_colour<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Output {
        let mut command = self.command(args);
        command.env("CLICOLOR_FORCE", "1");
        self.started(command).wait()
    }

    /// Runs `kennel` to its end with `text` on its standard input.
    pub(crate) fn run_on<A: AsRef<OsStr>>(
        &self,
        text: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Output {
        let file = self.root().join("stdin");
        fs::write(&file, text).expect("written");
        let mut command = self.command(args);
        command.stdin(fs::File::open(file).expect("just written"));
        self.started(command).wait()
    }

    /// Starts `kennel` and returns while it runs.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        self.started(self.command(args))
    }

    /// Gives an agent one task and returns what `--json` prints.
    pub(crate) fn call(&self, agent: &str, input: &Value) -> Value {
        self.run(["call", agent, "--json", "--input", &input.to_string()])
            .json()
    }

    /// The runs in the store, newest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let runs = self.run(["runs", "list", "--json"]).exits(0).json();
        runs.as_array().expect("a list").clone()
    }

    /// What `kennel runs show` says about a run.
    pub(crate) fn show(&self, run: &str) -> Value {
        self.run(["runs", "show", run, "--json"]).exits(0).json()
    }

    /// Adds the guest of that name as an agent with another name.
    pub(crate) fn guest_as(self, name: &str, agent: &str) -> Self {
        let wasm = artefacts::guest(name);
        self.file(&format!("agents/{agent}.wasm"), wasm)
    }

    /// A command of `kennel`, not yet started.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(kennel_binary());
        command
            .args(args)
            .current_dir(self.root())
            .stdin(Stdio::null());
        // Nothing of the tester's own surroundings: a setting there must not decide a test.
        command
            .env_clear()
            .env("HOME", self.root())
            .env("PATH", "/usr/bin:/bin");
        command
    }

    /// Starts a command.
    pub(crate) fn started(&self, command: Command) -> Running {
        Running::start(command, Some(self.state()))
    }
}

impl Drop for Kennel {
    fn drop(&mut self) {
        compiled::collect(&self.state());
    }
}

/// Looks again and again until `look` sees something, for as long as the tests have patience.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain until {what}"
        );
        // The only pause in these tests: what is watched is another process, which nobody can wait on.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The step of a report that has this id.
#[track_caller]
pub(crate) fn step<'a>(report: &'a Value, id: &str) -> &'a Value {
    let steps = report["steps"].as_array().expect("a report has steps");
    steps
        .iter()
        .find(|step| step["step"] == id)
        .unwrap_or_else(|| panic!("there is no step `{id}` in {report:#}"))
}

/// `wasm` with a custom section more: the same program in another file.
pub(crate) fn touched(mut wasm: Vec<u8>) -> Vec<u8> {
    wasm.extend([0, 2, 1, b'x']);
    wasm
}
