//! The shelf: where inputs that failed are kept, and where the one that is being tried lies meanwhile.
//!
//! A stack overflow or an abort takes the whole process with it. So every input is written down before it is tried, and the next
//! run looks at what was left.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};

use super::Target;
use super::trial::quietly;

/// The shelf of one target.
pub(super) struct Shelf {
    folder: PathBuf,
    ending: &'static str,
    last: PathBuf,
    now: Mutex<Option<File>>,
}

impl Shelf {
    pub(super) fn of(target: &Target) -> Self {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("kept");
        Self {
            folder: kept.join(target.name),
            ending: target.ending,
            last: Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name)),
            now: Mutex::new(None),
        }
    }

    /// Everything that was kept, each with its file.
    pub(super) fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let Ok(files) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let paths = files.map(|file| file.expect("the folder can be read").path());
        let mut paths: Vec<_> = paths.filter(|path| path.is_file()).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let bytes = fs::read(&path).expect("a kept input can be read");
            (path, bytes)
        };
        paths.into_iter().map(read).collect()
    }

    /// Keeps `input`, under a name that follows from it.
    pub(super) fn keep(&self, input: &[u8]) -> PathBuf {
        let name = Sha256::digest(input)[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let file = self.folder.join(format!("{name}.{}", self.ending));
        fs::create_dir_all(&self.folder).expect("a folder for what failed");
        fs::write(&file, input).expect("what failed is kept");
        file
    }

    /// Looks at the input that an earlier run was cut off at. One that ended the process will do so again, and is on the shelf then.
    pub(super) fn look_at_the_last_one(&self, target: &Target) {
        let Ok(input) = fs::read(&self.last) else {
            return;
        };
        let file = self.keep(&input);
        eprintln!(
            "the last run was cut off at an input; it is tried again, and if that ends the process it was kept as {}",
            file.display()
        );
        if quietly(|| (target.check)(&input)).is_ok() {
            fs::remove_file(file).expect("what does no harm is not kept");
        }
        self.clear();
    }

    /// Writes down what is tried next.
    pub(super) fn note(&self, input: &[u8]) {
        let mut now = self.now.lock().expect("nobody panics here");
        let file = now.get_or_insert_with(|| File::create(&self.last).expect("a file for it"));
        file.rewind()
            .and_then(|()| file.write_all(input))
            .and_then(|()| file.set_len(input.len() as u64))
            .expect("written down");
    }

    /// Nothing is tried any more.
    pub(super) fn clear(&self) {
        let _ = fs::remove_file(&self.last); // there is none when nothing was tried
    }
}
