//! Settings: any text as `kennel.toml`, any text as the manifest beside a plugin, and what follows from the two together.
//!
//! An input holds both, with a line between them. The oracle: nothing panics; what was read is written as a text that reads as the
//! same; and an agent gets nothing that is not both needed and granted, by rules that are worked out here once more.

use std::str::FromStr;
use std::sync::LazyLock;

use kennel::grants::{Access, Grants};
use kennel::id::{AgentName, Digest};
use kennel::settings::{Manifest, Settings, Terms};
use kennel::units::{Bytes, Fuel, Span};
use serde_json::Value;

use crate::harness::{Forest, Maker, Target};

pub(crate) const TARGET: Target = Target {
    name: "settings",
    ending: "toml",
    inputs: 1_500,
    seeds,
    words: include_str!("../words/settings.txt"),
    make,
    check,
};

/// What stands between the two files.
const BETWEEN: &str = "# -- NAME.toml --\n";

fn seeds() -> Vec<Vec<u8>> {
    super::files("fuzz/seeds/settings", "toml").collect()
}

fn make(maker: &mut Maker<'_>) -> Vec<u8> {
    static BOTH: LazyLock<[Forest; 2]> = LazyLock::new(|| {
        let read = |text: &[u8]| {
            let table: toml::Table = toml::from_str(std::str::from_utf8(text).ok()?).ok()?;
            serde_json::to_value(table).ok()
        };
        let seeds = seeds();
        let text = String::from_utf8_lossy(&seeds[0]);
        let (settings, manifest) = split(&text);
        [settings, manifest].map(|part| Forest::of([part.as_bytes()], read))
    });
    if maker.chance(50) {
        return maker.mutated();
    }
    // Null has no place in TOML; a tree with one gives way to another.
    let part = |maker: &mut Maker<'_>, trees: &Forest| loop {
        let tree: Value = trees.changed(maker);
        if let Ok(text) = toml::to_string(&tree)
            && tree.is_object()
        {
            return text;
        }
    };
    let settings = part(maker, &BOTH[0]);
    let manifest = part(maker, &BOTH[1]);
    format!("{settings}{BETWEEN}{manifest}").into_bytes()
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(BETWEEN).unwrap_or((text, ""))
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (settings, manifest) = split(&text);
    let settings = Settings::read(settings).inspect(|settings| {
        let written = toml::to_string(settings).expect("settings can be written");
        assert_eq!(Settings::read(&written).as_ref(), Ok(settings), "{written}");
        settings
            .limits()
            .check()
            .expect("checked when they were read");
    });
    let manifest = Manifest::read(manifest).inspect(|manifest| {
        let written = toml::to_string(manifest).expect("a manifest can be written");
        assert_eq!(Manifest::read(&written).as_ref(), Ok(manifest), "{written}");
    });
    for refused in [settings.as_ref().err(), manifest.as_ref().err()] {
        assert!(
            refused.is_none_or(|why| !why.trim().is_empty()),
            "refused without a reason"
        );
    }
    let mark = |part: Option<&String>| part.map_or("read".to_owned(), |why| bare(why));
    let marks = [mark(settings.as_ref().err()), mark(manifest.as_ref().err())];
    let Ok(settings) = settings else {
        return marks.join(" | ");
    };
    let (this, other) = (Digest::from_bytes([0; 32]), Digest::of(b"another file"));
    let names: Vec<AgentName> = settings
        .grants
        .keys()
        .cloned()
        .chain(["nobody".parse().expect("a name")])
        .collect();
    let mut got = 0;
    for name in &names {
        for file in [this, other] {
            let without = settings.terms(name, &file, None);
            no_more_than_granted(&settings, name, file, &without);
            if let Ok(manifest) = &manifest {
                let terms = settings.terms(name, &file, Some(manifest));
                no_more_than_granted(&settings, name, file, &terms);
                no_more_than_needed(&manifest.needs, &terms);
                no_raised_limit(&settings, &terms);
                drop(terms.missing());
                got += terms.effective.http.len()
                    + terms.effective.files.len()
                    + terms.effective.env.len();
            }
        }
    }
    format!("{} {}", marks.join(" | "), got.min(5))
}

/// Whatever the agent gets stands in its table of `[grants]`, and that table is for this file.
fn no_more_than_granted(settings: &Settings, name: &AgentName, file: Digest, terms: &Terms) {
    let got = &terms.effective;
    let Some(grant) = settings.grants.get(name) else {
        assert_eq!(*got, Grants::default(), "nothing was granted");
        return;
    };
    if grant.digest.is_some_and(|only| only != file) {
        assert_eq!(*got, Grants::default(), "it was granted to another file");
    }
    assert!(got.http.iter().all(|origin| grant.http.contains(origin)));
    assert!(got.env.iter().all(|name| grant.env.contains(name)));
    assert!(got.peers.iter().all(|skill| grant.peers.contains(skill)));
    assert!(got.events.iter().all(|kind| grant.events.contains(kind)));
    assert!(!got.state || grant.state);
    for file in &got.files {
        let allowed = |own: &&kennel::grants::FileGrant| {
            own.path == file.path && (own.access == Access::Write || file.access == Access::Read)
        };
        assert!(
            grant.files.iter().any(|own| allowed(&own)),
            "{file:?} was not granted"
        );
        let path = file.path.as_str();
        assert!(
            !path.starts_with('/') && path.split('/').all(|part| !["", ".", ".."].contains(&part)),
            "{path}"
        );
    }
}

fn no_more_than_needed(needs: &Grants, terms: &Terms) {
    let got = &terms.effective;
    assert!(got.http.iter().all(|origin| needs.http.contains(origin)));
    assert!(got.env.iter().all(|name| needs.env.contains(name)));
    assert!(got.peers.iter().all(|skill| needs.peers.contains(skill)));
    assert!(got.events.iter().all(|kind| needs.events.contains(kind)));
    assert!(!got.state || needs.state);
    for file in &got.files {
        let asked = |need: &&kennel::grants::FileGrant| {
            need.path == file.path && (need.access == Access::Write || file.access == Access::Read)
        };
        assert!(
            needs.files.iter().any(|need| asked(&need)),
            "{file:?} was not asked for"
        );
    }
}

/// Compared as files have them, so that a new limit is compared too.
fn no_raised_limit(settings: &Settings, terms: &Terms) {
    let table = |limits| toml::Table::try_from(limits).expect("limits are a table");
    let (most, own) = (table(settings.limits()), table(terms.limits.clone()));
    for (key, own) in &own {
        let most = &most[key];
        let raised = match (own.as_str(), most.as_str()) {
            (Some(own), Some(most)) => larger(own, most),
            _ => own.as_integer() > most.as_integer(),
        };
        assert!(!raised, "{key}: {own} where {most} is allowed");
    }
}

/// Whether one amount is larger than another of the same kind, whichever kind it is.
fn larger(own: &str, most: &str) -> bool {
    fn of<T: FromStr + Ord>(own: &str, most: &str) -> Option<bool> {
        Some(own.parse::<T>().ok()? > most.parse::<T>().ok()?)
    }
    let larger = of::<Fuel>(own, most)
        .or_else(|| of::<Bytes>(own, most))
        .or_else(|| of::<Span>(own, most));
    larger.unwrap_or_else(|| panic!("`{own}` and `{most}` are no amounts of one kind"))
}

fn bare(why: &str) -> String {
    let last = why
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let words = last.split('`').step_by(2).collect::<Vec<_>>().join("`");
    words
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(80)
        .collect()
}
