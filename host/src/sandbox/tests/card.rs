//! How an agent presents itself.

use super::capabilities::{BLOCK, SUBSCRIBE};
use super::limits;
use crate::failure::FailureKind;
use crate::sandbox::testing::Kennel;
use crate::sandbox::testing::guest::{ECHO, Guest, PRESENTS, handle};
use crate::sandbox::testing::imports::{CLOCKS, calling};
use crate::units::Fuel;

#[tokio::test]
async fn an_agent_without_a_card_describes_nothing() {
    let kennel = Kennel::new();
    assert_eq!(
        kennel
            .agent(&handle(ECHO))
            .describe()
            .await
            .expect("described"),
        None
    );
}

/// The body of a `describe` that presents the agent by the texts that [`described`] puts into its memory.
const CARD: &str = "(i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const 7))
        (i32.store (i32.const 72) (i32.const 1031)) (i32.store (i32.const 76) (i32.const 3))
        (i32.store (i32.const 80) (i32.const 1034)) (i32.store (i32.const 84) (i32.const 10))
        (i32.store (i32.const 88) (i32.const 0)) (i32.store (i32.const 92) (i32.const 0)) (i32.const 64)";

/// The fields of a core module whose `describe` has this body.
fn described(describe: &str, name: &str) -> String {
    format!(
        r#"(data (i32.const 1024) "{name}1.0says hello") (func (export "describe") (result i32) {describe})"#
    )
}

/// `describe` answers with the card that the core function `describe` left; its texts are data of the module.
fn presenting(describe: &str, name: &str) -> String {
    Guest {
        fields: &described(describe, name),
        exports: PRESENTS,
        handle: ECHO,
        ..Guest::default()
    }
    .wat()
}

/// Presents itself after a thousand rounds of a loop.
pub(super) fn presents_after_work() -> String {
    let work = "(local $n i32) (loop $more
        (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))";
    presenting(&format!("{work} {CARD}"), "greeter")
}

/// Presents itself after a second's sleep.
pub(super) fn presents_after_sleep() -> String {
    let sleep = "(call $block (call $subscribe-duration (i64.const 1000000000)))";
    let guest = Guest {
        imports: CLOCKS,
        fields: &described(&format!("{sleep} {CARD}"), "greeter"),
        exports: PRESENTS,
        handle: ECHO,
        ..Guest::default()
    };
    calling(&[SUBSCRIBE, BLOCK], guest)
}

#[tokio::test]
async fn an_agent_presents_itself_within_its_own_limits() {
    let kennel = Kennel::new();
    let described = kennel
        .agent(&presenting(CARD, "greeter"))
        .describe()
        .await
        .expect("described")
        .expect("a card");
    assert_eq!(
        (described.name.as_str(), described.version.as_str()),
        ("greeter", "1.0")
    );
    let error = kennel
        .agent(&presenting(CARD, "gree er"))
        .describe()
        .await
        .unwrap_err();
    assert!(
        error.failure.message.contains("not a valid agent name"),
        "{error}"
    );
    let spin = presenting("(loop $for-ever (br $for-ever)) unreachable", "greeter");
    let spinner = kennel
        .load("spinner", &spin, limits(|l| l.fuel = Fuel(2_000_000)), "")
        .expect("loaded");
    assert_eq!(
        spinner.describe().await.unwrap_err().failure.kind,
        FailureKind::OutOfFuel
    );
}
