//! The power fails under several processes that drive runs in one store, again and again: with all of them everything is lost that was
//! not synced, or a part of it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::harness::{Kennel, Random, kennel_binary, seed};
use crate::judge::accepted;
use crate::kills::{end_and_judge, loaded};
use crate::nemesis;
use crate::programme::{Row, alone, share};

/// Two that begin a run, and one that goes on with what the last cut left.
const SCRIPT: &str =
    "$KENNEL run flow.yaml & $KENNEL runs resume & $KENNEL run flow.yaml & wait; echo done";
/// Of the whole time.
const SHARE: f64 = 0.05;
/// Cuts in one store, before it is judged and another begins.
const IN_ONE: u64 = 10;

#[test]
fn wherever_the_power_fails_under_several_processes_no_run_that_was_told_is_lost() {
    let _alone = alone();
    let mut random = Random::of(seed());
    let begun = Instant::now();
    let time = share(SHARE).unwrap_or(Duration::from_secs(300));
    let mut row = Row {
        what: "three processes in one store".into(),
        fault: "power-loss, all and part".into(),
        tried: (0, None),
        injected: 0,
        restarts: 0,
        slowest: None,
        failed: 0,
    };
    while row.injected < IN_ONE || begun.elapsed() < time {
        one_store(&mut random, &mut row);
    }
    row.keep();
}

#[track_caller]
fn one_store(random: &mut Random, row: &mut Row) {
    let kennel = loaded();
    // Makes the store and compiles the agents.
    let all = run(&kennel, &[]).positions;
    let mut told = BTreeSet::new();
    let mut history = String::new();
    let (mut cuts, mut lost) = (0, 0);
    while cuts < IN_ONE {
        let fault = ["power-loss", "power-loss-part"][random.to(2) as usize - 1];
        let options = [
            format!("fault={fault}"),
            format!("at={}", random.to(all)),
            format!("seed={}", random.to(u64::MAX)),
        ];
        let seen = run(&kennel, &options);
        told.extend(accepted(&seen.output));
        history += &format!("{options:?}\n{seen}\n");
        cuts += seen.injected;
        row.tried.0 += 1;
        lost += seen.lost.len();
        assert!(row.tried.0 < 100 + 2 * row.injected, "nothing is ever hit");
    }
    row.injected += cuts;
    // Without, nothing would be shown.
    assert!(
        lost > 0 && told.len() > 2,
        "{lost} changes were lost, {told:?} were told"
    );
    let judged = catch_unwind(AssertUnwindSafe(|| end_and_judge(&kennel, &told, row)));
    if let Err(why) = judged {
        println!("{history}");
        resume_unwind(why);
    }
}

#[track_caller]
fn run(kennel: &Kennel, options: &[String]) -> nemesis::Seen {
    let script = SCRIPT.replace("$KENNEL", &kennel_binary().display().to_string());
    nemesis::run_other(kennel, options, &["/bin/sh", "-c", &script])
}
