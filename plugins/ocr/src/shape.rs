//! What shape regions have: where their long axis points, and how that tells the tilt of a page.

use crate::regions::Region;

/// A page that is tilted further is read as it is.
pub(crate) const MAX_TILT: f64 = 0.26;
/// A region so many times longer than high tells how the page is tilted.
const LONG: f64 = 5.0;

/// Sums over the pixels of a region, from which follow its middle, its direction and how long it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    pixels: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Shape {
    pub(crate) fn of(region: &Region, (across, down): (f64, f64)) -> Self {
        let mut shape = Self::default();
        for run in &region.runs {
            let length = (run.end - run.start) as f64;
            let x = (run.start + run.end) as f64 / 2.0 * across;
            let y = (run.y as f64 + 0.5) * down;
            shape.pixels += length;
            shape.x += length * x;
            shape.y += length * y;
            // The pixels of a run spread around its middle.
            shape.xx += length * (x * x + (length * length - 1.0) / 12.0 * across * across);
            shape.xy += length * x * y;
            shape.yy += length * y * y;
        }
        shape
    }

    /// The shape of both together.
    pub(crate) fn with(self, other: &Self) -> Self {
        Self {
            pixels: self.pixels + other.pixels,
            x: self.x + other.x,
            y: self.y + other.y,
            xx: self.xx + other.xx,
            xy: self.xy + other.xy,
            yy: self.yy + other.yy,
        }
    }

    /// Variance across, covariance, variance down.
    fn spread(&self) -> (f64, f64, f64) {
        let (x, y) = (self.x / self.pixels, self.y / self.pixels);
        (
            self.xx / self.pixels - x * x,
            self.xy / self.pixels - x * y,
            self.yy / self.pixels - y * y,
        )
    }

    /// The direction of its long axis against the horizontal, when it has a long axis.
    pub(crate) fn direction(&self) -> Option<f64> {
        let (xx, xy, yy) = self.spread();
        let (mean, half) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
        let is_long = (mean + half).sqrt() > LONG * (mean - half).max(0.1).sqrt();
        is_long.then(|| (2.0 * xy).atan2(xx - yy) / 2.0)
    }

    fn length(&self) -> f64 {
        self.spread().0.max(0.0).sqrt()
    }
}

/// By how much the page is turned, in radians: what most of the length of long regions says.
pub(crate) fn tilt(shapes: &[Shape]) -> f64 {
    let mut said: Vec<(f64, f64)> = shapes
        .iter()
        .filter_map(|shape| Some((shape.direction()?, shape.length())))
        .filter(|(angle, _)| angle.abs() < MAX_TILT)
        .collect();
    said.sort_by(|one, other| one.0.total_cmp(&other.0));
    let half = said.iter().map(|(_, length)| length).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let median = said.iter().find(|(_, length)| {
        sum += length;
        sum >= half
    });
    median.map_or(0.0, |(angle, _)| *angle)
}
