//! How much an agent's files take: a walk through its directories, and the files that it holds open without a name.
//!
//! It follows no link, and goes no further than to what is too much.

use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use walkdir::WalkDir;

/// What files take: their lengths, as if they had no holes, and their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Bytes of files and of what links point to. A file with several names counts once.
    pub(super) bytes: u64,
    /// Names of files, directories, links and whatever else has one, and files that are open and have none.
    pub(super) entries: u64,
}

impl Used {
    /// One more name, and nothing behind it.
    pub(super) const ENTRY: Self = Self {
        bytes: 0,
        entries: 1,
    };

    /// What nobody has counted, or not to the end.
    pub(super) const TOO_MUCH: Self = Self {
        bytes: u64::MAX,
        entries: u64::MAX,
    };

    pub(super) fn bytes(bytes: u64) -> Self {
        Self { bytes, entries: 0 }
    }

    pub(super) fn passes(self, limit: Self) -> bool {
        self.bytes > limit.bytes || self.entries > limit.entries
    }
}

/// The files that tasks of an agent have opened. One that has lost its name while it is open still takes its room.
#[derive(Default)]
pub(super) struct Opened(Mutex<Vec<Weak<File>>>);

impl Opened {
    /// Remembers `file` for as long as anybody has it.
    pub(super) fn note(&self, file: &Arc<File>) {
        let mut files = self.0.lock();
        if files.len() == files.capacity() {
            files.retain(|file| file.strong_count() > 0);
        }
        files.push(Arc::downgrade(file));
    }
}

/// What is below `roots` and in the files of `opened` that have no name; when it passes `limit`, only so much of it.
///
/// Exact as long as nobody gives anything another name meanwhile. What cannot be counted, because it is nested too deep for a path, is too
/// much.
pub(super) fn walk(roots: &[OwnedFd], opened: &Opened, limit: Used) -> Used {
    let mut used = Used::default();
    let mut seen = HashSet::new();
    for root in roots {
        // Leads to the directory that was opened, whatever its name points at by now.
        let root = format!("/proc/self/fd/{}", root.as_raw_fd());
        for entry in WalkDir::new(root).min_depth(1) {
            match entry.and_then(|entry| entry.metadata()) {
                Ok(meta) => {
                    used.entries += 1;
                    let links = meta.nlink() > 1 && !meta.is_dir();
                    let new = !links || seen.insert((meta.dev(), meta.ino()));
                    if new && (meta.is_file() || meta.is_symlink()) {
                        used.bytes = used.bytes.saturating_add(meta.len());
                    }
                }
                // It is gone by now, or the agent cannot write there either.
                Err(error) if error.io_error().is_some_and(|error| passable(error.kind())) => {}
                Err(_) => return Used::TOO_MUCH,
            }
            if used.passes(limit) {
                return used;
            }
        }
    }
    // Afterwards: a name that was taken from a file meanwhile is missed by at most one of the two.
    for file in opened.0.lock().iter().filter_map(Weak::upgrade) {
        if let Ok(meta) = file.metadata()
            && meta.nlink() == 0
            && seen.insert((meta.dev(), meta.ino()))
        {
            used.bytes = used.bytes.saturating_add(meta.len());
            used.entries += 1;
        }
    }
    used
}

fn passable(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    const ENOUGH: Used = Used {
        bytes: 1 << 20,
        entries: 100,
    };

    fn root(path: &Path) -> Vec<OwnedFd> {
        vec![File::open(path).expect("opened").into()]
    }

    /// What is in `path`.
    fn below(path: &Path) -> Used {
        walk(&root(path), &Opened::default(), ENOUGH)
    }

    fn used(bytes: u64, entries: u64) -> Used {
        Used { bytes, entries }
    }

    #[test]
    fn files_count_by_length_and_everything_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path();
        assert_eq!(below(path), used(0, 0));
        fs::create_dir_all(path.join("one/two")).expect("made");
        fs::write(path.join("one/two/ten"), "0123456789").expect("written");
        assert_eq!(below(path), used(10, 3));
        let sparse = File::create(path.join("sparse")).expect("made");
        sparse.set_len(5000).expect("set");
        assert_eq!(below(path), used(5010, 4));
    }

    #[test]
    fn a_file_with_two_names_counts_once() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("ten"), "0123456789").expect("written");
        fs::hard_link(dir.path().join("ten"), dir.path().join("again")).expect("linked");
        assert_eq!(below(dir.path()), used(10, 2));
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("ten"), "0123456789").expect("written");
        symlink(outside.path(), dir.path().join("link")).expect("linked");
        let target = outside.path().as_os_str().len() as u64;
        assert_eq!(below(dir.path()), used(target, 1));
    }

    #[test]
    fn an_open_file_without_a_name_counts_until_it_is_closed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ten");
        fs::write(&path, "0123456789").expect("written");
        let opened = Opened::default();
        let held = Arc::new(File::open(&path).expect("opened"));
        let again = Arc::new(File::open(&path).expect("opened"));
        opened.note(&held);
        opened.note(&again);
        let roots = root(dir.path());
        assert_eq!(walk(&roots, &opened, ENOUGH), used(10, 1));
        fs::remove_file(&path).expect("removed");
        assert_eq!(walk(&roots, &opened, ENOUGH), used(10, 1));
        drop((held, again));
        assert_eq!(walk(&roots, &opened, ENOUGH), used(0, 0));
    }

    #[test]
    fn files_that_are_closed_are_forgotten() {
        let opened = Opened::default();
        let dir = tempfile::tempdir().expect("a directory");
        for _ in 0..1000 {
            opened.note(&Arc::new(File::open(dir.path()).expect("opened")));
        }
        assert!(opened.0.lock().capacity() < 100);
    }

    #[test]
    fn a_walk_ends_at_what_is_too_much() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in 0..50 {
            fs::write(dir.path().join(name.to_string()), "0123456789").expect("written");
        }
        let walk = |limit| walk(&root(dir.path()), &Opened::default(), limit);
        assert_eq!(walk(used(1000, 5)), used(60, 6));
        assert_eq!(walk(used(95, 1000)), used(100, 10));
    }

    #[test]
    fn what_is_nested_too_deep_to_be_counted_is_too_much() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = "x".repeat(200);
        let mut at: OwnedFd = File::open(dir.path()).expect("opened").into();
        let flags = rustix::fs::OFlags::DIRECTORY;
        for _ in 0..30 {
            rustix::fs::mkdirat(&at, &*name, rustix::fs::Mode::RWXU).expect("made");
            at = rustix::fs::openat(&at, &*name, flags, rustix::fs::Mode::empty()).expect("opened");
        }
        assert!(below(dir.path()).passes(ENOUGH));
    }
}
