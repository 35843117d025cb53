//! Events: CloudEvents 1.0 in their JSON format, read strictly. What wakes event-driven flows.
//!
//! Pure data: nothing is queued or delivered here, and no clock is read. Extension attributes that the standard allows are kept and
//! handed on; whatever it does not allow is refused with the attribute's name. Bytes (`data_base64`) are refused too: they belong
//! into a blob, and the event carries its reference.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::expr;
use crate::id::{Digest, EventType};
use crate::payload::is_deeper;

/// The longest event as text, in bytes.
pub const MAX_EVENT: usize = 1 << 20;
/// The longest id, source, subject or data schema, in bytes.
pub const MAX_TEXT: usize = 512;
/// The most extension attributes.
pub const MAX_EXTENSIONS: usize = 32;

/// The most events that may lead to an event, each having started the run that emitted the next.
pub const MAX_HOPS: u8 = 8;

/// The version of CloudEvents that is read and written.
const SPEC: &str = "1.0";
/// The longest name of an extension attribute, as the standard advises.
const MAX_NAME: usize = 20;
/// The longest value of an extension attribute, in bytes.
const MAX_VALUE: usize = 1024;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// Unique among the events of its source: two events with the same source and id are the same event.
    pub id: String,
    /// Where it comes from, as a URI or a path such as `/agents/NAME`.
    pub source: String,
    /// What it tells.
    pub event_type: EventType,
    /// What it is about, within the source.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// The media type of the data; JSON when absent.
    pub content_type: Option<String>,
    /// Where the schema of the data stands.
    pub schema: Option<String>,
    /// Texts, whole numbers and booleans under names of lower-case letters and digits.
    pub extensions: BTreeMap<String, Value>,
    /// What it carries; null when it carries nothing.
    pub data: Value,
    /// How many events led to it: each started the run that emitted the next. Kept by the host alone; it is neither read from an event's
    /// text nor written there.
    pub hops: u8,
}

/// Why something is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The text is too long.
    #[error(
        "it has {0} bytes, and an event has at most {MAX_EVENT}; put what is large into a blob"
    )]
    TooLong(usize),
    /// The text is not one JSON object.
    #[error("it is not a JSON object: {0}")]
    NotJson(String),
    /// Too many events led to it.
    #[error(
        "call-depth: {MAX_HOPS} events led to this one, each waking the agent that emitted the next; no more may follow"
    )]
    TooDeep,
    /// An attribute is missing, or not as it must be.
    #[error("`{attribute}`: {reason}")]
    Attribute {
        /// The attribute, safe to show.
        attribute: String,
        /// What is wrong with it, safe to show.
        reason: String,
    },
}

impl CloudEvent {
    /// An event that carries `data`, with nothing else said about it.
    ///
    /// # Errors
    /// When the id, the source or the data is not allowed.
    pub fn new(
        source: impl Into<String>,
        id: impl Into<String>,
        event_type: EventType,
        data: Value,
    ) -> Result<Self, EventError> {
        let event = Self {
            id: id.into(),
            source: source.into(),
            event_type,
            subject: None,
            time: None,
            content_type: None,
            schema: None,
            extensions: BTreeMap::new(),
            data,
            hops: 0,
        };
        event.check()?;
        Ok(event)
    }

