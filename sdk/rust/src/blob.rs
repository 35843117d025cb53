//! Bytes with a media type. A [`Blob`] that comes as a reference is read from the host when its bytes are first asked for, and one
//! that an agent made is written when it is put into JSON: an agent that only passes blobs on never holds their bytes.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap, Serializer};
use serde::{Deserialize, forward_to_deserialize_any};

use crate::error::Error;
use crate::host;
use crate::payload::Payload;

/// The name under which a type tells our own deserializer that it accepts a blob's bytes, as `serde_json` does for raw values.
const TOKEN: &str = "$kennel::Blob";

/// Bytes and how to read them. In JSON it is a reference: `{"$blob": "sha256:…", "media-type": "…", "size": …}`.
#[derive(Clone)]
pub struct Blob {
    media_type: Option<String>,
    size: Option<u64>,
    // At least one of the two is filled.
    digest: OnceCell<String>,
    bytes: OnceCell<Vec<u8>>,
}

impl Blob {
    /// A blob of the agent's own making. Nothing is sent to the host before it is part of an output.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            media_type: Some(media_type.into()),
            size: Some(bytes.len() as u64),
            digest: OnceCell::new(),
            bytes: OnceCell::from(bytes),
        }
    }

    /// The media type that came with it; `application/octet-stream` when none did.
    pub fn media_type(&self) -> &str {
        self.media_type
            .as_deref()
            .unwrap_or("application/octet-stream")
    }

    /// The number of bytes, when the reference says so or the bytes are here.
    pub fn size(&self) -> Option<u64> {
        self.bytes
            .get()
            .map(|bytes| bytes.len() as u64)
            .or(self.size)
    }

    /// The bytes, read from the host the first time. A failed read is [`Error::Recoverable`]: the store may be back at the next try.
    pub fn bytes(&self) -> Result<&[u8], Error> {
        if let (None, Some(digest)) = (self.bytes.get(), self.digest.get()) {
            let (_, bytes) = host::blob_read(digest)
                .map_err(|e| Error::recoverable(format_args!("cannot read blob {digest}: {e}")))?;
            return Ok(self.bytes.get_or_init(|| bytes));
        }
        Ok(self.bytes.get().map_or(&[], Vec::as_slice))
    }

    /// Up to `length` bytes from `offset` on, fewer where the blob ends and none beyond: for blobs that are not to be held as a whole.
    /// Each call asks the host, unless the bytes are here already. Fails as [`bytes`](Self::bytes) does.
    pub fn part(&self, offset: u64, length: u32) -> Result<Cow<'_, [u8]>, Error> {
        if let (None, Some(digest)) = (self.bytes.get(), self.digest.get()) {
            let part = host::blob_part(digest, offset, length)
                .map_err(|e| Error::recoverable(format_args!("cannot read blob {digest}: {e}")))?;
            return Ok(part.into());
        }
        let bytes = self.bytes.get().map_or(&[][..], Vec::as_slice);
        let rest = bytes.get(offset.try_into().unwrap_or(usize::MAX)..);
        let rest = rest.unwrap_or_default();
        Ok(rest[..rest.len().min(length as usize)].into())
    }

    /// Like [`bytes`](Self::bytes), without a copy.
    pub fn into_bytes(self) -> Result<Vec<u8>, Error> {
        self.bytes()?;
        Ok(self.bytes.into_inner().unwrap_or_default())
    }

    /// The digest, such as `sha256:…`; writes the blob to the host the first time.
    pub fn digest(&self) -> Result<&str, Error> {
        if let (None, Some(bytes)) = (self.digest.get(), self.bytes.get()) {
            let digest = host::blob_write(self.media_type(), bytes)
                .map_err(|e| Error::recoverable(format_args!("cannot write a blob: {e}")))?;
            return Ok(self.digest.get_or_init(|| digest));
        }
        Ok(self.digest.get().map_or("", String::as_str))
    }

    /// As the output of a skill: its bytes when they are here, else the reference, so that nothing is read only to be passed on.
    pub(crate) fn into_payload(self) -> Result<Payload, String> {
        match self.bytes.into_inner() {
            Some(bytes) => {
                let media_type = self
                    .media_type
                    .unwrap_or_else(|| "application/octet-stream".to_owned());
                Ok(Payload::Blob { media_type, bytes })
            }
            None => Payload::encode(&Self {
                bytes: OnceCell::new(),
                ..self
            }),
        }
    }

    /// Reads the entries of a reference whose first key has been read already.
    pub(crate) fn from_entries<'de, A: MapAccess<'de>>(
        first: Option<String>,
        mut map: A,
    ) -> Result<Self, A::Error> {
        let (mut digest, mut media_type, mut size) = (None, None, None);
        let mut key = first;
        loop {
            if key.is_none() {
                key = map.next_key()?;
            }
            match key.take().as_deref() {
                None => break,
                Some("$blob") => digest = Some(map.next_value::<String>()?),
                Some("media-type") => media_type = map.next_value()?,
                Some("size") => size = map.next_value()?,
                Some(_) => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let digest =
            digest.ok_or_else(|| de::Error::custom("expected a blob reference with `$blob`"))?;
        Ok(Self {
            media_type,
            size,
            digest: OnceCell::from(digest),
            bytes: OnceCell::new(),
        })
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("media_type", &self.media_type())
            .field("size", &self.size())
            .field("digest", &self.digest.get())
            .finish_non_exhaustive()
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digest = self.digest().map_err(ser::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("$blob", digest)?;
        map.serialize_entry("media-type", self.media_type())?;
        if let Some(size) = self.size() {
            map.serialize_entry("size", &size)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Token(Reference).deserialize(deserializer)
    }
}

impl JsonSchema for Blob {
    fn schema_name() -> Cow<'static, str> {
        "Blob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A reference to a blob.",
            "type": "object",
            "properties": {
                "$blob": { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" },
                "media-type": { "type": "string" },
                "size": { "type": "integer", "minimum": 0 }
            },
            "required": ["$blob"]
        })
    }
}

/// The bytes of a blob payload on their way into a type: a deserializer that only types which accept a blob can read from.
pub(crate) struct Inline {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl<'de> Deserializer<'de> for Inline {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom(format_args!(
            "a blob of type {}, expected {}",
            self.media_type, &visitor as &dyn de::Expected
        )))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if name != TOKEN {
            return visitor.visit_newtype_struct(self);
        }
        // A visitor takes one value: the media type travels behind the bytes, its length last.
        let Self {
            media_type,
            mut bytes,
        } = self;
        bytes.extend_from_slice(media_type.as_bytes());
        bytes.extend_from_slice(&(media_type.len() as u64).to_le_bytes());
        visitor.visit_byte_buf(bytes)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// A visitor that also accepts a blob's bytes.
pub(crate) trait FromBlob<'de>: Visitor<'de> {
    fn blob(self, blob: Blob) -> Self::Value;
}

/// Lets `V` see the bytes of a blob payload and, for every other input, that input.
pub(crate) struct Token<V>(pub(crate) V);

impl<V> Token<V> {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error>
    where
        V: FromBlob<'de>,
    {
        deserializer.deserialize_newtype_struct(TOKEN, self)
    }
}

impl<'de, V: FromBlob<'de>> Visitor<'de> for Token<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }

    /// Only [`Inline`] answers the token with bytes; a text format reads on through `visit_newtype_struct`.
    fn visit_byte_buf<E: de::Error>(self, mut bytes: Vec<u8>) -> Result<Self::Value, E> {
        let malformed = || E::custom("expected the bytes of a blob");
        let (rest, length) = bytes.split_last_chunk().ok_or_else(malformed)?;
        let start = rest
            .len()
            .checked_sub(u64::from_le_bytes(*length) as usize)
            .ok_or_else(malformed)?;
        let media_type = String::from_utf8_lossy(&rest[start..]).into_owned();
        bytes.truncate(start);
        Ok(self.0.blob(Blob::new(media_type, bytes)))
    }
}

struct Reference;

impl<'de> Visitor<'de> for Reference {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a blob")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Blob, A::Error> {
        Blob::from_entries(None, map)
    }
}

impl FromBlob<'_> for Reference {
    fn blob(self, blob: Blob) -> Blob {
        blob
    }
}
