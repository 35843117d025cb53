//! Ways out of a granted directory, and the one file outside that nobody may touch; and all that could fill the disk.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::case::{Outcome, Struck, claim};
use crate::host::Host;

/// What stands in the file outside.
const UNTOUCHED: &str = "untouched";
const CANARY: &str = "canary";

/// Tries every path that could lead out, in every way that a file can be touched.
pub(crate) async fn escapes(host: &Host) -> Struck {
    let root = host.kennel.data("files");
    let before = prepare(&root);
    let paths = paths(&root);
    let everywhere = paths.iter().flat_map(|path| {
        [
            json!({ "read": path }),
            json!({ "truncate": path }),
            json!({ "write": [path, "owned"] }),
            json!({ "rename": ["data/inside", path] }),
            json!({ "hard-link": [path, "data/stolen"] }),
        ]
    });
    // A link may be replaced, as any file in the directory; it may not be followed.
    let links = [
        "data/absolute-link",
        "data/relative-link",
        "data/chain-0",
        "data/long-0",
        "data/up",
    ];
    let through = links.iter().flat_map(|link| {
        [
            json!({ "read": link }),
            json!({ "truncate": link }),
            json!({ "write": [link, "owned"] }),
        ]
    });
    // What may only be read, in each way that would change it or make it writable.
    let fixed = [
        json!({ "truncate": "fixed/kept" }),
        json!({ "write": ["fixed/kept", "owned"] }),
        json!({ "remove": "fixed/kept" }),
        json!({ "rename": ["fixed/kept", "data/kept"] }),
        json!({ "hard-link": ["fixed/kept", "data/kept"] }),
        json!({ "make-dir": "fixed/new" }),
        // Links whose name ends in a slash, which two advisories are about.
        json!({ "rename": ["data/up/", "data/moved"] }),
        json!({ "rename": ["data/root/", "data/moved"] }),
    ];
    let ops: Vec<Value> = everywhere.chain(through).chain(fixed).collect();
    let came = host.answer("files", &json!(ops)).await?;
    for (op, came) in ops.iter().zip(came.as_array().ok_or("no list")?) {
        claim(came["refused"].is_string(), || {
            format!("{op} came to {came}")
        })?;
    }
    let looks = json!([{ "list": "data/up" }, { "list": "data/.." }, { "list": "/" }, { "list": ".." }, { "read": "fixed/kept" }]);
    let seen = host.answer("files", &looks).await?;
    claim(!seen.to_string().contains(CANARY), || {
        format!("it sees {seen}")
    })?;
    claim(seen[4]["done"] == "kept", || {
        format!("what it may read is gone: {seen}")
    })?;
    let after = touched(&root);
    claim(before == after, || {
        format!("the file outside went from {before:?} to {after:?}")
    })?;
    Ok(Outcome::held(format!("{} tries", ops.len())))
}

/// Everything that tells whether somebody was at the file outside, the time of the last look included.
type Touched = (String, i64, i64, i64);

fn touched(root: &Path) -> Touched {
    let meta = fs::metadata(root.join(CANARY)).expect("still there");
    let times = (meta.atime_nsec(), meta.mtime_nsec(), meta.ctime_nsec());
    let text = fs::read_to_string(root.join(CANARY)).expect("still there");
    (text, times.0, times.1, times.2)
}

/// Makes the directory anew, so that every strike begins alike.
fn prepare(root: &Path) -> Touched {
    let data = root.join("data");
    empty(&data);
    fs::write(data.join("inside"), "inside").expect("written");
    fs::write(root.join("fixed/kept"), "kept").expect("written");
    fs::write(root.join(CANARY), UNTOUCHED).expect("written");
    symlink(root.join(CANARY), data.join("absolute-link")).expect("linked");
    symlink("../canary", data.join("relative-link")).expect("linked");
    symlink("..", data.join("up")).expect("linked");
    symlink("/", data.join("root")).expect("linked");
    symlink("chain-1", data.join("chain-0")).expect("linked");
    symlink("chain-0", data.join("chain-1")).expect("linked");
    for link in 0..41 {
        symlink(
            format!("long-{}", link + 1),
            data.join(format!("long-{link}")),
        )
        .expect("linked");
    }
    symlink("../canary", data.join("long-41")).expect("linked");
    // Twice: the first look after a write notes the time of it, whoever looks.
    touched(root);
    touched(root)
}

fn empty(data: &Path) {
    for entry in fs::read_dir(data).expect("it is granted").flatten() {
        let path = entry.path();
        let gone = if entry.file_type().expect("known").is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        gone.expect("removed");
    }
}

fn paths(root: &Path) -> Vec<String> {
    let absolute = root.join(CANARY).display().to_string();
    let mut paths: Vec<String> = [
        "canary",
        "data/../canary",
        "data/../../files/canary",
        "../canary",
        "/canary",
        "data/./../canary",
        "data//../canary",
        "data/absolute-link/",
        "data/relative-link/",
        "data/up/canary",
        "data/up/",
        "data/up/../files/canary",
        "data/root/etc/passwd",
        "/etc/passwd",
        "/proc/self/root/etc/passwd",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/dev/null",
        "data/\0canary",
        "data/inside/../../canary",
        "fixed/../canary",
    ]
    .map(str::to_owned)
    .into();
    paths.extend([
        absolute.clone(),
        format!("data{absolute}"),
        format!("data/{}", "x".repeat(5000)),
        "data/".repeat(300),
    ]);
    paths
}

