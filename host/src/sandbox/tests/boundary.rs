//! Values that cross the boundary: lies about them, too much of them, and a host that breaks.

use super::limits;
use crate::failure::FailureKind;
use crate::sandbox::testing::guest::{ECHO, Guest, handle};
use crate::sandbox::testing::imports::{CLOCKS, using};
use crate::sandbox::testing::{Kennel, failure, text};
use crate::units::Bytes;

/// Each breaks the canonical ABI in its own way. The tables of untyped errors are right as long as this passes.
#[tokio::test]
async fn lies_about_values_are_abi_violations() {
    let kennel = Kennel::new();
    for (lie, body) in [
        (
            "string out of bounds",
            "(call $text (i32.const 131072) (i32.const 1))",
        ),
        (
            "string of 2^32-1 bytes",
            "(call $text (i32.const 0) (i32.const -1))",
        ),
        (
            "bad utf-8",
            "(i32.store8 (i32.const 512) (i32.const 255)) (call $text (i32.const 512) (i32.const 1))",
        ),
        (
            "half a character",
            "(i32.store8 (i32.const 512) (i32.const 0xc3)) (call $text (i32.const 512) (i32.const 1))",
        ),
        (
            "bad case of the result",
            "(call $answer (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0))",
        ),
        (
            "bad case of the payload",
            "(call $answer (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 0))",
        ),
        ("return area out of bounds", "(i32.const 131068)"),
        ("return area not aligned", "(i32.const 17)"),
        (
            "bytes out of bounds",
            "(drop (call $answer (i32.const 0) (i32.const 2) (local.get $in) (local.get $in-len)))
             (i32.store (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const 131073)) (i32.const 16)",
        ),
        (
            "text called json",
            "(call $json (local.get $in) (local.get $in-len))",
        ),
    ] {
        let failure = failure(&kennel.agent(&handle(body)), "not json").await;
        assert_eq!(failure.kind, FailureKind::AbiViolation, "{lie}: {failure}");
    }
}

#[tokio::test]
async fn lies_of_realloc_are_abi_violations() {
    let kennel = Kennel::new();
    for (lie, realloc) in [
        ("out of bounds", "(i32.const 131072)"),
        ("the last address", "(i32.const -1)"),
    ] {
        let wat = Guest {
            realloc,
            handle: ECHO,
            ..Guest::default()
        }
        .wat();
        let failure = failure(&kennel.agent(&wat), "some input").await;
        assert_eq!(failure.kind, FailureKind::AbiViolation, "{lie}: {failure}");
    }
}

#[tokio::test]
async fn a_component_that_calls_one_inside_itself_breaks_the_rules_and_not_the_host() {
    let kennel = Kennel::new();
    let lowered = r#"
  (component $inner
    (core module $n (func (export "f")))
    (core instance $n (instantiate $n))
    (func (export "f") (canon lift (core func $n "f"))))
  (instance $inner (instantiate $inner))
  (core func $f (canon lower (func $inner "f")))"#;
    let wat = Guest {
        lowered,
        with: r#"(with "inner" (instance (export "f" (func $f))))"#,
        core_imports: r#"(import "inner" "f" (func $f))"#,
        handle: &format!("(call $f) {ECHO}"),
        ..Guest::default()
    }
    .wat();
    let failure = failure(&kennel.agent(&wat), "").await;
    assert_eq!(failure.kind, FailureKind::AbiViolation, "{failure}");
}

#[tokio::test]
async fn an_output_of_a_hundred_megabytes_is_too_much_data_and_one_above_the_limit_too_large() {
    let kennel = Kennel::new();
    let body =
        "(drop (memory.grow (i32.const 900))) (call $text (i32.const 0) (i32.const 50000000))";
    assert_eq!(
        failure(&kennel.agent(&handle(body)), "").await.kind,
        FailureKind::TooMuchData
    );
    let agent = kennel
        .load("agent", &handle(ECHO), limits(|l| l.output = Bytes(9)), "")
        .expect("loaded");
    assert_eq!(
        failure(&agent, "ten bytes.").await.kind,
        FailureKind::OutputTooLarge
    );
    assert_eq!(text(&agent, "nine byte").await, "nine byte");
}

#[tokio::test]
async fn utf_16_with_half_a_pair_is_an_abi_violation() {
    let kennel = Kennel::new();
    let body =
        "(i32.store (i32.const 512) (i32.const 0xd800)) (call $text (i32.const 512) (i32.const 1))";
    let wat = Guest {
        handle: body,
        lift: "string-encoding=utf16",
        ..Guest::default()
    }
    .wat();
    let failure = failure(&kennel.agent(&wat), "").await;
    assert_eq!(failure.kind, FailureKind::AbiViolation, "{failure}");
}

#[tokio::test]
async fn a_handle_that_was_never_given_out_is_an_abi_violation() {
    let kennel = Kennel::new();
    let block = [("poll", "[method]pollable.block", "(param i32)")];
    let agent = kennel.agent(&using(
        CLOCKS,
        &block,
        "(call $block (i32.const 99)) unreachable",
    ));
    let failure = failure(&agent, "").await;
    assert_eq!(failure.kind, FailureKind::AbiViolation, "{failure}");
}

#[tokio::test]
async fn a_guest_that_hoards_resources_of_its_own_is_stopped() {
    let kennel = Kennel::new();
    let wat = Guest {
        lowered: "(type $own (resource (rep i32))) (core func $new (canon resource.new $own))",
        with: r#"(with "own" (instance (export "new" (func $new))))"#,
        core_imports: r#"(import "own" "new" (func $new (param i32) (result i32)))"#,
        handle: "(loop $again (drop (call $new (i32.const 1))) (br $again)) unreachable",
        ..Guest::default()
    }
    .wat();
    let failure = failure(&kennel.agent(&wat), "").await;
    assert_eq!(failure.kind, FailureKind::Handles, "{failure}");
}
