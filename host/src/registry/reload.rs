//! Reload: what a directory of plugins is now, made from what it was. Neither registry changes: runs go on with the one that they began
//! with, and whoever begins runs takes the next.
//!
//! A plugin to which nothing changed is the same one in both. One that is refused leaves the old one in service, and so does a file that
//! is gone when the served flow needs its agent. What the operator takes back is taken back all the same: an old plugin stays under
//! the present settings, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::load::{AT_ONCE, Claims, Found, claims};
use super::{LoadError, Loader, Plugin, Plugins, Refused, Registry, entry, pins};
use crate::flow;
use crate::id::{AgentName, Digest};
use crate::plan::Plan;
use crate::policy::NotLoaded;

/// The next registry, and in what it differs.
pub struct Reloaded {
    /// The plugins as they are now.
    pub registry: Registry,
    /// What is new since the last time; empty when nothing is.
    pub changes: Vec<Change>,
}

/// Something that changed in a directory of plugins.
#[derive(Debug, Clone)]
pub enum Change {
    /// There is a new agent.
    Added {
        /// The agent.
        agent: AgentName,
        /// Its plugin.
        now: Digest,
    },
    /// An agent has another plugin, or the same one under other terms.
    Replaced {
        /// The agent.
        agent: AgentName,
        /// Its plugin before.
        before: Digest,
        /// Its plugin now.
        now: Digest,
    },
    /// The file of a plugin that stayed in service is what it was.
    Returned {
        /// The agent.
        agent: AgentName,
        /// Its plugin.
        now: Digest,
    },
    /// An agent is no longer there.
    Removed {
        /// The agent.
        agent: AgentName,
        /// Its plugin before.
        before: Digest,
    },
    /// A file is gone, or provides another agent now, but the flow needs the one that it provided.
    Gone {
        /// The agent.
        agent: AgentName,
        /// The file that was there.
        path: PathBuf,
        /// The plugin that stays in service.
        serves: Digest,
    },
    /// A file is refused.
    Refused {
        /// The file, and why.
        refused: Arc<Refused>,
        /// The agent and the plugin that stay in service in its place, if there are any.
        serves: Option<(AgentName, Digest)>,
    },
}

/// Why there is no next registry.
#[derive(Debug, thiserror::Error)]
pub enum Unserved {
    /// The directory cannot be listed.
    #[error(transparent)]
    Directory(#[from] LoadError),
    /// The served flow would lack an agent.
    #[error("the flow needs {}", lacking(missing, .refused.as_deref()))]
    Lacks {
        /// What it would lack.
        missing: NotLoaded,
        /// Why its plugin would be refused.
        refused: Option<Arc<Refused>>,
    },
    /// The served flow could not use an agent as it would be under these settings.
    #[error("agent `{agent}` would not fit the flow that is served: {why}")]
    Unfit {
        /// The agent.
        agent: AgentName,
        /// What does not fit.
        why: String,
    },
}

fn lacking(missing: &NotLoaded, refused: Option<&Refused>) -> String {
    let what = match missing {
        NotLoaded::Agent(agent) => format!("agent `{agent}`"),
        NotLoaded::Skill(Some(skill)) => format!("an agent with the skill `{skill}`"),
        NotLoaded::Skill(None) => "agents that say which skills they have".to_owned(),
    };
    match refused {
        Some(refused) => format!("{what}, which would be refused: {}", refused.error),
        None => format!("{what}, and no other would be served"),
    }
}

impl Registry {
    /// The plugins of `dir` as they are now, for runs of `plan` that begin from now on. `loader` loads into the same engine as the one
    /// that loaded this registry. What all runs share (answers, slots, batches, breakers of plugins that stay) is shared with this
    /// one; a new version of a plugin begins with a closed breaker and a clean health.
    ///
    /// Costs a read and a hash of every file; only what is new is compiled, linked and asked to describe itself.
    ///
    /// # Errors
    /// When the directory cannot be listed, or settings changed so that the flow would lack an agent or could not use it. This registry
    /// is then as good as it was.
    pub async fn reload(
        &self,
        loader: &Loader,
        dir: &Path,
        plan: &Plan,
    ) -> Result<Reloaded, Unserved> {
        let Claims { alone, refused } = claims(dir).await?;
        let files = alone
            .iter()
            .map(|claimant| (claimant.path.clone(), Some(claimant.agent.clone())));
        let nobodys = refused.iter().map(|refused| (refused.path.clone(), None));
        let mut next = Next::after(self, files.chain(nobodys).collect());
        for why in refused {
            next.refuse(Arc::new(why));
        }
        let renewing = stream::iter(alone).map(|claimant| {
            let old = self.plugins.get(&claimant.agent);
            let refused = self.refused_at(&claimant.path);
            loader.renewed(claimant, old, refused)
        });
        let mut renewing = renewing.buffered(AT_ONCE);
        while let Some(found) = renewing.next().await {
            match found {
                Found::Same(plugin) => next.same(plugin),
                Found::New(plugin) => next.renew(plugin),
                Found::Refused(why) => next.refuse(why),
            }
        }
        next.refuse_unfit(plan);
        next.keep_refused(loader).await;
        next.keep_needed(loader, plan).await?;
        next.check_fit(plan)?;
        Ok(next.done())
    }

