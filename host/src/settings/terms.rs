//! The terms of one agent: what the operator and the author say, put together.

use std::collections::BTreeMap;
use std::fmt;

use crate::grants::{Access, Grants};
use crate::id::Digest;
use crate::limits::Limits;

/// What one agent gets: the operator's word and the author's together.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What it asks for; `None` for a plugin without a manifest, which asks for whatever it is granted.
    pub needs: Option<Grants>,
    /// What the operator allows this file.
    pub grants: Grants,
    /// What it gets: what is in both.
    pub effective: Grants,
    /// Its bounds.
    pub limits: Limits,
    /// Its settings.
    pub config: BTreeMap<String, String>,
}

impl Terms {
    /// What the author asks for and the operator has not granted, as lines for `[grants.NAME]`: the agent is served without it.
    pub fn missing(&self) -> Vec<String> {
        let Some(needs) = &self.needs else {
            return Vec::new();
        };
        let lacks = |key: &str, need: &dyn fmt::Debug, has: bool| {
            (!has).then(|| format!("{key} = [{need:?}]"))
        };
        let has = &self.effective;
        let http = needs
            .http
            .iter()
            .filter_map(|origin| lacks("http", &origin.to_string(), has.http.contains(origin)));
        let env = needs
            .env
            .iter()
            .filter_map(|name| lacks("env", name, has.env.contains(name)));
        let peers = needs
            .peers
            .iter()
            .filter_map(|skill| lacks("peers", &skill.as_str(), has.peers.contains(skill)));
        let events = needs
            .events
            .iter()
            .filter_map(|kind| lacks("events", &kind.as_str(), has.events.contains(kind)));
        let files = needs
            .files
            .iter()
            .filter(|file| !has.files.contains(file))
            .map(|file| {
                let access = match file.access {
                    Access::Read => "read",
                    Access::Write => "write",
                };
                format!(
                    "files = [{{ path = {:?}, access = {access:?} }}]",
                    file.path.as_str()
                )
            });
        http.chain(env)
            .chain(peers)
            .chain(events)
            .chain(files)
            .collect()
    }

    /// Identifies what an agent answers from, besides its input: the plugin, its settings and what it is granted. Answers from the
    /// cache are used again only while this stays the same.
    pub fn answers(&self, plugin: &Digest) -> Digest {
        let said = serde_json::json!([plugin, self.config, self.effective]);
        Digest::of(said.to_string().as_bytes())
    }

    /// The same together with the bounds: tasks under other bounds are not handled in one go, or the first one's would hold for all.
    pub fn bounded(&self, plugin: &Digest) -> Digest {
        let said = serde_json::json!([self.answers(plugin), self.limits]);
        Digest::of(said.to_string().as_bytes())
    }
}
