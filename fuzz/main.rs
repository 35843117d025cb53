//! Kennel's parsers and decoders against input that nobody would write.
//!
//! Each target makes inputs, from nothing or from those it has, hands them to the host and asks an oracle whether what came back may
//! be. A plain `cargo test` tries a fixed few; `cargo xtask fuzz` tries for as long as it is told. What fails is made smaller and
//! kept under `kept/`, and from then on tried first, every time.

mod harness;
mod targets;

use harness::run;

/// One test for each target, under its name.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(&targets::$name::TARGET);
        })*
    };
}

targets! { compile component egress event expression flow journal record settings store }
