//! `cargo xtask demo`: from a fresh clone to a flow's result.
//!
//! Only builds and starts things; what the flow does is the business of `kennel run`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Deserialize;

use crate::cargo;
use crate::child;
use crate::guests::Workspace;
use crate::step::step;
use crate::wasm_target;

/// A flow that ships with Kennel as `plugins/flows/NAME.yaml`, and what it runs on unless told otherwise.
struct Demo {
    name: &'static str,
    about: &'static str,
    /// What `kennel run` is told to work on. `plugins/…` is a path in the source tree and `made/…` one in the state directory, also
    /// behind an `@` in JSON.
    sample: &'static [&'static str],
    /// A table of so many orders, written to `made/orders.csv` before.
    orders: Option<usize>,
    /// Folders whose files its agents are granted: where they are in the source tree, and where below `data` in the state directory.
    data: &'static [(&'static str, &'static str)],
    /// Agents that shall remember nothing of the last time: what they have seen already would not be news again.
    forgetful: &'static [&'static str],
}

const DEMOS: &[Demo] = &[
    Demo {
        name: "document-intelligence",
        about: "Read a scanned page, summarize it, list its entities, classify it",
        sample: &[
            "--input",
            r#"{"document":"@plugins/samples/scanned-report.jpg"}"#,
        ],
        orders: None,
        data: &[("plugins/ocr/models", "ocr/models")],
        forgetful: &[],
    },
    Demo {
        name: "report-intelligence",
        about: "The same with a document that is text already",
        sample: &[
            "--input",
            r#"{"document":"@plugins/samples/quarterly-report.pdf"}"#,
        ],
        orders: None,
        data: &[],
        forgetful: &[],
    },
    Demo {
        name: "market-intelligence",
        about: "Four agents at once gather what news, prices and figures say about a market",
        sample: &[
            "--input",
            r#"{"news":"@plugins/samples/market/news.json","prices":"@plugins/samples/market/prices.csv","series":"@plugins/samples/market/series.csv","competitors":"@plugins/samples/market/competitors.json","own":"Fernhill Audio"}"#,
        ],
        orders: None,
        data: &[],
        forgetful: &[],
    },
    Demo {
        name: "business-intelligence",
        about: "A coordinator plans from a question and a table, four workers answer, and it reports",
        sample: &[
            "--input",
            r#"{"question":"Why did revenue fall in the second quarter of 2026?","data":"@plugins/samples/sales.csv"}"#,
        ],
        orders: None,
        data: &[],
        forgetful: &[],
    },
    Demo {
        name: "market-monitoring",
        about: "Events of a day, played from a recording; each starts a run",
        // One run at a time: prices that overtake each other would count as late.
        sample: &[
            "--events",
            "plugins/samples/market/events.jsonl",
            "--parallel",
            "1",
        ],
        orders: None,
        data: &[],
        forgetful: &["price-alert", "trading-signal"],
    },
    Demo {
        name: "etl",
        about: "A table of 100 000 orders, dirty on purpose, streamed through five stages",
        sample: &["--input", r#"{"file":"@made/orders.csv"}"#],
        orders: Some(100_000),
        data: &[],
        forgetful: &[],
    },
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The flow to run
    #[arg(default_value = DEMOS[0].name, value_parser = names())]
    name: String,
    /// The flow's input, as `kennel run` takes it: JSON, @FILE, or - for standard input [default: the flow's sample]
    #[arg(long, value_name = "JSON|@FILE|-")]
    input: Option<OsString>,
    /// More arguments for `kennel run`
    #[arg(last = true)]
    more: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(demo) = DEMOS.iter().find(|demo| demo.name == args.name) else {
        bail!(
            "there is no demo `{}`; there are: {}",
            args.name,
            DEMOS
                .iter()
                .map(|demo| demo.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
    };
    let workspace = Workspace::load()?;
    wasm_target::ensure()?;
    workspace.build_plugins()?;
    let kennel = build_host(&workspace)?;
    demo.place_data(&workspace)?;
    demo.make(&workspace)?;
    demo.forget(&kennel, &workspace)?;
    let mut command = demo.command(kennel, &workspace, args)?;
    step(&shown(&command), || {
        let begun = Instant::now();
        child::run(&mut command)?;
        let took = begun.elapsed().as_secs_f64();
        Ok(match demo.orders.filter(|_| args.input.is_none()) {
            Some(rows) => format!("finished: {:.0} rows a second", rows as f64 / took),
            None => "finished".to_owned(),
        })
    })
}

/// Builds the `kennel` binary and returns its path.
pub(crate) fn build_host(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo::cargo();
    command.current_dir(workspace.root());
    // The features of dependencies are those that the tests need, so what the demo compiled is not compiled again for them:
    // `--workspace` adds what other members ask for, `--examples` (a small one of the SDK) what tests ask for.
    command.args(["build", "--workspace", "--bin", "kennel", "--examples"]);
    let mut artifacts = Vec::new();
    step("the host", || {
        artifacts = cargo::build(command)?;
        Ok("built")
    })?;
    let is_kennel = |path: &PathBuf| path.file_stem() == Some("kennel".as_ref());
    let programs = artifacts
        .into_iter()
        .filter(|artifact| artifact.target.is_program());
    let kennel = programs
        .filter_map(|program| program.executable)
        .find(is_kennel);
    kennel.context("cargo built `kennel` but named no executable for it")
}

impl Demo {
    fn command(&self, kennel: PathBuf, workspace: &Workspace, args: &Args) -> Result<Command> {
        let here = env::current_dir().context("the current folder is gone")?;
        let plugins = workspace.root().join("plugins");
        let flow = plugins.join("flows").join(self.name).with_extension("yaml");
        let mut command = child::command(nearer(&here, &kennel));
        command.arg("run").arg(nearer(&here, &flow));
        for (option, path) in [
            ("--agents", workspace.agents()),
            ("--config", plugins.join("kennel.toml")),
            ("--state", state(workspace)),
        ] {
            command.arg(option).arg(nearer(&here, &path));
        }
        match &args.input {
            Some(input) => command.arg("--input").arg(input),
            None => {
                let made = nearer(&here, &state(workspace));
                command.args(self.sample(&nearer(&here, &plugins), &made))
            }
        };
        command.args(&args.more);
        Ok(command)
    }

    /// The sample's arguments, with the paths of the folders `plugins` and `made` as they are from here.
    fn sample(&self, plugins: &Path, made: &Path) -> Vec<String> {
        let place = |argument: String, name: &str, folder: &Path| {
            let folder = folder.to_string_lossy();
            if let Some(rest) = argument.strip_prefix(name) {
                return format!("{folder}{rest}");
            }
            // Inside JSON the path is part of a string.
            let in_string = serde_json::Value::from(&*folder).to_string();
            let in_string = &in_string[1..in_string.len() - 1];
            argument.replace(&format!("@{name}/"), &format!("@{in_string}/"))
        };
        self.sample
            .iter()
            .map(|argument| place((*argument).to_owned(), "plugins", plugins))
            .map(|argument| place(argument, "made", made))
            .collect()
    }

    /// Deletes what its agents keep.
    fn forget(&self, kennel: &Path, workspace: &Workspace) -> Result<()> {
        if !state(workspace).join("kennel.db").exists() {
            return Ok(());
        }
        let state = |arguments: &[&str]| {
            let mut command = child::command(kennel);
            command.arg("state").args(arguments);
            command.arg("--state").arg(state(workspace));
            let output = command.output().context("cannot start `kennel`")?;
            child::judge("kennel state", output.status)
                .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
            Ok::<_, anyhow::Error>(output.stdout)
        };
        for agent in self.forgetful {
            let keys: Vec<Key> = serde_json::from_slice(&state(&["list", agent, "--json"])?)
                .context("`kennel state list` printed something else than JSON")?;
            for Key { key } in keys {
                state(&["delete", agent, &key])?;
            }
        }
        Ok(())
    }

    /// Writes the table that the sample names.
    fn make(&self, workspace: &Workspace) -> Result<()> {
        let Some(rows) = self.orders else {
            return Ok(());
        };
        let file = state(workspace).join("orders.csv");
        step(&format!("a table of {rows} orders"), || {
            fs::create_dir_all(state(workspace))?;
            fs::write(&file, sample_data::orders::generate(rows).csv)
                .with_context(|| format!("cannot write {}", file.display()))?;
            Ok("written")
        })
    }

    fn place_data(&self, workspace: &Workspace) -> Result<()> {
        for (from, to) in self.data {
            let from = workspace.root().join(from);
            let to = state(workspace).join("data").join(to);
            copy_files(&from, &to)
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }
}

/// What `kennel state list --json` tells of a key.
#[derive(Deserialize)]
struct Key {
    key: String,
}

/// The state directory of the demos.
fn state(workspace: &Workspace) -> PathBuf {
    workspace.target().join("demo")
}

/// Copies the files of a folder; folders in it are left out.
fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The names for the command line, whose errors list them and suggest the nearest.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(
        DEMOS
            .iter()
            .map(|demo| PossibleValue::new(demo.name).help(demo.about)),
    )
}

/// `path` as seen from `here` when it lies below: shorter to read, and to type again.
fn nearer(here: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

/// The command as one could type it.
fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./@=:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        demo: Args,
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest_and_all_names() {
        let error = Line::try_parse_from(["demo", "document-inteligence"])
            .expect_err("there is no such demo")
            .to_string();
        assert!(
            error.contains("tip: a similar value exists: 'document-intelligence'"),
            "{error}"
        );
        assert!(
            error.contains("[possible values: document-intelligence, report-intelligence"),
            "{error}"
        );
    }

    #[test]
    fn without_a_name_the_first_demo_runs() {
        let line = Line::try_parse_from(["demo", "--", "--json"]).expect("a name is not needed");
        assert_eq!(
            (line.demo.name.as_str(), line.demo.more),
            ("document-intelligence", vec!["--json".into()])
        );
    }

    #[test]
    fn samples_are_found_from_wherever_the_demo_is_started() {
        let demo = Demo {
            name: "watch",
            about: "",
            sample: &[
                "--events",
                "plugins/samples/events.jsonl",
                "--input",
                r#"{"page":"@plugins/samples/a.png"}"#,
            ],
            orders: None,
            data: &[],
            forgetful: &[],
        };
        assert_eq!(
            demo.sample(Path::new("plugins"), Path::new("made")),
            demo.sample
        );
        assert_eq!(
            demo.sample(Path::new(r#"/my "own"/plugins"#), Path::new("made")),
            [
                "--events",
                r#"/my "own"/plugins/samples/events.jsonl"#,
                "--input",
                r#"{"page":"@/my \"own\"/plugins/samples/a.png"}"#,
            ]
        );
    }

    #[test]
    fn every_sample_and_every_folder_of_data_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for demo in DEMOS {
            for argument in demo.sample(&root.join("plugins"), Path::new("made")) {
                for path in argument
                    .split('"')
                    .filter_map(|word| word.strip_prefix('@'))
                    .filter(|path| !path.starts_with("made/"))
                {
                    assert!(Path::new(path).is_file(), "{}: {path}", demo.name);
                }
            }
            for (from, _) in demo.data {
                assert!(root.join(from).is_dir(), "{}: {from}", demo.name);
            }
        }
    }

    #[test]
    fn the_files_of_a_folder_are_copied_and_its_folders_left_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to/here"));
        fs::create_dir_all(from.join("inner")).expect("made");
        fs::write(from.join("model"), "new").expect("written");
        for _ in 0..2 {
            copy_files(&from, &to).expect("copied");
        }
        assert_eq!(fs::read(to.join("model")).expect("it is there"), b"new");
        assert!(!to.join("inner").exists());
    }

    #[test]
    fn the_command_is_shown_as_it_can_be_typed() {
        let mut command = Command::new("target/debug/kennel");
        command.args([
            "run",
            "it's.yaml",
            "--input",
            r#"{"document":"@a.pdf"}"#,
            "",
        ]);
        assert_eq!(
            shown(&command),
            r#"target/debug/kennel run 'it'\''s.yaml' --input '{"document":"@a.pdf"}' ''"#
        );
    }

    #[test]
    fn paths_below_the_current_folder_are_shown_from_there() {
        assert_eq!(
            nearer(Path::new("/a/b"), Path::new("/a/b/c")),
            Path::new("c")
        );
        assert_eq!(
            nearer(Path::new("/a/b"), Path::new("/a/x")),
            Path::new("/a/x")
        );
    }
}
