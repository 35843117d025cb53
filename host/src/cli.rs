//! The command line: arguments in, one command run, an exit code out.
//!
//! Every command is one function in a file of its own. Only this module and those below it print.

mod agents;
mod call;
mod doctor;
mod emit;
mod events;
mod exit;
mod flow;
mod host;
mod input;
mod progress;
mod recording;
mod reload;
mod replay;
mod report;
mod run;
mod runs;
mod serve;
mod stages;
mod state;
mod steer;
mod ui;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tracing::Level;

use self::exit::CliError;
use self::input::InputArgs;

/// Runs agents that other people wrote: sandboxed Wasm plugins, orchestrated by flows.
#[derive(Debug, Parser)]
#[command(name = "kennel", version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success · 1 the run or task failed · 2 usage or configuration · 3 a plugin could not be \
                          loaded · 4 the store is unavailable · 130 interrupted";

/// What every command understands.
#[derive(Debug, Clone, clap::Args)]
struct Options {
    /// The directory of plugins [default: `agents` of kennel.toml, else ./agents].
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "KENNEL_AGENTS",
        help_heading = "Common options"
    )]
    agents: Option<PathBuf>,
    /// The operator's settings [default: ./kennel.toml, if it is there].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "KENNEL_CONFIG",
        help_heading = "Common options"
    )]
    config: Option<PathBuf>,
    /// Where runs, state and blobs are kept [default: `store.path` of kennel.toml, else ./.kennel].
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "KENNEL_STATE",
        help_heading = "Common options"
    )]
    state: Option<PathBuf>,
    /// Shows every log line of the agents, not only those from `info` up.
    #[arg(long, short, global = true, help_heading = "Common options")]
    verbose: bool,
    /// Prints results as JSON; the shapes are stable.
    #[arg(long, global = true, help_heading = "Common options")]
    json: bool,
}

impl Options {
    /// The least important log lines that are shown.
    fn least(&self) -> Level {
        if self.verbose {
            Level::TRACE
        } else {
            Level::INFO
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a flow to its end, or serves an event-driven one until Ctrl-C.
    ///
    /// Progress goes to standard error, the flow's output to standard output. Ctrl-C stops the agents and leaves a run that
    /// `kennel runs resume` finishes. While a flow is served, its plugins and kennel.toml are watched: runs that begin later begin
    /// with what is there then.
    #[command(
        after_help = "Example:\n  kennel run flow.yaml --input '{\"document\": \"@report.pdf\"}' --json"
    )]
    Run {
        /// The flow file.
        flow: PathBuf,
        #[command(flatten)]
        input: InputArgs,
        #[command(flatten)]
        serving: serve::ServeArgs,
    },
    /// Gives one agent one task, without a flow.
    #[command(after_help = "Example:\n  kennel call summarize --text \"$(cat notes.txt)\"")]
    Call(call::CallArgs),
    /// Lists the plugins, shows one, or checks a file before it is dropped in.
    Agents {
        #[command(subcommand)]
        command: Option<agents::AgentsCommand>,
    },
    /// Checks, draws or describes flow files.
    Flow {
        #[command(subcommand)]
        command: flow::FlowCommand,
    },
    /// Lists, shows, follows, stops, answers, resumes and replays runs.
    Runs {
        #[command(subcommand)]
        command: Option<runs::RunsCommand>,
    },
    /// Lists, shows and changes what agents keep in shared state, and how it came about.
    State {
        #[command(subcommand)]
        command: Option<state::StateCommand>,
    },
    /// Emits one event: every event-driven flow that listens for its type starts a run.
    ///
    /// The event waits for flows that are not served at the moment. When no flow has ever listened for it, it is dropped.
    #[command(
        after_help = "Example:\n  kennel emit report.ready --data '{\"report\": \"@report.pdf\"}'"
    )]
    Emit(emit::EmitArgs),
    /// Lists the flows that listen for events, or ends a subscription.
    Events {
        #[command(subcommand)]
        command: Option<events::EventsCommand>,
    },
    /// Checks the settings, the store, the plugins and this machine.
    Doctor,
    /// Prints a completion script for a shell.
    #[command(
        after_help = "Example:\n  kennel completions bash > ~/.local/share/bash-completion/completions/kennel"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match host::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui::say(format_args!("error: start the runtime: {error}"));
            return ExitCode::from(4);
        }
    };
    // What the host itself has to say; results and progress do not pass here.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(if cli.options.verbose {
            Level::DEBUG
        } else {
            Level::WARN
        })
        .without_time()
        .init();
    let ended = runtime.block_on(cli.command.execute(&cli.options));
    // A guest or a resolver may still hold a blocking thread; the process does not wait for it.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(message) = error.message() {
                ui::say(format_args!(
                    "{} {}",
                    ui::styled(ui::BAD, "error:"),
                    ui::safe(message)
                ));
            }
            error.code()
        }
    }
}

impl Command {
    async fn execute(self, options: &Options) -> Result<(), CliError> {
        match self {
            Self::Run {
                flow,
                input,
                serving,
            } => run::run(options, &flow, &input, &serving).await,
            Self::Call(args) => call::call(options, &args).await,
            Self::Agents { command } => agents::agents(options, command.unwrap_or_default()).await,
            Self::Flow { command } => flow::flow(options, command).await,
            Self::Runs { command } => runs::runs(options, command.unwrap_or_default()).await,
            Self::State { command } => state::state(options, command.unwrap_or_default()).await,
            Self::Emit(args) => emit::emit(options, &args).await,
            Self::Events { command } => events::events(options, command.unwrap_or_default()).await,
            Self::Doctor => doctor::doctor(options).await,
            Self::Completions { shell } => {
                clap_complete::generate(
                    shell,
                    &mut Cli::command(),
                    "kennel",
                    &mut std::io::stdout(),
                );
                Ok(())
            }
        }
    }
}
