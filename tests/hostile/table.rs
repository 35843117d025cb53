//! The table: what is done to the host, what has to become of it, within which bounds.
//!
//! During every case the neighbour is served, all its calls rightly, 99 in 100 as fast as `walk.rs` says; afterwards no thread and no
//! file is left over, and at most 16 MiB. The same process lives through all of it. Where a case has a deadline of its own, its bound is
//! that and a margin. A file is scanned in a compile child, whose start counts; the scan itself is measured apart, see `files.rs`.

use kennel::failure::FailureKind::{
    AbiViolation, Deadline, Exit, FanOut, Handles, OutOfFuel, OutOfMemory, Quota, StackOverflow,
    TooMuchData, Trapped,
};
use serde_json::json;

use crate::case::Expect::{Fails, Holds, Refused};
use crate::case::{Case, case, own};
use crate::files::{self, file, named, scanned, unscanned};
use crate::strikes::{self, answers, harm, text};
use crate::{bombs, corpus, disk, web};

/// A file that costs a compiler too much is refused by the scan.
const LIMIT: crate::case::Expect = Refused(&["policy-limit"]);
/// Without the scan, the compile child ends at one of its own limits.
const ENDED: crate::case::Expect = Refused(&["compile-timeout", "compile-crash"]);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = files();
    cases.extend(guests());
    cases.extend(boundary());
    cases.extend(world());
    cases.extend(orchestration());
    cases
}

/// Files in the directory of plugins.
#[rustfmt::skip]
fn files() -> Vec<Case> {
    vec![
        case("exp-nest-6", "six levels that each instantiate the one below ten times", LIMIT, scanned(|| bombs::exponential(6))),
        case("exp-nest-7", "seven such levels", LIMIT, scanned(|| bombs::exponential(7))),
        case("exp-nest-8", "eight such levels", LIMIT, scanned(|| bombs::exponential(8))),
        case("exp-nest-9", "nine such levels", LIMIT, scanned(|| bombs::exponential(9))),
        case("deep-nest-10k", "10,000 components inside each other", LIMIT, scanned(|| bombs::nested(10_000))),
        case("loops-3000", "3,000 loops inside each other", LIMIT, scanned(corpus::counting_loops)),
        case("blocks-100k", "100,000 blocks inside each other", LIMIT, scanned(|| bombs::blocks(100_000))),
        case("funcs-100k", "100,000 empty functions", LIMIT, scanned(|| bombs::empty_functions(100_000))),
        case("brtable-1m", "one branch with a million targets", LIMIT, scanned(|| bombs::br_table(1_000_000))),
        case("locals-4g", "one function with four thousand million locals", LIMIT, scanned(|| bombs::locals(1, u32::MAX))),
        case("long-function", "one function of 2 MiB", LIMIT, scanned(|| bombs::long_function(2 << 20))).grows(16),
        case("memories-100", "a hundred memories of 16 MiB", LIMIT, scanned(corpus::memories)),
        case("memory-4g", "a memory of 4 GiB from the start", LIMIT, scanned(corpus::huge_memory)),
        case("instances-900", "900 instances of one module", LIMIT, scanned(corpus::instances)),
        case("imports-50k", "50,000 imports with names that steer a terminal", LIMIT, scanned(corpus::imports)).grows(48),
        case("type-doubling", "a type of 2^40 parts", Refused(&["invalid"]), scanned(corpus::doubling_type)),
        case("type-depth", "a list of a list, 120 deep", Refused(&["invalid"]), scanned(corpus::deep_type)),
        case("features", "one file for each proposal that is switched off", LIMIT, own(|host| Box::pin(files::features(host)))),
        case("not-wasm", "what is no component, and a component cut off everywhere", Holds("each refused by its kind"), own(|host| Box::pin(files::not_wasm(host)))),
        case("big-custom", "a section of 50 MB that means nothing", Refused(&["too-large"]), own(|host| Box::pin(files::too_large(host)))),
        case("sparse-1t", "a file of a terabyte that takes no room", Refused(&["too-large"]), own(|host| Box::pin(files::sparse(host)))),
        case("special-files", "links, pipes, sockets and directories with a plugin's name", Refused(&["not-regular"]), own(|host| Box::pin(files::special(host)))),
        case("unknown-import", "imports what no host provides", Refused(&["capability-denied"]), named(corpus::unknown_import, "`evil:host/escape`")).within(2_000),
        case("spin-described", "never finishes presenting itself", Refused(&["describe"]), file(|| corpus::wat(&crate::agents::spin_when_presented()))).within(8_000),
        case("forged-cache", "machine code in the cache that the host did not sign", Holds("never loaded, compiled anew"), own(|host| Box::pin(files::forged(host)))).within(8_000).grows(32),
        case("hot-swap", "is replaced 200 times while it is loaded", Holds("each load is one version, whole"), own(|host| Box::pin(files::swapped(host)))).within(8_000),
        case("ifelse-20k", "20,000 branches over 200 locals, which the scan lets pass", Refused(&["not-an-agent", "compile-timeout", "compile-crash"]), file(|| bombs::if_else(20_000))).within(46_000),
        case("giant", "means well: an agent with an interpreter of 13 MB, as Python has", Holds("loads"), own(|host| Box::pin(files::giant(host)))).within(60_000).grows(128),
        case("exp-nest-7 unscanned", "the same without the scan", ENDED, unscanned(|| bombs::exponential(7))).within(20_000),
        case("deep-nest unscanned", "the same with no cap of ours: the validator has one", Refused(&["invalid"]), unscanned(|| bombs::nested(10_000))).within(20_000),
        case("loops unscanned", "the same without the scan", ENDED, unscanned(corpus::counting_loops)).within(20_000),
        case("funcs unscanned", "the same without the scan", ENDED, unscanned(|| bombs::empty_functions(100_000))).within(20_000),
        case("brtable unscanned", "the same without the scan: the compiler has a cap", Refused(&["invalid", "compile-timeout", "compile-crash"]), unscanned(|| bombs::br_table(1_000_000))).within(20_000).grows(32),
    ]
}

