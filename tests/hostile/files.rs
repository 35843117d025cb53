//! Hostile files: dropped into a directory and loaded as any plugin is, through the scan in the compile child; and the compiler
//! without the scan.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kennel::id::Digest;
use kennel::registry::{LoadError, Loader, Plugin};
use kennel::sandbox::compile::{CompileLimits, Compiler};
use kennel::sandbox::prescan::{ScanCaps, ScanError, prescan};
use kennel::store::sqlite::SqliteStore;
use rustix::fs::{CWD, Mode, mkfifoat};
use wasm_encoder::Component;

use crate::case::{End, Outcome, Strike, Struck, claim};
use crate::harness::{Kennel, kennel_binary};
use crate::host::{self, Host};
use crate::{agents, corpus};

/// A file that the scan refuses: within this time in this process, and loading it ends in the same answer of the child.
const SCAN: Duration = Duration::from_millis(50);

/// Drops a file that the scan has to refuse, another one each time: the host remembers what it refused.
pub(crate) fn scanned(make: fn() -> Vec<u8>) -> Strike {
    Box::new(move |host| {
        Box::pin(async move {
            let bytes = another(make());
            let (reason, took) = quickest_refusal(&bytes)?;
            claim(took <= SCAN, || {
                format!("the scan took {took:?}, {SCAN:?} are allowed")
            })?;
            harmless(&reason.to_string())?;
            let outcome = dropped(host, &bytes).await?;
            let note = format!(
                "{} bytes, scanned in {:.2} ms",
                bytes.len(),
                took.as_secs_f64() * 1e3
            );
            Ok(Outcome { note, ..outcome })
        })
    })
}

/// Why the scan refuses `bytes`, and the shortest of three times that it takes: the others were interrupted.
fn quickest_refusal(bytes: &[u8]) -> Result<(ScanError, Duration), String> {
    let mut quickest = Duration::MAX;
    let mut refused = Err("the scan lets it pass".to_owned());
    for _ in 0..3 {
        let begun = Instant::now();
        let scanned = prescan(bytes, &ScanCaps::default());
        quickest = quickest.min(begun.elapsed());
        refused = scanned
            .err()
            .ok_or_else(|| "the scan lets it pass".to_owned());
    }
    refused.map(|reason| (reason, quickest))
}

/// Drops a file.
pub(crate) fn file(make: fn() -> Vec<u8>) -> Strike {
    named(make, "")
}

/// The same, and what is said of it has to name something.
pub(crate) fn named(make: fn() -> Vec<u8>, what: &'static str) -> Strike {
    Box::new(move |host| {
        Box::pin(async move {
            let outcome = dropped(host, &another(make())).await?;
            claim(outcome.note.contains(what), || outcome.note.clone())?;
            Ok(outcome)
        })
    })
}

fn another(bytes: Vec<u8>) -> Vec<u8> {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    corpus::renumbered(
        bytes,
        NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
    )
}

async fn dropped(host: &Host, bytes: &[u8]) -> Struck {
    let path = host.dropped("dropped.wasm");
    fs::write(&path, bytes).expect("written");
    loaded(&host.loader, &path)
        .await
        .map(|(outcome, _)| outcome)
}

/// Loads `path` and tells how long that took; what is said of a refusal must not steer a terminal.
async fn loaded(loader: &Loader, path: &Path) -> Result<(Outcome, Option<Plugin>), String> {
    let begun = Instant::now();
    let loaded = loader.load_file(path).await;
    let took = begun.elapsed();
    match loaded {
        Ok(plugin) => Ok((Outcome::held("").took(took), Some(plugin))),
        Err(error) => {
            harmless(&error.to_string())?;
            let outcome = Outcome {
                note: error.to_string(),
                ..Outcome::of_load(&error)
            };
            Ok((outcome.took(took), None))
        }
    }
}

fn harmless(text: &str) -> Result<(), String> {
    let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    claim(!text.contains(steers), || {
        format!("a message steers the terminal: {text:?}")
    })
}

/// The compiler without the scan in front of it: what is left are the limits of its process. They are low here, so that it takes
/// seconds; the arguments that say so are this test's, and nothing that an operator can write.
pub(crate) fn unscanned(make: fn() -> Vec<u8>) -> Strike {
    Box::new(move |_| {
        Box::pin(async move {
            let bytes = make();
            let limits = CompileLimits {
                address_space: 1 << 30,
                cpu_seconds: 2,
                wall: Duration::from_secs(20),
                children: 1,
            };
            let compiler = Compiler::with_program(kennel_binary(), ScanCaps::unbounded(), limits);
            Ok(match compiler.compile(&Digest::of(&bytes), &bytes).await {
                Ok(compiled) => Outcome {
                    note: format!("{} bytes became {}", bytes.len(), compiled.bytes().len()),
                    ..Outcome::of(End::Answered)
                },
                Err(error) => Outcome {
                    note: error.to_string(),
                    ..Outcome::of(End::Refused(error.kind()))
                },
            })
        })
    })
}

