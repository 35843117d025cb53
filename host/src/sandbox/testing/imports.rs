//! Host interfaces as the tests' components import them: the parts of each that the tests call.

use super::guest::Guest;

pub(in crate::sandbox) const PROGRESS: &str = r#"
  (import "kennel:agent/progress@0.1.0" (instance $progress
    (export "report" (func (param "done" (option f32)) (param "note" string)))))"#;

pub(in crate::sandbox) const LOGGING: &str = r#"
  (import "wasi:logging/logging@0.1.0-draft" (instance $logging
    (type $level' (enum "trace" "debug" "info" "warn" "error" "critical"))
    (export "level" (type $level (eq $level')))
    (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))))"#;

pub(in crate::sandbox) const CONFIG: &str = r#"
  (import "wasi:config/store@0.2.0-rc.1" (instance $config
    (type $error' (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $error')))
    (export "get" (func (param "key" string) (result (result (option string) (error $error)))))))"#;

pub(in crate::sandbox) const STATE: &str = r#"
  (import "kennel:agent/state@0.1.0" (instance $state
    (export "payload" (type $p (eq $payload)))
    (type $entry' (record (field "value" $p) (field "revision" u64)))
    (export "entry" (type $entry (eq $entry')))
    (type $error' (variant (case "conflict" (option $entry)) (case "denied" string) (case "quota" string)
      (case "unavailable" string)))
    (export "state-error" (type $e (eq $error')))
    (export "set" (func (param "key" string) (param "value" $p) (result (result u64 (error $e)))))
    (export "increment" (func (param "key" string) (param "delta" s64) (result (result s64 (error $e)))))))"#;

pub(in crate::sandbox) const BLOBS: &str = r#"
  (import "kennel:agent/blobs@0.1.0" (instance $blobs
    (export "blob" (type $b (eq $blob)))
    (export "read" (func (param "digest" string) (result (result $b (error string)))))
    (export "read-part" (func (param "digest" string) (param "offset" u64) (param "length" u32)
      (result (result (list u8) (error string)))))
    (export "write" (func (param "blob" $b) (result (result string (error string)))))))"#;

pub(in crate::sandbox) const PEERS: &str = r#"
  (import "kennel:agent/peers@0.1.0" (instance $peers
    (export "payload" (type $p (eq $payload)))
    (export "error" (type $e (eq $error)))
    (type $call-error' (variant (case "agent" $e) (case "refused" string) (case "failed" string)))
    (export "call-error" (type $call-error (eq $call-error')))
    (type $request' (record (field "skill" string) (field "input" $p)))
    (export "request" (type $request (eq $request')))
    (export "call" (func (param "request" $request) (result (result $p (error $call-error)))))
    (export "call-all" (func (param "requests" (list $request)) (result (list (result $p (error $call-error))))))))"#;

pub(in crate::sandbox) const EVENTS: &str = r#"
  (import "kennel:agent/events@0.1.0" (instance $events
    (export "payload" (type $p (eq $payload)))
    (export "emit" (func (param "event-type" string) (param "subject" (option string)) (param "data" $p)
      (result (result (error string)))))))"#;

pub(in crate::sandbox) const CLI: &str = r#"
  (import "wasi:io/error@0.2.6" (instance $io-error (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $io-error-r))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (export "output-stream" (type $out (sub resource)))
    (export "error" (type $err (eq $io-error-r)))
    (type $stream-error' (variant (case "last-operation-failed" (own $err)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $out-r))
  (import "wasi:cli/stdout@0.2.6" (instance $stdout
    (export "output-stream" (type $out (eq $out-r)))
    (export "get-stdout" (func (result (own $out))))))
  (import "wasi:cli/stderr@0.2.6" (instance $stderr
    (export "output-stream" (type $out (eq $out-r)))
    (export "get-stderr" (func (result (own $out))))))"#;

pub(in crate::sandbox) const EXIT: &str = r#"
  (import "wasi:cli/exit@0.2.6" (instance $exit (export "exit" (func (param "status" (result))))))"#;

pub(in crate::sandbox) const RANDOM: &str = r#"
  (import "wasi:random/random@0.2.6" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))"#;

pub(in crate::sandbox) const CLOCKS: &str = r#"
  (import "wasi:io/poll@0.2.6" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable-r))
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
    (export "pollable" (type $pollable (eq $pollable-r)))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))"#;

/// A component that imports `imports` and calls `functions` of them, each given as the instance, its name there, and its core
/// parameters and results; in the core module it goes by that name without `[method]…`. `handle` is the body of its `handle`.
pub(in crate::sandbox) fn using(
    imports: &str,
    functions: &[(&str, &str, &str)],
    handle: &str,
) -> String {
    with_fields(imports, functions, "", handle)
}

/// The same with more fields in the core module.
pub(in crate::sandbox) fn with_fields(
    imports: &str,
    functions: &[(&str, &str, &str)],
    fields: &str,
    handle: &str,
) -> String {
    let guest = Guest {
        imports,
        fields,
        handle,
        ..Guest::default()
    };
    calling(functions, guest)
}

/// `guest`, which calls `functions` of what it imports.
pub(in crate::sandbox) fn calling(functions: &[(&str, &str, &str)], guest: Guest<'_>) -> String {
    let (mut lowered, mut with, mut core_imports) = (String::new(), String::new(), String::new());
    for (instance, name, ty) in functions {
        let id = name.rsplit('.').next().unwrap_or(name);
        lowered += &format!(
            r#"(alias export ${instance} "{name}" (func ${id}))
  (core func ${id}-core (canon lower (func ${id}) (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  "#
        );
        with += &format!(r#"(export "{name}" (func ${id}-core)) "#);
        core_imports += &format!(r#"(import "host" "{name}" (func ${id} {ty})) "#);
    }
    let with = format!(r#"(with "host" (instance {with}))"#);
    Guest {
        lowered: &lowered,
        with: &with,
        core_imports: &core_imports,
        ..guest
    }
    .wat()
}

pub(in crate::sandbox) const FILES: &str = r#"
  (import "wasi:filesystem/types@0.2.6" (instance $fs
    (export "descriptor" (type $d (sub resource)))
    (type $error' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist" "file-too-large"
      "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop" "too-many-links" "message-size"
      "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory" "insufficient-space" "not-directory" "not-empty"
      "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe" "read-only" "invalid-seek"
      "text-file-busy" "cross-device"))
    (export "error-code" (type $e (eq $error')))
    (type $path-flags' (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags')))
    (type $open-flags' (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags')))
    (type $flags' (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync" "mutate-directory"))
    (export "descriptor-flags" (type $flags (eq $flags')))
    (export "[method]descriptor.open-at" (func (param "self" (borrow $d)) (param "path-flags" $path-flags) (param "path" string)
      (param "open-flags" $open-flags) (param "flags" $flags) (result (result (own $d) (error $e)))))
    (export "[method]descriptor.set-size" (func (param "self" (borrow $d)) (param "size" u64) (result (result (error $e)))))
    (export "[method]descriptor.symlink-at" (func (param "self" (borrow $d)) (param "old-path" string) (param "new-path" string)
      (result (result (error $e)))))
    (export "[method]descriptor.rename-at" (func (param "self" (borrow $d)) (param "old-path" string)
      (param "new-descriptor" (borrow $d)) (param "new-path" string) (result (result (error $e)))))))
  (alias export $fs "descriptor" (type $d-r))
  (import "wasi:filesystem/preopens@0.2.6" (instance $preopens
    (export "descriptor" (type $d (eq $d-r)))
    (export "get-directories" (func (result (list (tuple (own $d) string)))))))"#;

pub(in crate::sandbox) const ENVIRONMENT: &str = r#"
  (import "wasi:cli/environment@0.2.6" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))))"#;
