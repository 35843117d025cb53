//! Makes an input that fails smaller: lines first, then pieces of any length, then single characters to plain ones.

use std::time::{Duration, Instant};

/// The smallest input found within `time` that still fails.
pub(super) fn smaller(
    input: &[u8],
    time: Duration,
    mut fails: impl FnMut(&[u8]) -> bool,
) -> Vec<u8> {
    let end = Instant::now() + time;
    let mut best = input.to_vec();
    loop {
        let before = best.len();
        without_lines(&mut best, end, &mut fails);
        without_pieces(&mut best, end, &mut fails);
        if best.len() == before || Instant::now() >= end {
            break;
        }
    }
    plain(&mut best, end, &mut fails);
    best
}

fn without_lines(best: &mut Vec<u8>, end: Instant, fails: &mut impl FnMut(&[u8]) -> bool) {
    let mut from = 0;
    while from < best.len() && Instant::now() < end {
        let rest = &best[from..];
        let len = rest
            .iter()
            .position(|&b| b == b'\n')
            .map_or(rest.len(), |at| at + 1);
        if !drop_piece(best, from, len, fails) {
            from += len;
        }
    }
}

fn without_pieces(best: &mut Vec<u8>, end: Instant, fails: &mut impl FnMut(&[u8]) -> bool) {
    let mut len = best.len() / 2;
    while len > 0 {
        let mut from = 0;
        while from < best.len() {
            if Instant::now() >= end {
                return;
            }
            if !drop_piece(best, from, len.min(best.len() - from), fails) {
                from += len;
            }
        }
        len /= 2;
    }
}

fn drop_piece(
    best: &mut Vec<u8>,
    from: usize,
    len: usize,
    fails: &mut impl FnMut(&[u8]) -> bool,
) -> bool {
    let mut less = best.clone();
    less.drain(from..from + len);
    let still = fails(&less);
    if still {
        *best = less;
    }
    still
}

fn plain(best: &mut Vec<u8>, end: Instant, fails: &mut impl FnMut(&[u8]) -> bool) {
    for at in 0..best.len().min(2_000) {
        if Instant::now() >= end {
            return;
        }
        if best[at].is_ascii_alphanumeric() || best[at] == b'\n' || best[at] == b' ' {
            continue;
        }
        let mut plainer = best.clone();
        plainer[at] = b'a';
        if fails(&plainer) {
            *best = plainer;
        }
    }
}

#[test]
fn what_does_not_matter_is_left_out() {
    let input = b"first line\nsecond { line }\nthird line\n";
    let small = smaller(input, Duration::from_secs(60), |input| {
        input.contains(&b'{')
    });
    assert_eq!(small, b"{");
}
