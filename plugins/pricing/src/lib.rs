//! The agent `pricing`: where own prices stand among those of others, product by product. It compares and recommends nothing.

mod compare;
mod statistics;

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;
use market_data::{Table, Time};

use crate::compare::compare;
pub use crate::compare::{Comparison, Market, Outlier, Own, Undercut};

/// Prices, as one table.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// The prices of all sellers, in any order. Of several for the same product and seller the latest counts.
    prices: Table<Price>,
    /// Which seller is oneself; without it, products are described and not compared.
    #[serde(default)]
    own: Option<String>,
}

/// The price of one product at one seller.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Price {
    /// What is sold.
    product: String,
    /// Who sells it; also called `competitor`.
    #[serde(alias = "competitor")]
    seller: String,
    /// For how much, above 0.
    price: f64,
    /// In which currency; the same for all sellers of a product.
    #[serde(default)]
    currency: Option<String>,
    /// Since when; also called `time`.
    #[serde(default, alias = "time")]
    date: Option<Time>,
}

/// How prices compare.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    /// The mean of all price indices; absent when nothing could be compared.
    index: Option<f64>,
    /// Each product, by name.
    products: Vec<Comparison>,
    /// Who is cheaper than oneself, the largest difference first.
    undercut: Vec<Undercut>,
}

/// The skill `analyze-prices`.
pub struct AnalyzePrices;

impl Agent for AnalyzePrices {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "analyze-prices";
    const DESCRIPTION: &'static str = "Compares own prices with those of competitors, product by product: position, index, spread, outliers, undercuts.";
    const TAGS: &'static [&'static str] = &["prices", "competitors", "statistics"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        let products = latest(input.prices.rows("prices")?)?;
        let own = input.own.as_deref();
        if let Some(own) = own
            && !products.values().any(|sellers| sellers.contains_key(own))
        {
            return Err(Error::invalid_input(format_args!(
                "input.own is `{own}`, but no price is of that seller"
            )));
        }
        let mut undercut = Vec::new();
        let mut compared = Vec::with_capacity(products.len());
        for (product, sellers) in products {
            compared.push(compare(product, &sellers, own, &mut undercut)?);
        }
        undercut.sort_by(|a, b| {
            b.percent
                .total_cmp(&a.percent)
                .then_with(|| (&a.product, &a.seller).cmp(&(&b.product, &b.seller)))
        });
        Ok(Output {
            index: compare::mean_index(&compared),
            products: compared,
            undercut,
        })
    }
}

kennel_sdk::export!(AnalyzePrices);

type Sellers = BTreeMap<String, Price>;

/// The latest price of each seller of each product.
fn latest(prices: Vec<Price>) -> Result<BTreeMap<String, Sellers>, Error> {
    let mut products: BTreeMap<String, Sellers> = BTreeMap::new();
    for price in prices {
        if !(price.price.is_finite() && price.price > 0.0) {
            return Err(Error::invalid_input(format_args!(
                "the price of `{}` at `{}` is {}; it must be above 0",
                price.product, price.seller, price.price
            )));
        }
        let sellers = products.entry(price.product.clone()).or_default();
        let Some(known) = sellers.get(&price.seller) else {
            sellers.insert(price.seller.clone(), price);
            continue;
        };
        let (Some(known_since), Some(since)) = (&known.date, &price.date) else {
            return Err(Error::invalid_input(format_args!(
                "`{}` has several prices for `{}`; give each a date, and the latest counts",
                price.seller, price.product
            )));
        };
        if known_since.is_moment() != since.is_moment()
            || known_since.position() == since.position()
        {
            return Err(Error::invalid_input(format_args!(
                "`{}` has two prices for `{}`, and neither of {known_since} and {since} is later",
                price.seller, price.product
            )));
        }
        if since.position() > known_since.position() {
            sellers.insert(price.seller.clone(), price);
        }
    }
    Ok(products)
}

#[cfg(test)]
mod tests;
