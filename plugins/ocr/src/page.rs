//! One page from pixels to text.

use crate::gray::Gray;
use crate::layout::{self, Said};
use crate::models::{Models, Unusable};
use crate::{Line, Output, detect, recognise};

/// Letters on a page with longer sides are finer than the recogniser can use.
const SIDE: usize = 3600;
/// What is read with less confidence is no text: a stain, a signature, a picture.
const SURE: f32 = 0.5;

/// Reads a page.
pub(crate) fn read(models: &Models, page: Gray) -> Result<Output, Unusable> {
    let (width, height) = (page.width, page.height);
    let factor = width.max(height).div_ceil(SIDE);
    let page = page.shrunk(factor);
    let mut said = Vec::new();
    for line in detect::lines(models, &page)? {
        let words = recognise::read(models, &page, &line)?;
        if words.confidence >= SURE && !words.text.is_empty() {
            said.push(Said {
                line,
                text: words.text,
                confidence: words.confidence,
            });
        }
    }
    let columns = layout::columns(said);
    let text = layout::text(&columns);
    let said: Vec<Said> = columns.into_iter().flatten().flatten().collect();
    let (mut sum, mut characters) = (0.0, 0);
    for said in &said {
        let count = said.text.chars().count();
        sum += f64::from(said.confidence) * count as f64;
        characters += count;
    }
    Ok(Output {
        text,
        confidence: if characters == 0 {
            0.0
        } else {
            rounded(sum / characters as f64)
        },
        lines: said
            .into_iter()
            .map(|said| Line {
                bounds: bounds(said.line.bounds(), factor, width, height),
                confidence: rounded(f64::from(said.confidence)),
                text: said.text,
            })
            .collect(),
        width,
        height,
    })
}

/// A box in whole pixels that does not leave the page: left, top, width, height.
fn bounds(
    [left, top, right, bottom]: [f32; 4],
    factor: usize,
    width: usize,
    height: usize,
) -> [usize; 4] {
    let pixel = |at: f32, most: usize| ((at * factor as f32).round().max(0.0) as usize).min(most);
    let (left, right) = (pixel(left, width), pixel(right, width));
    let (top, bottom) = (pixel(top, height), pixel(bottom, height));
    [left, top, right - left, bottom - top]
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
