//! How a command ends: the exit codes, and the one error type that carries them to `main`.

use std::process::ExitCode;

use crate::engine::EngineError;
use crate::settings::SettingsError;
use crate::store::StoreError;

/// Why a command did not do what it was asked, with its exit code. The documented codes are stable.
#[derive(Debug)]
pub(crate) enum CliError {
    /// 1: the run or the task failed. What is to be said has been printed.
    Failed,
    /// 2: it was asked for the wrong thing, or a file it was given is not right.
    Usage(String),
    /// 2 as well: somebody else is at it.
    Busy(String),
    /// 3: a plugin could not be loaded.
    Load(String),
    /// 4: the store cannot be used.
    Store(String),
    /// 130: somebody pressed Ctrl-C.
    Interrupted(String),
}

impl CliError {
    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed => 1,
            Self::Usage(_) | Self::Busy(_) => 2,
            Self::Load(_) => 3,
            Self::Store(_) => 4,
            Self::Interrupted(_) => 130,
        })
    }

    /// What is still to be said.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Failed => None,
            Self::Usage(message)
            | Self::Busy(message)
            | Self::Load(message)
            | Self::Store(message)
            | Self::Interrupted(message) => Some(message),
        }
    }
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(_) => Self::Usage(error.to_string()),
            StoreError::Unavailable(_) | StoreError::Damaged(_) => Self::Store(error.to_string()),
        }
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unknown(_) => Self::Usage(error.to_string()),
            EngineError::Held(..) => Self::Busy(error.to_string()),
            EngineError::Stopped(run) => Self::Interrupted(format!(
                "interrupted; `kennel runs resume {run}` goes on where it stopped"
            )),
            EngineError::Store(error) => error.into(),
            EngineError::Fenced(_)
            | EngineError::Full
            | EngineError::Foreign(_)
            | EngineError::Illegal(..) => Self::Store(error.to_string()),
        }
    }
}
