;; An agent that asks a peer with the skill `wait` for what it was asked itself, and answers with what the peer says. Between the two it
;; is suspended in a call into the host.
(component
  (import "kennel:agent/types@0.1.0" (instance $types
    (type $blob' (record (field "media-type" string) (field "bytes" (list u8))))
    (export "blob" (type $blob (eq $blob')))
    (type $payload' (variant (case "text" string) (case "json" string) (case "blob" $blob)))
    (export "payload" (type $payload (eq $payload')))
    (type $task' (record (field "id" string) (field "skill" string) (field "input" $payload) (field "attempt" u32)))
    (export "task" (type $task (eq $task')))
    (type $error' (variant (case "invalid-input" string) (case "recoverable" string) (case "fatal" string)))
    (export "error" (type $error (eq $error')))))
  (alias export $types "task" (type $task))
  (alias export $types "payload" (type $payload))
  (alias export $types "error" (type $error))
  (import "kennel:agent/peers@0.1.0" (instance $peers
    (export "payload" (type $p (eq $payload)))
    (export "error" (type $e (eq $error)))
    (type $call-error' (variant (case "agent" $e) (case "refused" string) (case "failed" string)))
    (export "call-error" (type $call-error (eq $call-error')))
    (type $request' (record (field "skill" string) (field "input" $p)))
    (export "request" (type $request (eq $request')))
    (export "call" (func (param "request" $request) (result (result $p (error $call-error)))))))

  ;; The memory and its allocator come first: the lowered call needs them. Nothing is given back, everything ends with the task.
  (core module $libc
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 1024))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $top) (i32.const 131072)) (then unreachable))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
  (alias export $peers "call" (func $call))
  (core func $call (canon lower (func $call) (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))

  (core module $m
    (import "libc" "memory" (memory 2))
    (import "host" "call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32)))
    (data (i32.const 512) "wait")
    (func (export "handle") (param $id i32) (param $id-len i32) (param $skill i32) (param $skill-len i32)
      (param $case i32) (param $in i32) (param $in-len i32) (param $in2 i32) (param $in2-len i32) (param $attempt i32)
      (result i32)
      ;; The answer, a `result<payload, call-error>`, is put at 64.
      (call $call (i32.const 512) (i32.const 4) (local.get $case) (local.get $in) (local.get $in-len)
        (local.get $in2) (local.get $in2-len) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then unreachable))
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.load8_u (i32.const 68)))
      (i32.store (i32.const 24) (i32.load (i32.const 72)))
      (i32.store (i32.const 28) (i32.load (i32.const 76)))
      (i32.const 16)))
  (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "host" (instance (export "call" (func $call))))))
  (func $handle (param "task" $task) (result (result $payload (error $error)))
    (canon lift (core func $i "handle") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (instance $handler (export "handle" (func $handle)))
  (export "kennel:agent/handler@0.1.0" (instance $handler)))
