//! Why a plugin is not served.

use std::path::PathBuf;

use super::load::MAX_PLUGINS;
use crate::failure::{Failure, FailureKind};
use crate::id::{AgentName, IdError};
use crate::load::OpenError;
use crate::sandbox::LinkError;
use crate::sandbox::compile::CompileError;
use crate::settings::SettingsError;

/// Why a plugin is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory cannot be listed.
    #[error("list the directory of plugins `{0}`: {1}")]
    Directory(PathBuf, String),
    /// There are too many plugins in the directory.
    #[error("the directory of plugins `{0}` has {1} plugins, at most {MAX_PLUGINS} are loaded")]
    TooMany(PathBuf, usize),
    /// The file cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] SettingsError),
    /// The file's name is not a name for an agent.
    #[error("{0}; rename the file, or set `name` in its manifest")]
    Name(#[from] IdError),
    /// Another plugin provides the same agent.
    #[error(
        "agent `{0}` is provided by `{1}` already; set another `name` in the manifest of one of them"
    )]
    Duplicate(AgentName, PathBuf),
    /// The scan or the compiler refused it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compiled code does not fit this engine.
    #[error("the compiled plugin does not fit this engine: {0}")]
    Artefact(String),
    /// It imports what it may not have, or does not fit the agent interface.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It failed to describe itself.
    #[error("the plugin failed to describe itself: {0}")]
    Describe(Failure),
    /// The manifest is another one than it was before the plugin was read.
    #[error("its manifest changed while it was read")]
    Changed,
    /// The flow that is served cannot use it.
    #[error("it does not fit the flow that is served: {0}")]
    Unfit(String),
}

impl LoadError {
    /// The stable label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory(..) => "unreadable",
            Self::TooMany(..) => "too-many",
            Self::Open(error) => error.kind(),
            Self::Manifest(_) => "manifest",
            Self::Name(_) => "name",
            Self::Duplicate(..) => "duplicate",
            Self::Compile(error) => error.kind(),
            Self::Artefact(_) => "artefact",
            Self::Link(LinkError::Refused { .. }) => "capability-denied",
            Self::Link(LinkError::NotAnAgent { .. }) => "not-an-agent",
            Self::Link(LinkError::Incompatible { .. }) => "incompatible",
            Self::Link(LinkError::Files(_)) => "files",
            Self::Describe(_) => "describe",
            Self::Changed => "changed",
            Self::Unfit(_) => "unfit",
        }
    }

    /// Whether the same file would be refused again under the same terms. What the machine had a part in may end otherwise, and the
    /// compiler keeps a memory of its own.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Link(error) => !matches!(error, LinkError::Files(_)),
            Self::Describe(failure) => !matches!(
                failure.kind,
                FailureKind::Deadline | FailureKind::HostError | FailureKind::Overloaded
            ),
            Self::Directory(..) | Self::TooMany(..) | Self::Open(_) | Self::Manifest(_) => false,
            Self::Name(_) | Self::Duplicate(..) | Self::Compile(_) => false,
            Self::Artefact(_) | Self::Changed | Self::Unfit(_) => false,
        }
    }
}
