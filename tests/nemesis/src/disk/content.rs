//! Changes of what is in a file, and how they are taken back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::Draw;

/// What a disk writes at once.
const SECTOR: u64 = 512;

/// The changes of one file that are not durable, in their order and with their numbers.
#[derive(Default)]
pub(super) struct Content(pub(super) Vec<(u64, Change)>);

/// One change.
pub(super) struct Change {
    /// Open for as long as the change is not durable: the file may lose its name, and its number is not given to another meanwhile.
    file: File,
    shown: String,
    /// From where on, and how many bytes are changed at most.
    at: u64,
    most: u64,
    kind: Kind,
    /// What was there before, up to the end of the file.
    old: Vec<u8>,
    /// What is there afterwards.
    new: Vec<u8>,
    old_length: u64,
    new_length: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes are written; the call returns how many.
    Write,
    /// The file gets another length, or room.
    Room,
}

impl Change {
    /// Looks at what a call will replace.
    pub(super) fn planned(
        file: File,
        shown: String,
        kind: Kind,
        at: u64,
        most: u64,
    ) -> Result<Self, String> {
        let looked = length(&file).and_then(|length| Ok((length, bytes(&file, at, most)?)));
        let (old_length, old) = looked.map_err(|error| format!("{shown}: {error}"))?;
        Ok(Self {
            file,
            shown,
            at,
            most,
            kind,
            old,
            new: Vec::new(),
            old_length,
            new_length: old_length,
        })
    }

    /// Looks at what the call has made of it.
    pub(super) fn made(mut self, result: Option<u64>) -> Result<Self, String> {
        if let (Kind::Write, Some(written)) = (self.kind, result) {
            self.most = self.most.min(written);
            let most = usize::try_from(self.most).unwrap_or(usize::MAX);
            self.old.truncate(most);
        }
        let looked = length(&self.file)
            .and_then(|length| Ok((length, bytes(&self.file, self.at, self.most)?)));
        (self.new_length, self.new) = looked.map_err(|error| format!("{}: {error}", self.shown))?;
        Ok(self)
    }

    fn undo(&self) -> io::Result<()> {
        self.file.write_all_at(&self.old, self.at)?;
        self.file.set_len(self.old_length)
    }

    /// Makes it again, as far as it survives; whether it does as a whole.
    fn make_again(&self, draw: &mut Draw) -> io::Result<bool> {
        if self.kind == Kind::Room {
            let survives = draw.survives();
            if survives {
                self.file.set_len(self.new_length)?;
                self.file.write_all_at(&self.new, self.at)?;
            }
            return Ok(survives);
        }
        if !draw.sectors {
            let survives = draw.survives();
            if survives {
                self.file.write_all_at(&self.new, self.at)?;
            }
            return Ok(survives);
        }
        let (mut at, mut rest, mut whole) = (self.at, self.new.as_slice(), true);
        while !rest.is_empty() {
            let to_the_next = (SECTOR - at % SECTOR) as usize;
            let (sector, others) = rest.split_at(to_the_next.min(rest.len()));
            if draw.survives() {
                self.file.write_all_at(sector, at)?;
            } else {
                whole = false;
            }
            at += sector.len() as u64;
            rest = others;
        }
        Ok(whole)
    }
}

impl Content {
    /// Goes back to what is durable, and from there to what survives.
    pub(super) fn lose(self, draw: &mut Draw, lost: &mut Vec<String>) -> Result<(), String> {
        for (_, change) in self.0.iter().rev() {
            let undone = change.undo();
            undone.map_err(|error| format!("take back {}: {error}", change.shown))?;
        }
        for (_, change) in self.0 {
            let survives = change.make_again(draw);
            if !survives.map_err(|error| format!("{}: {error}", change.shown))? {
                lost.push(change.shown);
            }
        }
        Ok(())
    }
}

fn length(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// What is in the file there, up to its end.
fn bytes(file: &File, at: u64, most: u64) -> io::Result<Vec<u8>> {
    let there = length(file)?.saturating_sub(at).min(most);
    let mut bytes = vec![0; usize::try_from(there).unwrap_or(usize::MAX)];
    if there > 0 {
        file.read_exact_at(&mut bytes, at)?;
    }
    Ok(bytes)
}
