//! Orders of an invented shop, some of them dirty in the ways in which exports are. It knows what it spoilt, so a pipeline can be
//! held to finding exactly that.

use std::collections::{BTreeMap, BTreeSet};

use csv::{Writer, WriterBuilder};
use fastrand::Rng;
use jiff::ToSpan;
use jiff::civil::{Date, date};

/// A row repeats only a row of the same block of so many, so that a reader who sees the table in chunks of this size finds every
/// duplicate.
pub const BLOCK: usize = 500;

/// Orders as CSV, and what a cleaner must make of them.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The table, with a header.
    pub csv: String,
    /// What a cleaner must find.
    pub expected: Expected,
}

/// What a cleaner must find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// All rows.
    pub read: u64,
    /// The rows that are right, or can be put right.
    pub kept: u64,
    /// The rows that repeat another.
    pub duplicates: u64,
    /// The rows that cannot be used, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The kept amounts in euro cents, each order rounded for itself.
    pub cents: i64,
    /// The kept rows of each month, such as `2026-03`.
    pub by_month: BTreeMap<String, u64>,
    /// How many different customers the kept rows have.
    pub customers: u64,
}

const HEADER: [&str; 8] = [
    "Order ID",
    "Ordered",
    "Customer",
    "Country",
    "Category",
    "Product",
    "Quantity",
    "Unit price",
];

/// A country as it is written, and what a unit of its currency is worth in euro: the same invented rates as the enriching agent's.
struct Country {
    spellings: &'static [&'static str],
    sign: &'static str,
    euro: f64,
}

const COUNTRIES: [Country; 8] = [
    Country {
        spellings: &["Germany", "germany ", "DE", "Deutschland"],
        sign: "€",
        euro: 1.0,
    },
    Country {
        spellings: &["France", "FR", "FRANCE", "france"],
        sign: "EUR",
        euro: 1.0,
    },
    Country {
        spellings: &["Spain", "ES", "España", "spain"],
        sign: "€",
        euro: 1.0,
    },
    Country {
        spellings: &["United Kingdom", "UK", "Great Britain", "GB"],
        sign: "£",
        euro: 1.17,
    },
    Country {
        spellings: &["United States", "USA", "U.S.A.", "US"],
        sign: "$",
        euro: 0.92,
    },
    Country {
        spellings: &["Canada", "CA", "canada", "CANADA"],
        sign: "CAD",
        euro: 0.68,
    },
    Country {
        spellings: &["Japan", "JP", "japan", " Japan"],
        sign: "¥",
        euro: 0.0061,
    },
    Country {
        spellings: &["Norway", "NO", "Norge", "norway"],
        sign: "NOK",
        euro: 0.086,
    },
];

/// A category as it is written, and products with a price in euro.
struct Category {
    spellings: &'static [&'static str],
    products: [(&'static str, f64); 3],
}

const CATEGORIES: [Category; 4] = [
    Category {
        spellings: &["Kitchen", "kitchen", "KITCHEN "],
        products: [
            ("Kettle, steel", 39.9),
            ("Pan 28 cm", 54.0),
            ("Knife \"Santoku\"", 89.0),
        ],
    },
    Category {
        spellings: &["Garden", "garden", "Gardening"],
        products: [("Hose 20 m", 29.5), ("Rake", 18.9), ("Mower", 349.0)],
    },
    Category {
        spellings: &["Office", "office ", "Office supplies"],
        products: [
            ("Desk lamp", 44.0),
            ("Chair", 229.0),
            ("Paper, 500 sheets", 6.5),
        ],
    },
    Category {
        spellings: &["Toys", "toys", "Toy"],
        products: [
            ("Blocks", 24.9),
            ("Kite", 19.9),
            ("Train set\n(48 pieces)", 119.0),
        ],
    },
];

/// Writes `rows` orders.
pub fn generate(rows: usize) -> Orders {
    let mut rng = Rng::with_seed(20_260_331);
    let mut writer = WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let mut expected = Expected::default();
    let mut customers = BTreeSet::new();
    let mut block: Vec<[String; 8]> = Vec::new();
    write(&mut writer, &HEADER.map(str::to_owned));
    for number in 0..rows {
        if number % BLOCK == 0 {
            block.clear();
        }
        expected.read += 1;
        let luck = rng.u32(0..1000);
        if luck < 12 && !block.is_empty() {
            expected.duplicates += 1;
            write(&mut writer, &block[rng.usize(0..block.len())]);
            continue;
        }
        let order = Order::random(&mut rng, number);
        let mut fields = order.fields(&mut rng);
        match spoil(&mut fields, luck, &mut rng) {
            Some(reason) => *expected.dropped.entry(reason.to_owned()).or_default() += 1,
            None => {
                expected.kept += 1;
                expected.cents += order.cents();
                *expected
                    .by_month
                    .entry(order.day.to_string()[..7].to_owned())
                    .or_default() += 1;
                customers.insert(order.customer.clone());
                block.push(fields.clone());
            }
        }
        match luck == 70 {
            // The field count of this row is wrong: it lacks its last one.
            true => write(&mut writer, &fields[..7]),
            false => write(&mut writer, &fields),
        }
    }
    expected.customers = customers.len() as u64;
    Orders {
        // Writing into memory cannot fail, and every field is text.
        csv: String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default(),
        expected,
    }
}

/// An order as it should be.
struct Order {
    id: String,
    day: Date,
    customer: String,
    country: &'static Country,
    category: &'static [&'static str],
    product: &'static str,
    quantity: u32,
    /// In hundredths of the country's currency.
    price: i64,
}

