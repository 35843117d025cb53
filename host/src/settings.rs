//! What operators and authors write down: `kennel.toml` and the manifest `NAME.toml` beside a plugin.
//!
//! Both are read whole or refused whole: an unknown key is an error with a suggestion, never ignored. What follows from the two
//! together (effective grants, limits, settings) is worked out here too, as pure functions.

mod defaults;
mod host;
mod terms;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::defaults::{BreakerDefaults, CacheDefaults, Defaults, RetryDefaults};
pub use self::host::HostSettings;
pub use self::terms::Terms;
use crate::grants::Grants;
use crate::id::{AgentName, Digest};
use crate::limits::{Limits, SomeLimits};
use crate::load::{OpenError, read_plugin};
use crate::meant::near;

/// The largest settings file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why a settings file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It says something that it may not.
    #[error("`{path}` is not valid: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why, with the line of the file and where possible a suggestion.
        reason: String,
    },
}

/// `kennel.toml`: what the operator decides.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The directory of plugins, relative to this file.
    pub agents: Option<PathBuf>,
    /// How much the host does at the same time.
    pub host: HostSettings,
    /// Bounds for every agent; raises or lowers the defaults.
    pub limits: SomeLimits,
    /// What each agent may use.
    pub grants: BTreeMap<AgentName, Grant>,
    /// The settings that each agent reads through `wasi:config`.
    pub config: BTreeMap<AgentName, BTreeMap<String, String>>,
    /// Where runs, state and blobs are kept.
    pub store: StoreSettings,
}

/// `[grants.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Grant {
    /// Only this very file gets the grants.
    pub digest: Option<Digest>,
    /// Origins it may talk to, such as `https://api.example.com`.
    pub http: Vec<crate::grants::Origin>,
    /// Directories below the agent's own data directory.
    pub files: Vec<crate::grants::FileGrant>,
    /// Environment variables of the host that it sees.
    pub env: Vec<String>,
    /// Whether it has shared state, in a namespace of its own name.
    pub state: bool,
    /// Skills of other agents that it may call.
    pub peers: Vec<crate::id::SkillName>,
    /// Types of events that it may emit.
    pub events: Vec<crate::id::EventType>,
}

impl Grant {
    /// The grants, if they are for the file with this digest; otherwise none.
    fn for_file(&self, digest: &Digest) -> Grants {
        if self.digest.is_some_and(|only| only != *digest) {
            return Grants::default();
        }
        Grants {
            http: self.http.clone(),
            files: self.files.clone(),
            env: self.env.clone(),
            state: self.state,
            peers: self.peers.clone(),
            events: self.events.clone(),
        }
    }
}

/// `[store]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StoreSettings {
    /// The state directory, relative to this file; `.kennel` when absent.
    pub path: Option<PathBuf>,
}

/// `NAME.toml` beside `NAME.wasm`: what the author says about the plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Manifest {
    /// The agent's name; the file's name when absent.
    pub name: Option<AgentName>,
    /// What the agent asks for; it gets no more, whatever the operator grants.
    pub needs: Grants,
    /// Bounds below the operator's.
    pub limits: SomeLimits,
    /// Policies of a call to the agent that a flow does not set itself.
    pub defaults: Defaults,
    /// What `wasi:config` tells the agent, unless the operator says otherwise.
    pub config: BTreeMap<String, String>,
}

