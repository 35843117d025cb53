//! `cargo xtask languages`: agents in Python and JavaScript, each a whole interpreter in a component, built by the tools of their
//! languages, then loaded and called. The limits of the scan and of the compile child are for such files, too.
//!
//! It needs Python 3 and Node.js, which nothing else here does, and installs what it needs under the target directory only.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::child;
use crate::demo::build_host;
use crate::guests::Workspace;
use crate::measured;
use crate::step::step;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also put the table into host/SECURITY.md
    #[arg(long)]
    write: bool,
}

/// The tools, at the versions whose components were measured.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
const COMPONENTIZE_JS: (&str, &str) = ("@bytecodealliance/componentize-js", "0.23.0");
/// The interpreters would import clocks, files and HTTP; an agent that asks for nothing shall import nothing.
const WITHOUT: [&str; 6] = ["-d", "stdio", "random", "clocks", "http", "fetch-event"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    let kennel = build_host(&workspace)?;
    let place = Place {
        sources: workspace.root().join("tests/languages"),
        made: workspace.target().join("languages"),
    };
    place.gather_interface(&workspace.root().join("wit"))?;
    let agents = [
        ("python", place.python()?),
        ("javascript", place.javascript()?),
    ];
    let mut table = String::from(
        "| agent | file | first load | later loads | one call | fuel | memory |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for (language, file) in agents {
        step(&format!("the agent in {language} at work"), || {
            let measured = measure(&kennel, language, &file)?;
            table += &measured;
            Ok(measured.trim_end().to_owned())
        })?;
    }
    print!("{table}");
    if args.write {
        let path = workspace.root().join("host/SECURITY.md");
        step("the table in host/SECURITY.md", || {
            measured::write(&path, "languages", &table).map(|()| "written")
        })?;
    }
    Ok(())
}

struct Place {
    sources: PathBuf,
    made: PathBuf,
}

impl Place {
    /// The interface as the tools want it: a package, and what it refers to in a folder `deps`.
    fn gather_interface(&self, wit: &Path) -> Result<()> {
        let deps = self.interface().join("deps");
        fs::create_dir_all(deps.join("kennel"))
            .context("cannot make a folder for the interface")?;
        fs::create_dir_all(self.made.join("agents")).context("cannot make a folder for agents")?;
        copy(
            &self.sources.join("world.wit"),
            &self.interface().join("world.wit"),
        )?;
        copy(&wit.join("kennel.wit"), &deps.join("kennel/kennel.wit"))?;
        for package in fs::read_dir(wit.join("deps")).context("cannot list the interface")? {
            let package = package?;
            let folder = deps.join(package.file_name());
            fs::create_dir_all(&folder)?;
            for file in fs::read_dir(package.path())? {
                let file = file?;
                copy(&file.path(), &folder.join(file.file_name()))?;
            }
        }
        Ok(())
    }

    fn interface(&self) -> PathBuf {
        self.made.join("wit")
    }

    fn agent(&self, language: &str) -> PathBuf {
        self.made
            .join("agents")
            .join(language)
            .with_extension("wasm")
    }

    fn python(&self) -> Result<PathBuf> {
        let venv = self.made.join("python");
        step(&format!("{COMPONENTIZE_PY}, from PyPI"), || {
            child::run(child::command("python3").args(["-m", "venv"]).arg(&venv))
                .context("Python 3 with `venv` is needed")?;
            let mut pip = child::command(venv.join("bin/pip"));
            pip.args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                COMPONENTIZE_PY,
            ]);
            child::run(&mut pip).map(|()| "there")
        })?;
        let agent = self.agent("python");
        // A copy, because it leaves compiled files beside what it reads.
        let source = self.made.join("python-source");
        fs::create_dir_all(&source).context("cannot make a folder for the source")?;
        copy(&self.sources.join("agent.py"), &source.join("agent.py"))?;
        step("the agent in python", || {
            let mut build = child::command(venv.join("bin/componentize-py"));
            build.args(["--quiet", "--wit-path"]).arg(self.interface());
            build.args(["--world", "handles", "componentize", "--stub-wasi"]);
            build.arg("--python-path").arg(&source);
            build.arg("--output").arg(&agent).arg("agent");
            child::run(&mut build).map(|()| "built")
        })?;
        Ok(agent)
    }

    fn javascript(&self) -> Result<PathBuf> {
        let folder = self.made.join("javascript");
        let (package, version) = COMPONENTIZE_JS;
        step(&format!("{package} {version}, from npm"), || {
            // A second installation into the same folder may leave out what the first had.
            let done = folder.join(format!("installed-{version}"));
            if done.exists() {
                return Ok("there already");
            }
            drop(fs::remove_dir_all(&folder));
            fs::create_dir_all(&folder)?;
            let mut npm = child::command("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
            npm.arg("--prefix").arg(&folder);
            npm.arg(format!("{package}@{version}"));
            child::run(&mut npm).context("Node.js with npm is needed")?;
            fs::write(done, "")?;
            Ok("there")
        })?;
        let agent = self.agent("javascript");
        step("the agent in javascript", || {
            let mut build = child::command(folder.join("node_modules/.bin/componentize-js"));
            build.arg("--wit").arg(self.interface());
            build.args(["--world-name", "handles"]).args(WITHOUT);
            build
                .arg("--out")
                .arg(&agent)
                .arg(self.sources.join("agent.js"));
            child::run(&mut build).map(|()| "built")
        })?;
        Ok(agent)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        .map(drop)
}

/// What `kennel call --json` tells.
#[derive(Deserialize)]
struct Answer {
    status: String,
    output: Value,
    usage: Usage,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Usage {
    fuel: u64,
    peak_memory: u64,
    wall_us: u64,
}

/// Lets a host that knows nothing of it load and call the agent twice; a row of the table.
fn measure(kennel: &Path, language: &str, file: &Path) -> Result<String> {
    let place = tempfile::tempdir().context("cannot make a temporary folder")?;
    let agents = place.path().join("agents");
    fs::create_dir(&agents)?;
    copy(file, &agents.join(language).with_extension("wasm"))?;
    let call = || {
        let mut call = child::command(kennel);
        call.current_dir(place.path());
        call.args(["call", language, "--json", "--text", "three short words"]);
        timed(&mut call)
    };
    let (first, _) = call()?;
    let (later, answer) = call()?;
    let right = json!({ "words": 3, "longest": "three" });
    ensure!(
        answer.status == "succeeded" && answer.output == right,
        "the agent in {language} gave {} and not {right}",
        answer.output
    );
    let task = Duration::from_micros(answer.usage.wall_us);
    let mut row = String::new();
    writeln!(
        row,
        "| {language} | {:.1} MB | {:.1} s | {} ms | {:.1} ms | {} | {:.1} MiB |",
        fs::metadata(file)?.len() as f64 / 1e6,
        first.as_secs_f64(),
        later.saturating_sub(task).as_millis(),
        task.as_secs_f64() * 1e3,
        answer.usage.fuel,
        answer.usage.peak_memory as f64 / f64::from(1 << 20),
    )?;
    Ok(row)
}

/// How long a whole command took, and what it answered.
fn timed(call: &mut Command) -> Result<(Duration, Answer)> {
    let begun = Instant::now();
    let output = call.output().context("cannot start `kennel`")?;
    let took = begun.elapsed();
    child::check_interrupt()?;
    ensure!(
        output.status.success(),
        "`kennel call` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let answer =
        serde_json::from_slice(&output.stdout).context("`kennel call` printed no answer")?;
    Ok((took, answer))
}
