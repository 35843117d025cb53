//! The words of a text, and the lists of words that change what others mean: boosters, negations and phrases.
//!
//! The lists are those of vaderSentiment 3.3.2 (MIT, see `lexicon/LICENSE`).

use crate::lexicon;

/// What a valence is multiplied with when it is denied.
pub(crate) const DENIED: f64 = -0.74;
/// What a word in capitals gains among others that are not.
pub(crate) const ALL_CAPS: f64 = 0.733;
/// What a valence is multiplied with after `never so`.
pub(crate) const NEVER_SO: f64 = 1.25;
/// What valences are multiplied with before and after `but`.
pub(crate) const BUT_BEFORE: f64 = 0.5;
/// See [`BUT_BEFORE`].
pub(crate) const BUT_AFTER: f64 = 1.5;

const BOOST: f64 = 0.293;

/// One word or emoticon.
pub(crate) struct Word {
    pub(crate) lower: String,
    /// Whether it has capitals and no small letters.
    pub(crate) is_upper: bool,
    /// What the lexicon says of it.
    pub(crate) valence: Option<f64>,
}

impl Word {
    fn new(text: &str) -> Self {
        let lower = text.to_lowercase();
        Self {
            is_upper: text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
            valence: lexicon::valence(&lower),
            lower,
        }
    }
}

/// What stands between spaces, without punctuation around it; an emoticon, of which next to nothing would be left, keeps its own.
pub(crate) fn words(text: &str) -> Vec<Word> {
    text.split_whitespace()
        .map(|token| {
            let bare = token.trim_matches(|c: char| c.is_ascii_punctuation());
            let is_word = bare.chars().nth(2).is_some();
            Word::new(if is_word { bare } else { token })
        })
        .collect()
}

/// The text with what emoji show in place of the emoji.
pub(crate) fn without_emoji(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut after_space = true;
    for character in text.chars() {
        if let Some(description) = lexicon::emoji(character) {
            if !after_space {
                plain.push(' ');
            }
            plain.push_str(description);
            after_space = false;
        } else {
            plain.push(character);
            after_space = character == ' ';
        }
    }
    plain
}

/// How much a word, or a phrase of two, strengthens the word after it; negative when it weakens it.
pub(crate) fn booster(lower: &str) -> Option<f64> {
    if STRENGTHENING.contains(&lower) {
        Some(BOOST)
    } else if WEAKENING.contains(&lower) {
        Some(-BOOST)
    } else {
        None
    }
}

/// Whether a word denies what follows.
pub(crate) fn is_negation(lower: &str) -> bool {
    NEGATIONS.contains(&lower) || lower.contains("n't")
}

/// The valence of a phrase that its words do not give away.
pub(crate) fn special(phrase: &str) -> Option<f64> {
    SPECIAL
        .iter()
        .find(|(known, _)| *known == phrase)
        .map(|&(_, valence)| valence)
}

const STRENGTHENING: &[&str] = &[
    "absolutely",
    "amazingly",
    "awfully",
    "completely",
    "considerable",
    "considerably",
    "decidedly",
    "deeply",
    "effing",
    "enormous",
    "enormously",
    "entirely",
    "especially",
    "exceptional",
    "exceptionally",
    "extreme",
    "extremely",
    "fabulously",
    "flippin",
    "flipping",
    "frackin",
    "fracking",
    "frickin",
    "fricking",
    "friggin",
    "frigging",
    "fuckin",
    "fucking",
    "fuggin",
    "fugging",
    "fully",
    "greatly",
    "hella",
    "highly",
    "hugely",
    "incredible",
    "incredibly",
    "intensely",
    "major",
    "majorly",
    "more",
    "most",
    "particularly",
    "purely",
    "quite",
    "really",
    "remarkably",
    "so",
    "substantially",
    "thoroughly",
    "total",
    "totally",
    "tremendous",
    "tremendously",
    "uber",
    "unbelievably",
    "unusually",
    "utter",
    "utterly",
    "very",
];

const WEAKENING: &[&str] = &[
    "almost",
    "barely",
    "hardly",
    "just enough",
    "kind of",
    "kind-of",
    "kinda",
    "kindof",
    "less",
    "little",
    "marginal",
    "marginally",
    "occasional",
    "occasionally",
    "partly",
    "scarce",
    "scarcely",
    "slight",
    "slightly",
    "somewhat",
    "sort of",
    "sort-of",
    "sorta",
    "sortof",
];

/// Those with `n't` are known by it.
const NEGATIONS: &[&str] = &[
    "aint", "arent", "cannot", "cant", "couldnt", "darent", "despite", "didnt", "doesnt", "dont",
    "hadnt", "hasnt", "havent", "isnt", "mightnt", "mustnt", "neednt", "neither", "never", "none",
    "nope", "nor", "not", "nothing", "nowhere", "oughtnt", "rarely", "seldom", "shant", "shouldnt",
    "uh-uh", "uhuh", "wasnt", "werent", "without", "wont", "wouldnt",
];

const SPECIAL: &[(&str, f64)] = &[
    ("bad ass", 1.5),
    ("badass", 1.5),
    ("beating heart", 3.5),
    ("bus stop", 0.0),
    ("kiss of death", -1.5),
    ("the bomb", 3.0),
    ("the shit", 3.0),
    ("to die for", 3.0),
    ("yeah right", -2.0),
];
