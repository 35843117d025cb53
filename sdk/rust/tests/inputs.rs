//! How payloads become an agent's types and back, and what the errors say.

use kennel_sdk::prelude::*;
use kennel_sdk::testing;

#[derive(Debug, Deserialize, JsonSchema)]
struct Named {
    text: String,
    #[serde(default)]
    tags: Vec<u8>,
}

impl From<String> for Named {
    fn from(text: String) -> Self {
        Self {
            text,
            tags: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Document {
    document: Content,
    #[serde(default)]
    page: u32,
}

impl From<Content> for Document {
    fn from(document: Content) -> Self {
        Self { document, page: 0 }
    }
}

fn text_of(content: &Content) -> String {
    match content {
        Content::Text(text) => format!("text {text}"),
        Content::Blob(blob) => format!(
            "{} {}",
            blob.media_type(),
            String::from_utf8_lossy(blob.bytes().unwrap())
        ),
    }
}

fn named(input: Payload) -> Result<Named, String> {
    input.decode().map(|TextOr(named)| named)
}

fn document(input: Payload) -> Result<String, String> {
    input
        .decode()
        .map(|ContentOr(Document { document, page })| format!("{} page {page}", text_of(&document)))
}

#[test]
fn a_text_reads_as_a_string_and_not_as_a_struct() {
    assert_eq!(Payload::text("hi").decode::<String>(), Ok("hi".to_owned()));
    assert_eq!(
        Payload::json(&json!("hi")).decode::<String>(),
        Ok("hi".to_owned())
    );
    let error = Payload::text("hi").decode::<Named>().unwrap_err();
    assert_eq!(
        error,
        r#"the value is a text: invalid type: string "hi", expected struct Named"#
    );
}

#[test]
fn an_error_names_the_field_and_quotes_no_book() {
    let error = Payload::json(&json!({ "text": "x", "tags": [1, "two"] }))
        .decode::<Named>()
        .unwrap_err();
    assert!(
        error.starts_with("value.tags[1]: invalid type: string \"two\", expected u8"),
        "{error}"
    );
    let error = named(Payload::json(&json!({ "text": "x", "tags": [1, 900] }))).unwrap_err();
    assert!(
        error.starts_with("value.tags[1]: invalid value: integer `900`"),
        "{error}"
    );
    let error = named(Payload::json(&json!({}))).unwrap_err();
    assert!(error.starts_with("value: missing field `text`"), "{error}");
    let error = Payload::text("long ".repeat(10_000))
        .decode::<Named>()
        .unwrap_err();
    assert!(
        error.chars().count() < 300 && error.ends_with("expected struct Named"),
        "{error}"
    );
}

#[test]
fn json_that_is_broken_or_goes_on_is_refused() {
    let broken = Payload::Json("{".into()).decode::<Value>().unwrap_err();
    assert!(broken.contains("EOF while parsing"), "{broken}");
    let more = Payload::Json("1 2".into()).decode::<Value>().unwrap_err();
    assert!(more.contains("trailing characters"), "{more}");
}

#[test]
fn text_or_takes_a_bare_text_and_an_object_and_nothing_else() {
    assert_eq!(named(Payload::text("hi")).unwrap().text, "hi");
    assert_eq!(named(Payload::json(&json!("hi"))).unwrap().text, "hi");
    let both = named(Payload::json(&json!({ "text": "hi", "tags": [3] }))).unwrap();
    assert_eq!((both.text.as_str(), both.tags.as_slice()), ("hi", &[3][..]));
    let error = named(Payload::json(&json!(3))).unwrap_err();
    assert!(
        error.contains("integer `3`, expected a text or an object"),
        "{error}"
    );
    let error = named(Payload::blob("image/png", [1])).unwrap_err();
    assert_eq!(
        error,
        "the value is a blob of type image/png, expected a text or an object"
    );
}

#[test]
fn a_part_of_a_blob_is_the_same_whether_its_bytes_are_here_or_with_the_host() {
    let here = Blob::new("text/plain", *b"abcdef");
    let digest = testing::add_blob("text/plain", b"abcdef");
    let there: Blob = Payload::json(&json!({ "$blob": digest })).decode().unwrap();
    for (offset, length, part) in [
        (0, 2, "ab"),
        (4, 9, "ef"),
        (6, 1, ""),
        (u64::MAX, u32::MAX, ""),
    ] {
        for blob in [&here, &there] {
            assert_eq!(*blob.part(offset, length).unwrap(), *part.as_bytes());
        }
    }
}

#[test]
fn a_blob_payload_gives_its_bytes_without_asking_the_host() {
    let blob: Blob = Payload::blob("text/plain", *b"abc").decode().unwrap();
    assert_eq!(
        (blob.media_type(), blob.size(), blob.bytes()),
        ("text/plain", Some(3), Ok(&b"abc"[..]))
    );
    assert!(
        Payload::text("abc")
            .decode::<Blob>()
            .unwrap_err()
            .contains("expected a blob")
    );
}

#[test]
fn a_reference_is_read_when_its_bytes_are_asked_for() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let blob: Blob = Payload::json(&json!({ "$blob": digest, "size": 9 }))
        .decode()
        .unwrap();
    assert_eq!(
        (blob.media_type(), blob.size()),
        ("application/octet-stream", Some(9))
    );
    assert!(matches!(blob.bytes(), Err(Error::Recoverable(e)) if e.contains("no such blob")));
    let digest = testing::add_blob("text/plain", b"late");
    let blob: Blob = Payload::json(&json!({ "$blob": digest })).decode().unwrap();
    assert_eq!(blob.into_bytes(), Ok(b"late".to_vec()));
    let error = Payload::json(&json!({ "media-type": "text/plain" }))
        .decode::<Blob>()
        .unwrap_err();
    assert!(error.contains("`$blob`"), "{error}");
}

#[test]
fn content_or_takes_bytes_a_text_a_reference_and_an_object() {
    let digest = testing::add_blob("text/html", b"<p>");
    let reference = json!({ "$blob": digest, "media-type": "text/html", "size": 3 });
    assert_eq!(
        document(Payload::blob("a/b", *b"raw")).unwrap(),
        "a/b raw page 0"
    );
    assert_eq!(document(Payload::text("hi")).unwrap(), "text hi page 0");
    assert_eq!(
        document(Payload::json(&reference)).unwrap(),
        "text/html <p> page 0"
    );
    assert_eq!(
        document(Payload::json(&json!({ "document": "hi", "page": 2 }))).unwrap(),
        "text hi page 2"
    );
    assert_eq!(
        document(Payload::json(&json!({ "page": 3, "document": reference }))).unwrap(),
        "text/html <p> page 3"
    );
    let error = document(Payload::json(&json!({ "document": [] }))).unwrap_err();
    assert!(
        error.starts_with("value.document: invalid type: sequence, expected a text or a blob"),
        "{error}"
    );
    let error = document(Payload::json(&json!({ "document": "x", "page": "two" }))).unwrap_err();
    assert!(error.starts_with("value.page: invalid type"), "{error}");
}

#[derive(Serialize, JsonSchema)]
struct Picture {
    title: String,
    image: Blob,
}

struct Draw;

impl Agent for Draw {
    type Input = String;
    type Output = Picture;
    const SKILL: &'static str = "draw";
    const DESCRIPTION: &'static str = "Draws.";

    fn handle(title: String, _: &Task) -> Result<Picture, Error> {
        Ok(Picture {
            title,
            image: Blob::new("image/png", *b"png"),
        })
    }
}

kennel_sdk::export!(Draw);

mod pass {
    use super::*;

    pub(crate) struct Pass;

    impl Agent for Pass {
        type Input = Blob;
        type Output = Blob;
        const SKILL: &'static str = "pass";
        const DESCRIPTION: &'static str = "Passes a blob on.";

        fn handle(blob: Blob, _: &Task) -> Result<Blob, Error> {
            Ok(blob)
        }
    }

    kennel_sdk::export!(Pass);
}

#[test]
fn a_blob_inside_an_output_is_written_and_becomes_its_reference() {
    let Ok(Payload::Json(json)) = AGENT.handle(Task::new("t"), Payload::text("sun")) else {
        panic!("not JSON")
    };
    let digest = testing::add_blob("image/png", b"png");
    assert_eq!(
        json,
        format!(
            r#"{{"title":"sun","image":{{"$blob":"{digest}","media-type":"image/png","size":3}}}}"#
        )
    );
}

#[test]
fn a_blob_output_is_its_bytes_and_an_unread_reference_stays_one() {
    let bytes = Payload::blob("a/b", *b"xyz");
    assert_eq!(pass::AGENT.handle(Task::new("t"), bytes.clone()), Ok(bytes));
    let unread = Payload::json(&json!({ "$blob": "sha256:00", "media-type": "a/b", "size": 7 }));
    assert_eq!(
        pass::AGENT.handle(Task::new("t"), unread),
        Ok(Payload::Json(
            r#"{"$blob":"sha256:00","media-type":"a/b","size":7}"#.into()
        ))
    );
}

#[test]
fn a_task_with_a_wrong_input_is_an_invalid_input() {
    assert_eq!(
        pass::AGENT.handle(Task::new("t"), Payload::text("hi")),
        Err(Error::invalid_input(
            r#"the input is a text: invalid type: string "hi", expected a blob"#
        ))
    );
}
