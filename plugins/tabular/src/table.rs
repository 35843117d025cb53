//! A CSV file in memory: a header and rows of as many fields. It changes no value and decides nothing about what is missing.

use csv::{ReaderBuilder, StringRecord};
use kennel_sdk::{Content, Error};

use crate::kind::{self, Kind};

/// The largest file. Its rows take about four times as much memory, and an agent has 64 MiB.
const MAX_BYTES: usize = 8 << 20;

/// What may stand between two fields, likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A table with a header.
#[derive(Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<StringRecord>,
    ragged: usize,
}

impl Table {
    /// Reads the CSV that came with a task, from the host when it is a reference.
    pub fn read(content: &Content) -> Result<Self, Error> {
        match content {
            Content::Text(text) => Self::parse(text.as_bytes()),
            Content::Blob(blob) => Self::parse(blob.bytes()?),
        }
    }

    /// Reads CSV with a header row. The delimiter is the one that the header has most of.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::invalid_input(format_args!(
                "the data has {} bytes, and this agent takes at most {MAX_BYTES}: give it fewer rows or columns",
                bytes.len()
            )));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter(bytes))
            .has_headers(false)
            .flexible(true)
            .from_reader(bytes);
        let mut records = reader.byte_records().map(|record| {
            // Reading from memory cannot fail, and flexible rows have no wrong length.
            record.map(StringRecord::from_byte_record_lossy)
        });
        let header = match records.next() {
            Some(Ok(record)) => header(&record)?,
            Some(Err(error)) => return Err(unreadable(&error)),
            None => {
                return Err(Error::invalid_input(
                    "the data is empty: give CSV with a header row",
                ));
            }
        };
        let (mut rows, mut ragged) = (Vec::new(), 0);
        for record in records {
            let record = record.map_err(|error| unreadable(&error))?;
            match record.len() == header.len() {
                true => rows.push(record),
                false => ragged += 1,
            }
        }
        if rows.is_empty() {
            return Err(Error::invalid_input(format_args!(
                "the data has no row with the {} fields of its header `{}`",
                header.len(),
                header.join(",")
            )));
        }
        Ok(Self {
            header,
            rows,
            ragged,
        })
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The rows, each as long as the header.
    pub fn rows(&self) -> &[StringRecord] {
        &self.rows
    }

    /// How many rows were left out because they had more or fewer fields than the header.
    pub fn ragged(&self) -> usize {
        self.ragged
    }

    /// The place of a column, by its name in any case.
    pub fn column(&self, name: &str) -> Result<usize, Error> {
        let same = |column: &String| column.eq_ignore_ascii_case(name.trim());
        self.header.iter().position(same).ok_or_else(|| {
            Error::invalid_input(format_args!(
                "the data has no column `{name}`, only: {}",
                self.header.join(", ")
            ))
        })
    }

    /// What the values of a column are.
    pub fn kind(&self, column: usize) -> Kind {
        kind::infer(&self.header[column], self.values(column))
    }

    /// The values of a column, top to bottom and without spaces around them.
    pub fn values(&self, column: usize) -> impl Iterator<Item = &str> + Clone {
        self.rows
            .iter()
            .map(move |row| row.get(column).unwrap_or_default().trim())
    }
}

fn header(record: &StringRecord) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    for (place, name) in record.iter().enumerate() {
        let name = match name.trim() {
            "" => format!("column {}", place + 1),
            name => name.to_owned(),
        };
        if names.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
            return Err(Error::invalid_input(format_args!(
                "two columns of the data are called `{name}`: rename one"
            )));
        }
        names.push(name);
    }
    Ok(names)
}

fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let mut best = (0, DELIMITERS[0]);
    for delimiter in DELIMITERS {
        let count = line.iter().filter(|&&b| b == delimiter).count();
        if count > best.0 {
            best = (count, delimiter);
        }
    }
    best.1
}

fn unreadable(error: &csv::Error) -> Error {
    Error::invalid_input(format_args!("the data is no CSV: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_fields_may_hold_delimiters_and_line_ends() {
        let table =
            Table::parse(b"\xef\xbb\xbfname,note\r\n\"a,b\",\"c\nd\"\"e\"\r\nx,y\r\n").unwrap();
        assert_eq!(table.header(), ["name", "note"]);
        assert_eq!(table.values(0).collect::<Vec<_>>(), ["a,b", "x"]);
        assert_eq!(table.rows()[0].get(1), Some("c\nd\"e"));
    }

    #[test]
    fn the_delimiter_is_found_in_the_header() {
        for text in ["a;b\n1,5;2", "a\tb\n1,5\t2", "a|b\n1,5|2"] {
            let table = Table::parse(text.as_bytes()).unwrap();
            assert_eq!(table.values(0).collect::<Vec<_>>(), ["1,5"], "{text}");
        }
    }

    #[test]
    fn rows_of_another_length_are_counted_and_left_out() {
        let table = Table::parse(b"a,b\n1,2\n3\n4,5,6\n").unwrap();
        assert_eq!((table.rows().len(), table.ragged()), (1, 2));
    }

    #[test]
    fn what_is_no_table_is_refused_with_a_way_out() {
        let error = |bytes: &[u8]| Table::parse(bytes).unwrap_err().to_string();
        assert!(error(b"").contains("header row"));
        assert!(error(b"a,b\n").contains("no row with the 2 fields"));
        assert!(error(b"a,A\n1,2").contains("two columns of the data are called `A`"));
        assert!(error(&vec![b'x'; MAX_BYTES + 1]).contains("at most"));
        let table = Table::parse(b"a,b\n1,2").unwrap();
        assert_eq!(table.column(" B ").unwrap(), 1);
        assert!(
            table
                .column("c")
                .unwrap_err()
                .message()
                .ends_with("only: a, b")
        );
    }
}
