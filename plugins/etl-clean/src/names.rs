//! The names that countries and categories go by.

/// Names and their spellings, in lower case and without full stops.
pub(crate) struct Names(&'static [(&'static str, &'static [&'static str])]);

impl Names {
    /// The name that a spelling stands for.
    pub(crate) fn find(&self, spelling: &str) -> Option<&'static str> {
        let spelling = spelling.trim().replace('.', "").to_lowercase();
        self.0
            .iter()
            .find(|(name, others)| {
                name.to_lowercase() == spelling || others.contains(&spelling.as_str())
            })
            .map(|&(name, _)| name)
    }
}

/// The countries that the shop delivers to.
pub(crate) const COUNTRIES: Names = Names(&[
    ("Austria", &["at", "aut", "österreich"]),
    ("Canada", &["ca", "can"]),
    ("Denmark", &["dk", "dnk", "danmark"]),
    ("France", &["fr", "fra"]),
    ("Germany", &["de", "deu", "ger", "deutschland"]),
    ("Ireland", &["ie", "irl", "éire"]),
    ("Italy", &["it", "ita", "italia"]),
    ("Japan", &["jp", "jpn", "日本"]),
    (
        "Netherlands",
        &["nl", "nld", "the netherlands", "holland", "nederland"],
    ),
    ("Norway", &["no", "nor", "norge"]),
    ("Poland", &["pl", "pol", "polska"]),
    ("Spain", &["es", "esp", "españa"]),
    ("Sweden", &["se", "swe", "sverige"]),
    ("Switzerland", &["ch", "che", "schweiz", "suisse"]),
    (
        "United Kingdom",
        &["uk", "gb", "gbr", "great britain", "britain"],
    ),
    (
        "United States",
        &["us", "usa", "united states of america", "america"],
    ),
]);

/// What the shop sells.
pub(crate) const CATEGORIES: Names = Names(&[
    ("Garden", &["gardening", "gardens"]),
    ("Kitchen", &["kitchens", "kitchenware"]),
    ("Office", &["office supplies", "offices"]),
    ("Toys", &["toy"]),
]);
