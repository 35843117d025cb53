//! The JSON Schema of flow files, for editors: made from the same table that the parser reads.

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::keys::{self, Key, Shape};
use crate::failure::FailureKind;
use crate::units;

/// The JSON Schema of flow files.
pub fn schema() -> Value {
    let kinds = keys::KINDS.iter().map(|(kind, tables)| {
        let tables = [&[keys::COMMON], *tables].concat();
        (format!("{kind}-step"), object(&tables))
    });
    let mut definitions: Map<String, Value> = kinds.collect();
    let steps = keys::KINDS
        .iter()
        .map(|(kind, _)| json!({ "$ref": format!("#/$defs/{kind}-step") }));
    definitions.insert("step".into(), json!({ "oneOf": steps.collect::<Vec<_>>() }));
    let roots = keys::KINDS.iter().map(|(_, tables)| {
        let with: &[Key] = &[keys::WITH];
        object(&[&[keys::FLOW, with], *tables].concat())
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kennel flow",
        "type": "object",
        "required": ["kennel"],
        "oneOf": roots.collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

fn object(tables: &[&[Key]]) -> Value {
    let keys = || tables.iter().flat_map(|table| table.iter());
    let properties: Map<_, _> = keys()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<_> = keys()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut property = shape(key.shape);
    if let Some(property) = property.as_object_mut() {
        property.insert("description".into(), key.about.into());
    }
    property
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Version => json!({ "const": super::VERSION }),
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::Name => json!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$" }),
        Shape::Span => unit::<units::Span>(),
        Shape::Bytes => unit::<units::Bytes>(),
        Shape::Fuel => unit::<units::Fuel>(),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Whole(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Fraction(least, most) => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        Shape::Condition => json!({ "type": ["string", "boolean"] }),
        Shape::Template => json!({}),
        Shape::Schema => json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }),
        Shape::Require => {
            json!({ "anyOf": [{ "enum": ["all", "any"] }, { "type": "integer", "minimum": 1 }] })
        }
        Shape::Kinds => {
            let labels: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.label()).collect();
            json!({ "type": "array", "minItems": 1, "items": { "enum": labels } })
        }
        Shape::Steps => {
            json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/step" } })
        }
        Shape::Fallbacks => {
            let agent = self::shape(Shape::Name);
            json!({ "type": "array", "minItems": 1, "items": { "anyOf": [agent, object(&[keys::FALLBACK])] } })
        }
        Shape::Policies => {
            json!({ "type": "object", "additionalProperties": object(&[keys::POLICY]) })
        }
        Shape::OneOf(words) => json!({ "enum": words }),
        Shape::Map(table) => object(&[table]),
    }
}

fn unit<T: schemars::JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}
