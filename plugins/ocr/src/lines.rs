//! From regions to lines of text: how far the page is tilted, which regions are one line, and where its letters end.

use crate::gray::Gray;
use crate::regions::Region;
use crate::shape::{MAX_TILT, Shape, tilt};

/// The detector marks the core of a line; its letters reach further by this much of area over circumference.
const UNCLIP: f32 = 1.6;
/// Regions on one line with a smaller gap than this many line heights between them are one line; wider gaps part columns.
const GAP: f32 = 0.8;

/// The page turned upright: `u` runs along the lines, `v` down the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upright {
    cos: f32,
    sin: f32,
}

impl Upright {
    /// The page turned back by an angle in radians.
    fn by(angle: f64) -> Self {
        Self {
            cos: angle.cos() as f32,
            sin: angle.sin() as f32,
        }
    }

    fn turned(self, x: f32, y: f32) -> (f32, f32) {
        (x * self.cos + y * self.sin, y * self.cos - x * self.sin)
    }

    fn turned_back(self, u: f32, v: f32) -> (f32, f32) {
        (u * self.cos - v * self.sin, u * self.sin + v * self.cos)
    }
}

/// A line of text on the upright page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) left: f32,
    pub(crate) right: f32,
    /// The middle of its letters at `left`.
    pub(crate) middle: f32,
    /// How much the middle sinks per pixel to the right: the rest of a tilt that is not the same everywhere.
    slope: f32,
    pub(crate) height: f32,
    upright: Upright,
}

impl Line {
    /// A line on a page that is not tilted.
    #[cfg(test)]
    pub(crate) fn level(left: f32, right: f32, top: f32, height: f32) -> Self {
        Self {
            left,
            right,
            middle: top + height / 2.0,
            slope: 0.0,
            height,
            upright: Upright::by(0.0),
        }
    }

    pub(crate) fn width(&self) -> f32 {
        self.right - self.left
    }

    /// How much of the lower one of two lines stands beside the other, 0 to 1.
    pub(crate) fn beside(&self, other: &Line) -> f32 {
        let (one, two) = (self.centre(), other.centre());
        let overlap = (self.height + other.height) / 2.0 - (one - two).abs();
        (overlap / self.height.min(other.height)).clamp(0.0, 1.0)
    }

    /// The middle of its letters, half way to the right.
    pub(crate) fn centre(&self) -> f32 {
        self.middle + self.slope * self.width() / 2.0
    }

    /// The line as a picture of this size. Where the page is finer, several points make a pixel.
    pub(crate) fn cut(&self, page: &Gray, width: usize, height: usize) -> Vec<f32> {
        let points = (self.height / height as f32).ceil().clamp(1.0, 8.0) as usize;
        let mut pixels = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let mut sum = 0.0;
                for point in 0..points * points {
                    let part = |at: usize, of: usize| {
                        (at as f32 + (of as f32 + 0.5) / points as f32) - 0.5
                    };
                    let across = (part(column, point % points) + 0.5) / width as f32;
                    let down = (part(row, point / points) + 0.5) / height as f32 - 0.5;
                    let (x, y) = self.on_page(across, down);
                    sum += page.at(x - 0.5, y - 0.5);
                }
                pixels.push(sum / (points * points) as f32);
            }
        }
        pixels
    }

    /// The smallest upright box on the page that holds the line: left, top, right, bottom.
    pub(crate) fn bounds(&self) -> [f32; 4] {
        let corners = [(0.0, -0.5), (0.0, 0.5), (1.0, -0.5), (1.0, 0.5)]
            .map(|(across, down)| self.on_page(across, down));
        let least =
            |pick: fn((f32, f32)) -> f32| corners.map(pick).into_iter().fold(f32::MAX, f32::min);
        let most =
            |pick: fn((f32, f32)) -> f32| corners.map(pick).into_iter().fold(f32::MIN, f32::max);
        [least(|c| c.0), least(|c| c.1), most(|c| c.0), most(|c| c.1)]
    }

    fn on_page(&self, across: f32, down: f32) -> (f32, f32) {
        let along = across * self.width();
        let v = self.middle + self.slope * along + down * self.height;
        self.upright.turned_back(self.left + along, v)
    }
}

/// The lines that regions make. `scale` is the size of one pixel of the map on the page, across and down.
pub(crate) fn of(regions: &[Region], scale: (f64, f64)) -> Vec<Line> {
    let shapes: Vec<Shape> = regions
        .iter()
        .map(|region| Shape::of(region, scale))
        .collect();
    let upright = Upright::by(tilt(&shapes));
    let pieces: Vec<Line> = regions
        .iter()
        .zip(&shapes)
        .map(|(region, shape)| fit(&[region], shape, scale, upright))
        .collect();
    grouped(&pieces)
        .into_iter()
        .map(|group| {
            let shape = group
                .iter()
                .fold(Shape::default(), |sum, &at| sum.with(&shapes[at]));
            let members: Vec<&Region> = group.iter().map(|&at| &regions[at]).collect();
            fit(&members, &shape, scale, upright)
        })
        .collect()
}

