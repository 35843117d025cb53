//! One order: which fields it needs, and how each is put right.

use csv::StringRecord;
use kennel_sdk::Error;
use tabular::chunk::{Account, Chunk};
use tabular::{date, number};

use crate::names::{CATEGORIES, COUNTRIES};

/// The columns of a clean chunk. `written_currency` is what stood beside the price, empty when nothing did.
pub(crate) const HEADER: [&str; 9] = [
    "order_id",
    "ordered",
    "customer",
    "country",
    "category",
    "product",
    "quantity",
    "unit_price",
    "written_currency",
];

/// The columns that a dirty chunk must have, in any order.
const NEEDED: [&str; 8] = [
    "order id",
    "ordered",
    "customer",
    "country",
    "category",
    "product",
    "quantity",
    "unit price",
];

/// Nobody orders more of a thing.
const MAX_QUANTITY: u32 = 100_000;

/// Why a row was dropped.
type Reason = &'static str;

/// Where the fields of a row are.
pub(crate) struct Columns {
    width: usize,
    places: [usize; 8],
}

/// A row that has been put right.
#[derive(PartialEq, Eq)]
pub(crate) struct Order([String; 9]);

impl Columns {
    pub(crate) fn of(chunk: &Chunk) -> Result<Self, Error> {
        Ok(Self {
            width: chunk.header.len(),
            places: chunk.columns(NEEDED)?,
        })
    }
}

impl Order {
    /// Puts a row right, or says why it cannot be. Only what was put right in a row that stays is noted.
    pub(crate) fn read(
        row: &StringRecord,
        columns: &Columns,
        account: &mut Account,
    ) -> Result<Self, Reason> {
        if row.len() != columns.width {
            return Err("wrong-field-count");
        }
        if row.iter().any(|field| field.contains('\u{fffd}')) {
            return Err("not-utf-8");
        }
        let raw = columns
            .places
            .map(|place| row.get(place).unwrap_or_default());
        let [
            id,
            ordered,
            customer,
            country,
            category,
            product,
            quantity,
            price,
        ] = raw.map(str::trim);
        if id.is_empty() {
            return Err("missing-order-id");
        }
        let day = date::parse(ordered).ok_or("bad-date")?.to_string();
        let customer_id = customer_id(customer).ok_or("bad-customer")?;
        let known_country = COUNTRIES.find(country).ok_or("unknown-country")?;
        let known_category = CATEGORIES.find(category).ok_or("unknown-category")?;
        let quantity = quantity_of(quantity).ok_or("bad-quantity")?;
        let cents = cents(price).ok_or("bad-price")?;
        let unit_price = format!("{}.{:02}", cents / 100, cents % 100);
        let repairs = [
            (
                raw.iter().any(|field| field.trim().len() != field.len()),
                "spaces",
            ),
            (day != ordered, "date-format"),
            (customer_id != customer, "customer-spelling"),
            (known_country != country, "country-spelling"),
            (known_category != category, "category-spelling"),
            (unit_price != price, "price-format"),
        ];
        for (_, what) in repairs.iter().filter(|(repaired, _)| *repaired) {
            account.repair(what);
        }
        Ok(Self([
            id.to_owned(),
            day,
            customer_id,
            known_country.to_owned(),
            known_category.to_owned(),
            product.to_owned(),
            quantity.to_string(),
            unit_price,
            written_currency(price),
        ]))
    }

    pub(crate) fn id(&self) -> &str {
        &self.0[0]
    }

    pub(crate) fn into_fields(self) -> Vec<String> {
        self.0.into()
    }
}

/// A letter for the kind of customer and five digits.
fn customer_id(text: &str) -> Option<String> {
    let id = text.to_ascii_uppercase();
    let (kind, number) = id.split_once('-')?;
    let right = matches!(kind, "B" | "C" | "E")
        && number.len() == 5
        && number.bytes().all(|b| b.is_ascii_digit());
    right.then_some(id)
}

fn quantity_of(text: &str) -> Option<u32> {
    let number = number::parse(text)?;
    let whole = number.fract() == 0.0 && (1.0..=f64::from(MAX_QUANTITY)).contains(&number);
    whole.then_some(number as u32)
}

/// A price above zero in hundredths; further decimals are rounded.
fn cents(text: &str) -> Option<u64> {
    let cents = (number::parse(text)? * 100.0).round();
    (1.0..1e12).contains(&cents).then_some(cents as u64)
}

/// The sign or code beside a price: `EUR` for `€`, but `$` stays, for it is the sign of many currencies.
fn written_currency(price: &str) -> String {
    let sign: String = price
        .chars()
        .filter(|&c| c.is_alphabetic() || "€$£¥".contains(c))
        .collect();
    match sign.as_str() {
        "€" => "EUR".to_owned(),
        "£" => "GBP".to_owned(),
        "¥" => "JPY".to_owned(),
        _ => sign,
    }
}
