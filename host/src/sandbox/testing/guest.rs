//! Components for tests, written as text around a small core module: no toolchain, no committed binaries.
//!
//! The core module `$m` imports its memory and `realloc` from `$libc`; its function `handle` gets the task flattened as the canonical
//! ABI does it (`$in`, `$in-len` hold the bytes of a text input) and returns the address of a `result<payload, error>`.
//!
//! Also a part of the hostile corpus, `tests/hostile`, which is another crate.

/// A component with the parts that differ; see the module documentation.
#[derive(Default)]
pub(crate) struct Guest<'a> {
    /// Declarations of the component before its modules: imports and type aliases.
    pub(crate) imports: &'a str,
    /// Imports of `$libc`.
    pub(crate) libc_imports: &'a str,
    /// What `$libc` is instantiated with.
    pub(crate) libc_with: &'a str,
    /// Declarations of the component after `$libc`: lowered functions, further modules and instances.
    pub(crate) lowered: &'a str,
    /// What `$m` is instantiated with besides `$libc`.
    pub(crate) with: &'a str,
    /// Imports of `$m`.
    pub(crate) core_imports: &'a str,
    /// Fields of `$m`: data, globals, functions, a start function.
    pub(crate) fields: &'a str,
    /// The body of `handle`.
    pub(crate) handle: &'a str,
    /// The body of `realloc`; a bump allocator when empty.
    pub(crate) realloc: &'a str,
    /// Options of the lifted `handle`.
    pub(crate) lift: &'a str,
    /// Declarations of the component at its end: further exports.
    pub(crate) exports: &'a str,
}

/// A component whose `handle` has this body.
pub(crate) fn handle(body: &str) -> String {
    Guest {
        handle: body,
        ..Guest::default()
    }
    .wat()
}

/// Answers with its text input.
pub(crate) const ECHO: &str = "(call $text (local.get $in) (local.get $in-len))";

/// The function `describe` of the core module as `kennel:agent/card`.
pub(crate) const PRESENTS: &str = r#"
  (type $skill' (record (field "name" string) (field "description" string) (field "input-schema" (option string))
    (field "output-schema" (option string)) (field "tags" (list string))))
  (type $card' (record (field "name" string) (field "version" string) (field "description" string) (field "skills" (list $skill'))))
  (func $describe (result $card') (canon lift (core func $i "describe") (memory (core memory $libc "memory"))))
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

/// What every agent imports.
pub(crate) const TYPES: &str = r#"
  (import "kennel:agent/types@0.1.0" (instance $types
    (type $blob' (record (field "media-type" string) (field "bytes" (list u8))))
    (export "blob" (type $blob (eq $blob')))
    (type $payload' (variant (case "text" string) (case "json" string) (case "blob" $blob)))
    (export "payload" (type $payload (eq $payload')))
    (type $task' (record (field "id" string) (field "skill" string) (field "input" $payload) (field "attempt" u32)))
    (export "task" (type $task (eq $task')))
    (type $error' (variant (case "invalid-input" string) (case "recoverable" string) (case "fatal" string)))
    (export "error" (type $error (eq $error')))))"#;

/// Grows the memory as far as needed; fails by trapping as allocators do.
pub(crate) const BUMP: &str = r"
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (block $done (loop $more
      (br_if $done (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      (br $more)))
    (local.get $at)";

impl Guest<'_> {
    /// The component as text.
    pub(crate) fn wat(&self) -> String {
        let Self {
            imports,
            libc_imports,
            libc_with,
            lowered,
            with,
            core_imports,
            fields,
            handle,
            lift,
            exports,
            ..
        } = self;
        let realloc = if self.realloc.is_empty() {
            BUMP
        } else {
            self.realloc
        };
        format!(
            r#"(component {TYPES}
  (alias export $types "blob" (type $blob))
  (alias export $types "task" (type $task))
  (alias export $types "payload" (type $payload))
  (alias export $types "error" (type $error))
  {imports}
  (core module $libc
    {libc_imports}
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      {realloc}))
  (core instance $libc (instantiate $libc {libc_with}))
  {lowered}
  (core module $m
    (import "libc" "memory" (memory 2))
    {core_imports}
    ;; result<payload, error> at address 16: the result's case, the variant's case, then pointer and length.
    (func $answer (param $err i32) (param $case i32) (param $ptr i32) (param $len i32) (result i32)
      (i32.store (i32.const 16) (local.get $err))
      (i32.store (i32.const 20) (local.get $case))
      (i32.store (i32.const 24) (local.get $ptr))
      (i32.store (i32.const 28) (local.get $len))
      (i32.const 16))
    (func $text (param $ptr i32) (param $len i32) (result i32)
      (call $answer (i32.const 0) (i32.const 0) (local.get $ptr) (local.get $len)))
    (func $json (param $ptr i32) (param $len i32) (result i32)
      (call $answer (i32.const 0) (i32.const 1) (local.get $ptr) (local.get $len)))
    {fields}
    (func (export "handle") (param $id i32) (param $id-len i32) (param $skill i32) (param $skill-len i32)
      (param $case i32) (param $in i32) (param $in-len i32) (param $in2 i32) (param $in2-len i32) (param $attempt i32)
      (result i32)
      {handle}))
  (core instance $i (instantiate $m (with "libc" (instance $libc)) {with}))
  (func $handle (param "task" $task) (result (result $payload (error $error)))
    (canon lift (core func $i "handle") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc")) {lift}))
  (instance $handler (export "handle" (func $handle)))
  (export "kennel:agent/handler@0.1.0" (instance $handler))
  {exports})"#
        )
    }
}