impl Settings {
    /// Reads `path`; the settings of a file that is not there are all absent.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        Ok(Self::load_if_there(path)?.unwrap_or_default())
    }

    /// Reads `path`; `None` when there is no such file.
    pub fn load_if_there(path: &Path) -> Result<Option<Self>, SettingsError> {
        let Some(bytes) = read(path)? else {
            return Ok(None);
        };
        let mut settings = from_bytes(path, &bytes, Self::read)?;
        let base = path.parent().unwrap_or(Path::new(""));
        settings.agents = settings.agents.map(|agents| base.join(agents));
        settings.store.path = settings.store.path.map(|store| base.join(store));
        Ok(Some(settings))
    }

    /// Reads the text of such a file. Paths stay as they are written.
    ///
    /// # Errors
    /// Where it says something that it may not, and why.
    pub fn read(text: &str) -> Result<Self, String> {
        let settings: Self = parse(text)?;
        settings.limits().check()?;
        settings.host.check()?;
        Ok(settings)
    }

    /// The operator's bounds for every agent.
    pub fn limits(&self) -> Limits {
        Limits::default().replaced_by(&self.limits)
    }

    /// What the agent `name`, from the file with `digest`, gets.
    pub fn terms(&self, name: &AgentName, digest: &Digest, manifest: Option<&Manifest>) -> Terms {
        let grants = self
            .grants
            .get(name)
            .map(|grant| grant.for_file(digest))
            .unwrap_or_default();
        let needs = manifest.map(|manifest| manifest.needs.clone());
        let effective = crate::grants::effective(needs.as_ref(), &grants);
        let limits = self.limits();
        let limits = manifest.map_or(limits.clone(), |manifest| {
            limits.lowered_by(&manifest.limits)
        });
        let mut config = manifest
            .map(|manifest| manifest.config.clone())
            .unwrap_or_default();
        config.extend(self.config.get(name).cloned().unwrap_or_default());
        Terms {
            needs,
            grants,
            effective,
            limits,
            config,
        }
    }
}

impl Manifest {
    /// Reads the manifest at `path`; `None` when there is none. Its author is not trusted: it is opened as carefully as the plugin, and
    /// its policies have the bounds that those of a flow have.
    pub fn load(path: &Path) -> Result<Option<Self>, SettingsError> {
        match read_plugin(path, MAX_FILE) {
            Ok((bytes, _)) => from_bytes(path, &bytes, Self::read).map(Some),
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(SettingsError::Unreadable {
                path: path.into(),
                reason: error.to_string(),
            }),
        }
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// Where it says something that it may not, and why.
    pub fn read(text: &str) -> Result<Self, String> {
        let manifest: Self = parse(text)?;
        Limits::default().lowered_by(&manifest.limits).check()?;
        manifest.defaults.check()?;
        Ok(manifest)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SettingsError> {
    let unreadable = |reason: String| SettingsError::Unreadable {
        path: path.into(),
        reason,
    };
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => drop(
            file.take(MAX_FILE + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| unreadable(error.to_string()))?,
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    }
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable("it is larger than 1 MiB".into()));
    }
    Ok(Some(bytes))
}

fn from_bytes<T>(
    path: &Path,
    bytes: &[u8],
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, SettingsError> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned());
    text.and_then(read)
        .map_err(|reason| SettingsError::Invalid {
            path: path.into(),
            reason,
        })
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let read = toml::from_str(text);
    // TOML's numbers end at 2⁶³; beyond that they could be read, and never be written again.
    let read = read.and_then(|read| toml::from_str::<toml::Table>(text).map(|_| read));
    read.map_err(|error| match suggestion(error.message()) {
        Some(meant) => format!("{error}help: did you mean `{meant}`?"),
        None => error.to_string(),
    })
}

