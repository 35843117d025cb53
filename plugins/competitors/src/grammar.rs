//! A small grammar of word patterns, in the manner of the cascaded finite-state rules of FASTUS (J. R. Hobbs et al., "FASTUS: A Cascaded
//! Finite-State Transducer for Extracting Information from Natural-Language Text", 1997). It knows shapes of phrases and no meaning.
//!
//! A pattern is a line of parts:
//!
//! | part | matches |
//! |---|---|
//! | `WHO` | a competitor, who does it |
//! | `WHOM` | a competitor, to whom it is done |
//! | `launch\|unveil` | one of these words in any form: launches, launched, launching |
//! | `=with` | the word as it stands |
//! | `MONEY` | an amount |
//! | `..4` | up to four words of any kind, within the clause |

use kennel_sdk::prelude::*;

use crate::forms::is_form_of;
use crate::tokens::{Kind, Token};

/// A pattern, ready to be matched.
pub(crate) struct Pattern(Vec<Part>);

enum Part {
    Who(Role),
    Words(Vec<Form>),
    Money,
    Gap(usize),
}

enum Form {
    Exact(&'static str),
    Any(&'static str),
}

/// What a competitor has to do with a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It did it.
    Actor,
    /// It was done to it.
    Target,
}

/// Where a pattern matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) competitor: usize,
    pub(crate) role: Role,
    /// The first token.
    pub(crate) start: usize,
    /// The token after the last.
    pub(crate) end: usize,
}

/// What has been matched so far.
#[derive(Clone, Copy, Default)]
struct Found {
    who: Option<(usize, usize, Role)>,
    /// The first word of the pattern, which is its verb where it has one.
    verb: Option<usize>,
}

impl Pattern {
    /// Reads a pattern. They are this crate's own: a test reads them all.
    pub(crate) fn new(line: &'static str) -> Self {
        let part = |part: &'static str| match part {
            "WHO" => Part::Who(Role::Actor),
            "WHOM" => Part::Who(Role::Target),
            "MONEY" => Part::Money,
            _ => match part.strip_prefix("..").map(str::parse) {
                Some(Ok(most)) => Part::Gap(most),
                _ => Part::Words(part.split('|').map(form).collect()),
            },
        };
        Self(line.split(' ').map(part).collect())
    }

    /// The matches in a sentence, at most one from each token on.
    pub(crate) fn matches(&self, tokens: &[Token<'_>]) -> Vec<Match> {
        (0..tokens.len())
            .filter_map(|start| {
                let (end, found) = follow(&self.0, tokens, start, Found::default())?;
                let (place, competitor, role) = found.who?;
                let role = match found.verb {
                    Some(verb) if place < verb && is_passive(tokens, place, verb) => Role::Target,
                    _ => role,
                };
                Some(Match {
                    competitor,
                    role,
                    start,
                    end,
                })
            })
            .collect()
    }
}

fn form(word: &'static str) -> Form {
    match word.strip_prefix('=') {
        Some(word) => Form::Exact(word),
        None => Form::Any(word),
    }
}

