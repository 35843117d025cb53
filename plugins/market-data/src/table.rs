//! Rows in whatever form they come: a JSON list, or CSV or JSON as a text or a file. It reads rows and judges none of them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use kennel_sdk::prelude::*;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

/// Rows of `T`.
#[derive(Clone, Debug)]
pub enum Table<T> {
    /// They stood in the input.
    Rows(Vec<T>),
    /// CSV with a header line, or a JSON list, as a text or a file.
    Content(Content),
}

impl<T: DeserializeOwned> Table<T> {
    /// The rows; `name` is what the input calls the table. No rows are an error as well: there is nothing to be said about them.
    pub fn rows(self, name: &str) -> Result<Vec<T>, Error> {
        let rows = match self {
            Self::Rows(rows) => rows,
            Self::Content(Content::Text(text)) => read(&text, name)?,
            Self::Content(Content::Blob(blob)) => {
                let bytes = blob.into_bytes()?;
                let text = std::str::from_utf8(&bytes).map_err(|e| {
                    Error::invalid_input(format_args!("input.{name} is not UTF-8: {e}"))
                })?;
                read(text, name)?
            }
        };
        if rows.is_empty() {
            return Err(Error::invalid_input(format_args!(
                "input.{name} has no rows"
            )));
        }
        Ok(rows)
    }
}

/// JSON when it begins like a list, else CSV.
fn read<T: DeserializeOwned>(text: &str, name: &str) -> Result<Vec<T>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('[') {
        return Payload::Json(text.to_owned())
            .decode()
            .map_err(|e| Error::invalid_input(format_args!("input.{name} as JSON: {e}")));
    }
    csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes())
        .into_deserialize()
        .collect::<Result<_, _>>()
        .map_err(|e| Error::invalid_input(format_args!("input.{name} as CSV: {e}")))
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TableVisitor(PhantomData))
    }
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = Table<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or CSV or JSON as a text or a file")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Table::Rows)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Table::Content(Content::Text(text.to_owned())))
    }

    /// A blob's own reader asks its deserializer for more than a map can give, so the map becomes a value first.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let reference = Value::deserialize(MapAccessDeserializer::new(map))?;
        Content::deserialize(reference)
            .map(Table::Content)
            .map_err(de::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("TableOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rows = generator.subschema_for::<T>();
        let content = generator.subschema_for::<Content>();
        json_schema!({
            "description": "A list of rows, or CSV with a header line or a JSON list, as a text or a file.",
            "anyOf": [{ "type": "array", "items": rows }, content]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_sdk::testing;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        name: String,
        price: Option<f64>,
    }

    fn rows(table: Value) -> Result<Vec<Row>, Error> {
        let table: Table<Row> = Payload::json(&table)
            .decode()
            .map_err(Error::InvalidInput)?;
        table.rows("prices")
    }

    fn row(name: &str, price: Option<f64>) -> Row {
        let name = name.to_owned();
        Row { name, price }
    }

    #[test]
    fn a_list_a_text_and_a_file_give_the_same_rows() {
        let expected = vec![row("a, b", Some(1.5)), row("c", None)];
        let csv = "price,name\r\n1.5 ,\"a, b\"\r\n,c\r\n";
        let list = json!([{ "name": "a, b", "price": 1.5 }, { "name": "c" }]);
        assert_eq!(rows(list.clone()).as_ref(), Ok(&expected));
        assert_eq!(rows(json!(csv)).as_ref(), Ok(&expected));
        assert_eq!(rows(json!(list.to_string())).as_ref(), Ok(&expected));
        let digest = testing::add_blob("text/csv", csv.as_bytes());
        let blob = json!({ "$blob": digest, "media-type": "text/csv", "size": csv.len() });
        assert_eq!(rows(blob).as_ref(), Ok(&expected));
    }

    #[test]
    fn a_row_that_does_not_fit_is_named() {
        for (table, part) in [
            (
                json!([{ "name": "a" }, { "price": 1 }]),
                "[1]: missing field `name`",
            ),
            (json!("name,price\na,1\nb,much\n"), "line: 3"),
            (
                json!("[{\"name\": 3}]"),
                "input.prices as JSON: value.[0].name",
            ),
            (json!("name,price\n"), "no rows"),
            (json!([]), "no rows"),
            (json!(7), "expected a list of rows"),
            (json!({ "rows": [] }), "expected a blob reference"),
        ] {
            let error = rows(table).unwrap_err();
            assert!(error.message().contains(part), "{part}: {error}");
        }
        let digest = testing::add_blob("text/csv", b"name\n\xff\n");
        let error = rows(json!({ "$blob": digest })).unwrap_err();
        assert!(error.message().contains("not UTF-8"), "{error}");
    }
}
