//! A line's picture to its text: the recogniser's steps, of which the best path is taken (connectionist temporal classification,
//! greedy decoding).

use crate::gray::Gray;
use crate::lines::Line;
use crate::models::{Models, Unusable};

/// The height that the recogniser reads, in pixels.
const HEIGHT: usize = 48;
/// The widths that it reads. A line that is longer for its height is pressed.
const WIDTHS: std::ops::RangeInclusive<usize> = 16..=3200;
/// The recogniser makes one step of so many pixels.
const STEP: usize = 8;
/// It has seen no narrower pictures; less is filled up with gray.
const FILLED: usize = 96;

/// What a line says, and how sure that is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Words {
    pub(crate) text: String,
    /// The mean likelihood of its characters, 0 to 1.
    pub(crate) confidence: f32,
}

/// Reads one line.
pub(crate) fn read(models: &Models, page: &Gray, line: &Line) -> Result<Words, Unusable> {
    let width = (line.width() / line.height * HEIGHT as f32).round() as usize;
    let width = width.clamp(*WIDTHS.start(), *WIDTHS.end());
    let filled = width.max(FILLED).next_multiple_of(STEP);
    let cut = line.cut(page, width, HEIGHT);
    let mut plane = vec![0.0; filled * HEIGHT];
    for (to, from) in plane.chunks_exact_mut(filled).zip(cut.chunks_exact(width)) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from / 127.5 - 1.0;
        }
    }
    let likely = models.recognise(plane.repeat(3), filled, HEIGHT)?;
    Ok(best_path(&likely, models.characters()))
}

/// The most likely class of each step; a class that stays is one character, the blank (class 0) none.
fn best_path(likely: &[f32], characters: &[String]) -> Words {
    let mut text = String::new();
    let (mut sum, mut count) = (0.0, 0);
    let mut before = 0;
    for step in likely.chunks_exact(characters.len().max(1)) {
        let best = step
            .iter()
            .enumerate()
            .max_by(|one, other| one.1.total_cmp(other.1));
        let Some((class, &likely)) = best else { break };
        if class != 0 && class != before {
            text.push_str(&characters[class]);
            sum += likely;
            count += 1;
        }
        before = class;
    }
    Words {
        text: text.trim().to_owned(),
        confidence: if count == 0 { 0.0 } else { sum / count as f32 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the path says whose classes are these, each as likely as given.
    fn path(steps: &[(usize, f32)]) -> Words {
        let characters = ["", "a", "b", " "].map(str::to_owned);
        let likely: Vec<f32> = steps
            .iter()
            .flat_map(|&(class, likely)| {
                (0..4).map(move |at| {
                    if at == class {
                        likely
                    } else {
                        (1.0 - likely) / 3.0
                    }
                })
            })
            .collect();
        best_path(&likely, &characters)
    }

    #[test]
    fn a_class_that_stays_is_one_character_and_a_blank_parts_two() {
        let words = path(&[
            (0, 0.9),
            (1, 0.9),
            (1, 0.5),
            (0, 0.9),
            (1, 0.7),
            (2, 0.8),
            (2, 0.9),
        ]);
        assert_eq!(words.text, "aab");
        assert!((words.confidence - (0.9 + 0.7 + 0.8) / 3.0).abs() < 1e-6);
    }

    #[test]
    fn spaces_at_the_ends_go() {
        assert_eq!(
            path(&[(3, 0.9), (1, 0.9), (3, 0.9), (2, 0.9), (3, 0.9)]).text,
            "a b"
        );
    }

    #[test]
    fn nothing_but_blanks_is_nothing() {
        let nothing = Words {
            text: String::new(),
            confidence: 0.0,
        };
        assert_eq!(path(&[(0, 0.9), (0, 0.9)]), nothing);
        assert_eq!(path(&[]), nothing);
    }
}