/// A component with fifty million bytes that mean nothing.
pub(crate) async fn too_large(host: &Host) -> Struck {
    let path = host.dropped("large.wasm");
    let mut file = fs::File::create(&path).expect("made");
    file.write_all(&Component::HEADER).expect("written");
    std::io::copy(&mut std::io::repeat(0).take(50_000_000), &mut file).expect("written");
    loaded(&host.loader, &path)
        .await
        .map(|(outcome, _)| outcome)
}

/// A terabyte that takes no room on the disk.
pub(crate) async fn sparse(host: &Host) -> Struck {
    let path = host.dropped("sparse.wasm");
    fs::File::create(&path)
        .and_then(|file| file.set_len(1 << 40))
        .expect("made");
    loaded(&host.loader, &path)
        .await
        .map(|(outcome, _)| outcome)
}

/// Whatever else may lie in a directory under a plugin's name.
pub(crate) async fn special(host: &Host) -> Struck {
    let folder = host.kennel.root().join("special");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("directory.wasm")).expect("made");
    symlink(
        host.kennel.agents().join("echo.wasm"),
        folder.join("link.wasm"),
    )
    .expect("linked");
    symlink("/dev/zero", folder.join("endless.wasm")).expect("linked");
    symlink("nowhere", folder.join("dangling.wasm")).expect("linked");
    mkfifoat(CWD, folder.join("pipe.wasm"), Mode::RWXU).expect("made");
    let _socket = UnixListener::bind(folder.join("socket.wasm")).expect("bound");
    let begun = Instant::now();
    for name in ["directory", "link", "endless", "dangling", "pipe", "socket"] {
        let path = folder.join(name).with_extension("wasm");
        let (outcome, _) = loaded(&host.loader, &path).await?;
        let fits = matches!(outcome.end, End::Refused("not-regular"));
        claim(fits, || {
            format!(
                "`{name}` ended as {}: {}",
                outcome.end.shown(),
                outcome.note
            )
        })?;
    }
    Ok(Outcome::of(End::Refused("not-regular")).took(begun.elapsed()))
}

/// Everything that is no component, and a component cut off at every 64th byte.
pub(crate) async fn not_wasm(host: &Host) -> Struck {
    let echo = corpus::wat(&agents::echo());
    let mut files: Vec<(String, Vec<u8>, &str)> = vec![
        ("empty".into(), vec![], "not-component"),
        ("one byte".into(), vec![0], "invalid"),
        (
            "a core module".into(),
            b"\0asm\x01\0\0\0".to_vec(),
            "not-component",
        ),
        ("text".into(), b"(component)".to_vec(), "not-component"),
        (
            "compiled code".into(),
            b"\x7fELF\x02\x01\x01\0".to_vec(),
            "precompiled",
        ),
        (
            "a script".into(),
            b"#!/bin/sh\necho owned\n".to_vec(),
            "not-component",
        ),
    ];
    let cuts = (8..echo.len()).step_by(64);
    files.extend(cuts.map(|cut| (format!("cut at {cut}"), echo[..cut].to_vec(), "")));
    let mut longest = Duration::ZERO;
    for (name, bytes, kind) in &files {
        let path = host.dropped("dropped.wasm");
        fs::write(&path, bytes).expect("written");
        let (outcome, _) = loaded(&host.loader, &path).await?;
        longest = longest.max(outcome.took.unwrap_or_default());
        // Cut between two sections it is a component still, and no agent.
        let fits = match outcome.end {
            End::Refused(found) if kind.is_empty() => ["invalid", "not-an-agent"].contains(&found),
            End::Refused(found) => found == *kind,
            _ => false,
        };
        claim(fits, || {
            format!("{name}: {} ({})", outcome.end.shown(), outcome.note)
        })?;
    }
    Ok(Outcome::held(format!("{} files", files.len())).took(longest))
}