/// The line through regions, as high as the letters are whose core they mark.
fn fit(regions: &[&Region], shape: &Shape, (across, down): (f64, f64), upright: Upright) -> Line {
    let slope = match shape.direction() {
        Some(angle) if angle.abs() < MAX_TILT => {
            (angle - f64::from(upright.sin).atan2(f64::from(upright.cos))).tan() as f32
        }
        _ => 0.0,
    };
    let (mut left, mut right) = (f32::MAX, f32::MIN);
    let (mut top, mut bottom) = (f32::MAX, f32::MIN);
    let half = down as f32 / 2.0;
    for run in regions.iter().flat_map(|region| &region.runs) {
        let y = ((run.y as f64 + 0.5) * down) as f32;
        for x in [run.start, run.end] {
            let (u, v) = upright.turned((x as f64 * across) as f32, y);
            let level = v - slope * u;
            (left, right) = (left.min(u), right.max(u));
            (top, bottom) = (top.min(level - half), bottom.max(level + half));
        }
    }
    let (width, height) = (right - left, bottom - top);
    let margin = UNCLIP * width * height / (2.0 * (width + height));
    Line {
        left: left - margin,
        right: right + margin,
        middle: (top + bottom) / 2.0 + slope * (left - margin),
        slope,
        height: height + 2.0 * margin,
        upright,
    }
}

/// Which pieces are one line.
fn grouped(pieces: &[Line]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|&one, &other| pieces[one].left.total_cmp(&pieces[other].left));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in order {
        let piece = &pieces[at];
        let follows = |group: &Vec<usize>| {
            group.iter().any(|&before| {
                let before = &pieces[before];
                let (low, high) = (
                    before.height.min(piece.height),
                    before.height.max(piece.height),
                );
                before.beside(piece) > 0.6
                    && high < 2.0 * low
                    && piece.left - before.right < GAP * low
            })
        };
        match groups.iter_mut().find(|group| follows(group)) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regions;

    const WIDTH: usize = 400;

    /// The lines of a map with bars: left, right, top, bottom, turned around the map's corner by an angle.
    fn lines(bars: &[(f32, f32, f32, f32)], angle: f32) -> Vec<Line> {
        let mut map = vec![0.0; WIDTH * 300];
        for (at, likely) in map.iter_mut().enumerate() {
            let (x, y) = ((at % WIDTH) as f32 + 0.5, (at / WIDTH) as f32 + 0.5);
            let u = x * angle.cos() + y * angle.sin();
            let v = y * angle.cos() - x * angle.sin();
            if bars.iter().any(|&(left, right, top, bottom)| {
                (left..right).contains(&u) && (top..bottom).contains(&v)
            }) {
                *likely = 0.9;
            }
        }
        let mut lines = of(&regions::find(&map, WIDTH), (1.0, 1.0));
        lines.sort_by(|one, other| one.centre().total_cmp(&other.centre()));
        lines
    }

    #[test]
    fn the_tilt_of_a_page_is_that_of_its_long_lines() {
        for degrees in [-4.0_f32, -2.0, -0.5, 0.0, 0.3, 2.0, 6.0] {
            let angle = degrees.to_radians();
            let lines = lines(
                &[
                    (40.0, 340.0, 60.0, 68.0),
                    (40.0, 300.0, 90.0, 98.0),
                    (40.0, 60.0, 120.0, 128.0),
                ],
                angle,
            );
            let found = lines[0].upright.sin.asin().to_degrees();
            assert!((found - degrees).abs() < 0.1, "{degrees}: {found}");
            let gap = lines[1].centre() - lines[0].centre();
            assert!((gap - 30.0).abs() < 1.0, "{degrees}: {gap}");
        }
    }

    #[test]
    fn a_line_is_higher_and_longer_than_the_core_that_was_found() {
        let [line] = lines(&[(40.0, 340.0, 60.0, 70.0)], 0.0)[..] else {
            panic!("one line")
        };
        // 1.6 × 300 × 10 / 620 to each side.
        assert_eq!(line.bounds().map(f32::round), [32.0, 52.0, 348.0, 78.0]);
    }

    #[test]
    fn words_on_one_line_are_one_line_and_columns_are_two() {
        let words = [
            (40.0, 90.0, 60.0, 70.0),
            (108.0, 160.0, 61.0, 71.0),
            (178.0, 200.0, 60.0, 70.0),
        ];
        assert_eq!(lines(&words, 0.0).len(), 1);
        let columns = [(40.0, 180.0, 60.0, 70.0), (230.0, 380.0, 60.0, 70.0)];
        assert_eq!(lines(&columns, 0.0).len(), 2);
        let rows = [(40.0, 180.0, 60.0, 70.0), (60.0, 200.0, 84.0, 94.0)];
        assert_eq!(lines(&rows, 0.0).len(), 2);
    }

    #[test]
    fn a_line_is_cut_out_straight_whatever_the_tilt() {
        let angle = 3.0_f32.to_radians();
        let mut page = Gray {
            width: WIDTH,
            height: 300,
            pixels: vec![255; WIDTH * 300],
        };
        for (at, pixel) in page.pixels.iter_mut().enumerate() {
            let (x, y) = ((at % WIDTH) as f32 + 0.5, (at / WIDTH) as f32 + 0.5);
            let v = y * angle.cos() - x * angle.sin();
            if (60.0..70.0).contains(&v) {
                *pixel = 0;
            }
        }
        let line = lines(&[(40.0, 340.0, 60.0, 70.0)], angle)[0];
        let cut = line.cut(&page, 100, 12);
        for (row, pixels) in cut.chunks_exact(100).enumerate() {
            let mean = pixels.iter().sum::<f32>() / 100.0;
            let expected = if (4..8).contains(&row) {
                0.0..40.0
            } else {
                120.0..256.0
            };
            assert!(
                expected.contains(&mean) || row == 3 || row == 8,
                "row {row}: {mean}"
            );
        }
    }
}
