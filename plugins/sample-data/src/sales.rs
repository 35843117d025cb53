//! Weekly sales of an invented maker of heating and solar gear, with a story in them: in the second quarter of 2026 revenue falls,
//! because one region sells almost no heat pumps. Three rows of 2025 have their units typed with a digit too many.

use csv::Writer;
use fastrand::Rng;
use jiff::ToSpan;
use jiff::civil::{Date, date};

const REGIONS: [(&str, f64); 5] = [
    ("North", 1.6),
    ("South", 1.1),
    ("East", 0.7),
    ("West", 0.9),
    ("Central", 0.8),
];

/// Products with their price and how many a region of weight 1 sells in a week.
const PRODUCTS: [(&str, f64, f64); 6] = [
    ("Heat pump", 3200.0, 9.0),
    ("Solar panel", 410.0, 48.0),
    ("Inverter", 900.0, 14.0),
    ("Battery", 1500.0, 8.0),
    ("Wall box", 690.0, 12.0),
    ("Thermostat", 120.0, 55.0),
];

const CHANNELS: [&str; 3] = ["Dealer", "Online", "Direct"];

/// Week, region and product whose units have a digit too many.
const MISTYPED: [(i64, &str, &str); 3] = [
    (17, "East", "Battery"),
    (31, "South", "Wall box"),
    (44, "West", "Inverter"),
];

/// Writes the table.
pub fn generate() -> String {
    let mut rng = Rng::with_seed(42);
    let mut writer = Writer::from_writer(Vec::new());
    let mut rows = vec![
        [
            "sale_id", "date", "region", "product", "channel", "units", "revenue",
        ]
        .map(str::to_owned),
    ];
    for week in 0..=90i64 {
        let day = date(2025, 1, 6).saturating_add((week * 7).days());
        for (region, weight) in REGIONS {
            for (product, price, usual) in PRODUCTS {
                // Sum of four draws: near enough to a bell, and never far off.
                let noise = (0..4).map(|_| rng.f64() - 0.5).sum::<f64>() * 0.16;
                let mean =
                    usual * weight * season(week) * (1.0 + 0.0008 * week as f64) * (1.0 + noise);
                let mut units = (mean * stock(day, region, product)).round().max(0.0);
                if MISTYPED.contains(&(week, region, product)) {
                    units *= 10.0;
                }
                let channel = CHANNELS[rng.usize(0..CHANNELS.len())];
                let discount = 1.0 - 0.06 * rng.f64();
                rows.push([
                    format!("S{:05}", rows.len()),
                    day.to_string(),
                    region.to_owned(),
                    product.to_owned(),
                    channel.to_owned(),
                    units.to_string(),
                    format!("{:.2}", units * price * discount),
                ]);
            }
        }
    }
    for row in rows {
        // Writing into memory cannot fail, and all rows are of one length.
        let written = writer.write_record(&row);
        debug_assert!(written.is_ok());
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A little more is sold in autumn than in spring.
fn season(week: i64) -> f64 {
    1.0 + 0.05 * (std::f64::consts::TAU * (week as f64 - 31.0) / 52.0).sin()
}

/// What a region could deliver of a product: the story.
fn stock(day: Date, region: &str, product: &str) -> f64 {
    let missing = date(2026, 4, 1) <= day && day < date(2026, 7, 1) && region == "North";
    match product {
        "Heat pump" if missing => 0.12,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_sample_is_what_the_program_writes() {
        let sample = include_str!("../../samples/sales.csv");
        assert_eq!(sample, generate());
        assert!(sample.lines().count() > 2000 && sample.len() <= 200_000);
    }
}
