//! What is lost when the power fails.
//!
//! A killed program leaves the kernel's cache of its files as it was, so a missing `fsync` would never be noticed. Here every change below
//! the directory is remembered until it is durable, and those that are not are taken back once all processes are gone.
//!
//! The model is what POSIX promises, and no more:
//!
//! - What was there before the program began is durable.
//! - Bytes and length of a file are durable when an `fsync` or `fdatasync` of that file, which began after the change, has returned
//!   success; through whatever name, descriptor and process. So they are after `sync` and `syncfs`.
//! - A name is durable when the directory that it is in was synced so. Until then a new file or directory is gone, with all that is in it;
//!   a renamed one has its old name, and what it replaced is back; and a removed one is there. Syncing the file does not help: ext4 keeps
//!   the name of a new file that was synced, others need not. A rename between directories counts as a change of the new one.
//! - A file that was mapped to be written is gone, since what is written to memory is not seen here.
//!
//! Either all of it is lost, or a part that is drawn. Disks write in any order, so a later write may survive an earlier one that is lost:
//! in half of the cases whole writes are, in the others sectors. Names of one directory survive in the order in which they were changed,
//! as a file system keeps its own books.
//!
//! It knows nothing of permissions, times, symbolic links and files that are opened to be written at once (`O_SYNC`): what is written to
//! those counts as not durable.

mod content;
mod names;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::libc::user_regs_struct;
use nix::unistd::Pid;

use self::content::{Change, Content};
use self::names::Naming;
use crate::options::Loss;

/// A file, by whatever name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    device: u64,
    inode: u64,
}

impl Id {
    fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
        }
    }
}

/// What is not durable yet.
pub(crate) struct Disk {
    below: PathBuf,
    /// The number of the next change.
    next: u64,
    files: BTreeMap<Id, Content>,
    names: Vec<(u64, Naming)>,
    /// Calls that have not returned, by their thread.
    pending: BTreeMap<Pid, Pending>,
    mapped: BTreeSet<PathBuf>,
}

/// What a call does when it succeeds.
enum Pending {
    Change(Id, Change),
    Name(Naming),
    /// Makes every change durable that has a lower number: to one file, or to all.
    Sync(Option<Id>, u64),
    Map(PathBuf),
}

impl Disk {
    pub(crate) fn new(below: &Path) -> Self {
        Self {
            below: below.to_owned(),
            next: 0,
            files: BTreeMap::new(),
            names: Vec::new(),
            pending: BTreeMap::new(),
            mapped: BTreeSet::new(),
        }
    }

    /// A thread is about to make a call.
    pub(crate) fn before(&mut self, pid: Pid, regs: &user_regs_struct) -> Result<(), String> {
        if let Some(pending) = reading::read(pid, regs, &self.below, self.next)? {
            self.pending.insert(pid, pending);
        }
        Ok(())
    }

    /// Its call has returned.
    pub(crate) fn returned(&mut self, pid: Pid, result: i64) -> Result<(), String> {
        match self.pending.remove(&pid) {
            Some(pending) if result >= 0 => self.done(pending, Some(result as u64)),
            _ => Ok(()),
        }
    }

    /// A call did what it was to do; `result` is what it returned, if it came so far.
    fn done(&mut self, pending: Pending, result: Option<u64>) -> Result<(), String> {
        let number = self.next;
        self.next += 1;
        match pending {
            Pending::Change(id, change) => {
                let change = change.made(result)?;
                let content = self.files.entry(id).or_default();
                content.0.push((number, change));
            }
            Pending::Name(naming) => self.names.push((number, naming)),
            Pending::Sync(synced, until) => {
                let covers =
                    |id: Id, number| synced.is_none_or(|synced| synced == id) && number < until;
                self.names
                    .retain(|(number, naming)| !covers(naming.dir, *number));
                self.files.retain(|id, content| {
                    content.0.retain(|(number, _)| !covers(*id, *number));
                    !content.0.is_empty()
                });
            }
            Pending::Map(path) => {
                self.mapped.insert(path);
            }
        }
        Ok(())
    }

    /// The power has failed, and no process is left. Says what is lost.
    pub(crate) fn lose(mut self, loss: Loss, seed: u64) -> Result<Vec<String>, String> {
        // Whether those that were under way came so far is seen from what is there.
        for pending in std::mem::take(&mut self.pending).into_values() {
            match pending {
                Pending::Name(naming) if !naming.is_there() => {}
                Pending::Sync(..) => {}
                pending => self.done(pending, None)?,
            }
        }
        let mut draw = Draw::new(loss, seed);
        let mut lost = Vec::new();
        // In the order of what was done, so that the same seed draws the same.
        let mut files: Vec<_> = self.files.into_values().collect();
        files.sort_by_key(|content| content.0.first().map(|(number, _)| *number));
        for content in files {
            content.lose(&mut draw, &mut lost)?;
        }
        names::lose(self.names, &mut draw, &mut lost)?;
        for path in self.mapped {
            match fs::remove_file(&path) {
                Ok(()) => lost.push(format!("mapped {}", inside(&path, &self.below))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
        Ok(lost)
    }
}

/// Draws what is lost of that which may be.
struct Draw {
    /// Nothing survives without.
    random: Option<fastrand::Rng>,
    sectors: bool,
}

impl Draw {
    fn new(loss: Loss, seed: u64) -> Self {
        let mut random = match loss {
            Loss::All => None,
            Loss::Part => Some(fastrand::Rng::with_seed(seed)),
        };
        let sectors = random.as_mut().is_some_and(fastrand::Rng::bool);
        Self { random, sectors }
    }

    fn survives(&mut self) -> bool {
        self.random.as_mut().is_some_and(fastrand::Rng::bool)
    }

    /// How many of so many survive.
    fn survivors(&mut self, all: usize) -> usize {
        let random = self.random.as_mut();
        random.map_or(0, |random| random.usize(0..=all))
    }
}

/// A path as the report shows it.
fn inside(path: &Path, below: &Path) -> String {
    let inside = path.strip_prefix(below).unwrap_or(path);
    inside.display().to_string()
}
