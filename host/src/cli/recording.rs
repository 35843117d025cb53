//! Reads a recording: CloudEvents in JSON, one a line. It is read whole before anything runs, and one bad line refuses all of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use super::exit::CliError;
use super::ui;
use crate::event::{CloudEvent, MAX_EVENT};

/// The largest recording that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;
/// Bad lines that are told one by one.
const TOLD: usize = 20;

/// Every event of the recording, in its order. Empty lines are skipped.
pub(super) fn read(file: &Path) -> Result<Vec<CloudEvent>, CliError> {
    let shown = ui::safe(&file.display().to_string());
    let fail = |why: String| CliError::Usage(format!("read the recording `{shown}`: {why}"));
    let opened = File::open(file).map_err(|error| fail(error.to_string()))?;
    let found = opened.metadata().map_err(|error| fail(error.to_string()))?;
    if found.len() > MAX_FILE {
        return Err(fail(format!(
            "it has {} bytes, at most {MAX_FILE} are read; split it",
            found.len()
        )));
    }
    let mut reader = BufReader::new(opened.take(MAX_FILE));
    let (mut events, mut bad) = (Vec::new(), Vec::new());
    let mut line = Vec::new();
    for number in 1_usize.. {
        line.clear();
        let read = reader
            .by_ref()
            .take(MAX_EVENT as u64 + 2)
            .read_until(b'\n', &mut line);
        if read.map_err(|error| fail(error.to_string()))? == 0 {
            break;
        }
        if !line.ends_with(b"\n") && line.len() > MAX_EVENT + 1 {
            // The rest of it would be taken for lines of their own.
            bad.push((
                number,
                format!("it is longer than the {MAX_EVENT} bytes of an event"),
            ));
            break;
        }
        match event(&line) {
            Ok(event) => events.extend(event),
            Err(why) => bad.push((number, why)),
        }
    }
    if bad.is_empty() {
        return Ok(events);
    }
    for (number, why) in bad.iter().take(TOLD) {
        let why = ui::safe(why);
        ui::say(format_args!(
            "{} line {number}: {why}",
            ui::styled(ui::BAD, "✗")
        ));
    }
    let (count, lines) = (
        bad.len(),
        if bad.len() == 1 {
            "line is no event"
        } else {
            "lines are no events"
        },
    );
    Err(CliError::Usage(format!(
        "recording `{shown}`: {count} {lines}; nothing was run"
    )))
}

/// The event in a line; `None` for an empty one.
fn event(line: &[u8]) -> Result<Option<CloudEvent>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_owned())?;
    match text.trim() {
        "" => Ok(None),
        text => CloudEvent::parse(text)
            .map(Some)
            .map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

    fn recording(content: impl AsRef<[u8]>) -> Result<Vec<CloudEvent>, CliError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("written");
        read(file.path())
    }

    #[test]
    fn each_line_is_an_event_and_empty_lines_are_none() {
        assert_eq!(recording("").expect("read").len(), 0);
        assert_eq!(
            recording(format!("{GOOD}\r\n\n  \n{GOOD}"))
                .expect("read")
                .len(),
            2
        );
    }

    #[test]
    fn one_bad_line_refuses_the_whole_recording() {
        let long = format!("{GOOD}\n{}\n{GOOD}", "x".repeat(MAX_EVENT + 5));
        for (content, said) in [
            (
                format!("{GOOD}\n{{}}\n[]\n{GOOD}").into_bytes(),
                "2 lines are no events",
            ),
            (
                format!("{GOOD}\nprice 7").into_bytes(),
                "1 line is no event",
            ),
            (b"\xff\n".to_vec(), "1 line is no event"),
            (long.into_bytes(), "1 line is no event"),
        ] {
            let error = recording(content).expect_err("refused");
            assert!(
                error
                    .message()
                    .is_some_and(|message| message.contains(said)),
                "{error:?}"
            );
        }
    }
}