    /// These plugins under the settings of `loader`, whatever stands in the directory: so that what the operator takes back is taken
    /// back while the directory cannot be listed.
    ///
    /// # Errors
    /// When the flow would lack an agent under them or could not use it. This registry is then as good as it was.
    pub async fn under(&self, loader: &Loader, plan: &Plan) -> Result<Reloaded, Unserved> {
        let there = |plugin: &&Arc<Plugin>| !self.gone.contains(&plugin.agent);
        let files = self.plugins.values().filter(there);
        let files = files.map(|plugin| (plugin.path.clone(), Some(plugin.agent.clone())));
        let mut next = Next::after(self, files.collect());
        next.refused.clone_from(&self.refused);
        for old in self.plugins.values() {
            match loader.stays(old).await {
                Ok(plugin) => next.renew(plugin),
                Err(error) => next.refuse(Arc::new(Refused {
                    path: old.path.clone(),
                    agent: old.agent.to_string(),
                    error,
                    basis: None,
                })),
            }
        }
        next.keep_needed(loader, plan).await?;
        next.check_fit(plan)?;
        Ok(next.done())
    }

    fn refused_at(&self, path: &Path) -> Option<&Arc<Refused>> {
        self.refused.iter().find(|refused| refused.path == path)
    }
}

/// The next registry while it is made.
struct Next<'r> {
    before: &'r Registry,
    /// What is in the directory, and which agent each file claims; `None` where that is refused already.
    files: BTreeMap<PathBuf, Option<AgentName>>,
    plugins: Plugins,
    refused: Vec<Arc<Refused>>,
    gone: BTreeSet<AgentName>,
    changes: Vec<Change>,
}

impl<'r> Next<'r> {
    fn after(before: &'r Registry, files: BTreeMap<PathBuf, Option<AgentName>>) -> Self {
        Self {
            before,
            files,
            plugins: Plugins::new(),
            refused: Vec::new(),
            gone: BTreeSet::new(),
            changes: Vec::new(),
        }
    }

    fn same(&mut self, plugin: Arc<Plugin>) {
        let (agent, now) = (plugin.agent.clone(), plugin.digest);
        if self.before.gone.contains(&agent) || self.before.refused_at(&plugin.path).is_some() {
            let agent = agent.clone();
            self.changes.push(Change::Returned { agent, now });
        }
        self.plugins.insert(agent, plugin);
    }

    fn renew(&mut self, plugin: Arc<Plugin>) {
        self.plugins.insert(plugin.agent.clone(), plugin);
    }

    fn refuse(&mut self, why: Arc<Refused>) {
        self.refused.push(why);
    }

    /// Refuses new versions that the flow cannot use, where it could use the old ones.
    fn refuse_unfit(&mut self, plan: &Plan) {
        for (new, why) in self.misfits(plan) {
            self.unfit(&new, why);
        }
    }

    /// Looks again, since what stays in place of a refused version may have another card than it had, under other settings.
    fn check_fit(&self, plan: &Plan) -> Result<(), Unserved> {
        match self.misfits(plan).into_iter().next() {
            None => Ok(()),
            Some((plugin, why)) => Err(Unserved::Unfit {
                agent: plugin.agent.clone(),
                why,
            }),
        }
    }

    /// The plugins that the flow cannot use, where it could use those before them; and why not.
    fn misfits(&self, plan: &Plan) -> Vec<(Arc<Plugin>, String)> {
        let mut misfits = Vec::new();
        let mut catalogue = self.before.catalogue();
        if !flow::check(plan, &catalogue).is_empty() {
            return misfits;
        }
        for agent in plan.agents().into_keys() {
            let (Some(old), Some(new)) = (self.before.plugins.get(agent), self.plugins.get(agent))
            else {
                continue;
            };
            if Arc::ptr_eq(old, new) {
                continue;
            }
            catalogue.insert(agent.clone(), entry(new));
            let problems = flow::check(plan, &catalogue);
            if let Some(problem) = problems.iter().next() {
                misfits.push((new.clone(), problem.message.clone()));
            }
            catalogue.insert(agent.clone(), entry(old));
        }
        misfits
    }

