//! From the detector's map to regions: the connected parts above a threshold, each with its score and its shape.

/// A likelihood above this is text.
const TEXT: f32 = 0.2;
/// A region whose pixels are on average less likely than this is none.
const REGION: f64 = 0.4;
/// A region of fewer pixels is a speck.
const PIXELS: usize = 10;

/// Pixels of one row, from the first to behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) y: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A connected part of the map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    pub(crate) runs: Vec<Run>,
    /// The mean likelihood of its pixels.
    pub(crate) score: f64,
}

/// The regions of a map, in the order of their first pixels.
pub(crate) fn find(map: &[f32], width: usize) -> Vec<Region> {
    let runs = runs(map, width);
    let mut regions: Vec<Region> = Vec::new();
    let mut region_of_root = vec![usize::MAX; runs.len()];
    let mut roots = connected(&runs);
    for (at, &run) in runs.iter().enumerate() {
        let region = &mut region_of_root[root(&mut roots, at)];
        if *region == usize::MAX {
            *region = regions.len();
            regions.push(Region {
                runs: Vec::new(),
                score: 0.0,
            });
        }
        let region = &mut regions[*region];
        region.runs.push(run);
        let likely = &map[run.y * width + run.start..run.y * width + run.end];
        region.score += likely.iter().copied().map(f64::from).sum::<f64>();
    }
    regions.retain_mut(|region| {
        let pixels: usize = region.runs.iter().map(|run| run.end - run.start).sum();
        region.score /= pixels as f64;
        pixels >= PIXELS && region.score >= REGION
    });
    regions
}

fn runs(map: &[f32], width: usize) -> Vec<Run> {
    let mut runs = Vec::new();
    for (y, row) in map.chunks_exact(width.max(1)).enumerate() {
        // What is not a number is not text.
        let is_text = |x: usize| row[x] > TEXT;
        let mut x = 0;
        while x < width {
            let start = x;
            while x < width && is_text(x) {
                x += 1;
            }
            if start < x {
                runs.push(Run { y, start, end: x });
            }
            x += 1;
        }
    }
    runs
}

/// A forest of runs that touch, also at corners: each entry is the run's parent, a root its own.
fn connected(runs: &[Run]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..runs.len()).collect();
    let mut above = 0;
    for (at, run) in runs.iter().enumerate() {
        while runs[above].y + 1 < run.y || runs[above].y + 1 == run.y && runs[above].end < run.start
        {
            above += 1;
        }
        let touching = runs[above..at]
            .iter()
            .take_while(|upper| upper.y + 1 == run.y && upper.start <= run.end);
        for upper in above..above + touching.count() {
            let (one, other) = (root(&mut parents, upper), root(&mut parents, at));
            parents[one.max(other)] = one.min(other);
        }
    }
    parents
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of these rows: `#` is sure, `+` just above the threshold.
    fn regions(rows: &[&str]) -> Vec<Region> {
        let width = rows[0].len();
        let likely = |mark| match mark {
            '#' => 0.9,
            '+' => 0.25,
            _ => 0.1,
        };
        let map: Vec<f32> = rows.concat().chars().map(likely).collect();
        find(&map, width)
    }

    #[test]
    fn what_touches_is_one_region_even_around_a_corner() {
        let found = regions(&[
            "#####......#####",
            "#...#......#####",
            "#...........####",
            "#######........#",
            "......#.........",
        ]);
        let pixels: Vec<usize> = found
            .iter()
            .map(|region| region.runs.iter().map(|run| run.end - run.start).sum())
            .collect();
        assert_eq!(pixels, [5 + 2 + 1 + 7 + 1, 5 + 5 + 4 + 1]);
    }

    #[test]
    fn two_arms_that_meet_below_are_one_region() {
        let found = regions(&["#...#...#", "#...#...#", "##.###.##", ".###.###."]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].runs.len(), 3 + 3 + 3 + 2);
    }

    #[test]
    fn specks_and_faint_parts_are_dropped() {
        assert_eq!(regions(&["###......", "###......", "........."]), []);
        assert_eq!(regions(&["++++++++++", "++++++++++"]), []);
        let found = regions(&["##########", "++++++++++"]);
        assert!((found[0].score - 0.575).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_is_not_a_number_is_not_text() {
        assert_eq!(find(&[f32::NAN; 64], 8), []);
    }
}
