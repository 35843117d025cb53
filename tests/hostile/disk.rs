//! Ways out of a granted directory, and the one file outside that nobody may touch.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    for entry in fs::read_dir(&data).expect("it is granted").flatten() {
        let path = entry.path();
        let gone = if entry.file_type().expect("known").is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        gone.expect("removed");
    }
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