/// Reads through a name that is a directory at one moment and a link to what is outside at the next.
pub(crate) async fn race(host: &Host) -> Struck {
    let root = host.kennel.data("racer");
    let data = root.join("data");
    fs::write(root.join(CANARY), UNTOUCHED).expect("written");
    fs::create_dir_all(data.join("real")).expect("made");
    fs::write(data.join("real/canary"), "inside").expect("written");
    if !data.join("link").is_symlink() {
        symlink("..", data.join("link")).expect("linked");
    }
    let over = Arc::<AtomicBool>::default();
    let swapper = std::thread::spawn({
        let over = over.clone();
        move || {
            let mut swaps = 0;
            // Each in turn takes the place that the agent reads through.
            while !over.load(Ordering::Relaxed) {
                for real in ["real", "link"] {
                    fs::rename(data.join(real), data.join("it")).expect("renamed");
                    fs::rename(data.join("it"), data.join(real)).expect("renamed");
                }
                swaps += 1;
            }
            swaps
        }
    });
    let reads = vec![json!({ "read": "data/it/canary" }); 2_000];
    let came = host.answer("racer", &json!(reads)).await;
    over.store(true, Ordering::Relaxed);
    let swaps = swapper.join().expect("it swaps to the end");
    let came = came?;
    let came = came.as_array().ok_or("no list")?;
    let count = |text: &str| came.iter().filter(|came| came["done"] == text).count();
    let (inside, outside) = (count("inside"), count(UNTOUCHED));
    claim(outside == 0, || {
        format!("the file outside was read {outside} times")
    })?;
    // It was a race: the name was a directory at some reads and something else at others.
    let raced = inside > 0 && inside < came.len() && swaps > 0;
    claim(raced, || {
        format!("{swaps} swaps, and {inside} of {} reads inside", came.len())
    })?;
    Ok(Outcome::held(format!(
        "{swaps} swaps, read inside {inside} times"
    )))
}

/// What `filler` may take, and one write more.
const MOST: u64 = (4 << 20) + (64 << 10);
/// How many files it may have.
const MOST_FILES: u64 = 300;
/// What a guest in Rust is told of a full quota, and of a stream that has met it: its C library asks no further.
const FULL: &str = "QuotaExceeded";
const FAILED: &str = "I/O error";

/// Fills the disk in every way: by long files and by many, by holes, by files that no directory shows, alone and four at once.
pub(crate) async fn fill(host: &Host) -> Struck {
    let data = host.kennel.data("filler").join("data");
    empty(&data);
    let append = |path| json!([{ "append": [path, 10_000_000_000_u64] }]);
    let sparse = json!([{ "set-size": ["data/sparse", 1_u64 << 40] }]);
    let ways = [
        (append("data/long"), FAILED),
        (sparse.clone(), FULL),
        (json!([{ "hide": ["data/hidden", 100, 1 << 20] }]), FAILED),
        (json!([{ "crowd": ["data/many", 1_000_000] }]), FULL),
    ];
    let mut held = (0, 0);
    for (way, told) in &ways {
        // Each alone, and then once more with all that is there.
        for anew in [true, false] {
            if anew {
                empty(&data);
            }
            refused(&host.answer("filler", way).await?, told)?;
            held = kept(&data, held)?;
        }
    }
    empty(&data);
    let many = ["data/0", "data/1", "data/2", "data/3"].map(|path| {
        let op = append(path);
        async move { host.answer("filler", &op).await }
    });
    for came in join_all(many).await {
        refused(&came?, FAILED)?;
    }
    held = kept(&data, held)?;
    // With the limits that everybody has.
    refused(&host.answer("files", &sparse).await?, FULL)?;
    // What it takes away makes room.
    let again = json!([{ "remove": "data/0" }, { "append": ["data/0", 1 << 20] }]);
    let came = host.answer("filler", &again).await?;
    claim(came[0]["done"] == "done", || format!("removing: {came}"))?;
    // And who shares the disk goes on.
    host.answer("counter", &json!({ "key": "filled" })).await?;
    let (bytes, files) = held;
    Ok(Outcome::held(format!(
        "{} KiB and {files} files at most",
        bytes >> 10
    )))
}

fn refused(came: &Value, told: &str) -> Result<(), String> {
    let why = came[0]["refused"].as_str();
    claim(why.is_some_and(|why| why.contains(told)), || {
        format!("not refused as `{told}`: {came}")
    })
}

/// The most of what was held before and is now in `data`, by length and by what it takes on the disk.
fn kept(data: &Path, before: (u64, u64)) -> Result<(u64, u64), String> {
    let (mut bytes, mut files) = (0, 0);
    for entry in fs::read_dir(data).expect("listed").flatten() {
        let meta = entry.metadata().map_err(|error| error.to_string())?;
        bytes += meta.len().max(meta.blocks() * 512);
        files += 1;
    }
    claim(bytes <= MOST && files <= MOST_FILES, || {
        format!("{bytes} bytes in {files} files are on the disk")
    })?;
    Ok((before.0.max(bytes), before.1.max(files)))
}
