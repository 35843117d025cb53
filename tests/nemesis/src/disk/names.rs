//! Changes of names, and how they are taken back.
//!
//! They are taken back newest first, so each finds every path as it was when the change was made.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Draw, Id};

/// One change.
pub(super) struct Naming {
    /// The directory that must be synced.
    pub(super) dir: Id,
    shown: String,
    path: PathBuf,
    act: Act,
}

enum Act {
    New,
    Gone(Kept),
    /// From where, and what it has replaced.
    Moved(PathBuf, Option<Kept>),
}

/// What a name stood for.
enum Kept {
    /// Open, because what has no name any more is freed when nobody has it open.
    File(File, u32),
    Dir(u32),
}

impl Naming {
    /// A name comes into being; `None` where it is there already.
    pub(super) fn new(path: PathBuf, shown: String) -> Option<Self> {
        let is_new = path.symlink_metadata().is_err();
        let dir = dir_of(&path)?;
        is_new.then_some(Self {
            dir,
            shown,
            path,
            act: Act::New,
        })
    }

    /// A name goes.
    pub(super) fn gone(path: PathBuf, shown: String) -> Result<Option<Self>, String> {
        let Some((dir, kept)) = dir_of(&path).zip(Kept::at(&path)?) else {
            return Ok(None);
        };
        Ok(Some(Self {
            dir,
            shown,
            path,
            act: Act::Gone(kept),
        }))
    }

    /// A name becomes another.
    pub(super) fn moved(
        from: PathBuf,
        path: PathBuf,
        shown: String,
    ) -> Result<Option<Self>, String> {
        let Some(dir) = dir_of(&path) else {
            return Ok(None);
        };
        let over = Kept::at(&path)?;
        Ok(Some(Self {
            dir,
            shown,
            path,
            act: Act::Moved(from, over),
        }))
    }

    /// Whether it was made, for a call that has not returned.
    pub(super) fn is_there(&self) -> bool {
        let is = |path: &Path| path.symlink_metadata().is_ok();
        match &self.act {
            Act::New => is(&self.path),
            Act::Gone(_) => !is(&self.path),
            Act::Moved(from, _) => !is(from),
        }
    }

    fn undo(&self) -> io::Result<()> {
        match &self.act {
            Act::New if self.path.symlink_metadata()?.is_dir() => fs::remove_dir_all(&self.path),
            Act::New => fs::remove_file(&self.path),
            Act::Gone(kept) => kept.put_back(&self.path),
            Act::Moved(from, over) => {
                fs::rename(&self.path, from)?;
                over.iter().try_for_each(|kept| kept.put_back(&self.path))
            }
        }
    }
}

impl Kept {
    fn at(path: &Path) -> Result<Option<Self>, String> {
        let Ok(meta) = path.symlink_metadata() else {
            return Ok(None);
        };
        if meta.is_dir() {
            return Ok(Some(Self::Dir(meta.mode())));
        }
        if !meta.is_file() {
            return Ok(None);
        }
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(Self::File(file, meta.mode())))
    }

    /// Another file with the same in it: nobody is left who could tell.
    fn put_back(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Dir(mode) => DirBuilder::new().mode(mode & 0o7777).create(path),
            Self::File(file, mode) => {
                let mut file = file;
                let mut options = OpenOptions::new();
                let options = options.write(true).create_new(true).mode(mode & 0o7777);
                io::Seek::rewind(&mut file)?;
                io::copy(&mut file, &mut options.open(path)?).map(drop)
            }
        }
    }
}

/// Takes back what does not survive. What is in the files is right by now.
pub(super) fn lose(
    names: Vec<(u64, Naming)>,
    draw: &mut Draw,
    lost: &mut Vec<String>,
) -> Result<(), String> {
    let mut left = BTreeMap::new();
    for (_, naming) in &names {
        *left.entry(naming.dir).or_insert(0) += 1;
    }
    // In the order of what was done, so that the same seed draws the same.
    let mut survivors = BTreeMap::new();
    let mut gone = Vec::new();
    for (_, naming) in names {
        let all = left.get(&naming.dir).copied().unwrap_or(0);
        let survivors = survivors
            .entry(naming.dir)
            .or_insert_with(|| draw.survivors(all));
        match survivors.checked_sub(1) {
            Some(fewer) => *survivors = fewer,
            None => gone.push(naming),
        }
    }
    for naming in gone.into_iter().rev() {
        let undone = naming.undo();
        undone.map_err(|error| format!("take back {}: {error}", naming.shown))?;
        lost.push(naming.shown);
    }
    Ok(())
}

fn dir_of(path: &Path) -> Option<Id> {
    let meta = path.parent()?.metadata();
    meta.ok().map(|meta| Id::of(&meta))
}
