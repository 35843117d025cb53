//! A chart as SVG: a line over periods, or bars. All text is escaped, all numbers are finite, and no line of it is empty, so it can
//! stand inside Markdown.

use std::fmt::Write;

use crate::scale::{drawable, short, ticks};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 36.0;

/// Room for the names beside bars.
const NAMES: f64 = 190.0;

/// Bars that still have room for their names.
const MOST_BARS: usize = 10;

/// One period of a line.
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Where a forecast says that the value lies.
    pub(crate) range: Option<(f64, f64)>,
    /// Whether it is in the period that the question is about.
    pub(crate) marked: bool,
}

/// A line over periods; forecast ones are dashed, with their ranges, and marked ones have a ground of their own.
pub(crate) fn line(title: &str, points: &[Point]) -> String {
    let highest = |point: &Point| {
        point
            .range
            .map_or(point.value, |(_, high)| high.max(point.value))
    };
    let lowest = |point: &Point| {
        point
            .range
            .map_or(point.value, |(low, _)| low.min(point.value))
    };
    let ticks = ticks(points.iter().map(lowest), points.iter().map(highest));
    let (bottom, top) = (
        ticks.first().copied().unwrap_or(0.0),
        ticks.last().copied().unwrap_or(1.0),
    );
    let step = (WIDTH - LEFT - RIGHT) / points.len().max(2) as f64;
    let x = |at: usize| LEFT + step * (at as f64 + 0.5);
    let y = |value: f64| {
        HEIGHT - BOTTOM - (drawable(value) - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = start(title, HEIGHT);
    let places: Vec<usize> = (0..points.len()).collect();
    let runs = places.chunk_by(|&a, &b| points[a].marked == points[b].marked);
    for run in runs.filter(|run| points[run[0]].marked) {
        let _ = writeln!(
            svg,
            r##"<rect x="{:.1}" y="{TOP}" width="{:.1}" height="{:.1}" fill="#f6d8a8"/>"##,
            x(run[0]) - step / 2.0,
            step * run.len() as f64,
            HEIGHT - TOP - BOTTOM
        );
    }
    for &tick in &ticks {
        grid(&mut svg, (LEFT, y(tick)), (WIDTH - RIGHT, y(tick)));
        text(&mut svg, (LEFT - 6.0, y(tick) + 4.0), "end", &short(tick));
    }
    let every = points.len().div_ceil(8).max(1);
    for (at, point) in points.iter().enumerate().step_by(every) {
        text(
            &mut svg,
            (x(at), HEIGHT - BOTTOM + 18.0),
            "middle",
            &point.name,
        );
    }
    for (at, point) in points.iter().enumerate() {
        if let Some((low, high)) = point.range {
            let _ = writeln!(
                svg,
                r##"<line x1="{0:.1}" y1="{1:.1}" x2="{0:.1}" y2="{2:.1}" stroke="#9ab8d8" stroke-width="6"/>"##,
                x(at),
                y(low),
                y(high)
            );
        }
    }
    let known = points
        .iter()
        .take_while(|point| point.range.is_none())
        .count();
    let place = |at: usize| format!("{:.1},{:.1}", x(at), y(points[at].value));
    let places = |range: std::ops::Range<usize>| range.map(place).collect::<Vec<_>>().join(" ");
    let _ = writeln!(
        svg,
        r##"<polyline points="{}" fill="none" stroke="#1f5a96" stroke-width="2"/>"##,
        places(0..known)
    );
    if known < points.len() {
        let _ = writeln!(
            svg,
            r##"<polyline points="{}" fill="none" stroke="#1f5a96" stroke-width="2" stroke-dasharray="5 4"/>"##,
            places(known.saturating_sub(1)..points.len())
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Bars with their names, from the top in the order they are given.
pub(crate) fn bars(title: &str, bars: &[(String, f64)]) -> String {
    let bars = &bars[..bars.len().min(MOST_BARS)];
    let height = TOP + BOTTOM + 26.0 * bars.len().max(1) as f64;
    let values = || bars.iter().map(|&(_, value)| value);
    let ticks = ticks(values().chain([0.0]), values().chain([0.0]));
    let (low, high) = (
        ticks.first().copied().unwrap_or(0.0),
        ticks.last().copied().unwrap_or(1.0),
    );
    let x = |value: f64| {
        NAMES + (drawable(value) - low) / (high - low) * (WIDTH - NAMES - RIGHT - 24.0)
    };
    let mut svg = start(title, height);
    for &tick in &ticks {
        grid(&mut svg, (x(tick), TOP), (x(tick), height - BOTTOM));
        text(
            &mut svg,
            (x(tick), height - BOTTOM + 18.0),
            "middle",
            &short(tick),
        );
    }
    for (at, (name, value)) in bars.iter().enumerate() {
        let y = TOP + 26.0 * at as f64 + 4.0;
        let colour = if *value < 0.0 { "#b5482f" } else { "#1f5a96" };
        let _ = writeln!(
            svg,
            r#"<rect x="{:.1}" y="{y:.1}" width="{:.1}" height="18" fill="{colour}"/>"#,
            x(value.min(0.0)),
            (x(*value) - x(0.0)).abs()
        );
        text(&mut svg, (NAMES - 8.0, y + 13.0), "end", name);
    }
    svg.push_str("</svg>\n");
    svg
}

fn start(title: &str, height: f64) -> String {
    let title = escaped(title, 80);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let _ = writeln!(
        svg,
        r##"<text x="16" y="22" font-size="14" font-weight="bold" fill="#222222">{title}</text>"##
    );
    svg
}

fn grid(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#dddddd"/>"##,
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        r##"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}" fill="#444444">{}</text>"##,
        at.0,
        at.1,
        escaped(text, 26)
    );
}

/// Text as XML; what XML cannot hold is left out, and too long a text is cut.
fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (place, c) in text
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .enumerate()
    {
        match c {
            _ if place == most => {
                out.push('…');
                break;
            }
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well_formed(svg: &str) -> roxmltree::Document<'_> {
        assert!(
            !svg.contains("\n\n") && !svg.contains("NaN") && !svg.contains("inf"),
            "{svg}"
        );
        roxmltree::Document::parse(svg).expect("it is XML")
    }

    fn points(values: &[f64]) -> Vec<Point> {
        let point = |(at, &value): (usize, &f64)| Point {
            name: format!("2026-{:02}", at + 1),
            value,
            range: (at + 1 == values.len() && at > 2).then_some((value - 10.0, value + 10.0)),
            marked: at == 1,
        };
        values.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_line_has_a_point_for_each_period_within_the_frame() {
        let svg = line("revenue", &points(&[100.0, 50.0, 120.0, 130.0]));
        let document = well_formed(&svg);
        let lines: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("polyline"))
            .collect();
        let counts: Vec<usize> = lines
            .iter()
            .map(|line| line.attribute("points").unwrap().split(' ').count())
            .collect();
        assert_eq!(
            counts,
            [3, 2],
            "the known ones, then from the last known to the forecast"
        );
        for place in lines
            .iter()
            .flat_map(|line| line.attribute("points").unwrap().split(' '))
        {
            let (x, y) = place.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!(
                (LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y),
                "{place}"
            );
        }
    }

    #[test]
    fn hostile_names_and_odd_numbers_stay_well_formed() {
        let hostile = "</title><script>\"&'\u{0}\u{1b}\u{ffff}".to_owned();
        let svg = bars(
            &hostile,
            &[
                (hostile.clone(), -5.0),
                ("x".repeat(200), f64::MAX),
                ("nothing".to_owned(), 0.0),
            ],
        );
        let document = well_formed(&svg);
        assert!(
            !document
                .descendants()
                .any(|node| node.has_tag_name("script"))
        );
        for values in [
            &[][..],
            &[0.0],
            &[7.0, 7.0],
            &[-3.0, -3.5],
            &[1e-300, 2e-300],
            &[f64::NAN.max(1.0), 1e12],
        ] {
            well_formed(&line("t", &points(values)));
        }
    }
}
