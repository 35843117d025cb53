//! The JSON Schema of flow files, for editors: made from the same table that the parser reads.

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::keys::{self, Key, Shape};
use crate::failure::FailureKind;
use crate::units;

/// The JSON Schema of flow files.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for (name, more) in [
        ("step", &[] as &[Key]),
        ("stage", keys::STAGE),
        ("handler", keys::HANDLER),
    ] {
        let mut kinds = Vec::new();
        for (kind, tables) in keys::KINDS {
            // Stages of a pipeline and steps of events may say more; the steps inside them are plain ones.
            let tables = [&[keys::COMMON, more], *tables].concat();
            let kind = format!("{kind}-{name}");
            kinds.push(json!({ "$ref": format!("#/$defs/{kind}") }));
            definitions.insert(kind, object(&tables));
        }
        definitions.insert(name.into(), json!({ "oneOf": kinds }));
    }
    let with: &[Key] = &[keys::WITH];
    let steps: Vec<Key> = keys::FLOW
        .iter()
        .filter(|key| key.name != "on")
        .copied()
        .collect();
    let events = keys::FLOW.iter().filter(|key| key.name != "input");
    let events: Vec<Key> = events
        .map(|key| Key {
            required: key.required || key.name == "on",
            ..*key
        })
        .collect();
    let kinds = keys::KINDS.iter();
    let mut roots: Vec<_> = kinds
        .map(|(_, tables)| object(&[&[steps.as_slice(), with], *tables].concat()))
        .collect();
    roots.push(object(&[events.as_slice()]));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kennel flow",
        "type": "object",
        "required": ["kennel"],
        "oneOf": roots,
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
        Shape::Steps | Shape::Stages => {
            let item = match shape {
                Shape::Stages => "#/$defs/stage",
                _ => "#/$defs/step",
            };
            json!({ "type": "array", "minItems": 1, "items": { "$ref": item } })
        }
        Shape::Fallbacks => {
            let agent = self::shape(Shape::Name);
            json!({ "type": "array", "minItems": 1, "items": { "anyOf": [agent, object(&[keys::FALLBACK])] } })
        }
        Shape::Policies => {
            json!({ "type": "object", "additionalProperties": object(&[keys::POLICY]) })
        }
        Shape::OneOf(words) => json!({ "enum": words }),
        Shape::Step => json!({ "$ref": "#/$defs/step" }),
        Shape::Arms => {
            let otherwise = object(&[keys::OTHERWISE]);
            let arm = json!({ "allOf": [{ "$ref": "#/$defs/step" }, { "required": ["if"] }] });
            json!({ "type": "array", "minItems": 1, "items": { "anyOf": [arm, otherwise] } })
        }
        Shape::Handlers => json!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "$ref": "#/$defs/handler" },
        }),
        Shape::Callee => {
            let agent = self::shape(Shape::Name);
            json!({ "anyOf": [agent, object(&[keys::AGENT, keys::POLICY])] })
        }
        Shape::Workers => {
            let agent = self::shape(Shape::Callee);
            json!({ "anyOf": [
                { "const": "by-skill" },
                { "type": "object", "minProperties": 1, "additionalProperties": agent },
            ] })
        }
        Shape::Map(table) => object(&[table]),
    }
}

fn unit<T: schemars::JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}