impl Order {
    fn random(rng: &mut Rng, number: usize) -> Self {
        let day = date(2025, 4, 1).saturating_add(rng.i64(0..365).days());
        let kind = ['B', 'C', 'C', 'C', 'E'][rng.usize(0..5)];
        // A few customers order much, most little.
        let customer = (rng.f64().powi(2) * 9000.0) as u32;
        let country = &COUNTRIES[rng.usize(0..COUNTRIES.len())];
        let category = &CATEGORIES[rng.usize(0..CATEGORIES.len())];
        let (product, euro) = category.products[rng.usize(0..category.products.len())];
        let factor = 0.8 + 0.4 * rng.f64();
        Self {
            id: format!("O-{:07}", number + 1),
            day,
            customer: format!("{kind}-{customer:05}"),
            country,
            category: category.spellings,
            product,
            quantity: 1 + (rng.f64().powi(3) * 12.0) as u32,
            price: (euro * factor / country.euro * 100.0).round() as i64,
        }
    }

    fn cents(&self) -> i64 {
        (self.price as f64 * f64::from(self.quantity) * self.country.euro).round() as i64
    }

    /// The order as somebody might have typed it; everything can be put right again.
    fn fields(&self, rng: &mut Rng) -> [String; 8] {
        let tidy = rng.u32(0..10) < 6;
        let mut spelling =
            |of: &[&str]| of[if tidy { 0 } else { rng.usize(0..of.len()) }].to_owned();
        let (country, category) = (spelling(self.country.spellings), spelling(self.category));
        let day = match rng.u32(0..if tidy { 1 } else { 4 }) {
            0 => self.day.to_string(),
            1 => format!(
                "{:02}.{:02}.{}",
                self.day.day(),
                self.day.month(),
                self.day.year()
            ),
            2 => format!(
                "{:02}/{:02}/{}",
                self.day.day(),
                self.day.month(),
                self.day.year()
            ),
            _ => self.day.strftime("%d %b %Y").to_string(),
        };
        [
            self.id.clone(),
            day,
            if tidy {
                self.customer.clone()
            } else {
                format!(" {} ", self.customer.to_lowercase())
            },
            country,
            category,
            self.product.to_owned(),
            self.quantity.to_string(),
            price(
                self.price,
                if tidy { 0 } else { rng.u32(0..4) },
                self.country.sign,
            ),
        ]
    }
}

fn price(hundredths: i64, style: u32, sign: &str) -> String {
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    let thousands = |separator: char| match whole {
        0..1000 => whole.to_string(),
        1000..1_000_000 => format!("{}{separator}{:03}", whole / 1000, whole % 1000),
        _ => format!(
            "{}{separator}{:03}{separator}{:03}",
            whole / 1_000_000,
            whole / 1000 % 1000,
            whole % 1000
        ),
    };
    match style {
        0 => format!("{whole}.{rest:02}"),
        1 => format!("{}.{rest:02} {sign}", thousands(',')),
        2 => format!("{sign} {},{rest:02}", thousands('.')),
        _ => format!("{sign}{}.{rest:02}", thousands(',')),
    }
}

/// Makes one row in fourteen useless, and says how.
fn spoil(fields: &mut [String; 8], luck: u32, rng: &mut Rng) -> Option<&'static str> {
    let (column, value, reason) = match luck {
        20..25 => (0, "", "missing-order-id"),
        25..30 => (
            1,
            ["31.02.2026", "soon", "", "0000-00-00"][rng.usize(0..4)],
            "bad-date",
        ),
        30..35 => (2, ["", "unknown", "12345"][rng.usize(0..3)], "bad-customer"),
        35..42 => (
            3,
            ["Atlantis", "", "??"][rng.usize(0..3)],
            "unknown-country",
        ),
        42..48 => (4, ["Misc", "n/a", ""][rng.usize(0..3)], "unknown-category"),
        48..56 => (
            6,
            ["0", "-2", "two", "1.5", ""][rng.usize(0..5)],
            "bad-quantity",
        ),
        56..64 => (
            7,
            ["free", "-5.00", "", "1,2,3"][rng.usize(0..4)],
            "bad-price",
        ),
        // No country of the table pays in Swiss francs.
        64..70 => (7, "CHF 19.90", "currency-mismatch"),
        70 => return Some("wrong-field-count"),
        71 => (5, "broken\u{fffd}text", "not-utf-8"),
        _ => return None,
    };
    value.clone_into(&mut fields[column]);
    Some(reason)
}

fn write(writer: &mut Writer<Vec<u8>>, fields: &[String]) {
    // Writing into memory cannot fail, and the writer takes rows of any length.
    let written = writer.write_record(fields);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_of_rows_is_the_same_table() {
        assert_eq!(generate(700).csv, generate(700).csv);
        assert!(generate(700).csv.starts_with(generate(600).csv.trim_end()));
    }

    #[test]
    fn every_row_is_accounted_for_and_every_reason_occurs() {
        let expected = generate(5000).expected;
        let dropped: u64 = expected.dropped.values().sum();
        assert_eq!(expected.read, expected.kept + expected.duplicates + dropped);
        assert_eq!(expected.dropped.len(), 10, "{:?}", expected.dropped);
        assert!(expected.duplicates > 20 && dropped > 150, "{expected:?}");
        assert_eq!(expected.by_month.values().sum::<u64>(), expected.kept);
    }

    #[test]
    fn the_committed_sample_is_what_the_program_writes() {
        assert_eq!(include_str!("../../samples/orders.csv"), generate(500).csv);
    }
}
