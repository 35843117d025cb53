//! Files cut into pages by following the cursor, as the host does, and what is no file to cut.

use super::*;
use crate::page::WINDOW;

fn page(input: Value) -> Result<Value, Error> {
    AGENT
        .handle(Task::new("t"), Payload::json(&input))
        .map(|output| output.decode().unwrap())
}

fn blob(bytes: &[u8]) -> Value {
    let blob = Blob::new("text/csv", bytes);
    Payload::encode(&blob).unwrap().decode().unwrap()
}

/// All chunks of all pages, and how many pages there were; the same whether the file comes as text or as a blob.
fn chunks(file: &str, rows: u64, chunks: usize) -> (Vec<Chunk>, usize) {
    let (of_text, pages) = follow(json!(file), rows, chunks);
    let of_blob = follow(blob(file.as_bytes()), rows, chunks);
    let texts = |chunks: &[Chunk]| json!(chunks);
    assert_eq!((texts(&of_blob.0), of_blob.1), (texts(&of_text), pages));
    (of_text, pages)
}

fn follow(file: Value, rows: u64, chunks: usize) -> (Vec<Chunk>, usize) {
    let mut input = json!({ "file": file, "rows-per-chunk": rows, "chunks-per-page": chunks });
    let (mut all, mut pages) = (Vec::new(), 0);
    loop {
        let output = page(input.clone()).unwrap();
        assert!(
            output.to_string().len() <= 1 << 20,
            "a page fits into one output"
        );
        all.extend(
            Payload::json(&output["items"])
                .decode::<Vec<Chunk>>()
                .unwrap(),
        );
        pages += 1;
        if output["next"].is_null() {
            return (all, pages);
        }
        input["cursor"] = output["next"].clone();
    }
}

fn rows(chunks: &[Chunk]) -> Vec<Vec<String>> {
    let rows = chunks.iter().flat_map(|chunk| chunk.rows().unwrap());
    rows.map(|row| row.iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn every_way_to_cut_a_file_gives_the_same_rows() {
    let file =
        "\u{feff}id,note\r\n1,\"a\r\nb\"\r\n\r\n2,\"c,\"\"d\"\"\"\r\n3\r\n4,é\r\n5,\"\n\"\r\n";
    let (whole, _) = chunks(file, 100, 100);
    assert_eq!(
        rows(&whole),
        [
            vec!["1", "a\r\nb"],
            vec!["2", "c,\"d\""],
            vec!["3"],
            vec!["4", "é"],
            vec!["5", "\n"]
        ]
    );
    for (size, per_page) in [(1, 1), (1, 3), (2, 1), (2, 2), (3, 1), (5, 1)] {
        let (cut, pages) = chunks(file, size, per_page);
        assert_eq!(rows(&cut), rows(&whole), "{size} rows, {per_page} chunks");
        assert_eq!(cut.len(), 5usize.div_ceil(size as usize));
        assert_eq!(pages, cut.len().div_ceil(per_page));
    }
}

#[test]
fn chunks_are_numbered_and_counted_across_pages_and_only_the_last_is_last() {
    let (cut, _) = chunks("a\n1\n2\n3\n4\n5\n", 2, 1);
    let seen: Vec<_> = cut
        .iter()
        .map(|chunk| (chunk.index, chunk.first_row, chunk.account.read, chunk.last))
        .collect();
    assert_eq!(seen, [(0, 1, 2, false), (1, 3, 2, false), (2, 5, 1, true)]);
}

#[test]
fn pages_and_chunks_end_before_their_text_gets_too_long() {
    let field = "\"\"".repeat(20_000);
    let file = format!("a\n{}", format!("\"{field}\"\n").repeat(60));
    let (cut, pages) = chunks(&file, 500, 20);
    assert_eq!(rows(&cut).len(), 60);
    assert!(
        pages > 3 && cut.len() >= pages,
        "{pages} pages, {} chunks",
        cut.len()
    );
}

#[test]
fn wherever_a_window_ends_no_row_is_lost_or_cut() {
    let rows_of = |file: &str| rows(&chunks(file, 5_000, 20).0).len();
    let gap = |length| "\n".repeat(length);
    let file = format!("a\n1\n{}2\n{}", gap(400_000), gap(3_000_000));
    assert_eq!(rows_of(&file), 2);
    assert_eq!(rows_of(&format!("{}\n1\n", "h".repeat(100_000))), 1);
    for length in [1 << 16, (1 << 16) + 1, WINDOW - 1, WINDOW, WINDOW + 1] {
        let file = format!("a\n{}", "\"x\n,\",y\n".repeat(length / 8 + 1));
        let file = file[..length].rsplit_once("\"x").unwrap().0;
        assert_eq!(rows_of(file), file.matches("\"x").count(), "{length} bytes");
    }
}

#[test]
fn bytes_that_are_no_text_are_kept_as_replacement_characters() {
    let output = page(json!({ "file": blob(b"a,b\n1,\xff\n") })).unwrap();
    assert_eq!(output["items"][0]["csv"], "1,\u{fffd}");
}

#[test]
fn what_cannot_be_cut_is_refused_with_a_way_out() {
    let error = |input: Value| page(input).unwrap_err().to_string();
    assert!(error(json!({ "file": "" })).contains("header row"));
    assert!(error(json!({ "file": "a,b\n\n" })).contains("no row below"));
    assert!(error(json!({ "file": "a;b\n1;2\n" })).contains("save it with commas"));
    assert!(error(json!({ "file": "a\n1\n", "rows-per-chunk": 0 })).contains("1 or more"));
    let open = format!("a\n\"{}", "x\n".repeat(600_000));
    assert!(error(json!({ "file": open })).contains("quote that is not closed"));
    for offset in [0, 3, 99] {
        let cursor = json!({ "offset": offset, "chunk": 0, "row": 0 });
        assert!(
            error(json!({ "file": "a\n1\n", "cursor": cursor })).contains("input.cursor.offset")
        );
    }
}
