//! `kennel agents`: what is loaded, what each plugin may do and why, and a check before one is dropped in.

mod health;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use self::health::HealthReport;
use super::exit::CliError;
use super::{Options, host, ui};
use crate::grants::Grants;
use crate::id::{AgentName, Digest};
use crate::limits::Limits;
use crate::registry::{Import, Live, LoadError, Plugin, Present, Registry};
use crate::sandbox::Card;

#[derive(Debug, Default, Subcommand)]
pub(super) enum AgentsCommand {
    /// Lists the plugins of the directory, those that are refused too, and how their agents fare.
    #[command(after_help = health::JSON)]
    #[default]
    List,
    /// Shows one agent: its card, how it fares, its needs and grants, what it gets, and why each import is allowed.
    #[command(after_help = health::JSON)]
    Show {
        /// The agent.
        agent: String,
    },
    /// Ends the quarantine of an agent before its time: the next task is let through, within a second also in commands that run.
    Release {
        /// The agent.
        agent: String,
    },
    /// Loads plugin files as they would be from the directory, and says what is wrong with them.
    #[command(after_help = "Example:\n  kennel agents check new/translate.wasm")]
    Check {
        /// The component files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(super) async fn agents(options: &Options, command: AgentsCommand) -> Result<(), CliError> {
    match command {
        AgentsCommand::List => list(options).await,
        AgentsCommand::Show { agent } => show(options, &agent).await,
        AgentsCommand::Release { agent } => release(options, &agent).await,
        AgentsCommand::Check { files } => check(options, &files).await,
    }
}

/// One agent, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct AgentReport<'a> {
    agent: &'a AgentName,
    status: &'static str,
    path: &'a Path,
    digest: Digest,
    card: Option<&'a Card>,
    needs: Option<&'a Grants>,
    grants: &'a Grants,
    effective: &'a Grants,
    limits: &'a Limits,
    imports: &'a [Import],
    health: HealthReport,
}

/// One file that is not served, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RefusedReport<'a> {
    agent: String,
    status: &'static str,
    path: &'a Path,
    kind: &'static str,
    error: String,
}

fn report(plugin: &Plugin, health: HealthReport) -> AgentReport<'_> {
    AgentReport {
        agent: &plugin.agent,
        status: "ready",
        path: &plugin.path,
        digest: plugin.digest,
        card: plugin.card.as_ref(),
        needs: plugin.terms.needs.as_ref(),
        grants: &plugin.terms.grants,
        effective: &plugin.terms.effective,
        limits: &plugin.terms.limits,
        imports: &plugin.imports,
        health,
    }
}

/// How the agent of `plugin` fares, in all processes.
fn fares(registry: &Registry, live: &Live, plugin: &Plugin) -> HealthReport {
    let breaker = registry.breaker(&plugin.agent);
    HealthReport::of(&plugin.health.report(), breaker, &live.of(plugin))
}

fn refused_report<'a>(path: &'a Path, agent: &str, error: &LoadError) -> RefusedReport<'a> {
    RefusedReport {
        agent: agent.to_owned(),
        status: "refused",
        path,
        kind: error.kind(),
        error: error.to_string(),
    }
}

async fn list(options: &Options) -> Result<(), CliError> {
    let (registry, live) = host::load_live(options).await?;
    if options.json {
        let ready = registry
            .plugins()
            .map(|plugin| serde_json::to_value(report(plugin, fares(&registry, &live, plugin))));
        let refused = registry.refused().iter();
        let refused = refused
            .map(|why| serde_json::to_value(refused_report(&why.path, &why.agent, &why.error)));
        let all: Result<Vec<_>, _> = ready.chain(refused).collect();
        return ui::json(&all.map_err(|error| CliError::Store(error.to_string()))?);
    }
    let ready = registry.plugins().map(|plugin| {
        let (version, skills) = match &plugin.card {
            None => (String::new(), String::new()),
            Some(card) => {
                let skills: Vec<_> = card
                    .skills
                    .iter()
                    .map(|skill| skill.name.as_str())
                    .collect();
                (ui::safe(&card.version), skills.join(", "))
            }
        };
        let health = fares(&registry, &live, plugin);
        let mut row = vec![plugin.agent.to_string(), version, health.state(), skills];
        row.extend(health.cells());
        row.push(plugin.digest.hex()[..12].to_owned());
        row
    });
    let refused = registry.refused().iter().map(|refused| {
        vec![
            ui::safe(&refused.agent),
            String::new(),
            ui::styled(ui::BAD, "refused"),
            refused.error.kind().into(),
        ]
    });
    let mut heading = vec!["AGENT", "VERSION", "STATUS", "SKILLS"];
    heading.extend(health::HEADING);
    heading.push("DIGEST");
    ui::table(&heading, &ready.chain(refused).collect::<Vec<_>>())?;
    registry
        .refused()
        .iter()
        .for_each(|why| host::warn_refused(why));
    registry
        .plugins()
        .for_each(|plugin| host::warn_missing(plugin));
    Ok(())
}

