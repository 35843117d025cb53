//! What the power takes along, and what not: that `tests/nemesis` knows, and that a new directory of state is durable too.
//!
//! The matrix could not fail if nothing were ever lost, so that is shown here, with programs that sync and programs that do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::harness::{Kennel, kennel_binary};
use crate::nemesis;
use crate::programme::alone;

/// Far beyond the last operation: with it they are only counted.
const NEVER: u64 = u64::MAX;
/// A file that was always there.
const THERE: &str = "there";

/// Runs a script of the shell in a new directory. The power fails at its end, when it says that it is done. What is in the directory then.
#[track_caller]
fn left_by(script: &str, before: &str, fault: &str, seed: u64) -> BTreeMap<String, String> {
    let script = format!("cd .kennel\n{script}\necho done");
    let run = |at: u64| {
        let kennel = Kennel::cold();
        fs::create_dir(kennel.state()).expect("made");
        fs::write(kennel.state().join(THERE), before).expect("written");
        let options = [
            format!("fault={fault}"),
            format!("at={at}"),
            format!("seed={seed}"),
        ];
        let seen = nemesis::run_other(&kennel, &options, &["/bin/sh", "-ec", &script]);
        (kennel, seen)
    };
    let (_, counted) = run(NEVER);
    assert_eq!(counted.output.code, 0, "{counted}");
    let (kennel, seen) = run(counted.positions);
    assert_eq!(seen.output.code, 128 + 9, "{seen}");
    assert_eq!(seen.output.stdout, "", "{seen}");
    let mut left = BTreeMap::new();
    for entry in fs::read_dir(kennel.state()).expect("listed").flatten() {
        let name = entry.file_name().into_string().expect("plain");
        let text = match entry.path().is_dir() {
            true => "a directory".into(),
            false => fs::read_to_string(entry.path()).expect("read"),
        };
        left.insert(name, text);
    }
    left
}

#[test]
fn with_the_power_all_is_lost_that_was_not_synced_and_nothing_else() {
    let _alone = alone();
    let cases: [(&str, &[(&str, &str)]); 22] = [
        ("true", &[(THERE, "old")]),
        ("printf a > f", &[(THERE, "old")]),
        // Its name is not durable yet.
        ("printf a > f; sync f", &[(THERE, "old")]),
        // Its name is, and nothing is in it.
        ("printf a > f; sync .", &[("f", ""), (THERE, "old")]),
        ("printf a > f; sync f .", &[("f", "a"), (THERE, "old")]),
        ("printf a > f; sync", &[("f", "a"), (THERE, "old")]),
        (
            "printf a | dd of=f conv=fsync 2> /dev/null; sync .",
            &[("f", "a"), (THERE, "old")],
        ),
        ("printf new > there", &[(THERE, "old")]),
        ("printf new > there; sync there", &[(THERE, "new")]),
        ("printf er >> there", &[(THERE, "old")]),
        (
            "printf er >> there; sync there; printf ly >> there",
            &[(THERE, "older")],
        ),
        ("(printf er >> there); sync there", &[(THERE, "older")]),
        ("truncate -s 1 there", &[(THERE, "old")]),
        ("truncate -s 1 there; sync there", &[(THERE, "o")]),
        ("mv there other", &[(THERE, "old")]),
        ("mv there other; sync .", &[("other", "old")]),
        (
            "printf new > temp; sync temp; mv temp there",
            &[(THERE, "old")],
        ),
        (
            "printf new > temp; sync temp; mv temp there; sync .",
            &[(THERE, "new")],
        ),
        // Whoever does not sync before it renames has neither.
        ("printf new > temp; mv temp there; sync .", &[(THERE, "")]),
        ("rm there", &[(THERE, "old")]),
        ("rm there; sync .", &[]),
        ("mkdir d; printf a > d/f; sync d d/f", &[(THERE, "old")]),
    ];
    for (script, expected) in cases {
        let expected = expected
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        assert_eq!(
            left_by(script, "old", "power-loss", 0),
            expected.collect(),
            "{script}"
        );
    }
}

#[test]
fn of_what_was_not_synced_any_part_survives_and_names_do_in_their_order() {
    let _alone = alone();
    // Three writes of two sectors each; then two names.
    let script = "for n in 0 1 2; do dd if=/dev/zero of=there bs=1024 count=1 seek=$n conv=notrunc 2> /dev/null; done
        printf '' > first; printf '' > second";
    let before = "o".repeat(3 * 1024);
    let (mut sectors, mut names) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..60 {
        let left = left_by(script, &before, "power-loss-part", seed);
        let text = left[THERE].as_bytes();
        assert_eq!(text.len(), before.len());
        let written = text.chunks(512).map(|sector| {
            let written = sector[0] == 0;
            assert!(
                sector.iter().all(|byte| (*byte == 0) == written),
                "half a sector"
            );
            written
        });
        sectors.insert(<[bool; 6]>::try_from(written.collect::<Vec<_>>()).expect("six"));
        names.insert((left.contains_key("first"), left.contains_key("second")));
        if seed == 0 {
            let again = left_by(script, &before, "power-loss-part", seed);
            assert_eq!(left, again, "the same seed draws the same");
        }
    }
    let whole = |of: &[bool; 6]| of.chunks(2).all(|write| write[0] == write[1]);
    let has = |what: &str, found: bool| assert!(found, "never {what} in {sectors:?}");
    has("nothing", sectors.contains(&[false; 6]));
    has("everything", sectors.contains(&[true; 6]));
    has(
        "a later write without an earlier one",
        sectors.iter().any(|of| whole(of) && !of[0] && of[5]),
    );
    has("a part of a write", sectors.iter().any(|of| !whole(of)));
    assert_eq!(
        names,
        BTreeSet::from([(false, false), (true, false), (true, true)])
    );
}

#[test]
fn what_was_acknowledged_is_there_though_its_directory_was_new() {
    let _alone = alone();
    // How far it folds its log before it ends is another each time. The shell has the last word.
    let script = format!(
        "{} state set counter key 7 --state .kennel/new/deep && echo done",
        kennel_binary().display()
    );
    let run = |at: u64| {
        let kennel = Kennel::cold();
        let options = ["fault=power-loss".to_owned(), format!("at={at}")];
        let seen = nemesis::run_other(&kennel, &options, &["/bin/sh", "-c", &script]);
        (kennel, seen)
    };
    let all = run(NEVER).1.positions;
    let (kennel, seen) = (1..=all)
        .rev()
        .map(run)
        .find(|(_, seen)| seen.output.code == 128 + 9)
        .expect("the power fails somewhere");
    assert_eq!(seen.output.stdout, "1\n", "{seen}");
    let value = kennel.run([
        "state",
        "get",
        "counter",
        "key",
        "--state",
        ".kennel/new/deep",
    ]);
    assert_eq!(
        (value.code, value.stdout.trim()),
        (0, "7"),
        "{value}\n{seen}"
    );
}
