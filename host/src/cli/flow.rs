//! `kennel flow`: checks, draws and describes flow files. Reading one is shared with `kennel run`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::exit::CliError;
use super::{Options, host, ui};
use crate::flow::{self, Catalogue, Diagnostics, Format};
use crate::plan::Plan;

/// The largest flow file that is read, in bytes; the parser has the same bound.
const MAX_FILE: u64 = 1 << 20;
/// The most flows inside a flow that are read.
const MAX_OTHERS: usize = 64;

#[derive(Debug, Subcommand)]
pub(super) enum FlowCommand {
    /// Reports every problem of a flow file at once.
    ///
    /// Agents and skills are checked too when there is a directory of plugins.
    #[command(after_help = "Example:\n  kennel flow check flow.yaml --agents ./agents")]
    Check {
        /// The flow file.
        file: PathBuf,
    },
    /// Draws a flow as text for Mermaid or Graphviz.
    #[command(
        after_help = "Example:\n  kennel flow graph flow.yaml --format dot | dot -Tsvg > flow.svg"
    )]
    Graph {
        /// The flow file.
        file: PathBuf,
        /// The language of the drawing.
        #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
        format: GraphFormat,
    },
    /// Prints the JSON Schema of flow files, for editors.
    Schema,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum GraphFormat {
    /// Mermaid.
    Mermaid,
    /// Graphviz.
    Dot,
}

pub(super) async fn flow(options: &Options, command: FlowCommand) -> Result<(), CliError> {
    match command {
        FlowCommand::Check { file } => {
            let plan = read(&file, options.json)?;
            let paths = host::Paths::find(options)?;
            if paths.agents.is_dir() {
                let host = host::open(options).await?;
                check(&plan, &host.registry.catalogue(), &file, options.json)?;
            } else {
                ui::say(format_args!(
                    "note: agents were not checked: there is no directory `{}`",
                    paths.agents.display()
                ));
            }
            if options.json {
                return ui::json(
                    &serde_json::json!({ "flow": plan.name, "valid": true, "diagnostics": [] }),
                );
            }
            ui::out(format_args!(
                "{} {} steps, no problems",
                ui::safe(&plan.name),
                plan.steps.len()
            ))
        }
        FlowCommand::Graph { file, format } => {
            let format = match format {
                GraphFormat::Mermaid => Format::Mermaid,
                GraphFormat::Dot => Format::Dot,
            };
            ui::out(flow::graph(&read(&file, options.json)?, format).trim_end())
        }
        FlowCommand::Schema => {
            let text = serde_json::to_string_pretty(&flow::schema());
            ui::out(text.map_err(|error| CliError::Store(error.to_string()))?)
        }
    }
}

/// Reads a flow file; its diagnostics are printed when it is not right.
pub(super) fn read(file: &Path, json: bool) -> Result<Plan, CliError> {
    let fail = |why: String| CliError::Usage(format!("read flow `{}`: {why}", file.display()));
    let found = std::fs::metadata(file).map_err(|error| fail(error.to_string()))?;
    if !found.is_file() {
        return Err(fail("it is not a file".into()));
    }
    if found.len() > MAX_FILE {
        return Err(fail(format!(
            "it has {} bytes, at most {MAX_FILE} are read",
            found.len()
        )));
    }
    let source = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    let name = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new(""));
    let others = others(&source, folder);
    flow::parse_with(&source, &name, &others)
        .map_err(|diagnostics| told(&diagnostics, &source, file, json))
}

/// The texts of the flows that `source` names, and of those that these name. One that cannot be read is left out: the flow's
/// own diagnostics say so at the place where it is named.
fn others(source: &str, folder: &Path) -> BTreeMap<String, String> {
    let mut others = BTreeMap::new();
    let mut wanted = flow::named(source, "");
    while let Some(name) = wanted.pop() {
        if others.contains_key(&name) || others.len() == MAX_OTHERS {
            continue;
        }
        let path = folder.join(&name);
        let small =
            std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_FILE);
        let Some(text) = small.then(|| std::fs::read_to_string(path).ok()).flatten() else {
            continue;
        };
        wanted.extend(flow::named(&text, &name));
        others.insert(name, text);
    }
    others
}

/// Checks what a flow says about agents and skills.
pub(super) fn check(
    plan: &Plan,
    catalogue: &Catalogue,
    file: &Path,
    json: bool,
) -> Result<(), CliError> {
    let diagnostics = flow::check(plan, catalogue);
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(told(&diagnostics, &plan.source, file, json))
    }
}

/// Prints the diagnostics: on standard output as JSON, else on standard error with carets.
fn told(diagnostics: &Diagnostics, source: &str, file: &Path, json: bool) -> CliError {
    let name = file.display().to_string();
    if json {
        let report =
            serde_json::json!({ "flow": name, "valid": false, "diagnostics": diagnostics });
        if let Err(error) = ui::json(&report) {
            return error;
        }
    } else {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        ui::say(diagnostics.render(&name, source, colour));
    }
    let problems = if diagnostics.len() == 1 {
        "1 problem".into()
    } else {
        format!("{} problems", diagnostics.len())
    };
    CliError::Usage(format!("flow `{name}` has {problems}"))
}
