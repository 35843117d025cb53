//! The shape of the host's source: who may use whom, and what a part never mentions. A claim of `host/README.md` that a machine can
//! check is checked here.
//!
//! It reads text, not syntax: comments and test code are taken out, and then names are looked for. That is enough to notice a wrong
//! arrow on the day it is drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::repository;

/// One source file of the host that is not test code.
struct Source {
    /// Below `host/src`, with `/`.
    path: String,
    /// The whole text.
    text: String,
    /// The text without comments and tests.
    code: String,
}

impl Source {
    /// The top-level module that it belongs to.
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// Whether it is `path` or below it, as in `engine/state`.
    fn is_in(&self, path: &str) -> bool {
        self.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with(['/', '.']))
    }

    /// The top-level modules that it names.
    fn uses(&self) -> BTreeSet<&str> {
        let paths = self.code.split("crate::").skip(1);
        let named = paths.flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => heads(group),
            None => vec![rest.split(|c: char| !is_word(c)).next().unwrap_or_default()],
        });
        named.collect()
    }
}

/// The first names of the paths in a `use` group, of which `text` is the part after the opening brace.
fn heads(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut found = vec![];
    let mut begin = Some(0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.extend(begin.map(|begin| &text[begin..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(begin.map(|begin| &text[begin..at]));
                begin = Some(at + 1);
            }
            _ => {}
        }
    }
    found
        .into_iter()
        .map(|path| {
            path.trim()
                .split(|c: char| !is_word(c))
                .next()
                .unwrap_or_default()
        })
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every source file of the host that is compiled into it.
fn sources() -> Vec<Source> {
    let root = repository().join("host/src");
    let mut sources = Vec::new();
    let mut rest = vec![root.clone()];
    while let Some(dir) = rest.pop() {
        for entry in fs::read_dir(dir).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                rest.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("read");
                let below = path
                    .strip_prefix(&root)
                    .expect("below")
                    .display()
                    .to_string();
                sources.push(Source {
                    code: code(&text),
                    path: below,
                    text,
                });
            }
        }
    }
    let tests: BTreeSet<_> = sources.iter().flat_map(test_modules).collect();
    let is_test = |path: &str| {
        Path::new(path)
            .ancestors()
            .any(|part| tests.contains(&part.with_extension("")))
    };
    sources.retain(|source| !is_test(&source.path));
    assert!(sources.len() > 20, "the host's sources were not found");
    sources
}

/// The modules that this file declares for tests only.
fn test_modules(source: &Source) -> Vec<PathBuf> {
    let path = Path::new(&source.path);
    let folder = match source.path.as_str() {
        "lib.rs" | "main.rs" => PathBuf::new(),
        _ => path.with_extension(""),
    };
    let declared = source
        .text
        .split("#[cfg(test)]")
        .skip(1)
        .filter_map(|rest| {
            let line = rest.trim_start().lines().next()?;
            let name = line.split_once("mod ")?.1.strip_suffix(';')?;
            Some(folder.join(name))
        });
    declared.collect()
}

/// `text` without comment lines, ends of lines that are comments, and tests.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end]
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .map(|line| line.split(" // ").next().unwrap_or_default())
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The groups in which `lib.rs` lists the modules, from the lowest.
fn layers() -> Vec<Vec<String>> {
    let text = fs::read_to_string(repository().join("host/src/lib.rs")).expect("read");
    let text = text.replace("\r\n", "\n");
    let groups = text.split("\n\n").map(|group| {
        let names = group
            .lines()
            .filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod ")));
        names
            .filter_map(|name| Some(name.strip_suffix(';')?.to_owned()))
            .collect::<Vec<_>>()
    });
    groups.filter(|group| !group.is_empty()).collect()
}