async fn show(options: &Options, agent: &str) -> Result<(), CliError> {
    let (registry, live) = host::load_live(options).await?;
    if let Some(plugin) = registry.plugin(agent) {
        let health = fares(&registry, &live, plugin);
        return match options.json {
            true => ui::json(&report(plugin, health)),
            false => print(plugin, &health),
        };
    }
    if let Some(refused) = registry
        .refused()
        .iter()
        .find(|refused| refused.agent == agent)
    {
        if options.json {
            ui::json(&refused_report(
                &refused.path,
                &refused.agent,
                &refused.error,
            ))?;
        }
        return Err(CliError::Load(format!(
            "agent `{agent}` is refused: {}",
            ui::safe(&refused.error.to_string())
        )));
    }
    Err(CliError::Usage(host::unknown_agent(&registry, agent)))
}

async fn release(options: &Options, agent: &str) -> Result<(), CliError> {
    let (registry, book) = host::load_book(options).await?;
    let Some(plugin) = registry.plugin(agent) else {
        return Err(CliError::Usage(host::unknown_agent(&registry, agent)));
    };
    book.release(&plugin.agent).await?;
    ui::say(format_args!(
        "agent `{}` is let through again",
        plugin.agent
    ));
    Ok(())
}

fn print(plugin: &Plugin, health: &HealthReport) -> Result<(), CliError> {
    let heading = |name: &str| ui::styled(ui::BOLD, name);
    ui::out(format_args!("{} {}", heading("agent"), plugin.agent))?;
    ui::out(format_args!(
        "  file      {}\n  digest    {}",
        ui::safe(&plugin.path.display().to_string()),
        plugin.digest
    ))?;
    if let Some(card) = &plugin.card {
        ui::out(format_args!(
            "  version   {}\n  about     {}",
            ui::safe(&card.version),
            ui::safe(&card.description)
        ))?;
        ui::out(heading("skills"))?;
        for skill in &card.skills {
            ui::out(format_args!(
                "  {}  {}",
                skill.name,
                ui::styled(ui::DIM, ui::safe(&skill.description))
            ))?;
        }
    }
    ui::out(heading("health"))?;
    health.print()?;
    ui::out(heading("capabilities"))?;
    let needs = plugin.terms.needs.as_ref();
    ui::out(format_args!(
        "  needs     {}",
        needs.map_or("whatever is granted (it has no manifest)".into(), written)
    ))?;
    ui::out(format_args!(
        "  grants    {}",
        written(&plugin.terms.grants)
    ))?;
    ui::out(format_args!(
        "  effective {}",
        written(&plugin.terms.effective)
    ))?;
    ui::out(heading("imports"))?;
    for import in &plugin.imports {
        ui::out(format_args!(
            "  {}  {}",
            ui::safe(&import.name),
            ui::styled(ui::DIM, import.why)
        ))?;
    }
    ui::out(heading("limits"))?;
    let limits = toml::to_string(&plugin.terms.limits)
        .map_err(|error| CliError::Store(error.to_string()))?;
    limits
        .lines()
        .try_for_each(|line| ui::out(format_args!("  {line}")))
}

/// Grants as `kennel.toml` would say them, on one line; what is not granted is left out.
fn written(grants: &Grants) -> String {
    let Ok(toml::Value::Table(table)) = toml::Value::try_from(grants) else {
        return String::new();
    };
    let given = |value: &toml::Value| match value {
        toml::Value::Array(items) => !items.is_empty(),
        value => value.as_bool() != Some(false),
    };
    let given: Vec<_> = table
        .iter()
        .filter(|(_, value)| given(value))
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    if given.is_empty() {
        "nothing".into()
    } else {
        ui::safe(&given.join(", "))
    }
}

async fn check(options: &Options, files: &[PathBuf]) -> Result<(), CliError> {
    let loader = host::loader_only(options)?;
    let mut reports = Vec::new();
    let mut refused = 0;
    for path in files {
        let shown = ui::safe(&path.display().to_string());
        match loader.load_file(path).await {
            Ok(plugin) => {
                let health = HealthReport::of(&plugin.health.report(), None, &Present::default());
                reports.push(serde_json::to_value(report(&plugin, health)));
                host::warn_missing(&plugin);
                if !options.json {
                    ui::out(format_args!(
                        "{} {shown}: agent `{}` would be served",
                        ui::styled(ui::GOOD, "✓"),
                        plugin.agent
                    ))?;
                }
            }
            Err(error) => {
                refused += 1;
                let agent = path
                    .file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned())
                    .unwrap_or_default();
                reports.push(serde_json::to_value(refused_report(path, &agent, &error)));
                if !options.json {
                    ui::out(format_args!(
                        "{} {shown}: {}",
                        ui::styled(ui::BAD, "✗"),
                        ui::safe(&error.to_string())
                    ))?;
                }
            }
        }
    }
    if options.json {
        let reports: Result<Vec<_>, _> = reports.into_iter().collect();
        ui::json(&reports.map_err(|error| CliError::Store(error.to_string()))?)?;
    }
    match refused {
        0 => Ok(()),
        1 => Err(CliError::Load("1 plugin is refused".into())),
        refused => Err(CliError::Load(format!("{refused} plugins are refused"))),
    }
}
