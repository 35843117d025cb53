//! Changes to bytes that keep most of what stood there: single bits, words, numbers, lines, pieces of another input.

use super::{LONGEST, Maker};

/// Changes `input` a little.
pub(super) fn once(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    match maker.below(12) {
        0 => flip(maker, input),
        1 => insert(maker, input),
        2 => remove(maker, input),
        3 => repeat(maker, input),
        4 => splice(maker, input),
        5 | 6 => word(maker, input),
        7 => number(maker, input),
        8 => swap_lines(maker, input),
        9 => indent(maker, input),
        10 => drop_line(maker, input),
        _ => cut(maker, input),
    }
    input.truncate(LONGEST);
}

fn at(maker: &mut Maker<'_>, input: &[u8]) -> usize {
    maker.below(input.len() + 1)
}

/// A piece of `input`: usually short, sometimes of any length.
fn piece(maker: &mut Maker<'_>, input: &[u8]) -> std::ops::Range<usize> {
    let from = at(maker, input);
    let most = input.len() - from;
    let len = match maker.chance(70) {
        true => maker.below(9).min(most),
        false => maker.below(most + 1),
    };
    from..from + len
}

fn flip(maker: &mut Maker<'_>, input: &mut [u8]) {
    if !input.is_empty() {
        let at = maker.below(input.len());
        input[at] ^= 1 << maker.below(8);
    }
}

fn insert(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let at = at(maker, input);
    let some = match maker.below(4) {
        0 => maker.number().to_le_bytes()[..=maker.below(7)].to_vec(),
        1 => vec![maker.one_of(b"{}[]\"'`$:,#&*!|>%@\\\n\t \0-?<")],
        2 => maker
            .one_of(&[
                "\u{feff}",
                "é",
                "\u{202e}",
                "😀",
                "\r\n",
                "\u{2028}",
                "ß\u{301}",
            ])
            .as_bytes()
            .to_vec(),
        _ => maker.word().as_bytes().to_vec(),
    };
    input.splice(at..at, some);
}

fn remove(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let piece = piece(maker, input);
    input.drain(piece);
}

fn repeat(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let piece = piece(maker, input);
    let times = match maker.chance(10) {
        true => maker.below(200),
        false => 1,
    };
    let some = input[piece.clone()].repeat(times.min(LONGEST / piece.len().max(1)));
    input.splice(piece.end..piece.end, some);
}

fn splice(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let other = maker.known();
    let theirs = piece(maker, other);
    let ours = piece(maker, input);
    input.splice(ours, other[theirs].iter().copied());
}

/// Puts a word that means something in the place of another.
fn word(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let from = at(maker, input);
    let from = from + input[from..].iter().position(is_word).unwrap_or(0);
    let begin = input[..from]
        .iter()
        .rposition(|b| !is_word(b))
        .map_or(0, |at| at + 1);
    let len = input[begin..].iter().take_while(|b| is_word(b)).count();
    let new = maker.word();
    input.splice(begin..begin + len, new.bytes());
}

/// Puts a number that is the end of some range in the place of another.
fn number(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let from = at(maker, input);
    let Some(begin) = input[from..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let begin = from + begin;
    let len = input[begin..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let edge = maker.edge();
    let new = match maker.below(6) {
        0 => (edge as i64).to_string(),
        1 => format!("{edge}.5"),
        2 => format!("1e{}", edge % 400),
        3 => format!("-{edge}"),
        _ => edge.to_string(),
    };
    input.splice(begin..begin + len, new.into_bytes());
}

/// Where the lines of `input` are, their ends included.
fn lines(input: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut from = 0;
    let ends = input.split_inclusive(|&b| b == b'\n');
    let line = |line: &[u8]| {
        let range = from..from + line.len();
        from = range.end;
        range
    };
    ends.map(line).collect()
}

fn swap_lines(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let lines = lines(input);
    if lines.is_empty() {
        return;
    }
    let (one, two) = (maker.below(lines.len()), maker.below(lines.len()));
    let line = input[lines[one].clone()].to_vec();
    let to = lines[two].start;
    input.splice(to..to, line);
}

fn indent(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let lines = lines(input);
    if lines.is_empty() {
        return;
    }
    let line = lines[maker.below(lines.len())].clone();
    if maker.chance(50) {
        let blanks = maker.one_of(&["  ", " ", "- ", "\t", "    "]);
        input.splice(line.start..line.start, blanks.bytes());
    } else {
        let blanks = input[line.clone()]
            .iter()
            .take_while(|&&b| b == b' ')
            .count();
        input.drain(line.start..line.start + blanks.min(2));
    }
}

fn drop_line(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    let lines = lines(input);
    if !lines.is_empty() {
        let line = lines[maker.below(lines.len())].clone();
        input.drain(line);
    }
}

fn cut(maker: &mut Maker<'_>, input: &mut Vec<u8>) {
    if maker.chance(30) {
        let at = at(maker, input);
        input.truncate(at);
    }
}
