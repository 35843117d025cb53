//! Hot reload: while a flow is served, its plugins and `kennel.toml` are watched, and runs that begin later begin with what is there then.
//!
//! What is wrong with a file is told once, on standard error, and leaves what is served as it is. The flow itself is not watched.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::task::AbortOnDropHandle;

use super::host::{self, Host, Paths};
use super::{Options, ui};
use crate::engine::serve::{Fleet, Serving};
use crate::health::Book;
use crate::plan::Plan;
use crate::policy::NotLoaded;
use crate::registry::{Change, Loader, Registry, Reloaded, Unserved};
use crate::watch::{Changes, Place};

/// What runs of `plan` begin with.
pub(super) fn fleet(registry: &Registry, plan: &Plan) -> Result<Fleet, NotLoaded> {
    Ok(Fleet {
        calls: registry.calls(plan)?,
        agents: registry.pins(plan)?,
    })
}

/// A flow's plugins and settings while they are watched: until this is dropped.
pub(super) struct Reloading(
    #[expect(dead_code, reason = "it is there to be dropped")] AbortOnDropHandle<()>,
);

impl Reloading {
    /// Watches from now on, beside whatever else goes on.
    pub(super) fn begin(options: &Options, host: Host, serving: &Serving) -> Self {
        let Host {
            registry,
            health,
            loader,
            paths,
            ..
        } = host;
        let watcher = Watcher {
            options: options.clone(),
            paths,
            loader,
            plan: serving.plan.clone(),
            fleet: serving.fleet.clone(),
            registry: Arc::new(registry),
            health,
            told: HashSet::new(),
        };
        Self(AbortOnDropHandle::new(tokio::spawn(watcher.watch())))
    }
}

struct Watcher {
    options: Options,
    /// As they were at the start, but for whether there were settings when they were last read; the loader has those that hold now.
    paths: Paths,
    loader: Loader,
    plan: Arc<Plan>,
    fleet: Arc<ArcSwap<Fleet>>,
    registry: Arc<Registry>,
    health: Arc<Book>,
    /// What is wrong and was said already.
    told: HashSet<String>,
}

impl Watcher {
    async fn watch(mut self) {
        let mut changes = Changes::of(self.places());
        loop {
            // First without waiting: something may have changed since the plugins were loaded.
            self.look().await;
            changes.settled().await;
        }
    }

    fn places(&self) -> Vec<Place> {
        let is_plugin = |name: &OsStr| {
            let end = Path::new(name).extension();
            end.is_some_and(|end| end == "wasm" || end == "toml")
        };
        let file = &self.paths.file;
        let settings = file.file_name().map(OsStr::to_owned);
        let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        vec![
            Place {
                dir: self.paths.agents.clone(),
                matters: Box::new(is_plugin),
            },
            Place {
                dir: folder.unwrap_or(Path::new(".")).to_owned(),
                matters: Box::new(move |name| settings.as_deref() == Some(name)),
            },
        ]
    }

    /// Looks at everything, and takes what can be taken.
    async fn look(&mut self) {
        let mut wrong = HashSet::new();
        let before = self.registry.clone();
        let agents = self.paths.agents.clone();
        let (mut reloaded, mut unlisted) = (None, None);
        match self.under_new_settings() {
            Ok(None) => {}
            Ok(Some(loader)) => {
                let mut taken = before.reload(&loader, &agents, &self.plan).await;
                // Whoever may fill the directory must not keep the operator from taking something back.
                if let Err(Unserved::Directory(error)) = &taken {
                    unlisted = Some(error.to_string());
                    taken = before.under(&loader, &self.plan).await;
                }
                match taken {
                    Ok(taken) => {
                        self.say("reloaded", &self.paths.file.display().to_string());
                        self.loader = loader;
                        reloaded = Some(taken);
                    }
                    Err(error) => drop(wrong.insert(error.to_string())),
                }
            }
            Err(why) => drop(wrong.insert(why)),
        }
        let file = ui::safe(&self.paths.file.display().to_string());
        let mut wrong: HashSet<_> = wrong
            .into_iter()
            .map(|why| {
                format!(
                    "`{file}` is refused, the settings stay as they were: {}",
                    ui::safe(&why)
                )
            })
            .collect();
        if reloaded.is_none() {
            match before.reload(&self.loader, &agents, &self.plan).await {
                Ok(taken) => reloaded = Some(taken),
                Err(error) => unlisted = Some(error.to_string()),
            }
        }
        if let Some(why) = unlisted {
            let why = ui::safe(&why);
            wrong.insert(format!("the plugins stay as they were: {why}"));
        }
        for why in wrong.difference(&self.told) {
            warn(why);
        }
        self.told = wrong;
        if let Some(reloaded) = reloaded {
            self.take(reloaded).await;
        }
    }

