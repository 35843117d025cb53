//! A piece of a table on its way through a pipeline, with the account of its rows: whoever drops one says why, so that at the end
//! every row that was read is accounted for.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord, Writer};
use kennel_sdk::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Some consecutive rows of a table as CSV text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Chunk {
    /// The chunk's place among all chunks of the table, from 0.
    pub index: u64,
    /// Whether it is the last one.
    pub last: bool,
    /// The number of its first row in the table; the first below the header is 1.
    pub first_row: u64,
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows, without the header, separated by commas.
    pub csv: String,
    /// What became of the rows so far.
    pub account: Account,
}

/// What became of rows: `read` is always `kept` + `duplicates` + all of `dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Account {
    /// How many rows were read from the file.
    pub read: u64,
    /// How many are left.
    pub kept: u64,
    /// How many repeated an earlier row.
    pub duplicates: u64,
    /// How many were dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// How many values were put right, by what was wrong with them.
    pub repaired: BTreeMap<String, u64>,
}

impl Chunk {
    /// The rows, whatever their length.
    pub fn rows(&self) -> Result<Vec<StringRecord>, Error> {
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(self.csv.as_bytes())
            .records()
            .collect::<Result<_, _>>()
            .map_err(|e| {
                Error::invalid_input(format_args!("input.csv of chunk {}: {e}", self.index))
            })
    }

    /// The places of the columns `names`; an error names the first that is missing.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], Error> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            let same = |column: &String| column.trim().eq_ignore_ascii_case(name);
            *place = self.header.iter().position(same).ok_or_else(|| {
                Error::invalid_input(format_args!(
                    "the table has no column `{name}`, only: {}",
                    self.header.join(", ")
                ))
            })?;
        }
        Ok(places)
    }

    /// The same chunk with other columns and rows.
    pub fn with_rows(
        self,
        header: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
        account: Account,
    ) -> Result<Self, Error> {
        let mut writer = Writer::from_writer(Vec::with_capacity(self.csv.len()));
        for row in rows {
            writer.write_record(&row).map_err(unwritable)?;
        }
        let bytes = writer.into_inner().map_err(unwritable)?;
        Ok(Self {
            header: header.iter().map(|&name| name.to_owned()).collect(),
            csv: String::from_utf8(bytes).map_err(unwritable)?,
            account,
            ..self
        })
    }
}

impl Account {
    /// Notes that a row was dropped.
    pub fn drop_row(&mut self, reason: &str) {
        count(&mut self.dropped, reason, 1);
    }

    /// Notes that a value was put right.
    pub fn repair(&mut self, what: &str) {
        count(&mut self.repaired, what, 1);
    }

    /// Adds the rows of another chunk.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.kept += other.kept;
        self.duplicates += other.duplicates;
        for (reason, &n) in &other.dropped {
            count(&mut self.dropped, reason, n);
        }
        for (what, &n) in &other.repaired {
            count(&mut self.repaired, what, n);
        }
    }

    /// How many rows were dropped for all reasons together.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether every row that was read is kept, dropped or a duplicate.
    pub fn is_balanced(&self) -> bool {
        self.read == self.kept + self.duplicates + self.dropped_in_all()
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, n: u64) {
    match counts.get_mut(name) {
        Some(count) => *count += n,
        None => _ = counts.insert(name.to_owned(), n),
    }
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::fatal(format_args!("cannot write the rows: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(csv: &str) -> Chunk {
        Chunk {
            index: 3,
            last: false,
            first_row: 1,
            header: vec!["A".to_owned(), " b".to_owned()],
            csv: csv.to_owned(),
            account: Account::default(),
        }
    }

    #[test]
    fn rows_survive_being_written_and_read() {
        let rows = vec![
            vec!["a,\"b\"".to_owned(), "c\nd".to_owned()],
            vec![String::new(), "é".to_owned()],
        ];
        let written = chunk("")
            .with_rows(&["x", "y"], rows.clone(), Account::default())
            .unwrap();
        let read: Vec<Vec<String>> = written
            .rows()
            .unwrap()
            .iter()
            .map(|row| row.iter().map(str::to_owned).collect())
            .collect();
        assert_eq!(read, rows);
    }

    #[test]
    fn columns_are_found_in_any_case_and_a_missing_one_is_named() {
        assert_eq!(chunk("").columns(["b", "a"]).unwrap(), [1, 0]);
        let error = chunk("").columns(["a", "price"]).unwrap_err();
        assert_eq!(
            error.message(),
            "the table has no column `price`, only: A,  b"
        );
    }

    #[test]
    fn an_account_balances_only_when_every_row_is_accounted_for() {
        let mut account = Account {
            read: 5,
            kept: 3,
            duplicates: 1,
            ..Account::default()
        };
        assert!(!account.is_balanced());
        account.drop_row("bad-date");
        assert!(account.is_balanced());
        account.add(&account.clone());
        assert_eq!(
            (
                account.read,
                account.dropped["bad-date"],
                account.is_balanced()
            ),
            (10, 2, true)
        );
    }
}
