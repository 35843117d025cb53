//! Where text stands on a page: the page made small enough for the detector, its answer made lines (differentiable binarisation,
//! as its authors do it, but for what follows from lines being straight).

use crate::gray::Gray;
use crate::lines::{self, Line};
use crate::models::{Models, Unusable};
use crate::regions;

/// The detector looks at no more pixels than this; its work and its memory grow with them. A4 becomes 704 by 992.
const PIXELS: f64 = 700_000.0;
/// Sides are multiples of this.
const GRID: usize = 32;
/// More lines than any page has; what makes more is a pattern.
const MAX_LINES: usize = 600;
/// What the detector's authors normalised colours with. All three are the same gray here.
const MEANS: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATIONS: [f32; 3] = [0.229, 0.224, 0.225];

/// The lines of a page in no order, at most [`MAX_LINES`].
pub(crate) fn lines(models: &Models, page: &Gray) -> Result<Vec<Line>, Unusable> {
    let (width, height) = size(page.width, page.height);
    let small = page.resized(width, height);
    let planes = MEANS
        .iter()
        .zip(DEVIATIONS)
        .flat_map(|(mean, deviation)| {
            small
                .iter()
                .map(move |gray| (gray / 255.0 - mean) / deviation)
        })
        .collect();
    let map = models.detect(planes, width, height)?;
    let mut regions = regions::find(&map, width);
    regions.truncate(MAX_LINES);
    let scale = (
        page.width as f64 / width as f64,
        page.height as f64 / height as f64,
    );
    Ok(lines::of(&regions, scale))
}

/// The size in which the detector sees a page: never larger than the page, but for the grid.
fn size(width: usize, height: usize) -> (usize, usize) {
    let scale = (PIXELS / (width as f64 * height as f64)).sqrt().min(1.0);
    let side = |side: usize| {
        let cells = (side as f64 * scale / GRID as f64).round() as usize;
        cells.max(1) * GRID
    };
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_made_small_and_keeps_its_shape() {
        assert_eq!(size(1241, 1754), (704, 992));
        assert_eq!(size(2480, 3508), (704, 992));
        assert_eq!(size(300, 6000), (192, 3744));
    }

    #[test]
    fn a_small_image_keeps_its_size_but_for_the_grid() {
        assert_eq!(size(640, 64), (640, 64));
        assert_eq!(size(100, 20), (96, 32));
    }
}
