//! VADER: how positive or negative a sentence sounds, by a list of words and a handful of rules about the words around them.
//!
//! Source: C. J. Hutto, E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", Proceedings
//! of ICWSM-14 (2014), with the numbers and the reach of each rule as in the authors' package vaderSentiment 3.3.2. One thing differs
//! on purpose: around `but`, each word is weighed by where it stands itself; the package looks the place up by the valence, and so
//! weighs a word twice when another one has the same number.

use crate::words::{
    self, ALL_CAPS, BUT_AFTER, BUT_BEFORE, DENIED, NEVER_SO, Word, booster, is_negation,
};

/// Normalises the sum of valences: about the largest sum to be expected.
const ALPHA: f64 = 15.0;

/// What a sentence scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Polarity {
    /// From -1, most negative, to 1, most positive.
    pub(crate) compound: f64,
    /// The shares of what is positive, neutral and negative in it.
    pub(crate) positive: f64,
    pub(crate) neutral: f64,
    pub(crate) negative: f64,
}

/// Scores a text as a whole.
pub(crate) fn polarity(text: &str) -> Polarity {
    let text = words::without_emoji(text);
    let words = words::words(&text);
    let shouted = words.iter().filter(|word| word.is_upper).count();
    let some_shouted = (1..words.len()).contains(&shouted);
    let mut valences: Vec<f64> = (0..words.len())
        .map(|at| valence(&words, at, some_shouted))
        .collect();
    if let Some(but) = words.iter().position(|word| word.lower == "but") {
        for (at, valence) in valences.iter_mut().enumerate() {
            match at.cmp(&but) {
                std::cmp::Ordering::Less => *valence *= BUT_BEFORE,
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => *valence *= BUT_AFTER,
            }
        }
    }
    score(&valences, emphasis(&text))
}

/// The valence of one word among the others; 0 for one that carries none.
fn valence(words: &[Word], at: usize, some_shouted: bool) -> f64 {
    let word = &words[at];
    let before = |distance: usize| at.checked_sub(distance).map(|at| &words[at]);
    let said = |distance: usize, what: &str| before(distance).is_some_and(|w| w.lower == what);
    let starts_kind_of = word.lower == "kind" && words.get(at + 1).is_some_and(|w| w.lower == "of");
    if booster(&word.lower).is_some() || starts_kind_of {
        return 0.0;
    }
    let Some(listed) = word.valence else {
        return 0.0;
    };
    let mut valence = listed;
    // `no` before a word of the list denies that word instead of counting itself.
    if word.lower == "no" && words.get(at + 1).is_some_and(|w| w.valence.is_some()) {
        valence = 0.0;
    }
    if said(1, "no") || said(2, "no") || (said(3, "no") && (said(1, "or") || said(1, "nor"))) {
        valence = listed * DENIED;
    }
    if word.is_upper && some_shouted {
        valence += if valence > 0.0 { ALL_CAPS } else { -ALL_CAPS };
    }
    for distance in 1..=3 {
        let Some(earlier) = before(distance).filter(|earlier| earlier.valence.is_none()) else {
            continue;
        };
        valence += boost(earlier, distance, valence, some_shouted);
        valence = negate(words, at, distance, valence);
        if distance == 3 {
            valence = special(words, at, valence);
        }
    }
    if said(1, "least") && !said(2, "at") && !said(2, "very") {
        valence *= DENIED;
    }
    valence
}

/// What an earlier word such as `very` or `hardly` adds, less the further away it stands.
fn boost(earlier: &Word, distance: usize, valence: f64, some_shouted: bool) -> f64 {
    let Some(mut boost) = booster(&earlier.lower) else {
        return 0.0;
    };
    if valence < 0.0 {
        boost = -boost;
    }
    if earlier.is_upper && some_shouted {
        boost += if valence > 0.0 { ALL_CAPS } else { -ALL_CAPS };
    }
    match distance {
        1 => boost,
        2 => boost * 0.95,
        _ => boost * 0.9,
    }
}

/// Turns the valence round when the word at that distance denies it; `never so good` praises, `without doubt` denies nothing.
fn negate(words: &[Word], at: usize, distance: usize, valence: f64) -> f64 {
    let lower = |distance: usize| words[at - distance].lower.as_str();
    let so = |distance: usize| matches!(lower(distance), "so" | "this");
    let earlier = lower(distance);
    let (praised, undoubted) = match distance {
        1 => (false, false),
        2 => (
            earlier == "never" && so(1),
            earlier == "without" && lower(1) == "doubt",
        ),
        _ => (
            (earlier == "never" && so(2)) || so(1),
            earlier == "without" && (lower(2) == "doubt" || lower(1) == "doubt"),
        ),
    };
    if praised {
        valence * NEVER_SO
    } else if !undoubted && is_negation(earlier) {
        valence * DENIED
    } else {
        valence
    }
}

/// Phrases whose valence is not that of their words, and boosters of two words. Looked for only where three words stand before.
fn special(words: &[Word], at: usize, valence: f64) -> f64 {
    let phrase = |from: usize, to: usize| {
        let lower: Vec<&str> = words[from..=to].iter().map(|w| w.lower.as_str()).collect();
        lower.join(" ")
    };
    let mut valence = valence;
    let behind = [
        phrase(at - 1, at),
        phrase(at - 2, at),
        phrase(at - 2, at - 1),
        phrase(at - 3, at - 1),
        phrase(at - 3, at - 2),
    ];
    if let Some(known) = behind.iter().find_map(|phrase| words::special(phrase)) {
        valence = known;
    }
    for to in [at + 1, at + 2] {
        if to < words.len()
            && let Some(known) = words::special(&phrase(at, to))
        {
            valence = known;
        }
    }
    let boosts = [&behind[3], &behind[4], &behind[2]];
    valence
        + boosts
            .iter()
            .filter_map(|phrase| booster(phrase))
            .sum::<f64>()
}

/// What exclamation and question marks add, whichever way the text leans.
fn emphasis(text: &str) -> f64 {
    let exclamations = text.matches('!').count().min(4) as f64 * 0.292;
    let questions = match text.matches('?').count() {
        0 | 1 => 0.0,
        count @ 2..=3 => count as f64 * 0.18,
        _ => 0.96,
    };
    exclamations + questions
}

fn score(valences: &[f64], emphasis: f64) -> Polarity {
    if valences.is_empty() {
        return Polarity::default();
    }
    let mut sum: f64 = valences.iter().sum();
    if sum > 0.0 {
        sum += emphasis;
    } else if sum < 0.0 {
        sum -= emphasis;
    }
    // One more for each word that counts, because a neutral one counts as 1.
    let mut positive: f64 = valences.iter().filter(|&&v| v > 0.0).map(|v| v + 1.0).sum();
    let mut negative: f64 = valences.iter().filter(|&&v| v < 0.0).map(|v| 1.0 - v).sum();
    let neutral = valences.iter().filter(|&&v| v == 0.0).count() as f64;
    if positive > negative {
        positive += emphasis;
    } else if positive < negative {
        negative += emphasis;
    }
    let total = positive + negative + neutral;
    Polarity {
        compound: sum / (sum * sum + ALPHA).sqrt(),
        positive: positive / total,
        neutral: neutral / total,
        negative: negative / total,
    }
}
