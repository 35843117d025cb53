//! `kennel state`: looks at what agents keep in shared state, changes it by hand, and lists how it came about.
//!
//! It needs no plugin: state outlives the agent that made it. What it changes is bounded like an agent's own changes.

mod show;
mod value;

use clap::Subcommand;

use self::value::ValueArgs;
use super::exit::CliError;
use super::{Options, host, ui};
use crate::id::AgentName;
use crate::store::{Expect, KvBy, KvCas, KvQuota, Rev, SharedBackend};

#[derive(Debug, Subcommand)]
pub(super) enum StateCommand {
    /// Lists the keys of an agent; without AGENT, the agents that keep anything.
    #[command(after_help = "Example:\n  kennel state list counter --prefix users/")]
    List {
        /// The agent.
        agent: Option<AgentName>,
        /// Only keys that begin with this.
        #[arg(long, default_value = "", requires = "agent")]
        prefix: String,
    },
    /// Prints the value of a key.
    #[command(
        after_help = "Examples:\n  kennel state get counter visits\n  kennel state get counter visits --revision 17\n  kennel state get painter canvas > canvas.png"
    )]
    Get {
        /// The agent.
        agent: AgentName,
        /// The key.
        key: String,
        /// The value that this change made, if it is still in the history.
        #[arg(long, value_name = "REV")]
        revision: Option<u64>,
    },
    /// Sets a key and prints its new revision.
    #[command(
        after_help = "Examples:\n  kennel state set counter visits 0\n  kennel state set painter canvas @canvas.png\n  kennel state set counter visits 5 --expect 17   only if nobody changed it since"
    )]
    Set {
        /// The agent.
        agent: AgentName,
        /// The key.
        key: String,
        #[command(flatten)]
        value: ValueArgs,
        /// Only if the key is at this revision; 0 means that it is not there.
        #[arg(long, value_name = "REV")]
        expect: Option<u64>,
    },
    /// Deletes a key.
    #[command(after_help = "Example:\n  kennel state delete counter visits")]
    Delete {
        /// The agent.
        agent: AgentName,
        /// The key.
        key: String,
        /// Only if the key is at this revision.
        #[arg(long, value_name = "REV")]
        expect: Option<u64>,
    },
    /// Lists the changes of a key, oldest first, with who made them; without KEY, of all keys of the agent.
    ///
    /// Of each key the newest 1000 changes are kept.
    #[command(after_help = "Example:\n  kennel state history counter visits --json")]
    History {
        /// The agent.
        agent: AgentName,
        /// The key.
        key: Option<String>,
        /// How many of the newest.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
}

impl Default for StateCommand {
    fn default() -> Self {
        Self::List {
            agent: None,
            prefix: String::new(),
        }
    }
}

pub(super) async fn state(options: &Options, command: StateCommand) -> Result<(), CliError> {
    let paths = host::Paths::find(options)?;
    let limits = paths.settings.limits();
    let quota = KvQuota {
        keys: limits.state_keys,
        bytes: limits.state.0,
    };
    // Looking must not make a store where there is none.
    let open = || match paths.state.exists() {
        true => host::open_store(&paths.state),
        false => Err(CliError::Usage(format!(
            "there is no state in `{}`\n  help: name the directory with --state DIR",
            paths.state.display()
        ))),
    };
    match command {
        StateCommand::List { agent: None, .. } => show::agents(options, &open()?).await,
        StateCommand::List {
            agent: Some(agent),
            prefix,
        } => show::keys(options, &open()?, &agent, &prefix).await,
        StateCommand::Get {
            agent,
            key,
            revision: None,
        } => show::present(options, &open()?, &agent, &key).await,
        StateCommand::Get {
            agent,
            key,
            revision: Some(rev),
        } => show::past(options, &open()?, &agent, &key, Rev(rev)).await,
        StateCommand::Set {
            agent,
            key,
            value,
            expect,
        } => {
            check_key(&key, limits.state_key.0)?;
            let value = value.read(limits.state_value.0)?;
            let store = host::open_store(&paths.state)?;
            let change = Change {
                agent,
                key,
                expect,
                quota,
            };
            change.make(options, &store, Some(value)).await
        }
        StateCommand::Delete { agent, key, expect } => {
            let store = open()?;
            if store.kv().get(agent.as_str(), &key).await?.is_none() {
                return Err(show::absent(&agent, &key));
            }
            let change = Change {
                agent,
                key,
                expect,
                quota,
            };
            change.make(options, &store, None).await
        }
        StateCommand::History { agent, key, limit } => {
            show::history(options, &open()?, &agent, key.as_deref(), limit.into()).await
        }
    }
}

/// The same rule that agents meet: a key that they cannot name would be out of their reach.
fn check_key(key: &str, most: u64) -> Result<(), CliError> {
    if key.is_empty() || key.chars().any(char::is_control) {
        let why = "a key is not empty and has no control characters";
        return Err(CliError::Usage(why.into()));
    }
    if key.len() as u64 > most {
        let size = key.len();
        return Err(CliError::Usage(format!(
            "the key has {size} bytes; `limits.state-key` allows {most}"
        )));
    }
    Ok(())
}

struct Change {
    agent: AgentName,
    key: String,
    expect: Option<u64>,
    quota: KvQuota,
}

impl Change {
    async fn make(
        self,
        options: &Options,
        store: &SharedBackend,
        value: Option<crate::store::KvValue>,
    ) -> Result<(), CliError> {
        let Self {
            agent,
            key,
            expect,
            quota,
        } = self;
        let expected = expect.map_or(Expect::Any, |rev| Expect::Rev(Rev(rev)));
        let by = KvBy::default();
        let cas = store
            .kv()
            .cas(agent.as_str(), &key, expected, value, quota, &by);
        match cas.await? {
            KvCas::Committed(rev) if options.json => {
                ui::json(&serde_json::json!({ "revision": rev }))
            }
            KvCas::Committed(rev) => ui::out(rev.0),
            KvCas::Conflict(now) => {
                let now = now.map_or(0, |entry| entry.rev.0);
                let expected = expect.unwrap_or_default();
                Err(fail(format_args!(
                    "`{}` is at revision {now}, not {expected}; nothing was changed",
                    ui::safe(&key)
                )))
            }
            KvCas::Quota(which) => Err(fail(format_args!(
                "agent `{agent}` may not keep that much: {which}; `limits.state` and `limits.state-keys` bound it"
            ))),
        }
    }
}

/// Exit code 1, after saying why.
fn fail(why: impl std::fmt::Display) -> CliError {
    ui::say(format_args!("{} {why}", ui::styled(ui::BAD, "error:")));
    CliError::Failed
}
