//! Reads `--input` and `--set`: JSON in which a string `@PATH` stands for the file.
//!
//! Files are taken in here and nowhere else; what leaves is JSON with blob references, and the bytes are in the store.

use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::exit::CliError;
use crate::payload::{Blob, BlobRef};
use crate::store::Blobs;

/// The largest file that is taken in, in bytes. Bounds what a mistyped path costs.
const MAX_FILE: u64 = 64 << 20;

/// The options that say what a run or a task gets.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct InputArgs {
    /// The input: JSON, `@FILE` for a file of JSON, or `-` for JSON on standard input.
    ///
    /// Inside the JSON a string `@PATH` becomes the file at PATH (`@@` stands for a plain `@`).
    #[arg(long, short, value_name = "JSON|@FILE|-")]
    input: Option<String>,
    /// The input as plain text.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["input", "set"])]
    text: Option<String>,
    /// Sets one field of the input: `--set language=en`, `--set page.number=3`, `--set document=@scan.pdf`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl InputArgs {
    /// Refuses an input for what takes none, and says why.
    pub(super) fn refuse(&self, why: &str) -> Result<(), CliError> {
        match self.input.is_some() || self.text.is_some() || !self.set.is_empty() {
            true => Err(CliError::Usage(format!(
                "no input is taken: {why}\n  help: leave --input, --text and --set out, and emit events with `kennel emit`"
            ))),
            false => Ok(()),
        }
    }

    /// The input; null when nothing was given. Files are put into `blobs`.
    pub(crate) async fn read(&self, blobs: &dyn Blobs) -> Result<Value, CliError> {
        if let Some(text) = &self.text {
            return Ok(Value::String(text.clone()));
        }
        let mut value = self
            .input
            .as_deref()
            .map(|argument| json("--input", argument))
            .transpose()?
            .unwrap_or(Value::Null);
        for set in &self.set {
            assign(&mut value, set)?;
        }
        take_files(value, blobs).await
    }
}

/// What `option` says, as JSON: itself, a file's content after `@`, or standard input after `-`. Strings `@PATH` inside become files.
pub(super) async fn read_json(
    option: &str,
    argument: &str,
    blobs: &dyn Blobs,
) -> Result<Value, CliError> {
    take_files(json(option, argument)?, blobs).await
}

fn json(option: &str, argument: &str) -> Result<Value, CliError> {
    let (what, text) = match argument {
        "-" => {
            let mut text = String::new();
            let read = std::io::stdin()
                .take(MAX_FILE + 1)
                .read_to_string(&mut text);
            read.map_err(|error| {
                CliError::Usage(format!("read the input from standard input: {error}"))
            })?;
            if text.len() as u64 > MAX_FILE {
                return Err(CliError::Usage(format!(
                    "standard input has more than {MAX_FILE} bytes"
                )));
            }
            ("standard input".to_owned(), text)
        }
        file if file.starts_with('@') && !file.starts_with("@@") => {
            let path = Path::new(&file[1..]);
            let bytes = read_file(path)?;
            let not_text = |_| not_json(path, "it is not UTF-8 text");
            (
                format!("`{}`", path.display()),
                String::from_utf8(bytes).map_err(not_text)?,
            )
        }
        text => (option.to_owned(), text.to_owned()),
    };
    serde_json::from_str(&text).map_err(|error| {
        CliError::Usage(format!(
            "{what} is not JSON: {error}\n  help: {}",
            not_json_help(option)
        ))
    })
}

fn not_json_help(option: &str) -> String {
    let file = format!("for a file {option} '{{\"document\": \"@FILE\"}}'");
    match option {
        "--input" => format!("for plain text use --text 'TEXT', {file}"),
        _ => format!("for plain text write {option} '\"TEXT\"', {file}"),
    }
}

fn not_json(path: &Path, why: &str) -> CliError {
    let path = path.display();
    CliError::Usage(format!(
        "`{path}` is not JSON: {why}\n  help: to hand over the file itself, write --input '{{\"document\": \"@{path}\"}}'"
    ))
}

/// Key and value of `KEY=VALUE`; the value is JSON when it is JSON, text otherwise.
pub(super) fn assignment(set: &str) -> Result<(&str, Value), CliError> {
    let parts = set.split_once('=');
    let (key, given) = parts.ok_or_else(|| misused(set, "there is no `=`"))?;
    let given = serde_json::from_str(given).unwrap_or_else(|_| Value::String(given.to_owned()));
    Ok((key, given))
}

fn misused(set: &str, why: &str) -> CliError {
    CliError::Usage(format!("--set {set}: {why}\n  help: write --set KEY=VALUE"))
}

