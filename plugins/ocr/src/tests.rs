//! The sample pages, read with the real models: how many characters are right, and the edges of the input.

use kennel_sdk::testing;

use super::*;
use crate::gray::Gray;

fn sample(name: &str) -> Vec<u8> {
    let samples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../samples"));
    std::fs::read(samples.join(name)).expect("the sample is there")
}

/// What the sample really says, with one space between words.
fn truth(name: &str) -> Vec<char> {
    words(&String::from_utf8(sample(name)).expect("UTF-8"))
}

fn words(text: &str) -> Vec<char> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().collect()
}

/// The agent reads its models from the directory that tests run in, as it does in its sandbox.
fn ask(input: Payload) -> Result<Value, Error> {
    let output = AGENT.handle(Task::new("t"), input)?;
    Ok(output.decode().expect("JSON"))
}

/// The share of characters that are right: 1 − Levenshtein distance / length of what is there.
fn accuracy(text: &str, truth: &[char]) -> f64 {
    let text = words(text);
    let mut row: Vec<usize> = (0..=truth.len()).collect();
    for (line, read) in text.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, there) in truth.iter().enumerate() {
            let replaced = diagonal + usize::from(read != there);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    1.0 - row[truth.len()] as f64 / truth.len() as f64
}

/// A page turned around its middle, against the clock.
fn turned(page: &Gray, degrees: f32) -> Gray {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (x, y) = (page.width as f32 / 2.0, page.height as f32 / 2.0);
    let from = |at: usize| {
        let (right, down) = ((at % page.width) as f32 - x, (at / page.width) as f32 - y);
        page.at(x + right * cos - down * sin, y + right * sin + down * cos) as u8
    };
    Gray {
        pixels: (0..page.pixels.len()).map(from).collect(),
        ..*page
    }
}

#[test]
fn the_report_is_read_without_a_hundredth_of_its_characters_wrong() {
    let output = ask(Payload::blob("image/jpeg", sample("scanned-report.jpg"))).expect("read");
    let text = output["text"].as_str().expect("a text");
    let right = accuracy(text, &truth("scanned-report.txt"));
    assert!(right >= 0.99, "{right:.4}:\n{text}");
    assert!(output["confidence"].as_f64() > Some(0.95), "{output}");
    assert!(
        text.starts_with("Kestrel Bay Ferries plc\n\nAnnual review for shareholders\n\n"),
        "{text}"
    );
    assert_eq!(text.matches("\n\n").count() + 1, 11, "{text}");
}

#[test]
fn both_columns_of_the_newsletter_are_read_in_their_order() {
    let output = ask(Payload::blob("image/png", sample("scanned-newsletter.png"))).expect("read");
    let text = output["text"].as_str().expect("a text");
    let right = accuracy(text, &truth("scanned-newsletter.txt"));
    assert!(right >= 0.98, "{right:.4}:\n{text}");
    let (width, height) = (output["width"].as_u64(), output["height"].as_u64());
    assert_eq!((width, height), (Some(1241), Some(1754)));
    for line in output["lines"].as_array().expect("lines") {
        let [left, top, right, below] =
            [0, 1, 2, 3].map(|at| line["box"][at].as_u64().expect("a number"));
        assert!(
            right > 0 && left + right <= 1241 && below > 0 && top + below <= 1754,
            "{line}"
        );
    }
}

#[test]
fn a_page_that_is_tilted_by_two_degrees_is_read_all_the_same() {
    let page = decode::decode(&sample("scanned-report.jpg"), "").expect("a page");
    let models = Models::open(Path::new(MODELS)).expect("models");
    // It was scanned with 0.8 degrees.
    let output = page::read(&models, turned(&page, -2.8)).expect("read");
    let right = accuracy(&output.text, &truth("scanned-report.txt"));
    assert!(right >= 0.97, "{right:.4}:\n{}", output.text);
}

#[test]
fn an_empty_page_has_an_empty_text_and_the_log_says_so() {
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, 400, 300);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[230; 400 * 300]).expect("samples");
    writer.finish().expect("an end");
    let output = ask(Payload::blob("image/png", image)).expect("read");
    assert_eq!(
        output,
        json!({ "text": "", "lines": [], "confidence": 0.0, "width": 400, "height": 300 })
    );
    assert!(
        testing::log_lines()
            .iter()
            .any(|line| line.message.contains("has no text"))
    );
}

#[test]
fn what_is_no_image_is_an_invalid_input_that_says_so() {
    for (input, reason) in [
        (
            Payload::blob("text/plain", b"Dear Sir".to_vec()),
            "neither a PNG nor a JPEG",
        ),
        (
            Payload::text("Dear Sir"),
            "document is a text, not an image",
        ),
        (
            Payload::json(&json!({ "document": "Dear Sir" })),
            "document is a text, not an image",
        ),
        (Payload::json(&json!({ "page": 1 })), "document"),
    ] {
        match ask(input) {
            Err(Error::InvalidInput(said)) => assert!(said.contains(reason), "{said}"),
            other => panic!("{other:?}"),
        }
    }
}
