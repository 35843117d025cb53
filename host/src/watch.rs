//! Watches directories: says when files in them may have changed, once it is quiet again.
//!
//! It refuses to say what changed. Whoever is told looks at the files themselves, so an event that is lost, doubled or late does no
//! harm; and it says so now and then without any event, for file systems that have none and directories that were exchanged.
//! Directories are watched and not files, because editors and deployments put a new file in an old one's place.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::time::{Instant, timeout, timeout_at};

/// How long nothing may happen before what happened counts as over: a file that is being copied is not looked at.
const QUIET: Duration = Duration::from_millis(200);
/// Where it is never quiet, the files are looked at so often. It also bounds what constant changes cost.
const AT_LATEST: Duration = Duration::from_secs(2);
/// How often the files are looked at when nothing seems to happen.
const ANYWAY: Duration = Duration::from_secs(30);
/// Bytes of events that are read at once: some dozens.
const BUFFER: usize = 4 << 10;

/// A directory, and which names in it matter.
pub struct Place {
    /// The directory. It need not be there yet.
    pub dir: PathBuf,
    /// Whether a file of this name matters.
    pub matters: Box<dyn Fn(&OsStr) -> bool + Send + Sync>,
}

/// Tells of changes in some directories.
pub struct Changes {
    places: Vec<Place>,
    /// `None` where the system has no more watches to give: then only time tells.
    events: Option<Events>,
}

struct Events {
    watches: Watches,
    stream: EventStream<[u8; BUFFER]>,
    /// Which directory each watch is for.
    of: Vec<(WatchDescriptor, usize)>,
}

impl Changes {
    /// Watches from now on.
    pub fn of(places: Vec<Place>) -> Self {
        let events = Inotify::init().and_then(|inotify| {
            Ok(Events {
                watches: inotify.watches(),
                stream: inotify.into_event_stream([0; BUFFER])?,
                of: Vec::new(),
            })
        });
        let events = events.inspect_err(|error| {
            tracing::warn!(%error, "files cannot be watched; they are looked at every {ANYWAY:?}");
        });
        let mut changes = Self {
            places,
            events: events.ok(),
        };
        changes.look_for_directories();
        changes
    }

    /// Waits until files may have changed and nothing more happens to them, or until it is time to look anyway. May be dropped and
    /// called again; nothing is missed in between.
    pub async fn settled(&mut self) {
        self.look_for_directories();
        if timeout(ANYWAY, self.next()).await.is_err() {
            return;
        }
        let latest = Instant::now() + AT_LATEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            let more = timeout_at(quiet, self.next()).await;
            if more.is_err() || Instant::now() >= latest {
                return;
            }
        }
    }

    /// A directory that was removed and made again, or exchanged for another one, is another one to the system.
    fn look_for_directories(&mut self) {
        let Some(events) = &mut self.events else {
            return;
        };
        // Not opening and reading: that is what whoever is told does.
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MODIFY
            | WatchMask::ATTRIB
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        let before = std::mem::take(&mut events.of);
        for (at, place) in self.places.iter().enumerate() {
            match events.watches.add(&place.dir, mask) {
                Ok(watch) => events.of.push((watch, at)),
                // It may come; until then there is nothing to be seen in it.
                Err(error) => tracing::debug!(dir = %place.dir.display(), %error, "not watched"),
            }
        }
        // A directory that was renamed away would be watched for ever. Of one that was removed the system has let go itself.
        for (old, _) in before {
            if !events.of.iter().any(|(watch, _)| *watch == old) {
                let _ = events.watches.remove(old);
            }
        }
    }

    /// Waits for something that matters.
    async fn next(&mut self) {
        let Self { places, events } = self;
        let Some(Events { stream, of, .. }) = events else {
            return std::future::pending().await;
        };
        loop {
            match stream.next().await {
                Some(Ok(event)) if matters(places, of, &event) => return,
                Some(Ok(_)) => {}
                // Reading them fails only when the system is in great trouble; it is looked again when it is time.
                Some(Err(_)) | None => return std::future::pending().await,
            }
        }
    }
}

fn matters(
    places: &[Place],
    of: &[(WatchDescriptor, usize)],
    event: &Event<std::ffi::OsString>,
) -> bool {
    // Lost events, and what happens to a directory itself.
    let Some(name) = &event.name else {
        let opened = EventMask::ATTRIB;
        return !opened.contains(event.mask);
    };
    // Two places may be the same directory.
    let here = of.iter().filter(|(watch, _)| *watch == event.wd);
    let mut here = here.filter_map(|(_, at)| places.get(*at));
    here.any(|place| (place.matters)(name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn watch(dirs: &[&Path]) -> Changes {
        let place = |dir: &&Path| Place {
            dir: dir.to_path_buf(),
            matters: Box::new(|name| Path::new(name).extension().is_some_and(|end| end == "wasm")),
        };
        Changes::of(dirs.iter().map(place).collect())
    }

    /// Whether a change is told. It is read from the system before any time passes.
    async fn told(changes: &mut Changes) -> bool {
        timeout(Duration::from_millis(50), changes.next())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn what_happens_to_a_file_that_matters_is_told_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("there.wasm"), "x").expect("written");
        let mut changes = watch(&[dir.path()]);
        fs::read(at("there.wasm")).expect("read");
        fs::write(at("notes.txt"), "x").expect("written");
        assert!(!told(&mut changes).await, "reading, and another name");
        let deeds: [(&str, &dyn Fn()); 5] = [
            ("written", &|| {
                fs::write(at("a.wasm"), "x").expect("written")
            }),
            ("renamed to", &|| {
                fs::rename(at("notes.txt"), at("b.wasm")).expect("renamed")
            }),
            ("renamed from", &|| {
                fs::rename(at("b.wasm"), at("notes.txt")).expect("renamed")
            }),
            ("removed", &|| {
                fs::remove_file(at("a.wasm")).expect("removed")
            }),
            ("linked", &|| {
                fs::hard_link(at("there.wasm"), at("c.wasm")).expect("linked")
            }),
        ];
        for (what, done) in deeds {
            done();
            assert!(told(&mut changes).await, "{what}");
            while told(&mut changes).await {}
        }
    }

    #[tokio::test]
    async fn it_is_told_when_it_is_quiet_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut changes = watch(&[dir.path()]);
        let begun = Instant::now();
        fs::write(dir.path().join("a.wasm"), "x").expect("written");
        changes.settled().await;
        let took = begun.elapsed();
        assert!(took >= QUIET && took < ANYWAY, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_event_it_is_told_all_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut changes = watch(&[dir.path(), Path::new("/nowhere")]);
        let begun = Instant::now();
        changes.settled().await;
        assert_eq!(begun.elapsed().as_secs(), ANYWAY.as_secs());
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_is_seen_when_it_is_looked_for_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let late = dir.path().join("late");
        let mut changes = watch(&[&late]);
        fs::create_dir(&late).expect("made");
        changes.look_for_directories();
        fs::write(late.join("a.wasm"), "x").expect("written");
        assert!(told(&mut changes).await);
    }
}
