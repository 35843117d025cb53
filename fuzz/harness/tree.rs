//! Structure-aware changes: inputs as trees of values, in which whole branches are exchanged, renamed and left out.
//!
//! What comes out is well-formed, so it gets past the reader and to the rules behind it.

use serde_json::{Map, Value, json};

use super::Maker;

/// Trees to take branches from.
pub(crate) struct Forest {
    trees: Vec<Value>,
}

impl Forest {
    /// The trees that `read` finds in `texts`.
    pub(crate) fn of<'t>(
        texts: impl IntoIterator<Item = &'t [u8]>,
        read: impl Fn(&[u8]) -> Option<Value>,
    ) -> Self {
        let trees = texts.into_iter().filter_map(read).collect();
        Self { trees }
    }

    /// Whether there is no tree.
    pub(crate) fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// One of the trees with some branches changed.
    pub(crate) fn changed(&self, maker: &mut Maker<'_>) -> Value {
        let mut tree = self.trees[maker.below(self.trees.len())].clone();
        for _ in 0..=maker.below(3) {
            self.change(maker, &mut tree);
        }
        tree
    }

    /// Changes one branch of `tree`.
    pub(crate) fn change(&self, maker: &mut Maker<'_>, tree: &mut Value) {
        let spots = count(tree);
        let at = maker.below(spots);
        let Some(spot) = nth(tree, at) else { return };
        match spot {
            Value::Object(map) if maker.chance(60) => self.change_map(maker, map),
            Value::Array(items) if maker.chance(60) => self.change_list(maker, items),
            spot => {
                *spot = match maker.chance(50) {
                    true => self.branch(maker),
                    false => leaf(maker),
                }
            }
        }
    }

    fn change_map(&self, maker: &mut Maker<'_>, map: &mut Map<String, Value>) {
        let key = map.keys().nth(maker.below(map.len().max(1))).cloned();
        match (maker.below(4), key) {
            (0, Some(key)) => {
                map.shift_remove(&key);
            }
            (1, Some(key)) => {
                // Under another name, at the end.
                if let Some(value) = map.shift_remove(&key) {
                    map.insert(maker.word().to_owned(), value);
                }
            }
            (2, _) => {
                let (name, value) = self.entry(maker);
                map.insert(name, value);
            }
            _ => {
                let value = match maker.chance(50) {
                    true => self.branch(maker),
                    false => leaf(maker),
                };
                map.insert(maker.word().to_owned(), value);
            }
        }
    }

    fn change_list(&self, maker: &mut Maker<'_>, items: &mut Vec<Value>) {
        let at = maker.below(items.len() + 1);
        match maker.below(4) {
            0 if at < items.len() => drop(items.remove(at)),
            1 if at < items.len() => items.insert(at, items[at].clone()),
            2 if at < items.len() => {
                let other = maker.below(items.len());
                items.swap(at, other);
            }
            _ => items.insert(at, self.branch(maker)),
        }
    }

    /// Any branch of any tree.
    fn branch(&self, maker: &mut Maker<'_>) -> Value {
        let mut tree = self.trees[maker.below(self.trees.len())].clone();
        let spots = count(&tree);
        let at = maker.below(spots);
        nth(&mut tree, at).map_or(Value::Null, |spot| spot.take())
    }

    /// Any entry of any map.
    fn entry(&self, maker: &mut Maker<'_>) -> (String, Value) {
        for _ in 0..8 {
            if let Value::Object(map) = self.branch(maker)
                && !map.is_empty()
            {
                let at = maker.below(map.len());
                return map.into_iter().nth(at).unwrap_or_default();
            }
        }
        (maker.word().to_owned(), leaf(maker))
    }
}

/// A value without branches.
fn leaf(maker: &mut Maker<'_>) -> Value {
    match maker.below(9) {
        0 => Value::Null,
        1 => maker.chance(50).into(),
        2 => maker.edge().into(),
        3 => (maker.edge() as i64).into(),
        4 => json!(maker.edge() as f64 / 3.0),
        5 => maker.below(12).into(),
        6 => json!([]),
        7 => json!({}),
        _ => maker.word().into(),
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The `at`th branch, the tree itself being the first.
fn nth(value: &mut Value, mut at: usize) -> Option<&mut Value> {
    if at == 0 {
        return Some(value);
    }
    at -= 1;
    let branches: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => return None,
    };
    for branch in branches {
        let size = count(branch);
        if at < size {
            return nth(branch, at);
        }
        at -= size;
    }
    None
}

/// `value` as YAML in blocks, as people write it. Texts are in quotes where they could be read as something else.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                text.push_str(&format!("{indent}{}:", plain(key)));
                below(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("{indent}-"));
                below(item, depth, text);
            }
        }
        leaf => text.push_str(&format!("{indent}{}\n", inline(leaf))),
    }
}

fn below(value: &Value, depth: usize, text: &mut String) {
    let full = value.as_object().is_some_and(|map| !map.is_empty())
        || value.as_array().is_some_and(|items| !items.is_empty());
    if full {
        text.push('\n');
        block(value, depth + 1, text);
    } else {
        text.push_str(&format!(" {}\n", inline(value)));
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(string) => plain(string),
        other => other.to_string(),
    }
}

fn plain(string: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let simple = string.starts_with(|c: char| c.is_ascii_alphabetic())
        && string.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !words.contains(&string.to_ascii_lowercase().as_str())
        // `Infinity`, `NaN` and the like are numbers in some dialects.
        && string.len() > 1
        && !["inf", "infinity", "nan"].contains(&string.to_ascii_lowercase().as_str());
    match simple {
        true => string.to_owned(),
        false => Value::from(string).to_string(),
    }
}

#[test]
fn what_is_written_as_yaml_reads_as_what_it_was() {
    let tree = json!({
        "kennel": 1, "steps": [{"a": [1, [2.5, null], {}]}, [], "yes", "${{ prev }}"],
        "odd key: #": {"x": "two\nlines", "n": "1", "t": true},
    });
    let text = to_yaml(&tree);
    let read: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    assert_eq!(read, tree, "{text}");
}
