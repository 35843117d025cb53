//! Agents that mean harm, as text: each does one thing that a host has to survive.
//!
//! Each is a component around a small core module, as the tests of the sandbox have them.

#[path = "../../host/src/sandbox/testing/guest.rs"]
mod guest;

use guest::{BUMP, ECHO, Guest, PRESENTS, TYPES, handle};

/// Answers with its text input: the only one here that means no harm.
pub(crate) fn echo() -> String {
    handle(ECHO)
}

/// Answers with `text`, whatever it is asked.
pub(crate) fn say(text: &str) -> String {
    let fields = format!("(data (i32.const 1024) {text:?})");
    let handle = format!("(call $text (i32.const 1024) (i32.const {}))", text.len());
    Guest {
        fields: &fields,
        handle: &handle,
        ..Guest::default()
    }
    .wat()
}

/// Never answers.
pub(crate) fn spin() -> String {
    handle(SPIN)
}

/// Never even starts.
pub(crate) fn spin_at_start() -> String {
    Guest {
        fields: "(func $begin (loop (br 0))) (start $begin)",
        handle: ECHO,
        ..Guest::default()
    }
    .wat()
}

/// Answers, and then spins when it should clean up.
pub(crate) fn spin_after_answer() -> String {
    let fields = r#"(func (export "after") (param i32) (loop (br 0)))"#;
    Guest {
        fields,
        handle: ECHO,
        lift: r#"(post-return (core func $i "after"))"#,
        ..Guest::default()
    }
    .wat()
}

/// Asks for memory until it is refused, then traps, as allocators do.
pub(crate) fn hoard() -> String {
    handle("(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable")
}

/// Asks for memory for ever, refused or not.
pub(crate) fn hoard_for_ever() -> String {
    handle("(loop (drop (memory.grow (i32.const 1))) (br 0)) unreachable")
}

/// Fills all the memory that it can get, again and again, in single instructions that take long.
pub(crate) fn fill() -> String {
    handle(
        "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
         (loop (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536))) (br 0)) unreachable",
    )
}

/// Calls itself without end.
pub(crate) fn recurse() -> String {
    let fields = "(func $deeper (param i32) (result i32)
        (i32.add (local.get 0) (call $deeper (i32.add (local.get 0) (i32.const 1)))))";
    Guest {
        fields,
        handle: "(call $deeper (i32.const 0))",
        ..Guest::default()
    }
    .wat()
}

/// A component of some hundred bytes that takes a compiler many gigabytes: each level is instantiated ten times by the next.
pub(crate) fn bomb() -> String {
    let mut level = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for depth in 1..8 {
        let below = depth - 1;
        let ten = format!("(instance (instantiate $c{below}))").repeat(10);
        level = format!("(component $c{depth} {level} {ten})");
    }
    level
}

/// Traps.
pub(crate) fn trap() -> String {
    handle("unreachable")
}

/// Answers with a text of so many megabytes, for which it really has the memory.
pub(crate) fn flood(megabytes: u32) -> String {
    let bytes = megabytes * 1_000_000;
    let pages = bytes.div_ceil(65_536);
    handle(&format!(
        "(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))
         (memory.fill (i32.const 65536) (i32.const 97) (i32.const {bytes}))
         (call $text (i32.const 65536) (i32.const {bytes}))"
    ))
}

/// Asks for a table of nine million elements, and traps if it gets one; else it answers as `echo` does.
pub(crate) fn crowd_table() -> String {
    let grown = "(i32.ne (table.grow $t (ref.null func) (i32.const 9000000)) (i32.const -1))";
    Guest {
        fields: "(table $t 1 funcref)",
        handle: &format!("(if {grown} (then unreachable)) {ECHO}"),
        ..Guest::default()
    }
    .wat()
}

/// Says that it has `skill` while it gets a megabyte of memory; otherwise it does `when_poor` and says that it has none.
pub(crate) fn skilled(skill: &str, when_poor: &str) -> String {
    let n = skill.len();
    let store = |at: u32, value: usize| format!("(i32.store (i32.const {at}) (i32.const {value}))");
    // The card at 512: name, version, description, skills. The skill at 560: name and description; no schemas, no tags.
    let text = |at| store(at, 1024) + &store(at + 4, n);
    let texts: String = [512, 520, 528, 560, 568].into_iter().map(text).collect();
    let (skills, one) = (store(536, 560), store(540, 1));
    let fields = format!(
        r#"(data (i32.const 1024) {skill:?})
        (func (export "describe") (result i32) {texts} {skills} {one}
          (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1))
            (then {when_poor} {none}))
          (i32.const 512))"#,
        none = store(540, 0)
    );
    Guest {
        fields: &fields,
        handle: ECHO,
        exports: PRESENTS,
        ..Guest::default()
    }
    .wat()
}

/// Never finishes presenting itself.
pub(crate) fn spin_when_presented() -> String {
    Guest {
        fields: r#"(func (export "describe") (result i32) (loop (br 0)) unreachable)"#,
        handle: ECHO,
        exports: PRESENTS,
        ..Guest::default()
    }
    .wat()
}

/// A component that calls one inside itself, which no component may.
fn calls_inside() -> String {
    Guest {
        imports: &format!(
            r#"{CALLEE}
  (core module $words (memory (export "memory") 1) (data (i32.const 0) "hello"))
  (core instance $words (instantiate $words))
  (alias export $callee "len" (func $len))
  (core func $len-core (canon lower (func $len) (memory (core memory $words "memory"))))"#
        ),
        ..passing()
    }
    .wat()
}

