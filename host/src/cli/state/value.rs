//! The VALUE of `kennel state set`: an argument, a file or standard input, and what it is read as.

use std::io::Read as _;
use std::path::Path;

use super::super::exit::CliError;
use super::super::input::{media_type, read_file};
use crate::payload::Payload;
use crate::store::KvValue;

#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct ValueArgs {
    /// The value: text, `@FILE` for a file (`@@` stands for a plain `@`), or `-` for standard input.
    #[arg(value_name = "VALUE|@FILE|-", allow_hyphen_values = true)]
    value: String,
    /// `json`, `text` or a media type [default: `json` when it is JSON, else `text`, else by the file].
    #[arg(long)]
    format: Option<String>,
}

impl ValueArgs {
    /// The value, of at most `most` bytes.
    pub(super) fn read(&self, most: u64) -> Result<KvValue, CliError> {
        let (bytes, kind) = match self.value.as_str() {
            "-" => (stdin(most)?, None),
            text => match text.strip_prefix('@') {
                Some(rest) if rest.starts_with('@') => (rest.as_bytes().to_vec(), None),
                Some(path) => {
                    let path = Path::new(path);
                    let bytes = read_file(path)?;
                    let kind = media_type(path, &bytes);
                    (bytes, Some(kind))
                }
                None => (text.as_bytes().to_vec(), None),
            },
        };
        if bytes.len() as u64 > most {
            return Err(CliError::Usage(format!(
                "the value has {} bytes; `limits.state-value` allows {most}",
                bytes.len()
            )));
        }
        let format = match &self.format {
            Some(format) => format.clone(),
            None => guess(&bytes, kind),
        };
        check(&format, &bytes)?;
        Ok(KvValue {
            format,
            bytes: bytes.into(),
        })
    }
}

fn stdin(most: u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::Usage(format!("read standard input: {error}")))?;
    Ok(bytes)
}

fn guess(bytes: &[u8], file: Option<String>) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => "json".into(),
        Ok(_) => "text".into(),
        Err(_) => file.unwrap_or_else(|| "application/octet-stream".into()),
    }
}

fn check(format: &str, bytes: &[u8]) -> Result<(), CliError> {
    let refuse = |why: String| Err(CliError::Usage(format!("--format {format}: {why}")));
    let text = || String::from_utf8(bytes.to_vec());
    match format {
        "text" if text().is_err() => refuse("the value is not UTF-8".into()),
        "json" => match text().map(Payload::json) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => refuse(format!("the value is not JSON: {error}")),
            Err(_) => refuse("the value is not UTF-8".into()),
        },
        "text" => Ok(()),
        kind if kind.contains('/')
            && kind.len() <= 127
            && kind.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(())
        }
        _ => refuse("it may be `json`, `text` or a media type such as `image/png`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str, format: Option<&str>) -> Result<KvValue, CliError> {
        let args = ValueArgs {
            value: value.into(),
            format: format.map(str::to_owned),
        };
        args.read(16)
    }

    #[test]
    fn a_value_is_json_when_it_is_json_and_text_otherwise() {
        for (value, format, is, bytes) in [
            ("5", None, "json", "5"),
            ("{\"a\": 1}", None, "json", "{\"a\": 1}"),
            ("five", None, "text", "five"),
            ("5", Some("text"), "text", "5"),
            ("@@me", None, "text", "@me"),
            ("-1", None, "json", "-1"),
        ] {
            let value = read(value, format).expect("a value");
            assert_eq!(
                (value.format.as_str(), value.bytes.as_ref()),
                (is, bytes.as_bytes())
            );
        }
    }

    #[test]
    fn a_file_that_is_no_text_keeps_its_media_type() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("x.png");
        std::fs::write(&file, b"\x89PNG\r\n\x1a\n").expect("written");
        let value = read(&format!("@{}", file.display()), None).expect("a value");
        assert_eq!(value.format, "image/png");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (value, format, said) in [
            ("{", Some("json"), "not JSON"),
            ("x", Some("nonsense"), "media type"),
            ("12345678901234567", None, "limits.state-value"),
            ("@missing", None, "missing"),
        ] {
            let error = read(value, format).expect_err("refused");
            assert!(
                error.message().is_some_and(|text| text.contains(said)),
                "{error:?}"
            );
        }
    }
}
