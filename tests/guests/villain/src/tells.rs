//! Harm that needs nothing but WASI.

use std::io::Write as _;
use std::time::Duration;

use kennel_sdk::prelude::*;
use wasip2::clocks::monotonic_clock::{now, subscribe_duration};
use wasip2::io::poll::poll;
use wasip2::random::random::get_random_u64;

/// Clears the screen, sets the title, reverses the text, ends a C string, and is no UTF-8.
const HOSTILE: &[u8] = b"\x1b[2J\x1b]0;owned\x07\xe2\x80\xae\x00\x9b31m\xff words\n";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    Exit,
    Abort,
    Panic,
}

pub(crate) fn hold_handles() -> Value {
    let mut held = Vec::new();
    loop {
        held.push(subscribe_duration(u64::MAX));
    }
}

pub(crate) fn sleep_for_ever() -> Value {
    subscribe_duration(u64::MAX).block();
    json!("it is the end of time")
}

pub(crate) fn poll_storm(timers: u32) -> Value {
    let timers: Vec<_> = (0..timers).map(|_| subscribe_duration(0)).collect();
    let timers: Vec<_> = timers.iter().collect();
    loop {
        poll(&timers);
    }
}

pub(crate) fn print(mib: usize) -> Value {
    let block = HOSTILE.repeat((32 << 10) / HOSTILE.len());
    let mut out = std::io::stdout().lock();
    for _ in 0..(mib << 20) / block.len() {
        // Whether the host takes it or not.
        let _ = out.write_all(&block);
    }
    for _ in 0..16 {
        let _ = out.write_all(&[b'x'; 32 << 10]);
    }
    json!("said")
}

pub(crate) fn die(how: How) -> Value {
    match how {
        How::Exit => std::process::exit(1),
        How::Abort => std::process::abort(),
        How::Panic => panic!("on purpose"),
    }
}

pub(crate) fn touch(mib: usize, milliseconds: u64) -> Value {
    let held = std::hint::black_box(vec![1_u8; mib << 20]);
    std::thread::sleep(Duration::from_millis(milliseconds));
    json!(
        held.iter()
            .step_by(4096)
            .map(|&byte| u64::from(byte))
            .sum::<u64>()
    )
}

/// Takes another way at every throw, so that a replay with other dice ends elsewhere.
pub(crate) fn chance() -> Value {
    let begun = now();
    let throws: Vec<_> = (0..8).map(|_| get_random_u64()).collect();
    if throws[0] % 2 == 0 {
        log::info!("even");
    }
    json!({ "clock": begun, "throws": throws.iter().map(u64::to_string).collect::<Vec<_>>() })
}
