//! One product: what its prices are like, and where one's own stands among the others.

use std::collections::BTreeMap;

use kennel_sdk::prelude::*;
use market_data::rounded;

use crate::Price;
use crate::statistics::{OUTLYING, Sample};

/// What the prices of one product are like. All figures are about the competitors' prices, own ones left out.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// What is sold.
    product: String,
    /// The currency, when the prices have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// How many competitors sell it.
    count: usize,
    /// The figures; absent when no competitor sells it.
    market: Option<Market>,
    /// Prices far from the others.
    outliers: Vec<Outlier>,
    /// One's own price and its place; absent when one does not sell it, or nobody else does.
    own: Option<Own>,
}

/// Figures of the competitors' prices.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Market {
    min: f64,
    lower_quartile: f64,
    median: f64,
    upper_quartile: f64,
    max: f64,
    mean: f64,
    /// The median distance from the median.
    mad: f64,
    /// The standard deviation as a part of the mean: how far prices are apart.
    variation: Option<f64>,
}

/// A price far from the others.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Outlier {
    seller: String,
    price: f64,
    /// Its modified z-score, beyond 3.5 or -3.5.
    modified_z: f64,
}

/// One's own price among the others.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Own {
    price: f64,
    /// 100 times the own price by the median of the others: below 100 is cheaper than they are.
    index: f64,
    /// The part of the others that is cheaper, equal prices by half.
    position: f64,
}

/// A competitor who is cheaper.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Undercut {
    /// What is sold.
    pub(crate) product: String,
    /// Who is cheaper.
    pub(crate) seller: String,
    /// The competitor's price.
    price: f64,
    /// One's own.
    own: f64,
    /// By how much of one's own price the competitor's is lower, in per cent.
    pub(crate) percent: f64,
    /// Whether that price lies far from the others: an offer to look at, or a mistake.
    outlier: bool,
}

/// Describes one product and adds those who are cheaper than `own` to `undercut`.
pub(crate) fn compare(
    product: String,
    sellers: &BTreeMap<String, Price>,
    own: Option<&str>,
    undercut: &mut Vec<Undercut>,
) -> Result<Comparison, Error> {
    let currency = common_currency(&product, sellers)?;
    let own_price = own.and_then(|own| sellers.get(own)).map(|own| own.price);
    let others: Vec<&Price> = sellers
        .values()
        .filter(|price| Some(price.seller.as_str()) != own)
        .collect();
    let Some(sample) = Sample::new(others.iter().map(|price| price.price).collect()) else {
        return Ok(Comparison {
            product,
            currency,
            count: 0,
            market: None,
            outliers: Vec::new(),
            own: None,
        });
    };
    let is_outlier = |price: f64| sample.modified_z(price).abs() > OUTLYING;
    if let Some(own) = own_price {
        let cheaper = others.iter().filter(|price| price.price < own);
        undercut.extend(cheaper.map(|cheaper| Undercut {
            product: product.clone(),
            seller: cheaper.seller.clone(),
            price: cheaper.price,
            own,
            percent: rounded(100.0 * (own - cheaper.price) / own, 2),
            outlier: is_outlier(cheaper.price),
        }));
    }
    Ok(Comparison {
        product,
        currency,
        count: sample.count(),
        market: Some(market(&sample)),
        outliers: others
            .iter()
            .filter(|price| is_outlier(price.price))
            .map(|price| Outlier {
                seller: price.seller.clone(),
                price: price.price,
                modified_z: rounded(sample.modified_z(price.price), 4),
            })
            .collect(),
        own: own_price.map(|price| Own {
            price,
            index: rounded(100.0 * price / sample.median(), 2),
            position: rounded(sample.rank(price), 4),
        }),
    })
}

/// The mean of the indices of the products that have one.
pub(crate) fn mean_index(products: &[Comparison]) -> Option<f64> {
    let indices = products.iter().filter_map(|product| product.own.as_ref());
    let sample = Sample::new(indices.map(|own| own.index).collect())?;
    Some(rounded(sample.mean(), 2))
}

fn market(sample: &Sample) -> Market {
    let quantile = |p| rounded(sample.quantile(p), 4);
    Market {
        min: quantile(0.0),
        lower_quartile: quantile(0.25),
        median: quantile(0.5),
        upper_quartile: quantile(0.75),
        max: quantile(1.0),
        mean: rounded(sample.mean(), 4),
        mad: rounded(sample.mad(), 4),
        variation: sample.variation().map(|variation| rounded(variation, 6)),
    }
}

/// Prices in different currencies cannot be compared, and rates are not this agent's to know.
fn common_currency(
    product: &str,
    sellers: &BTreeMap<String, Price>,
) -> Result<Option<String>, Error> {
    let mut currencies = sellers.values().map(|price| price.currency.as_deref());
    let first = currencies.next().flatten();
    match currencies.find(|&currency| currency != first) {
        None => Ok(first.map(str::to_owned)),
        Some(other) => Err(Error::invalid_input(format_args!(
            "the prices of `{product}` are in {} and in {}; convert them first",
            first.unwrap_or("no currency"),
            other.unwrap_or("no currency")
        ))),
    }
}
