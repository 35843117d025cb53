//! Agents that mean harm, as text: each does one thing that a host has to survive.
//!
//! A component around a small core module whose `handle` gets the task as the canonical ABI hands it over: `$case`, `$in` and
//! `$in-len` are a text input. It returns the address of a `result<payload, error>`; `$text` makes one.

/// The parts in which agents differ.
#[derive(Default)]
struct Agent<'a> {
    /// What the component begins with: imports, components and instances of its own.
    imports: &'a str,
    /// What the core module is instantiated with.
    with: &'a str,
    /// Imports of the core module.
    core_imports: &'a str,
    /// Fields of the core module.
    fields: &'a str,
    /// The body of `handle`.
    handle: &'a str,
    /// The body of the allocator; one that never frees when empty.
    realloc: &'a str,
    /// Options of the lifted `handle`.
    lift: &'a str,
    /// What the component ends with: further exports.
    exports: &'a str,
}

/// Answers with its text input: the only one here that means no harm.
pub(crate) fn echo() -> String {
    handle(ECHO)
}

/// Answers with `text`, whatever it is asked.
pub(crate) fn say(text: &str) -> String {
    let fields = format!("(data (i32.const 1024) {text:?})");
    let handle = format!("(call $text (i32.const 1024) (i32.const {}))", text.len());
    Agent {
        fields: &fields,
        handle: &handle,
        ..Agent::default()
    }
    .wat()
}

/// Never answers.
pub(crate) fn spin() -> String {
    handle(SPIN)
}

/// Never even starts.
pub(crate) fn spin_at_start() -> String {
    Agent {
        fields: "(func $begin (loop (br 0))) (start $begin)",
        handle: ECHO,
        ..Agent::default()
    }
    .wat()
}

