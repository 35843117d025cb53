//! The store's file: bytes of it changed, as a disk or a person might.
//!
//! An input is a change in each line: where, and which bits. The oracle: nothing panics or takes long; what cannot be read is an
//! error; and what can be read are whole records in their order. SQLite keeps no checksums, so a changed letter inside a text that
//! stays a record is not noticed: that is the mark `changed`, and no failure.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use kennel::id::RunId;
use kennel::record::Record;
use kennel::store::sqlite::SqliteStore;
use kennel::store::{Cursor, Lane, LaneId, Rev, RunLog as _, StoreError};
use tokio::runtime::Runtime;

use crate::harness::{Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "store",
    ending: "txt",
    inputs: 40,
    seeds: || {
        vec![
            b"".to_vec(),
            b"0 1".to_vec(),
            b"18 255".to_vec(),
            b"96 255".to_vec(),
        ]
    },
    words: "",
    make,
    check,
};

/// A store with one run in it, as bytes.
struct Base {
    runtime: Runtime,
    bytes: Vec<u8>,
    run: RunId,
    records: Vec<Record>,
}

const FILE: &str = "kennel.db";

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let builder = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = builder.expect("a runtime");
    let run: RunId = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().expect("an id");
    let text = r#"{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","at":"2026-01-31T12:00:00Z","version":1,"event":EVENT}"#;
    let records: Vec<Record> = (1..=40_u64)
        .map(|n| {
            let event = format!(r#"{{"type":"step-started","step":"step-{n}","attempt":{n}}}"#);
            let text = text
                .replace("5FAV", &format!("5F{n:02}"))
                .replace("EVENT", &event);
            serde_json::from_str(&text).expect("a record")
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path()).expect("a new store");
    let lane = LaneId {
        run,
        lane: Lane::Run,
    };
    runtime
        .block_on(store.append(lane, Rev::NONE, &records))
        .expect("appended");
    drop(store);
    // The writer is the last to close the file, and moves what is in the log into it then.
    while folder.path().join(format!("{FILE}-wal")).exists() {
        std::thread::yield_now();
    }
    let bytes = fs::read(folder.path().join(FILE)).expect("the store's file");
    Base {
        runtime,
        bytes,
        run,
        records,
    }
});

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    let change = |maker: &mut Maker<'_>| {
        // The first page says what the file is; most of the others are empty.
        let end = match maker.chance(20) {
            true => 100,
            false => BASE.bytes.len(),
        };
        let mut at = maker.below(end);
        for _ in 0..20 {
            if BASE.bytes[at] != 0 {
                break;
            }
            at = maker.below(end);
        }
        format!("{at} {}", 1 + maker.below(255))
    };
    let many = 1 + maker.below(3);
    let lines: Vec<_> = (0..many).map(|_| change(maker)).collect();
    lines.join("\n").into_bytes()
}

fn check(input: &[u8]) -> String {
    let mut bytes = BASE.bytes.clone();
    for line in String::from_utf8_lossy(input).lines() {
        if let Some((at, bits)) = line.split_once(' ')
            && let (Ok(at), Ok(bits)) = (at.parse::<usize>(), bits.parse::<u8>())
            && let Some(byte) = bytes.get_mut(at)
        {
            *byte ^= bits;
        }
    }
    let untouched = bytes == BASE.bytes;
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(FILE), bytes).expect("written");
    let read = read(folder.path());
    match read {
        Err(error) => {
            assert!(!untouched, "an untouched store cannot be read: {error}");
            let told = error.to_string();
            told.chars()
                .filter(|c| !c.is_ascii_digit())
                .skip_while(|c| *c != ':')
                .take(60)
                .collect()
        }
        Ok(records) if records == BASE.records => "the same".to_owned(),
        Ok(records) => {
            assert!(!untouched, "an untouched store holds something else");
            format!("changed, {} records", records.len().min(41))
        }
    }
}

/// The journal of the run, in order, from a store in `folder`; and everything else that reads all of it.
fn read(folder: &Path) -> Result<Vec<Record>, StoreError> {
    let store = SqliteStore::open(folder)?;
    BASE.runtime.block_on(async {
        let stored = store.page(BASE.run, Cursor(0), usize::MAX).await?;
        let revs: Vec<_> = stored.iter().map(|stored| stored.rev.0).collect();
        let counted: Vec<_> = (1..=stored.len() as u64).collect();
        assert_eq!(revs, counted, "records are missing or out of order");
        drop(store.runs(None, 100).await);
        drop(store.rebuild().await);
        Ok(stored.into_iter().map(|stored| stored.record).collect())
    })
}
