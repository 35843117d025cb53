//! Grants: what a plugin asks for, what the operator allows, and the intersection, which is all it gets.
//!
//! One type serves all three, so they are written with the same words. Pure data: nothing is opened or connected here.

mod origin;
mod verdict;

pub use origin::{Origin, OriginError, OriginHost};
pub use verdict::{Refusal, Verdict, verdict};

use serde::{Deserialize, Serialize};

use crate::id::{EventType, SkillName};

/// Capabilities: needs in a manifest's `[needs]`, grants in the operator's `[grants.NAME]`, or the effective intersection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Grants {
    /// Origins that HTTP requests may go to, such as `https://api.example.com`.
    pub http: Vec<Origin>,
    /// Directories under the agent's own data directory.
    pub files: Vec<FileGrant>,
    /// Environment variables, by name, taken from the operator's process when the plugin is loaded.
    pub env: Vec<String>,
    /// Whether it may keep shared state.
    pub state: bool,
    /// Skills of other agents that it may call.
    pub peers: Vec<SkillName>,
    /// Types of events that it may emit.
    pub events: Vec<EventType>,
}

/// One directory and what may be done in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileGrant {
    /// Relative to the agent's own data directory; the guest sees it under the same name.
    pub path: RelativePath,
    /// What may be done there.
    pub access: Access,
}

/// What may be done in a directory.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Reading files and listing directories.
    Read,
    /// Reading, writing, creating and deleting.
    Write,
}

/// A relative path without `..`, `.` or empty parts: it cannot name anything outside the directory that it is resolved in, as
/// long as nobody follows links.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct RelativePath(String);

/// A path in a grant that is not relative, or climbs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a path below the agent's data directory; write for example `data` or `data/in`, without `..`", .0.escape_debug())]
pub struct PathError(String);

impl RelativePath {
    /// The path as text, its parts joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RelativePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        if text.len() <= 1024 && text.split('/').all(plain) {
            Ok(Self(text))
        } else {
            Err(PathError(text.chars().take(200).collect()))
        }
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0
    }
}

/// What a plugin gets: its needs as far as they are granted. A plugin without a manifest (`needs` is `None`) asks for whatever the
/// operator grants.
pub fn effective(needs: Option<&Grants>, grants: &Grants) -> Grants {
    let Some(needs) = needs else {
        return grants.clone();
    };
    Grants {
        http: both(&needs.http, &grants.http),
        files: needs
            .files
            .iter()
            .filter_map(|need| granted_file(need, &grants.files))
            .collect(),
        env: both(&needs.env, &grants.env),
        state: needs.state && grants.state,
        peers: both(&needs.peers, &grants.peers),
        events: both(&needs.events, &grants.events),
    }
}

/// What stands in both lists, in the order of the first.
fn both<T: Clone + PartialEq>(needs: &[T], grants: &[T]) -> Vec<T> {
    needs
        .iter()
        .filter(|need| grants.contains(need))
        .cloned()
        .collect()
}

/// The lesser access of the need and the grant for the same path.
fn granted_file(need: &FileGrant, grants: &[FileGrant]) -> Option<FileGrant> {
    let granted = grants
        .iter()
        .filter(|grant| grant.path == need.path)
        .map(|grant| grant.access)
        .max()?;
    Some(FileGrant {
        path: need.path.clone(),
        access: need.access.min(granted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(text: &str) -> Grants {
        toml::from_str(text).expect("the test's grants")
    }

    #[test]
    fn a_plugin_gets_only_what_it_asks_for_and_is_granted() {
        let needs = grants(
            "http = ['https://a.example', 'https://b.example']\nstate = true\nenv = ['LANG']\npeers = ['translate', 'ocr']\nevents = ['a.ready', 'b']",
        );
        let allowed = grants(
            "http = ['https://b.example:443', 'https://c.example']\nenv = ['LANG', 'HOME']\npeers = ['ocr']\nevents = ['b', 'c']",
        );
        let both =
            grants("http = ['https://b.example']\nenv = ['LANG']\npeers = ['ocr']\nevents = ['b']");
        assert_eq!(effective(Some(&needs), &allowed), both);
    }

    #[test]
    fn a_plugin_without_a_manifest_gets_what_is_granted() {
        let allowed = grants("state = true\nfiles = [{ path = 'data', access = 'write' }]");
        assert_eq!(effective(None, &allowed), allowed);
    }

    #[test]
    fn of_two_accesses_the_lesser_holds() {
        let read = grants("files = [{ path = 'data', access = 'read' }]");
        let write = grants(
            "files = [{ path = 'data', access = 'write' }, { path = 'other', access = 'write' }]",
        );
        assert_eq!(effective(Some(&read), &write), read);
        assert_eq!(effective(Some(&write), &read), read);
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        for bad in [
            "", "/etc", "..", "a/../..", "a//b", ".", "a/.", "a\\b", "a\0b",
        ] {
            assert!(RelativePath::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for good in ["data", "data/in", "..data"] {
            assert!(RelativePath::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn an_unknown_capability_is_refused() {
        let error = toml::from_str::<Grants>("htpp = []")
            .unwrap_err()
            .to_string();
        assert!(error.contains("htpp") && error.contains("http"), "{error}");
        assert!(toml::from_str::<Grants>("model = []").is_err());
    }
}
