//! The agent `etl-enrich`: joins clean orders with a table of countries and derives what reports are made by. It asks nobody for a
//! rate: the rates are fixed and stand in `countries.csv`.

mod lookup;

use kennel_sdk::prelude::*;
use tabular::chunk::Chunk;

use crate::lookup::{Country, Lookup};

/// The columns of an enriched chunk.
pub const HEADER: [&str; 11] = [
    "order_id",
    "month",
    "customer",
    "segment",
    "country",
    "region",
    "category",
    "product",
    "quantity",
    "amount_eur",
    "price_band",
];

/// Below how many euro cents of its whole amount an order is in a band.
const BANDS: [(i64, &str); 3] = [(5_000, "low"), (25_000, "medium"), (i64::MAX, "high")];

/// The skill `enrich-rows`.
pub struct EnrichRows;

impl Agent for EnrichRows {
    type Input = Chunk;
    type Output = Chunk;
    const SKILL: &'static str = "enrich-rows";
    const DESCRIPTION: &'static str = "Adds region, euro amount, month, customer segment and price band to a chunk of clean orders.";
    const TAGS: &'static [&'static str] = &["csv", "etl", "enrichment", "batch"];

    fn handle(chunk: Chunk, _: &Task) -> Result<Chunk, Error> {
        enrich(chunk, &Lookup::load()?)
    }

    /// The table of countries is read once for the whole batch.
    fn handle_batch(tasks: Vec<(Chunk, Task)>) -> Vec<Result<Chunk, Error>> {
        let lookup = Lookup::load();
        tasks
            .into_iter()
            .map(|(chunk, _)| enrich(chunk, lookup.as_ref().map_err(Error::clone)?))
            .collect()
    }
}

kennel_sdk::export!(batch: EnrichRows);

fn enrich(chunk: Chunk, lookup: &Lookup) -> Result<Chunk, Error> {
    let [
        id,
        ordered,
        customer,
        country,
        category,
        product,
        quantity,
        price,
        currency,
    ] = chunk.columns([
        "order_id",
        "ordered",
        "customer",
        "country",
        "category",
        "product",
        "quantity",
        "unit_price",
        "written_currency",
    ])?;
    let mut account = chunk.account.clone();
    let mut rows = Vec::new();
    for row in chunk.rows()? {
        let field = |column: usize| row.get(column).unwrap_or_default();
        let Some(found) = lookup.country(field(country)) else {
            account.drop_row("no-region");
            continue;
        };
        if !found.may_be_paid_in(field(currency)) {
            account.drop_row("currency-mismatch");
            continue;
        }
        let Some(cents) = euro_cents(field(quantity), field(price), found) else {
            account.drop_row("bad-amount");
            continue;
        };
        let band = BANDS.iter().find(|(below, _)| cents < *below);
        rows.push(vec![
            field(id).to_owned(),
            field(ordered).get(..7).unwrap_or_default().to_owned(),
            field(customer).to_owned(),
            segment(field(customer)).to_owned(),
            field(country).to_owned(),
            found.region.clone(),
            field(category).to_owned(),
            field(product).to_owned(),
            field(quantity).to_owned(),
            format!("{}.{:02}", cents / 100, cents % 100),
            band.map_or("high", |&(_, name)| name).to_owned(),
        ]);
    }
    account.kept = rows.len() as u64;
    chunk.with_rows(&HEADER, rows, account)
}

/// The order's amount in euro cents, rounded once.
fn euro_cents(quantity: &str, price: &str, country: &Country) -> Option<i64> {
    let quantity: f64 = quantity.parse().ok()?;
    let hundredths = (price.parse::<f64>().ok()? * 100.0).round();
    let cents = (hundredths * quantity * country.euro).round();
    (0.0..1e15).contains(&cents).then_some(cents as i64)
}

/// The kind of customer, which the first letter of its number says.
fn segment(customer: &str) -> &'static str {
    match customer.chars().next() {
        Some('B') => "business",
        Some('C') => "consumer",
        Some('E') => "education",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests;
