//! The table of countries: region, currency and the value of one unit of it in euro.

use std::collections::BTreeMap;

use kennel_sdk::Error;
use serde::Deserialize;

const COUNTRIES: &str = include_str!("countries.csv");

/// What is known of a country.
#[derive(Debug, Deserialize)]
pub(crate) struct Country {
    country: String,
    pub(crate) region: String,
    currency: String,
    pub(crate) euro: f64,
}

/// All countries by name.
pub(crate) struct Lookup(BTreeMap<String, Country>);

impl Lookup {
    /// Reads the table.
    pub(crate) fn load() -> Result<Self, Error> {
        csv::Reader::from_reader(COUNTRIES.as_bytes())
            .deserialize()
            .map(|row| row.map(|country: Country| (country.country.clone(), country)))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|e| Error::fatal(format_args!("the agent's table of countries: {e}")))
    }

    pub(crate) fn country(&self, name: &str) -> Option<&Country> {
        self.0.get(name)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Country {
    /// Whether what stands beside a price fits the country; `$` is any dollar, and nothing is the country's own.
    pub(crate) fn may_be_paid_in(&self, written: &str) -> bool {
        match written {
            "" => true,
            "$" => self.currency.ends_with('D'),
            code => code == self.currency,
        }
    }
}