/// Agents that use up what they have.
#[rustfmt::skip]
fn guests() -> Vec<Case> {
    vec![
        case("spin", "loops for ever", Fails(&[OutOfFuel]), own(|host| Box::pin(strikes::spin(host)))).within(4_000),
        case("spin-late", "loops until its time is up", Fails(&[Deadline]), text("spin-late")).within(300 + 250),
        case("spin-16", "sixteen loop at once, with the default fuel, for 2 s", Fails(&[Deadline]), own(|host| Box::pin(strikes::spin_many(host)))).within(2_000 + 250),
        case("spin-start", "loops before it has begun", Fails(&[Deadline]), text("spin-start")).within(300 + 250),
        case("spin-after", "loops once it has answered", Fails(&[Deadline]), text("spin-after")).within(300 + 250),
        case("recurse", "calls itself without end", Fails(&[StackOverflow]), text("recurse")).grows(16),
        case("mem-hog", "asks for memory until it is refused, then traps", Fails(&[OutOfMemory]), text("hoard")),
        case("mem-hog-on", "asks for memory for ever", Fails(&[OutOfMemory]), text("hoard-on")),
        case("table-hog", "asks for nine million table elements", Holds("refused; it answers"), answers("table")),
        case("fill-loop", "fills all its memory again and again, for 300 ms", Fails(&[Deadline, OutOfFuel]), text("fill")).within(300 + 400).grows(72),
        case("trap", "traps, again and again", Fails(&[Trapped]), text("trap")),
        case("exit", "ends the process that it thinks it is", Fails(&[Exit]), harm("dier", json!({ "die": "exit" }))),
        case("abort", "aborts", Fails(&[Trapped]), harm("dier", json!({ "die": "abort" }))),
        case("panic", "panics", Fails(&[Trapped]), harm("dier", json!({ "die": "panic" }))),
        case("touch-32", "32 fill 48 MiB each, on a host with room for 4 and a queue of 4", Holds("8 answered, 24 overloaded"), own(|host| Box::pin(strikes::crowd(host)))).within(20_000).grows(4 * 52 + 32),
    ]
}