#[test]
fn a_module_uses_only_its_own_layer_and_those_above_it_in_lib_rs() {
    let layers = layers();
    let layer: BTreeMap<&str, usize> = layers
        .iter()
        .enumerate()
        .flat_map(|(at, group)| group.iter().map(move |name| (name.as_str(), at)))
        .collect();
    assert!(layer.len() > 10, "{layers:?}");
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = layer.get(source.module()) else {
            assert!(
                ["lib", "main"].contains(&source.module()),
                "`{}` is in no layer of lib.rs",
                source.path
            );
            continue;
        };
        for used in source.uses() {
            if layer.get(used).is_some_and(|used| used > own) {
                wrong.push(format!(
                    "{} uses `{used}`, which stands below it",
                    source.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_two_modules_use_each_other() {
    let sources = sources();
    let mut uses = BTreeMap::<&str, BTreeSet<&str>>::new();
    for source in &sources {
        uses.entry(source.module())
            .or_default()
            .extend(source.uses());
    }
    for (module, used) in &uses {
        for other in used.iter().filter(|other| *other != module) {
            let back = uses.get(other).is_some_and(|back| back.contains(module));
            assert!(!back, "`{module}` and `{other}` use each other");
        }
    }
}

/// Claims that files below `part` never name any of `words`.
#[track_caller]
fn never(part: &str, words: &[&str]) {
    let sources = sources();
    let of_part: Vec<_> = sources.iter().filter(|source| source.is_in(part)).collect();
    assert!(!of_part.is_empty(), "there is no `{part}`");
    for source in of_part {
        let found: Vec<_> = words
            .iter()
            .filter(|word| source.code.contains(*word))
            .collect();
        assert!(found.is_empty(), "{} mentions {found:?}", source.path);
    }
}

#[test]
fn what_is_pure_knows_no_engine_and_does_no_io() {
    for part in ["event", "plan", "flow", "expr", "record", "engine/state"] {
        never(
            part,
            &["wasmtime", "tokio::fs", "std::fs", "std::net", "std::env"],
        );
    }
}

#[test]
fn what_decides_reads_no_clock_and_draws_no_lots() {
    // A record is stamped when it is made, and nothing is decided by its stamp; the end of a question is kept for whoever waits.
    for part in ["plan", "flow", "expr", "engine/state"] {
        never(part, &["SystemTime", "Instant", "Timestamp::now", "rand::"]);
    }
}

#[test]
fn a_policy_sees_calls_and_nothing_else() {
    never(
        "policy",
        &[
            "crate::store",
            "crate::registry",
            "crate::sandbox",
            "crate::engine",
            "wasmtime",
            "rusqlite",
        ],
    );
}

#[test]
fn the_engine_is_handed_its_calls() {
    never(
        "engine",
        &["crate::registry", "crate::sandbox", "wasmtime", "rusqlite"],
    );
}

#[test]
fn only_the_sandbox_knows_wasmtime_and_only_the_store_knows_sqlite() {
    for source in sources() {
        assert!(
            source.is_in("sandbox") || !source.code.contains("wasmtime"),
            "{} mentions wasmtime",
            source.path
        );
        assert!(
            source.is_in("store") || !source.code.contains("rusqlite"),
            "{} mentions rusqlite",
            source.path
        );
    }
}

#[test]
fn only_the_command_line_prints() {
    for source in sources() {
        // The compile child answers its parent over its standard output: it is a pipe there, and nobody reads along.
        if source.is_in("cli") || source.path == "sandbox/compile/child.rs" {
            continue;
        }
        for word in [
            "println!",
            "print!(",
            "io::stdout",
            "io::stderr",
            "stdout()",
            "stderr()",
            "dbg!",
        ] {
            assert!(
                !source.code.contains(word),
                "{} prints with `{word}`",
                source.path
            );
        }
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    for source in sources() {
        assert!(
            source.text.starts_with("//! "),
            "{} does not begin with `//!`",
            source.path
        );
    }
}

#[test]
fn the_map_names_every_module_and_nothing_that_is_not_there() {
    let host = repository().join("host");
    let map = fs::read_to_string(host.join("README.md")).expect("the map is there");
    for module in layers().into_iter().flatten() {
        let named = ["`", ".rs`", "/", "::"]
            .iter()
            .any(|end| map.contains(&format!("`{module}{end}")));
        assert!(named, "`{module}` is not on the map");
    }
    for name in map
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.ends_with(".rs") && !name.contains([' ', '*', '{']))
    {
        let there = [host.join("src"), host.clone(), repository()]
            .iter()
            .any(|base| base.join(name).exists());
        assert!(there, "the map names `{name}`, which is not there");
    }
}

#[test]
fn the_engine_is_the_supported_line_with_its_latest_security_patches() {
    let lock: toml::Table = read("Cargo.lock");
    let packages = lock["package"].as_array().expect("a list");
    let wasmtime: Vec<_> = packages
        .iter()
        .filter(|package| package["name"].as_str() == Some("wasmtime"))
        .collect();
    assert_eq!(wasmtime.len(), 1, "one wasmtime and no other");
    let version = wasmtime[0]["version"].as_str().expect("text");
    let numbers: Vec<u32> = version
        .split('.')
        .map(|part| part.parse().expect("a number"))
        .collect();
    assert!(
        numbers[0] == 48 && numbers >= vec![48, 0, 8],
        "{version} lacks advisories of October 2026"
    );
}

#[test]
fn no_part_of_the_engine_that_is_not_used_is_compiled_in() {
    let root: toml::Table = read("Cargo.toml");
    let wasmtime = &root["workspace"]["dependencies"]["wasmtime"];
    assert_eq!(wasmtime["default-features"].as_bool(), Some(false));
    let features = wasmtime["features"].as_array().expect("a list");
    for refused in [
        "threads",
        "gc",
        "gc-drc",
        "gc-null",
        "winch",
        "pulley",
        "component-model-async",
        "wat",
        "cache",
        "stack-switching",
    ] {
        assert!(
            !features
                .iter()
                .any(|feature| feature.as_str() == Some(refused)),
            "wasmtime's `{refused}` is on"
        );
    }
}

fn read(file: &str) -> toml::Table {
    let text = fs::read_to_string(repository().join(file)).expect("read");
    text.parse().expect("it is TOML")
}

#[test]
fn names_in_groups_of_imports_are_found() {
    let source = |code: &str| Source {
        path: "a/b.rs".into(),
        text: String::new(),
        code: code.into(),
    };
    let found = source("use crate::{id::{X, Y}, call, plan::P};\nfn f(_: crate::store::S) {}");
    assert_eq!(
        found.uses().into_iter().collect::<Vec<_>>(),
        ["call", "id", "plan", "store"]
    );
}
