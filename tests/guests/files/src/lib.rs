//! Does with files what its input says, one thing after the other, and answers what came of each.
//!
//! It means no good: paths are taken as they are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};

use kennel_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Op {
    Read(String),
    /// Path and text.
    Write(String, String),
    /// Opens for reading, and asks for the file to be emptied.
    Truncate(String),
    /// The names in a directory.
    List(String),
    MakeDir(String),
    Remove(String),
    /// From and to.
    Rename(String, String),
    /// From and to.
    HardLink(String, String),
    /// Sets the length of a file.
    SetSize(String, u64),
    /// Appends so many bytes to a file, block after block.
    Append(String, u64),
    /// Writes so many bytes into a new file, has it forgotten by its directory, and writes the next, holding all of them: the name, how
    /// many, and the bytes of each.
    Hide(String, u32, u64),
    /// Makes so many files, with this name and a number.
    Crowd(String, u64),
}

/// What is written at once.
static BLOCK: [u8; 64 << 10] = [b'x'; 64 << 10];

/// What came of one operation.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Came {
    Done(String),
    Refused(String),
}

struct Files;

impl Agent for Files {
    type Input = Vec<Op>;
    type Output = Vec<Came>;
    const SKILL: &'static str = "files";
    const DESCRIPTION: &'static str = "Reads, writes and lists files.";

    fn handle(ops: Vec<Op>, _: &Task) -> Result<Vec<Came>, Error> {
        let each = ops.iter().map(|op| match perform(op) {
            Ok(text) => Came::Done(text),
            Err(error) => Came::Refused(format!("{:?}: {error}", error.kind())),
        });
        Ok(each.collect())
    }
}

fn perform(op: &Op) -> io::Result<String> {
    let done = |()| "done".to_owned();
    match op {
        Op::Read(path) => fs::read_to_string(path),
        Op::Write(path, text) => fs::write(path, text).map(done),
        Op::Truncate(path) => OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(path)
            .map(|_| "done".to_owned()),
        Op::List(path) => list(path),
        Op::MakeDir(path) => fs::create_dir(path).map(done),
        Op::Remove(path) => fs::remove_file(path).map(done),
        Op::Rename(from, to) => fs::rename(from, to).map(done),
        Op::HardLink(from, to) => fs::hard_link(from, to).map(done),
        Op::SetSize(path, size) => to_append(path)?.set_len(*size).map(done),
        Op::Append(path, bytes) => pour(&mut to_append(path)?, *bytes).map(done),
        Op::Hide(path, files, bytes) => hide(path, *files, *bytes).map(done),
        Op::Crowd(path, files) => (0..*files)
            .try_for_each(|number| File::create(format!("{path}{number}")).map(drop))
            .map(done),
    }
}

fn to_append(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn pour(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let count = left.min(BLOCK.len() as u64);
        file.write_all(&BLOCK[..count as usize])?;
        left -= count;
    }
    Ok(())
}

fn hide(path: &str, files: u32, bytes: u64) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..files {
        let mut file = File::create_new(path)?;
        fs::remove_file(path)?;
        pour(&mut file, bytes)?;
        held.push(file);
    }
    Ok(())
}

fn list(path: &str) -> io::Result<String> {
    let names = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names.join(" "))
}

kennel_sdk::export!(Files);