/// Answers, and then spins when it should clean up.
pub(crate) fn spin_after_answer() -> String {
    let fields = r#"(func (export "after") (param i32) (loop (br 0)))"#;
    Agent {
        fields,
        handle: ECHO,
        lift: r#"(post-return (core func $i "after"))"#,
        ..Agent::default()
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
    Agent {
        fields,
        handle: "(call $deeper (i32.const 0))",
        ..Agent::default()
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
    Agent {
        fields: "(table $t 1 funcref)",
        handle: &format!("(if {grown} (then unreachable)) {ECHO}"),
        ..Agent::default()
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
    Agent {
        fields: &fields,
        handle: ECHO,
        exports: CARD,
        ..Agent::default()
    }
    .wat()
}

/// Never finishes presenting itself.
pub(crate) fn spin_when_presented() -> String {
    Agent {
        fields: r#"(func (export "describe") (result i32) (loop (br 0)) unreachable)"#,
        handle: ECHO,
        exports: CARD,
        ..Agent::default()
    }
    .wat()
}

/// A component that calls one inside itself, which no component may.
fn calls_inside() -> String {
    Agent {
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
    let caller = Agent {
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
fn passing() -> Agent<'static> {
    Agent {
        core_imports: r#"(import "callee" "len" (func $len (param i32 i32) (result i32)))"#,
        with: r#"(with "callee" (instance (export "len" (func $len-core))))"#,
        handle:
            "(if (i32.ne (call $len (i32.const 0) (i32.const 5)) (i32.const 5)) (then unreachable))
                 (call $text (local.get $in) (local.get $in-len))",
        ..Agent::default()
    }
}

/// Imports an interface, and does not need it.
pub(crate) fn importing(interface: &str) -> String {
    Agent {
        imports: &format!(r#"(import "{interface}" (instance))"#),
        handle: ECHO,
        ..Agent::default()
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
        Agent {
            handle: ECHO,
            realloc,
            ..Agent::default()
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
    ]
}

/// Calls the host when it is asked for room, which no allocator may.
fn calls_out() -> String {
    Agent {
        imports: r#"
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock (export "now" (func (result u64)))))
  (alias export $clock "now" (func $now))
  (core func $now-core (canon lower (func $now)))"#,
        core_imports: r#"(import "clock" "now" (func $now (result i64)))"#,
        with: r#"(with "clock" (instance (export "now" (func $now-core))))"#,
        realloc: &ALLOCATE.replacen("(local $at i32)", "(local $at i32) (drop (call $now))", 1),
        handle: ECHO,
        ..Agent::default()
    }
    .wat()
}

/// Never finds the room that it is asked for.
pub(crate) fn spin_for_room() -> String {
    Agent {
        handle: ECHO,
        realloc: SPIN,
        ..Agent::default()
    }
    .wat()
}

const ECHO: &str = "(call $text (local.get $in) (local.get $in-len))";
const SPIN: &str = "(loop (br 0)) unreachable";

/// Grows the memory as far as needed; traps when that is refused.
const ALLOCATE: &str = "
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (block $enough (loop $more
      (br_if $enough (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      (br $more)))
    (local.get $at)";

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

/// The types that agents and the host share.
const TYPES: &str = r#"
  (import "kennel:agent/types@0.1.0" (instance $types
    (type $blob' (record (field "media-type" string) (field "bytes" (list u8))))
    (export "blob" (type $blob (eq $blob')))
    (type $payload' (variant (case "text" string) (case "json" string) (case "blob" $blob)))
    (export "payload" (type $payload (eq $payload')))
    (type $task' (record (field "id" string) (field "skill" string) (field "input" $payload) (field "attempt" u32)))
    (export "task" (type $task (eq $task')))
    (type $error' (variant (case "invalid-input" string) (case "recoverable" string) (case "fatal" string)))
    (export "error" (type $error (eq $error')))))"#;

/// An export of `describe`, which the core module has.
const CARD: &str = r#"
  (type $skill' (record (field "name" string) (field "description" string) (field "input-schema" (option string))
    (field "output-schema" (option string)) (field "tags" (list string))))
  (type $card' (record (field "name" string) (field "version" string) (field "description" string) (field "skills" (list $skill'))))
  (func $describe (result $card') (canon lift (core func $i "describe") (memory (core memory $i "memory"))))
  (component $card
    (type $skill' (record (field "name" string) (field "description" string) (field "input-schema" (option string))
      (field "output-schema" (option string)) (field "tags" (list string))))
    (import "import-type-skill" (type $s (eq $skill')))
    (type $card' (record (field "name" string) (field "version" string) (field "description" string) (field "skills" (list $s))))
    (import "import-type-agent-card" (type $c (eq $card')))
    (import "import-func-describe" (func $inner (result $c)))
    (export $skill "skill" (type $skill'))
    (type $named' (record (field "name" string) (field "version" string) (field "description" string)
      (field "skills" (list $skill))))
    (export $named "agent-card" (type $named'))
    (export "describe" (func $inner) (func (result $named))))
  (instance $card (instantiate $card (with "import-type-skill" (type $skill')) (with "import-type-agent-card" (type $card'))
    (with "import-func-describe" (func $describe))))
  (export "kennel:agent/card@0.1.0" (instance $card))"#;

fn handle(body: &str) -> String {
    Agent {
        handle: body,
        ..Agent::default()
    }
    .wat()
}

impl Agent<'_> {
    fn wat(&self) -> String {
        let Self {
            imports,
            with,
            core_imports,
            fields,
            handle,
            lift,
            exports,
            ..
        } = self;
        let realloc = if self.realloc.is_empty() {
            ALLOCATE
        } else {
            self.realloc
        };
        format!(
            r#"(component {TYPES}
  (alias export $types "payload" (type $payload))
  (alias export $types "task" (type $task))
  (alias export $types "error" (type $error))
  {imports}
  (core module $m
    {core_imports}
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      {realloc})
    ;; At address 16: the result's case, the payload's case, then pointer and length.
    (func $answer (param $result i32) (param $case i32) (param $ptr i32) (param $len i32) (result i32)
      (i32.store (i32.const 16) (local.get $result))
      (i32.store (i32.const 20) (local.get $case))
      (i32.store (i32.const 24) (local.get $ptr))
      (i32.store (i32.const 28) (local.get $len))
      (i32.const 16))
    (func $text (param $ptr i32) (param $len i32) (result i32)
      (call $answer (i32.const 0) (i32.const 0) (local.get $ptr) (local.get $len)))
    {fields}
    (func (export "handle") (param $id i32) (param $id-len i32) (param $skill i32) (param $skill-len i32)
      (param $case i32) (param $in i32) (param $in-len i32) (param $in2 i32) (param $in2-len i32) (param $attempt i32)
      (result i32)
      {handle}))
  (core instance $i (instantiate $m {with}))
  (func $handle (param "task" $task) (result (result $payload (error $error)))
    (canon lift (core func $i "handle") (memory (core memory $i "memory")) (realloc (core func $i "realloc")) {lift}))
  (instance $handler (export "handle" (func $handle)))
  (export "kennel:agent/handler@0.1.0" (instance $handler))
  {exports})"#
        )
    }
}
