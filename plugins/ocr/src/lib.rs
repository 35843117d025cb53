//! The agent `ocr`: reads a scanned page with two neural networks, one that finds lines and one that reads them. It knows Latin
//! script in print; handwriting, other scripts and what a picture shows are not its business.

mod decode;
mod detect;
mod gray;
mod layout;
mod lines;
mod models;
mod page;
mod recognise;
mod regions;
mod shape;

use std::path::Path;

use kennel_sdk::prelude::*;

use crate::decode::Unreadable;
use crate::models::{Models, Unusable};

/// The directory with the models, as it is granted.
const MODELS: &str = "models";

/// A page, as its bytes or as an object that holds them.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// The page: a PNG or JPEG image.
    document: Content,
}

impl From<Content> for Input {
    fn from(document: Content) -> Self {
        Self { document }
    }
}

/// The text of a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Paragraphs parted by an empty line; a row of a table is a line, its cells parted by tabs. Empty for a page without text.
    text: String,
    /// The lines in the order in which they are read.
    lines: Vec<Line>,
    /// The mean confidence of all characters, 0 to 1; 0 for a page without text.
    confidence: f64,
    /// The width of the page in pixels.
    width: usize,
    /// The height of the page in pixels.
    height: usize,
}

/// One line of a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// What it says.
    text: String,
    /// The mean confidence of its characters, 0 to 1.
    confidence: f64,
    /// Where it stands on the page, in pixels: left, top, width, height.
    #[serde(rename = "box")]
    bounds: [usize; 4],
}

/// The skill `read-page`.
pub struct ReadPage;

impl Agent for ReadPage {
    type Input = ContentOr<Input>;
    type Output = Output;
    const SKILL: &'static str = "read-page";
    const DESCRIPTION: &'static str =
        "Reads the text of a scanned page: a PNG or JPEG image with Latin script.";
    const TAGS: &'static [&'static str] = &["document", "text", "image", "scan", "ocr"];

    fn handle(ContentOr(input): ContentOr<Input>, _: &Task) -> Result<Output, Error> {
        let Content::Blob(image) = &input.document else {
            return Err(Error::invalid_input(
                "document is a text, not an image; send a PNG or JPEG as a blob, such as \"@page.png\" on the command line",
            ));
        };
        let page = decode::decode(image.bytes()?, image.media_type())
            .map_err(|Unreadable(reason)| Error::InvalidInput(reason))?;
        let models = Models::open(Path::new(MODELS)).map_err(fatal)?;
        let output = page::read(&models, page).map_err(fatal)?;
        if output.lines.is_empty() {
            log::warn!(
                "the page of {} x {} pixels has no text",
                output.width,
                output.height
            );
        }
        Ok(output)
    }
}

fn fatal(Unusable(reason): Unusable) -> Error {
    Error::Fatal(reason)
}

kennel_sdk::export!(ReadPage);

#[cfg(test)]
mod tests;