/// `a.b=VALUE`: VALUE is JSON when it is JSON, text otherwise.
fn assign(value: &mut Value, set: &str) -> Result<(), CliError> {
    let usage = |why| misused(set, why);
    let (key, given) = assignment(set)?;
    let mut place = value;
    for part in key.split('.') {
        if part.is_empty() {
            return Err(usage("the key is empty"));
        }
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else {
            return Err(usage("the input has a value there that is not an object"));
        };
        place = map.entry(part).or_insert(Value::Null);
    }
    *place = given;
    Ok(())
}

/// Replaces every string `@PATH` by a reference to the file's bytes.
pub(super) async fn take_files(mut value: Value, blobs: &dyn Blobs) -> Result<Value, CliError> {
    let mut strings = Vec::new();
    collect(&mut value, &mut strings);
    for text in strings {
        let Value::String(written) = text else {
            continue;
        };
        if let Some(rest) = written.strip_prefix("@@") {
            *text = Value::String(format!("@{rest}"));
        } else if let Some(path) = written.strip_prefix('@') {
            *text = take_file(Path::new(path), blobs).await?.to_value();
        }
    }
    Ok(value)
}

fn collect<'v>(value: &'v mut Value, into: &mut Vec<&'v mut Value>) {
    match value {
        Value::String(_) => into.push(value),
        Value::Array(items) => items.iter_mut().for_each(|item| collect(item, into)),
        Value::Object(map) => map.values_mut().for_each(|item| collect(item, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

async fn take_file(path: &Path, blobs: &dyn Blobs) -> Result<BlobRef, CliError> {
    let bytes = Bytes::from(read_file(path)?);
    let blob = Blob {
        media_type: media_type(path, &bytes),
        bytes,
    };
    let reference = blob.reference();
    blobs.put(blob.bytes).await?;
    Ok(reference)
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    let fail = |why: String| CliError::Usage(format!("read `{}`: {why}", path.display()));
    let found = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    match found.len() {
        _ if !found.is_file() => Err(fail("it is not a file".into())),
        size if size > MAX_FILE => Err(fail(format!(
            "it has {size} bytes, at most {MAX_FILE} are taken"
        ))),
        _ => std::fs::read(path).map_err(|error| fail(error.to_string())),
    }
}

/// By content where it is known by its first bytes, else by the file's extension, else text or bytes.
pub(super) fn media_type(path: &Path, bytes: &[u8]) -> String {
    if let Some(kind) = infer::get(bytes).filter(|kind| kind.mime_type() != "text/xml") {
        return kind.mime_type().to_owned();
    }
    let unknown = if std::str::from_utf8(bytes).is_ok() {
        mime_guess::mime::TEXT_PLAIN
    } else {
        mime_guess::mime::APPLICATION_OCTET_STREAM
    };
    mime_guess::from_path(path)
        .first()
        .unwrap_or(unknown)
        .essence_str()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Backend as _;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_string_with_an_at_sign_becomes_the_file() {
        let store = MemoryStore::new();
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("page.html");
        std::fs::write(&file, "<p>hello").expect("written");
        let args = InputArgs {
            input: Some(
                serde_json::json!({ "document": format!("@{}", file.display()), "mail": "@@me" })
                    .to_string(),
            ),
            ..InputArgs::default()
        };
        let value = args.read(store.blobs()).await.expect("read");
        let blob = BlobRef::from_value(&value["document"]).expect("a reference");
        assert_eq!(blob.media_type, "text/html");
        assert_eq!(value["mail"], "@me");
        assert_eq!(
            store
                .blobs()
                .get(blob.digest)
                .await
                .expect("read")
                .expect("there"),
            "<p>hello"
        );
    }

    #[tokio::test]
    async fn fields_are_set_one_by_one() {
        let store = MemoryStore::new();
        let set = ["a.b=3".into(), "a.c=three".into(), "d=[1, 2]".into()].to_vec();
        let value = InputArgs {
            set,
            ..InputArgs::default()
        }
        .read(store.blobs())
        .await
        .expect("read");
        assert_eq!(
            value,
            serde_json::json!({ "a": { "b": 3, "c": "three" }, "d": [1, 2] })
        );
    }

    #[tokio::test]
    async fn bad_input_is_refused_with_the_way_out() {
        let store = MemoryStore::new();
        for (input, said) in [
            ("hello", "--text"),
            ("@missing.json", "missing.json"),
            (r#"{"d": "@missing.pdf"}"#, "missing.pdf"),
        ] {
            let args = InputArgs {
                input: Some(input.into()),
                ..InputArgs::default()
            };
            let error = args.read(store.blobs()).await.expect_err("refused");
            assert!(
                error
                    .message()
                    .is_some_and(|message| message.contains(said)),
                "{error:?}"
            );
        }
    }
}