/// Follows the parts from a token on; shorter gaps first. Gaps are few and short, so trying all of them is cheap.
fn follow(parts: &[Part], tokens: &[Token<'_>], at: usize, found: Found) -> Option<(usize, Found)> {
    let Some((part, rest)) = parts.split_first() else {
        return Some((at, found));
    };
    if let Part::Gap(most) = part {
        for length in 0..=*most {
            if let Some(matched) = follow(rest, tokens, at + length, found) {
                return Some(matched);
            }
            if !may_be_skipped(tokens, at + length) {
                return None;
            }
        }
        return None;
    }
    let token = tokens.get(at)?;
    let mut found = found;
    let matches = match part {
        Part::Who(role) => {
            if let Kind::Mention(competitor) = token.kind {
                found.who = Some((at, competitor, *role));
            }
            matches!(token.kind, Kind::Mention(_))
        }
        Part::Words(forms) => {
            found.verb = found.verb.or(Some(at));
            token.kind == Kind::Word && forms.iter().any(|form| form.matches(&token.lower))
        }
        Part::Money => is_money(tokens, at),
        Part::Gap(_) => false,
    };
    if matches {
        follow(rest, tokens, at + 1, found)
    } else {
        None
    }
}

/// A gap ends with the clause, and at another competitor unless both do it together.
fn may_be_skipped(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(token) = tokens.get(at) else {
        return false;
    };
    match token.kind {
        Kind::Mark => !matches!(token.text, "," | ";" | ":" | "(" | ")" | "." | "–" | "—"),
        Kind::Mention(_) => at > 0 && matches!(tokens[at - 1].lower.as_str(), "and" | "&" | "with"),
        _ => true,
    }
}

/// Whether the verb is done to whoever stands before it: `was sued`, or in headlines `sued by` and `sued over`.
fn is_passive(tokens: &[Token<'_>], who: usize, verb: usize) -> bool {
    const BE: &[&str] = &["be", "been", "being", "is", "are", "was", "were"];
    const PARTICIPLES: &[&str] = &["bought", "laid", "sold", "taken"];
    let word = tokens[verb].lower.as_str();
    if !word.ends_with("ed") && !PARTICIPLES.contains(&word) {
        return false;
    }
    let between = &tokens[who + 1..verb];
    let after = tokens.get(verb + 1).map(|token| token.lower.as_str());
    between
        .iter()
        .any(|token| BE.contains(&token.lower.as_str()))
        || matches!(after, Some("by"))
        || (between.is_empty() && matches!(after, Some("over")) && word == "sued")
}

fn is_money(tokens: &[Token<'_>], at: usize) -> bool {
    const UNITS: &[&str] = &[
        "million", "billion", "dollars", "euros", "pounds", "usd", "eur", "gbp",
    ];
    let next = || tokens.get(at + 1).map(|token| token.lower.as_str());
    match tokens[at].kind {
        Kind::Money => true,
        Kind::Number => next().is_some_and(|unit| UNITS.contains(&unit)),
        _ => false,
    }
}

impl Form {
    fn matches(&self, lower: &str) -> bool {
        match self {
            Self::Exact(word) => lower == *word,
            Self::Any(stem) => is_form_of(stem, lower),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mentions::{Competitor, Names};

    /// The role of `A` in a sentence by a pattern, `None` where it does not match.
    fn role(pattern: &'static str, sentence: &str) -> Option<Role> {
        let competitor = |name: &str| Competitor {
            name: name.to_owned(),
            aliases: Vec::new(),
        };
        let names = Names::new(&[competitor("A"), competitor("B")]).unwrap();
        let matches = Pattern::new(pattern).matches(&names.mark(sentence));
        matches.iter().find(|m| m.competitor == 0).map(|m| m.role)
    }

    #[test]
    fn a_gap_ends_with_the_clause_and_at_another_competitor() {
        let pattern = "WHO ..3 launch";
        assert!(role(pattern, "A will soon launch it").is_some());
        assert!(role(pattern, "A and B launch it").is_some());
        for sentence in [
            "A said, they launch",
            "A is one of those launching",
            "A rival B launched",
            "A",
        ] {
            assert_eq!(role(pattern, sentence), None, "{sentence}");
        }
    }

    #[test]
    fn the_passive_turns_actor_into_target() {
        let pattern = "WHO ..4 acquire|sue";
        assert_eq!(role(pattern, "A has acquired it"), Some(Role::Actor));
        assert_eq!(role(pattern, "A is acquiring it"), Some(Role::Actor));
        for sentence in [
            "A was acquired",
            "A may be acquired",
            "A sued by a rival",
            "A sued over patents",
        ] {
            assert_eq!(role(pattern, sentence), Some(Role::Target), "{sentence}");
        }
        assert_eq!(
            role("acquire ..1 =by WHO", "it was acquired by A"),
            Some(Role::Actor)
        );
        assert_eq!(role("sue WHOM", "they sued A"), Some(Role::Target));
    }

    #[test]
    fn amounts_have_a_sign_or_a_unit() {
        let pattern = "WHO raise ..1 MONEY";
        assert!(
            role(pattern, "A raised $5").is_some()
                && role(pattern, "A raised some 5 million").is_some()
        );
        assert_eq!(role(pattern, "A raised 5 prices"), None);
    }
}