    /// Takes out a new version that would do no harm, but no good either.
    fn unfit(&mut self, new: &Plugin, why: String) {
        self.plugins.remove(&new.agent);
        self.refuse(Arc::new(Refused {
            path: new.path.clone(),
            agent: new.agent.to_string(),
            error: LoadError::Unfit(why),
            basis: Some(new.basis()),
        }));
    }

    /// Leaves in service what had its file where one is refused now.
    async fn keep_refused(&mut self, loader: &Loader) {
        for old in self.before.plugins.values() {
            let is_refused = self.refused.iter().any(|why| why.path == old.path);
            if is_refused
                && !self.plugins.contains_key(&old.agent)
                && let Ok(stays) = loader.stays(old).await
            {
                self.renew(stays);
            }
        }
    }

    /// Leaves in service what the flow needs and nothing else provides.
    async fn keep_needed(&mut self, loader: &Loader, plan: &Plan) -> Result<(), Unserved> {
        let mut looked_for = Vec::new();
        while let Err(missing) = pins(plan, &self.plugins) {
            let before: &'r Registry = self.before;
            let provides = |old: &&Arc<Plugin>| match &missing {
                NotLoaded::Agent(agent) => old.agent == *agent,
                NotLoaded::Skill(skill) => old.has(skill.as_ref()),
            };
            let mut kept = false;
            // A card that says something else each time it is asked for must not keep this going.
            let again = looked_for.contains(&missing);
            for old in before
                .plugins
                .values()
                .filter(|old| !again && provides(old))
            {
                // Under other settings it may have other skills than it had.
                if let Ok(stays) = loader.stays(old).await
                    && provides(&&stays)
                {
                    // A new version without the skill that the old one had.
                    if let Some(new) = self.plugins.get(&old.agent).cloned() {
                        self.unfit(&new, missing.to_string());
                    }
                    kept = true;
                    self.renew(stays);
                }
            }
            if !kept {
                let names = |why: &&Arc<Refused>| match &missing {
                    NotLoaded::Agent(agent) => why.agent == agent.as_str(),
                    NotLoaded::Skill(_) => false,
                };
                let refused = self.refused.iter().find(names).cloned();
                return Err(Unserved::Lacks { missing, refused });
            }
            looked_for.push(missing);
        }
        Ok(())
    }

    /// Whether its file is there and may be this agent's still.
    fn is_there(&self, plugin: &Plugin) -> bool {
        let claims = self.files.get(&plugin.path);
        claims.is_some_and(|claims| claims.as_ref().is_none_or(|agent| *agent == plugin.agent))
    }

    /// The registry, and what is new in it.
    fn done(mut self) -> Reloaded {
        let before = self.before;
        for why in &self.refused {
            if !before.refused.iter().any(|told| told.says(why)) {
                let serves = self.plugins.values().find(|stays| stays.path == why.path);
                self.changes.push(Change::Refused {
                    serves: serves.map(|stays| (stays.agent.clone(), stays.digest)),
                    refused: why.clone(),
                });
            }
        }
        let shared = before.providers.shared.clone();
        for (agent, plugin) in &self.plugins {
            let (agent, now) = (agent.clone(), plugin.digest);
            let old = before.plugins.get(&agent);
            if old.is_none_or(|old| old.digest != now) {
                shared.renew(&agent);
            }
            match old {
                None => self.changes.push(Change::Added { agent, now }),
                Some(old) if !Arc::ptr_eq(old, plugin) => {
                    let before = old.digest;
                    self.changes.push(Change::Replaced { agent, before, now });
                }
                Some(_) => {}
            }
        }
        for (agent, old) in &before.plugins {
            let (agent, digest) = (agent.clone(), old.digest);
            match self.plugins.get(&agent) {
                None => self.changes.push(Change::Removed {
                    agent,
                    before: digest,
                }),
                Some(stays) if !self.is_there(stays) => {
                    self.gone.insert(agent.clone());
                    if !before.gone.contains(&agent) {
                        self.changes.push(Change::Gone {
                            agent,
                            path: stays.path.clone(),
                            serves: digest,
                        });
                    }
                }
                Some(_) => {}
            }
        }
        let Self {
            plugins,
            refused,
            gone,
            changes,
            ..
        } = self;
        let registry = Registry::of(plugins, refused, gone, shared);
        Reloaded { registry, changes }
    }
}

impl Refused {
    /// Whether it says the same about the same file.
    fn says(&self, other: &Self) -> bool {
        let digest = |refused: &Self| refused.basis.as_ref().map(|basis| basis.digest);
        self.path == other.path
            && digest(self) == digest(other)
            && self.error.to_string() == other.error.to_string()
    }
}