    /// A loader under the settings as they stand now; `None` when they say what they said. Otherwise why they are not taken.
    fn under_new_settings(&mut self) -> Result<Option<Loader>, String> {
        let gone = "it is gone; an empty file would take every grant and limit back";
        let was_there = self.paths.is_there;
        if was_there && !self.paths.file.exists() {
            return Err(gone.into());
        }
        let now = Paths::find(&self.options)
            .map_err(|error| error.message().unwrap_or_default().to_owned())?;
        // It may have gone since: only what was read tells.
        if was_there && !now.is_there {
            return Err(gone.into());
        }
        self.paths.is_there = now.is_there;
        if now.settings == *self.loader.settings() {
            return Ok(None);
        }
        for (key, fixed) in [
            ("agents", now.agents == self.paths.agents),
            ("store.path", now.state == self.paths.state),
        ] {
            if !fixed {
                return Err(format!(
                    "`{key}` is other than it was at the start; start kennel again to change it"
                ));
            }
        }
        let loader = self.loader.under(now.settings);
        loader.map(Some).map_err(|fixed| fixed.to_string())
    }

    /// From now on runs begin with these plugins.
    async fn take(&mut self, reloaded: Reloaded) {
        let Reloaded { registry, changes } = reloaded;
        let fleet = match fleet(&registry, &self.plan) {
            Ok(fleet) => fleet,
            Err(error) => return warn(&format!("the plugins stay as they were: {error}")),
        };
        if !changes.is_empty() {
            self.health.turn(host::pages(&registry)).await;
        }
        self.fleet.store(Arc::new(fleet));
        for change in &changes {
            self.tell(&registry, change);
        }
        self.registry = Arc::new(registry);
    }

    fn tell(&self, registry: &Registry, change: &Change) {
        let missing = |agent: &str| {
            if let Some(plugin) = registry.plugin(agent) {
                host::warn_missing(plugin);
            }
        };
        match change {
            Change::Added { agent, now } => {
                self.say("added", &format!("{agent} ({})", ui::short(now)));
                missing(agent.as_str());
            }
            Change::Replaced { agent, before, now } if before == now => {
                self.say(
                    "reloaded",
                    &format!("{agent} ({}, under new terms)", ui::short(now)),
                );
                missing(agent.as_str());
            }
            Change::Replaced { agent, before, now } => {
                let (before, now) = (ui::short(before), ui::short(now));
                self.say("reloaded", &format!("{agent} ({before} → {now})"));
                missing(agent.as_str());
            }
            Change::Returned { agent, now } => {
                self.say("reloaded", &format!("{agent} ({} is back)", ui::short(now)));
            }
            Change::Removed { agent, before } => {
                self.say("removed", &format!("{agent} ({})", ui::short(before)));
            }
            Change::Gone {
                agent,
                path,
                serves,
            } => {
                let how = match path.exists() {
                    true => "provides another agent now",
                    false => "is gone",
                };
                warn(&format!(
                    "`{}` {how}, but the flow needs agent `{agent}`; {} serves on",
                    ui::safe(&path.display().to_string()),
                    ui::short(serves)
                ));
            }
            Change::Refused { refused, serves } => {
                let path = ui::safe(&refused.path.display().to_string());
                let why = ui::safe(&refused.error.to_string());
                let serves = match serves {
                    Some((agent, digest)) => {
                        format!(
                            "\n  agent `{agent}` stays as it was: {} serves on",
                            ui::short(digest)
                        )
                    }
                    None => String::new(),
                };
                warn(&format!("`{path}` is refused: {why}{serves}"));
            }
        }
    }

    fn say(&self, what: &str, of: &str) {
        ui::say(format_args!(
            "{} {}",
            ui::styled(ui::BOLD, what),
            ui::safe(of)
        ));
    }
}

fn warn(what: &str) {
    ui::say(format_args!("{} {what}", ui::styled(ui::WARN, "warning:")));
}