/// Two components side by side, of which one passes text to the other, from memory to memory: answers as `echo` does if it arrives.
pub(crate) fn composed() -> String {
    let caller = Guest {
        imports: r#"
  (import "len" (func $len (param "text" string) (result u32)))
  (core module $words (memory (export "memory") 1) (data (i32.const 0) "hello"))
  (core instance $words (instantiate $words))
  (core func $len-core (canon lower (func $len) (memory (core memory $words "memory"))))"#,
        ..passing()
    }
    .wat();
    let caller = caller.replacen("(component", "(component $caller", 1);
    format!(
        r#"(component {TYPES} {CALLEE} {caller}
  (instance $agent (instantiate $caller (with "kennel:agent/types@0.1.0" (instance $types)) (with "len" (func $callee "len"))))
  (export "kennel:agent/handler@0.1.0" (instance $agent "kennel:agent/handler@0.1.0")))"#
    )
}

/// The part of an agent that passes a text to its import `len`, and traps unless the answer is its length.
fn passing() -> Guest<'static> {
    Guest {
        core_imports: r#"(import "callee" "len" (func $len (param i32 i32) (result i32)))"#,
        with: r#"(with "callee" (instance (export "len" (func $len-core))))"#,
        handle:
            "(if (i32.ne (call $len (i32.const 0) (i32.const 5)) (i32.const 5)) (then unreachable))
                 (call $text (local.get $in) (local.get $in-len))",
        ..Guest::default()
    }
}

/// Imports an interface, and does not need it.
pub(crate) fn importing(interface: &str) -> String {
    Guest {
        imports: &format!(r#"(import "{interface}" (instance))"#),
        handle: ECHO,
        ..Guest::default()
    }
    .wat()
}

/// Agents that break the rules by which values cross the boundary, each in its own way.
pub(crate) fn liars() -> Vec<(&'static str, String)> {
    let beyond = "(call $text (i32.const -8) (i32.const 64))";
    let endless = "(call $text (i32.const 65536) (i32.const -1))";
    let no_text =
        "(i32.store (i32.const 64) (i32.const -1)) (call $text (i32.const 64) (i32.const 4))";
    let no_case = "(call $answer (i32.const 0) (i32.const 9) (i32.const 64) (i32.const 1))";
    let no_result = "(call $answer (i32.const 9) (i32.const 0) (i32.const 64) (i32.const 1))";
    let lost = "(i32.const -4)";
    let crooked = "(i32.const 17)";
    let realloc = |realloc| {
        Guest {
            handle: ECHO,
            realloc,
            ..Guest::default()
        }
        .wat()
    };
    vec![
        ("beyond", handle(beyond)),
        ("endless", handle(endless)),
        ("no-text", handle(no_text)),
        ("no-case", handle(no_case)),
        ("no-result", handle(no_result)),
        ("lost", handle(lost)),
        ("crooked", handle(crooked)),
        ("bad-room", realloc("(i32.const -1)")),
        ("no-room", realloc("(i32.const 0x7fffffff)")),
        ("calls-out", calls_out()),
        ("calls-inside", calls_inside()),
        ("crooked-list", polls("(i32.const 17) (i32.const 1)")),
        (
            "endless-list",
            polls("(i32.const 16) (i32.const 0x3fffffff)"),
        ),
        ("too-long-list", polls("(i32.const 16) (i32.const -1)")),
        ("no-handle", polls("(i32.const 1024) (i32.const 1)")),
    ]
}

/// Lies to the host about a list of handles: where it is, and how many there are.
fn polls(list: &str) -> String {
    Guest {
        imports: r#"
  (import "wasi:io/poll@0.2.6" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "poll" (func $poll))"#,
        lowered: r#"
  (core func $poll-core (canon lower (func $poll) (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))"#,
        with: r#"(with "host" (instance (export "poll" (func $poll-core))))"#,
        core_imports: r#"(import "host" "poll" (func $poll (param i32 i32 i32)))"#,
        // What stands at 1024 was never given out.
        handle: &format!("(i32.store (i32.const 1024) (i32.const 99)) (call $poll {list} (i32.const 64)) {ECHO}"),
        ..Guest::default()
    }
    .wat()
}

/// Calls the host when it is asked for room, which no allocator may.
fn calls_out() -> String {
    Guest {
        imports: r#"
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock (export "now" (func (result u64)))))
  (alias export $clock "now" (func $now))
  (core func $now-core (canon lower (func $now)))"#,
        libc_imports: r#"(import "clock" "now" (func $now (result i64)))"#,
        libc_with: r#"(with "clock" (instance (export "now" (func $now-core))))"#,
        realloc: &BUMP.replacen("(local $at i32)", "(local $at i32) (drop (call $now))", 1),
        handle: ECHO,
        ..Guest::default()
    }
    .wat()
}

/// Never finds the room that it is asked for.
pub(crate) fn spin_for_room() -> String {
    Guest {
        handle: ECHO,
        realloc: SPIN,
        ..Guest::default()
    }
    .wat()
}

const SPIN: &str = "(loop (br 0)) unreachable";

/// A component with a memory of its own that tells how long a text is, if it begins with an `h`.
const CALLEE: &str = r#"
  (component $callee
    (core module $n
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
      (func (export "len") (param i32 i32) (result i32)
        (if (i32.ne (i32.load8_u (local.get 0)) (i32.const 104)) (then unreachable))
        (local.get 1)))
    (core instance $n (instantiate $n))
    (func (export "len") (param "text" string) (result u32)
      (canon lift (core func $n "len") (memory (core memory $n "memory")) (realloc (core func $n "realloc")))))
  (instance $callee (instantiate $callee))"#;
