//! The agent `etl-extract`: cuts a CSV file into chunks of whole rows, a page of them with each call. It changes no value and drops
//! no row; what is wrong with one is for the next stage to say.

mod page;

use kennel_sdk::prelude::*;
use tabular::chunk::Chunk;

use crate::page::{Limits, Source};

/// A file, and how to cut it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// The CSV file, with a header row and commas; as a file or as text.
    file: Content,
    /// How many rows a chunk has.
    #[serde(default = "rows_per_chunk")]
    #[schemars(range(min = 1))]
    rows_per_chunk: u64,
    /// How many chunks a page has at most; it ends sooner when its text gets too long for one output.
    #[serde(default = "chunks_per_page")]
    #[schemars(range(min = 1))]
    chunks_per_page: usize,
    /// Where to go on: what the page before said in `next`.
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// Where a page ended: the next one starts there without reading what stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The byte of the file at which the next row starts.
    offset: usize,
    /// How many chunks there were before.
    chunk: u64,
    /// How many rows there were before.
    row: u64,
}

/// A page of chunks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The chunks, in the order of the file.
    items: Vec<Chunk>,
    /// Where the next page starts; null after the last one.
    next: Option<Cursor>,
}

fn rows_per_chunk() -> u64 {
    500
}

fn chunks_per_page() -> usize {
    20
}

/// The skill `extract-rows`.
pub struct ExtractRows;

impl Agent for ExtractRows {
    type Input = Input;
    type Output = Output;
    const SKILL: &'static str = "extract-rows";
    const DESCRIPTION: &'static str =
        "Cuts a CSV file into chunks of rows, one page with each call.";
    const TAGS: &'static [&'static str] = &["csv", "etl", "pages"];

    fn handle(input: Input, _: &Task) -> Result<Output, Error> {
        let limits = Limits {
            rows_per_chunk: input.rows_per_chunk,
            chunks_per_page: input.chunks_per_page,
        };
        if limits.rows_per_chunk == 0 || limits.chunks_per_page == 0 {
            return Err(Error::invalid_input(
                "input.rows-per-chunk and input.chunks-per-page must be 1 or more",
            ));
        }
        let (items, next) = Source::new(&input.file)?.page(input.cursor, limits)?;
        Ok(Output { items, next })
    }
}

kennel_sdk::export!(ExtractRows);

#[cfg(test)]
mod tests;