    /// Reads one event from its JSON text.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, EventError> {
        if text.len() > MAX_EVENT {
            return Err(EventError::TooLong(text.len()));
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Self::of(map),
            Ok(_) => Err(EventError::NotJson("it is another JSON value".into())),
            Err(error) => Err(EventError::NotJson(error.to_string())),
        }
    }

    fn of(mut map: Map<String, Value>) -> Result<Self, EventError> {
        match required(&mut map, "specversion")?.as_str() {
            SPEC => {}
            _ => return Err(wrong("specversion", "only version `1.0` is read")),
        }
        if map.contains_key("data_base64") {
            let way_out =
                "bytes are not taken; put them into a blob and carry its reference in `data`";
            return Err(wrong("data_base64", way_out));
        }
        let (id, source) = (required(&mut map, "id")?, required(&mut map, "source")?);
        let event_type = required(&mut map, "type")?;
        let event_type = event_type
            .parse()
            .map_err(|error: crate::id::IdError| wrong("type", error))?;
        let time = optional(&mut map, "time")?;
        let time = time.map(|time| {
            let not_a_time = |_| wrong("time", "it must be a time such as `2026-01-31T12:00:00Z`");
            time.parse::<Timestamp>().map_err(not_a_time)
        });
        let event = Self {
            id,
            source,
            event_type,
            subject: optional(&mut map, "subject")?,
            time: time.transpose()?,
            content_type: optional(&mut map, "datacontenttype")?,
            schema: optional(&mut map, "dataschema")?,
            data: map.shift_remove("data").unwrap_or_default(),
            hops: 0,
            // What is left has a name that the standard does not know.
            extensions: map
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        };
        event.check()?;
        Ok(event)
    }

    /// Whether every attribute and the data are as the standard and the bounds want them.
    fn check(&self) -> Result<(), EventError> {
        plain("id", &self.id)?;
        uri("source", &self.source)?;
        if let Some(subject) = &self.subject {
            plain("subject", subject)?;
        }
        if let Some(schema) = &self.schema {
            uri("dataschema", schema)?;
        }
        if let Some(media) = &self.content_type {
            plain("datacontenttype", media)?;
            if !media.is_ascii() || !media.contains('/') {
                return Err(wrong(
                    "datacontenttype",
                    "it must be a media type such as `application/json`",
                ));
            }
        }
        if self.extensions.len() > MAX_EXTENSIONS {
            let reason = format!("there are more than {MAX_EXTENSIONS} extension attributes");
            return Err(wrong("extensions", reason));
        }
        self.extensions
            .iter()
            .try_for_each(|(name, value)| extension(name, value))?;
        if is_deeper(&self.data, expr::MAX_DEPTH) {
            let reason = format!("it is nested more than {} levels deep", expr::MAX_DEPTH);
            return Err(wrong("data", reason));
        }
        match text_len(&self.data) {
            size if size <= MAX_EVENT => Ok(()),
            size => Err(EventError::TooLong(size)),
        }
    }

    /// The same event with a subject.
    ///
    /// # Errors
    /// When the subject is not allowed.
    pub fn about(self, subject: Option<String>) -> Result<Self, EventError> {
        if let Some(subject) = &subject {
            plain("subject", subject)?;
        }
        Ok(Self { subject, ..self })
    }

    /// The same event, to which so many others led.
    ///
    /// # Errors
    /// When those are more than [`MAX_HOPS`]: a flow that wakes itself must come to an end.
    pub fn after(self, hops: u8) -> Result<Self, EventError> {
        match hops <= MAX_HOPS {
            true => Ok(Self { hops, ..self }),
            false => Err(EventError::TooDeep),
        }
    }

    /// What makes it this event: its source and its id, as one digest. The same for every copy, however it arrives.
    pub fn key(&self) -> Digest {
        let mut hash = Sha256::new();
        // The length keeps `a` + `bc` apart from `ab` + `c`.
        hash.update((self.source.len() as u64).to_be_bytes());
        hash.update(&self.source);
        hash.update(&self.id);
        Digest::from_bytes(hash.finalize().into())
    }

    /// The event as JSON text, which [`CloudEvent::parse`] reads again.
    ///
    /// # Errors
    /// When it would be too long for that.
    pub fn to_text(&self) -> Result<String, EventError> {
        let text = self.to_value().to_string();
        match text.len() {
            size if size <= MAX_EVENT => Ok(text),
            size => Err(EventError::TooLong(size)),
        }
    }

    /// The event in the JSON format of CloudEvents.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                map.insert(name.to_owned(), value);
            }
        };
        put("specversion", SPEC.into());
        put("id", self.id.as_str().into());
        put("source", self.source.as_str().into());
        put("type", self.event_type.as_str().into());
        put("subject", self.subject.as_deref().into());
        put("time", self.time.map(|time| time.to_string()).into());
        put("datacontenttype", self.content_type.as_deref().into());
        put("dataschema", self.schema.as_deref().into());
        for (name, value) in &self.extensions {
            put(name, value.clone());
        }
        put("data", self.data.clone());
        Value::Object(map)
    }
}

fn wrong(attribute: &str, reason: impl fmt::Display) -> EventError {
    EventError::Attribute {
        attribute: attribute
            .chars()
            .take(MAX_NAME)
            .flat_map(char::escape_debug)
            .collect(),
        reason: reason.to_string(),
    }
}

fn required(map: &mut Map<String, Value>, name: &str) -> Result<String, EventError> {
    optional(map, name)?.ok_or_else(|| wrong(name, "it is missing"))
}

/// Null means absent, as the standard has it.
fn optional(map: &mut Map<String, Value>, name: &str) -> Result<Option<String>, EventError> {
    match map.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "it must be text")),
    }
}

fn plain(attribute: &str, text: &str) -> Result<(), EventError> {
    if text.is_empty() {
        return Err(wrong(attribute, "it is empty"));
    }
    if text.len() > MAX_TEXT {
        return Err(wrong(
            attribute,
            format!("it is longer than {MAX_TEXT} bytes"),
        ));
    }
    match text.chars().any(char::is_control) {
        true => Err(wrong(attribute, "it has control characters")),
        false => Ok(()),
    }
}

/// Whether it can be a URI or a relative reference: only the characters that those have.
fn uri(attribute: &str, text: &str) -> Result<(), EventError> {
    plain(attribute, text)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    match text.bytes().all(allowed) {
        true => Ok(()),
        false => Err(wrong(
            attribute,
            "it must be a URI or a path such as `/sensors/7`, without blanks",
        )),
    }
}

fn extension(name: &str, value: &Value) -> Result<(), EventError> {
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(named) {
        return Err(wrong(
            name,
            "an extension attribute has a name of at most 20 lower-case letters and digits",
        ));
    }
    match value {
        Value::Bool(_) => Ok(()),
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
            Ok(())
        }
        Value::String(text) if text.len() > MAX_VALUE => {
            Err(wrong(name, format!("it is longer than {MAX_VALUE} bytes")))
        }
        Value::String(text) if text.chars().any(char::is_control) => {
            Err(wrong(name, "it has control characters"))
        }
        Value::String(_) => Ok(()),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(wrong(
            name,
            "an extension attribute is text, a boolean or a whole number of 32 bits",
        )),
    }
}

/// Where the events of a flow come from: `/flows/NAME`, whatever characters the name has.
pub fn flow_source(flow: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let mut source = "/flows/".to_owned();
    for b in flow.bytes() {
        match plain(b) {
            true => source.push(char::from(b)),
            false => source.push_str(&format!("%{b:02X}")),
        }
    }
    source
}

/// Whether no event led to one: what is stored says nothing of it then.
pub(crate) fn no_hops(hops: &u8) -> bool {
    *hops == 0
}

/// How many bytes the JSON text of `value` has, its escapes included. The text itself is not made.
pub fn text_len(value: &Value) -> usize {
    let mut length = Length(0);
    match serde_json::to_writer(&mut length, value) {
        Ok(()) => length.0,
        // A JSON value can always be written, and counting never fails; what could not be written would fit nowhere.
        Err(_) => usize::MAX,
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
