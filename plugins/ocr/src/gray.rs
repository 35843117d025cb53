//! A picture in shades of gray: what a page is to everything here. Colour is lost when it is decoded; nothing below needs it.

/// A gray picture, row by row, 0 for black.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gray {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Gray {
    /// The picture in another size: bilinear, and averaged over what a new pixel covers where it gets smaller.
    pub(crate) fn resized(&self, width: usize, height: usize) -> Vec<f32> {
        let columns = taps(self.width, width);
        let rows = taps(self.height, height);
        let mut wide = Vec::with_capacity(width * self.height);
        for row in self.pixels.chunks_exact(self.width.max(1)) {
            wide.extend(columns.iter().map(|tap| {
                let part = &row[tap.start..tap.start + tap.weights.len()];
                part.iter()
                    .zip(&tap.weights)
                    .map(|(&pixel, weight)| f32::from(pixel) * weight)
                    .sum::<f32>()
            }));
        }
        let mut pixels = vec![0.0; width * height];
        for (row, tap) in pixels.chunks_exact_mut(width.max(1)).zip(&rows) {
            for (above, weight) in tap.weights.iter().enumerate() {
                let from = (tap.start + above) * width;
                for (pixel, value) in row.iter_mut().zip(&wide[from..from + width]) {
                    *pixel += value * weight;
                }
            }
        }
        pixels
    }

    /// The picture with every `factor` × `factor` pixels made one; what is left over at the right and below is dropped.
    pub(crate) fn shrunk(self, factor: usize) -> Gray {
        if factor <= 1 {
            return self;
        }
        let (width, height) = (self.width / factor, self.height / factor);
        let area = (factor * factor) as u32;
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let rows = (y * factor..(y + 1) * factor).map(|row| row * self.width + x * factor);
                let sum: u32 = rows
                    .flat_map(|from| &self.pixels[from..from + factor])
                    .map(|&pixel| u32::from(pixel))
                    .sum();
                pixels.push(((sum + area / 2) / area) as u8);
            }
        }
        Gray {
            width,
            height,
            pixels,
        }
    }

    /// The gray at a point between pixel centres, bilinear; beyond the edges, that of the edge.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let x = x.clamp(0.0, (self.width - 1) as f32);
        let y = y.clamp(0.0, (self.height - 1) as f32);
        let (left, top) = (x as usize, y as usize);
        let right = (left + 1).min(self.width - 1);
        let below = (top + 1).min(self.height - 1) * self.width;
        let (across, down) = (x - left as f32, y - top as f32);
        let pixel = |at: usize| f32::from(self.pixels[at]);
        let top = top * self.width;
        let upper = pixel(top + left) * (1.0 - across) + pixel(top + right) * across;
        let lower = pixel(below + left) * (1.0 - across) + pixel(below + right) * across;
        upper * (1.0 - down) + lower * down
    }
}

/// Which old pixels make a new one, and by how much.
struct Tap {
    start: usize,
    weights: Vec<f32>,
}

/// A triangle as wide as two new pixels, or two old ones where the picture grows; pixels are areas, so centres are at halves.
fn taps(old: usize, new: usize) -> Vec<Tap> {
    let scale = old as f32 / new as f32;
    let reach = scale.max(1.0);
    let tap = |at: usize| {
        let centre = (at as f32 + 0.5) * scale;
        let start = (centre - reach).floor().max(0.0) as usize;
        let end = ((centre + reach).ceil() as usize).min(old);
        let start = start.min(end.saturating_sub(1));
        let weight = |pixel: usize| (1.0 - (pixel as f32 + 0.5 - centre).abs() / reach).max(0.0);
        let mut weights: Vec<f32> = (start..end).map(weight).collect();
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Tap { start, weights }
    };
    (0..new).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, pixels: &[u8]) -> Gray {
        Gray {
            width,
            height: pixels.len() / width,
            pixels: pixels.to_vec(),
        }
    }

    #[test]
    fn an_even_gray_stays_even_in_every_size() {
        let even = gray(7, &[90; 7 * 5]);
        for (width, height) in [(7, 5), (3, 2), (14, 20), (1, 1), (640, 2)] {
            let resized = even.resized(width, height);
            assert_eq!(resized.len(), width * height);
            assert!(
                resized.iter().all(|pixel| (pixel - 90.0).abs() < 1e-3),
                "{width} x {height}"
            );
        }
    }

    #[test]
    fn a_picture_in_its_own_size_is_itself() {
        let picture = gray(3, &[0, 50, 100, 150, 200, 250]);
        assert_eq!(
            picture.resized(3, 2),
            [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]
        );
    }

    #[test]
    fn stripes_that_are_too_fine_become_their_mean() {
        let stripes = gray(64, &[0, 200].repeat(32 * 4));
        let inner = &stripes.resized(16, 4)[17..31];
        assert!(
            inner.iter().all(|pixel| (pixel - 100.0).abs() < 1.0),
            "{inner:?}"
        );
    }

    #[test]
    fn shrinking_takes_means_and_drops_the_rest() {
        let picture = gray(5, &[0, 100, 10, 30, 9, 200, 100, 50, 70, 9]);
        assert_eq!(picture.shrunk(2), gray(2, &[100, 40]));
    }

    #[test]
    fn between_pixels_lies_what_is_between_them_and_beyond_the_edge_the_edge() {
        let picture = gray(2, &[0, 100, 200, 40]);
        assert_eq!(picture.at(0.5, 0.0), 50.0);
        assert_eq!(picture.at(0.5, 0.5), 85.0);
        assert_eq!(picture.at(-3.0, 9.0), 200.0);
    }
}