/// Values, handles and waits that cross into the host.
#[rustfmt::skip]
fn boundary() -> Vec<Case> {
    vec![
        case("abi-liars", "lies about pointers, lengths, text and cases", Fails(&[AbiViolation]), own(|host| Box::pin(strikes::liars(host)))),
        case("realloc-spin", "never finds the room that it is asked for", Fails(&[Deadline]), text("spin-room")).within(300 + 250),
        case("big-answer", "answers with 50 MB", Fails(&[TooMuchData]), text("flood")).grows(72),
        case("crowd-200k", "asks for 200,000 peers in one call", Fails(&[TooMuchData, FanOut]), harm("crowder", json!({ "crowd": 200_000 }))).within(2_000).grows(72),
        case("composed", "means well: two components that pass text", Holds("answers"), answers("composed")),
        case("handle-hog", "takes timers without end", Fails(&[Handles]), harm("holder", json!("hold-handles"))),
        case("sleep-for-ever", "waits for the end of time", Fails(&[Deadline]), harm("sleeper", json!("sleep-for-ever"))).within(300 + 250),
        case("host-call-wait", "the same, with time left but not for one call", Fails(&[Deadline]), harm("waiter", json!("sleep-for-ever"))).within(300 + 250),
        case("poll-storm", "waits for 1,900 timers that have rung, for 2 s", Fails(&[Deadline, Quota]), harm("poller", json!({ "poll-storm": 1_900 }))).within(2_000 + 250),
        case("stdout-flood", "prints 16 MiB that steers terminals, and a line without end", Holds("at most 256 KiB kept, all plain"), own(|host| Box::pin(strikes::print(host)))).within(20_000),
        case("env-snoop", "looks for variables, arguments and files", Holds("sees nothing"), own(|host| Box::pin(strikes::snoop(host)))),
        case("replay-drift", "throws dice; is replayed, and replayed with another input", Holds("the same; the drift is told"), own(|host| Box::pin(strikes::replay(host)))),
    ]
}

/// Files and servers.
#[rustfmt::skip]
fn world() -> Vec<Case> {
    vec![
        case("fs-escape", "tries every way out of its directory", Holds("each refused; nothing outside touched"), own(|host| Box::pin(disk::escapes(host)))).within(2_000),
        case("fs-race", "reads while a directory and a link outside swap names", Holds("never reads outside"), own(|host| Box::pin(disk::race(host)))).within(8_000),
        case("disk-filler", "writes 10 GB in every way, a file of a terabyte, a million files, and files without a name", Holds("told quota; the disk keeps no more"), own(|host| Box::pin(disk::fill(host)))).within(4_000),
        case("http-ssrf", "asks for hosts it may not have, under every name", Holds("no byte is sent"), own(|host| Box::pin(web::ssrf(host)))).within(2_000),
        case("http-slow", "asks servers that stall, drip and never end", Holds("each given up in 1 s"), own(|host| Box::pin(web::slow(host)))).within(2_000).grows(24),
        case("http-flood", "sends 10,000 requests and waits for none", Fails(&[Quota]), own(|host| Box::pin(web::flood(host)))).within(2_000).grows(24),
    ]
}

/// Agents that use other agents, events and state.
#[rustfmt::skip]
fn orchestration() -> Vec<Case> {
    vec![
        case("call-circle", "calls whoever waits for it", Holds("call-cycle"), own(|host| Box::pin(strikes::circle(host)))),
        case("call-chain", "calls another that calls another, 20 deep", Holds("call-depth after 8"), own(|host| Box::pin(strikes::chain(host)))),
        case("fan-out", "calls 20 that call 20 that call 20", Holds("fan-out; 256 calls at most"), own(|host| Box::pin(strikes::tree(host)))).within(20_000).grows(64),
        case("event-storm", "wakes itself twice with each event", Holds("ends after 8 generations"), own(|host| Box::pin(strikes::storm(host)))).within(60_000).grows(32),
        case("state-flood", "keys and values without end, a key like a path", Holds("told quota; the store stays small"), own(|host| Box::pin(strikes::flush_state(host)))).within(4_000),
    ]
}