/// One component for each proposal that is switched off.
pub(crate) async fn features(host: &Host) -> Struck {
    let mut longest = Duration::ZERO;
    for (name, bytes) in corpus::features() {
        let outcome = dropped(host, &bytes).await?;
        longest = longest.max(outcome.took.unwrap_or_default());
        let named = outcome.note.contains(&format!("plugin uses {name}, "));
        let fits = named && matches!(outcome.end, End::Refused("policy-limit"));
        claim(fits, || {
            format!("{name}: {} ({})", outcome.end.shown(), outcome.note)
        })?;
    }
    Ok(Outcome::of(End::Refused("policy-limit")).took(longest))
}

/// A kennel apart, with a cache and a key of its own.
async fn apart() -> (Kennel, Loader) {
    let kennel = Kennel::cold()
        .settings("[host]\nin-flight = 4")
        .wat("echo", &agents::echo());
    let backend = Arc::new(SqliteStore::open(&kennel.state()).expect("opened"));
    let loader = host::loader(kennel.root(), &kennel.state(), backend);
    (kennel, loader)
}

/// The only entry of a cache.
fn entry(kennel: &Kennel) -> std::path::PathBuf {
    let entries = fs::read_dir(kennel.state().join("aot"))
        .expect("listed")
        .flatten();
    let mut entries =
        entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "aot"));
    entries.next().expect("there is one").path()
}

/// Machine code in the cache that this host did not make: changed in one byte, or signed by another host.
pub(crate) async fn forged(_: &Host) -> Struck {
    let (other, foreign) = apart().await;
    foreign
        .load_file(&other.agents().join("echo.wasm"))
        .await
        .map_err(shown)?;
    let foreign = fs::read(entry(&other)).expect("read");
    let (kennel, loader) = apart().await;
    let echo = kennel.agents().join("echo.wasm");
    loader.load_file(&echo).await.map_err(shown)?;
    let path = entry(&kennel);
    let own = fs::read(&path).expect("read");
    let mut flipped = own.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for (what, forged) in [
        ("a flipped byte", flipped),
        ("another key", foreign),
        ("an empty file", vec![]),
    ] {
        claim(forged != own, || format!("{what} is no forgery"))?;
        fs::write(&path, &forged).expect("written");
        loader.load_file(&echo).await.map_err(shown)?;
        let now = fs::read(entry(&kennel)).expect("read");
        claim(now == own, || {
            format!("{what}: the entry was not made anew")
        })?;
    }
    Ok(Outcome::held("3 forgeries, each compiled anew"))
}

fn shown(error: LoadError) -> String {
    error.to_string()
}

/// An honest file as large as they come.
pub(crate) async fn giant(host: &Host) -> Struck {
    let bytes = another(corpus::giant());
    let begun = Instant::now();
    prescan(&bytes, &ScanCaps::default()).map_err(|error| error.to_string())?;
    let scan = begun.elapsed();
    let path = host.dropped("giant.wasm");
    fs::write(&path, &bytes).expect("written");
    let (outcome, plugin) = loaded(&host.loader, &path).await?;
    claim(plugin.is_some(), || outcome.note.clone())?;
    let note = format!(
        "{:.1} MB, scanned in {} ms",
        bytes.len() as f64 / 1e6,
        scan.as_millis()
    );
    Ok(Outcome { note, ..outcome })
}

/// A file that is replaced again and again while it is loaded: whoever loads gets one version or the other, whole.
pub(crate) async fn swapped(host: &Host) -> Struck {
    let folder = host.kennel.root().join("swapped");
    fs::create_dir_all(&folder).expect("made");
    let path = folder.join("swapped.wasm");
    let versions = [1_u32, 2]
        .map(|number| corpus::renumbered(corpus::wat(&agents::echo()), u32::MAX - number));
    let digests = versions.each_ref().map(|bytes| Digest::of(bytes));
    fs::write(&path, &versions[0]).expect("written");
    let swapper = std::thread::spawn({
        let (path, folder) = (path.clone(), folder.clone());
        move || {
            for swap in 0..200 {
                let new = folder.join("new");
                fs::write(&new, &versions[swap % 2]).expect("written");
                fs::rename(&new, &path).expect("renamed");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut loads = [0, 0];
    while !swapper.is_finished() || loads == [0, 0] {
        let plugin = host.loader.load_file(&path).await.map_err(shown)?;
        let which = digests.iter().position(|digest| *digest == plugin.digest);
        loads[which.ok_or("a version that never was")?] += 1;
    }
    swapper.join().map_err(|_| "it swaps to the end")?;
    Ok(Outcome::held(format!(
        "200 swaps, {} and {} loads",
        loads[0], loads[1]
    )))
}