/// The known key nearest to an unknown one, from serde's message "unknown field `a`, expected one of `b`, `c`".
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message
        .strip_prefix("unknown field ")?
        .split('`')
        .skip(1)
        .step_by(2);
    let unknown = quoted.next()?;
    near(unknown, quoted).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
        let error = parse::<Settings>("[limits]\nmemroy = '1MiB'\n").unwrap_err();
        assert!(
            error.contains("memroy = '1MiB'") && error.contains("did you mean `memory`?"),
            "{error}"
        );
        let error = parse::<Manifest>("[need]\nstate = true\n").unwrap_err();
        assert!(error.contains("did you mean `needs`?"), "{error}");
    }

    #[test]
    fn a_file_that_is_empty_is_not_one_that_is_missing() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("kennel.toml");
        assert_eq!(Settings::load_if_there(&file).expect("fine"), None);
        std::fs::write(&file, "").expect("written");
        let empty = Settings::load_if_there(&file).expect("fine");
        assert_eq!(empty, Some(Settings::default()));
    }

    #[test]
    fn other_bounds_keep_tasks_apart_but_not_their_answers() {
        let (agent, plugin) = ("a".parse().expect("a name"), Digest::of(b"a"));
        let terms = |text| {
            Settings::read(text)
                .expect("valid")
                .terms(&agent, &plugin, None)
        };
        let (before, lowered) = (terms(""), terms("[limits]\nfuel = '1M'"));
        assert_eq!(before.answers(&plugin), lowered.answers(&plugin));
        assert_ne!(before.bounded(&plugin), lowered.bounded(&plugin));
    }

    #[test]
    fn a_limit_that_leaves_nothing_or_cannot_be_written_is_refused_in_both_files() {
        for text in ["[limits]\nmemory = '1KiB'", "[limits]\ntimeout = '0s'"] {
            let error = Settings::read(text).unwrap_err();
            assert!(error.contains("; it may be "), "{error}");
            assert_eq!(Manifest::read(text).unwrap_err(), error);
        }
        let text = "[limits]\nevents = 9223372036854775808";
        assert!(Settings::read(text).is_err() && Manifest::read(text).is_err());
        assert!(Settings::read("[limits]\nevents = 9223372036854775807").is_ok());
    }

    #[test]
    fn an_agent_gets_what_it_asks_for_and_is_granted() {
        let settings: Settings =
            parse("[grants.a]\nstate = true\nenv = ['LANG', 'HOME']").expect("valid");
        let manifest: Manifest = parse("[needs]\nenv = ['LANG', 'PATH']").expect("valid");
        let (name, digest) = ("a".parse().expect("a name"), Digest::of(b"plugin"));
        let terms = settings.terms(&name, &digest, Some(&manifest));
        assert_eq!(
            terms.effective,
            Grants {
                env: vec!["LANG".into()],
                ..Grants::default()
            }
        );
        let terms = settings.terms(&name, &digest, None);
        assert!(
            terms.effective.state,
            "a plugin without a manifest asks for whatever it is granted"
        );
    }

    #[test]
    fn grants_for_a_digest_are_for_that_file_only() {
        let digest = Digest::of(b"plugin");
        let settings: Settings =
            parse(&format!("[grants.a]\nstate = true\ndigest = '{digest}'")).expect("valid");
        let name = "a".parse().expect("a name");
        assert!(settings.terms(&name, &digest, None).effective.state);
        assert!(
            !settings
                .terms(&name, &Digest::of(b"another"), None)
                .effective
                .state
        );
    }

    #[test]
    fn what_is_needed_and_not_granted_is_said_as_it_would_be_written() {
        let settings: Settings = parse("[grants.a]\nenv = ['LANG']").expect("valid");
        let needs = "[needs]\nenv = ['LANG', 'HOME']\nfiles = [{ path = 'in', access = 'read' }]";
        let manifest: Manifest = parse(needs).expect("valid");
        let terms = settings.terms(
            &"a".parse().expect("a name"),
            &Digest::of(b""),
            Some(&manifest),
        );
        assert_eq!(
            terms.missing(),
            [
                "env = [\"HOME\"]",
                "files = [{ path = \"in\", access = \"read\" }]"
            ]
        );
    }

    #[test]
    fn an_author_cannot_make_every_call_endless() {
        for retry in [
            "attempts = 4000000000",
            "attempts = 0",
            "factor = 1e9",
            "factor = nan",
        ] {
            let manifest: Manifest =
                parse(&format!("[defaults]\nretry = {{ {retry} }}")).expect("it parses");
            assert!(manifest.defaults.check().is_err(), "{retry}");
        }
    }

    #[test]
    fn the_operator_may_raise_a_limit_and_the_author_only_lower_it() {
        let settings: Settings = parse("[limits]\nfuel = '9G'\nmemory = '1MiB'").expect("valid");
        let manifest: Manifest = parse("[limits]\nfuel = '8G'\nmemory = '2MiB'").expect("valid");
        let terms = settings.terms(
            &"a".parse().expect("a name"),
            &Digest::of(b""),
            Some(&manifest),
        );
        assert_eq!(terms.limits.fuel.0, 8_000_000_000);
        assert_eq!(terms.limits.memory.0, 1 << 20);
    }

    #[test]
    fn a_flow_inherits_what_it_does_not_set() {
        let manifest: Manifest =
            parse("[defaults]\ntimeout = '5s'\nretry = { attempts = 4 }").expect("valid");
        let set = plan::Policy {
            timeout: Some(std::time::Duration::from_secs(1)),
            ..plan::Policy::default()
        };
        let policy = manifest.defaults.under(&set);
        assert_eq!(policy.timeout, set.timeout);
        assert_eq!(policy.retry.map(|retry| retry.attempts), Some(4));
        assert!(policy.cache.is_none());
    }
}
