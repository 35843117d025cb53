//! The memory of the program, read and written while it stands still.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use nix::unistd::Pid;

/// The longest path that is read.
const PATH_MAX: usize = 4096;

/// Opened anew for each use: a program that executes another has another memory.
pub(crate) struct Memory(File);

impl Memory {
    pub(crate) fn of(pid: Pid) -> Result<Self, String> {
        let path = format!("/proc/{pid}/mem");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        file.map(Self).map_err(|error| format!("{path}: {error}"))
    }

    pub(crate) fn word(&self, at: u64) -> Result<u64, String> {
        let mut bytes = [0; 8];
        self.0
            .read_exact_at(&mut bytes, at)
            .map_err(|error| format!("read {at:#x}: {error}"))?;
        Ok(u64::from_ne_bytes(bytes))
    }

    pub(crate) fn set_word(&self, at: u64, word: u64) -> Result<(), String> {
        self.0
            .write_all_at(&word.to_ne_bytes(), at)
            .map_err(|error| format!("write {at:#x}: {error}"))
    }

    /// The text that ends with a zero.
    pub(crate) fn text(&self, at: u64) -> Option<String> {
        let mut bytes = vec![0; PATH_MAX];
        let mut read = 0;
        // It may end just before memory that is not there, so no more than a page's rest is asked for.
        while read < PATH_MAX {
            let from = at + read as u64;
            let rest = (4096 - (from % 4096) as usize).min(PATH_MAX - read);
            let part = bytes.get_mut(read..read + rest)?;
            self.0.read_exact_at(part, from).ok()?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                bytes.truncate(read + end);
                return String::from_utf8(bytes).ok();
            }
            read += rest;
        }
        None
    }
}
