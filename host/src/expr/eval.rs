//! From code to value.
//!
//! Most expressions in flows refer to a value or arrange a few in a map, so these are done on JSON directly: nothing is converted
//! and the order of keys is kept. Whatever computes goes to CEL, under the meter.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use cel::common::types::{CelMap, CelMapKey};
use cel::common::value::Val;
use cel::{Context, ExecutionError};
use serde_json::{Map, Value};

use super::code::{Cel, Code, Key, Path, Root};
use super::{MAX_DEPTH, MAX_RESULT, MAX_WORK, STANDARD, Scope, convert, meter, stack};

/// The value of `code` in `scope`, or why there is none.
pub(super) fn run(code: &Code, scope: Scope<'_>) -> Result<Value, String> {
    let evaluation = Evaluation {
        scope,
        run: serde_json::json!({ "id": scope.run }),
        budget: Arc::new(AtomicU64::new(MAX_WORK)),
    };
    let value = evaluation.value(code)?;
    if convert::measure(&value).1 > MAX_DEPTH {
        return Err(format!("the result nests deeper than {MAX_DEPTH} levels"));
    }
    Ok(value)
}

struct Evaluation<'a> {
    scope: Scope<'a>,
    run: Value,
    budget: meter::Budget,
}

impl Evaluation<'_> {
    fn value(&self, code: &Code) -> Result<Value, String> {
        match code {
            Code::Path(path) => {
                let value = self.walk(path)?;
                meter::spend(&self.budget, convert::measure(value).0 as u64)?;
                Ok(value.clone())
            }
            Code::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, code)| Ok((key.clone(), self.value(code)?)));
                entries
                    .collect::<Result<Map<_, _>, String>>()
                    .map(Value::Object)
            }
            Code::List(items) => {
                let items = items.iter().map(|code| self.value(code));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            Code::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(then),
                    Value::Bool(false) => self.value(otherwise),
                    other => Err(format!(
                        "the condition before `?` must be true or false, but is {}",
                        convert::kind(&other)
                    )),
                }
            }
            Code::Cel(cel) => self.cel(cel),
        }
    }

    fn root(&self, root: &Root) -> Result<&Value, String> {
        match root {
            Root::Input => Ok(self.scope.input),
            Root::Prev => Ok(self.scope.prev),
            Root::Run => Ok(&self.run),
            Root::Item => self.local(root, self.scope.local.item),
            Root::Index => self.local(root, self.scope.local.index),
            Root::Error => self.local(root, self.scope.local.error),
            Root::Event => self.local(root, self.scope.local.event),
            Root::Step(id) => (self.scope.steps)(id)
                .ok_or_else(|| format!("step `{}` has no output (yet)", id.escape_debug())),
        }
    }

    fn local<'v>(&self, root: &Root, value: Option<&'v Value>) -> Result<&'v Value, String> {
        value.ok_or_else(|| format!("there is no `{}` here", root.name()))
    }

    fn walk(&self, path: &Path) -> Result<&Value, String> {
        let mut value = self.root(&path.root)?;
        for key in &path.keys {
            value = match (key, value) {
                (Key::Name(name), Value::Object(map)) => {
                    map.get(name).ok_or_else(|| no_key(name, map))?
                }
                (Key::Index(index), Value::Array(items)) => items.get(*index).ok_or_else(|| {
                    format!("there is no item {index}: the list has {}", items.len())
                })?,
                (Key::Name(name), other) => {
                    let name = name.escape_debug();
                    return Err(format!(
                        "`{name}` is asked of {}, not of a map",
                        convert::kind(other)
                    ));
                }
                (Key::Index(index), other) => {
                    return Err(format!(
                        "item {index} is asked of {}, not of a list",
                        convert::kind(other)
                    ));
                }
            };
        }
        Ok(value)
    }

    fn cel(&self, cel: &Cel) -> Result<Value, String> {
        let needs = cel.needs.iter().map(|need| Ok((need, self.root(need)?)));
        let needs = needs.collect::<Result<Vec<_>, String>>()?;
        let budget = &self.budget;
        let value = stack::for_levels(cel.levels, || compute(cel, &needs, budget))?;
        let size = convert::measure(&value).0;
        if size > MAX_RESULT {
            return Err(format!(
                "the result has {size} bytes; {MAX_RESULT} are allowed"
            ));
        }
        Ok(value)
    }
}

fn compute(cel: &Cel, needs: &[(&Root, &Value)], budget: &meter::Budget) -> Result<Value, String> {
    let mut context = Context::with_env(STANDARD.clone());
    meter::install(&mut context, budget)?;
    let mut steps: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> = HashMap::new();
    for (need, value) in needs {
        let value = convert::to_cel(value);
        match need {
            Root::Step(id) => {
                steps.insert(CelMapKey::from(id.as_str()), value);
            }
            other => context.add_variable_as_val(other.name(), value),
        }
    }
    if !steps.is_empty() {
        context.add_variable_as_val("steps", Box::new(CelMap::from(steps)));
    }
    let value = cel::Value::resolve_val(&cel.expr, &context).map_err(|error| explain(&error))?;
    convert::to_json(value.as_ref())
}

fn no_key(name: &str, map: &Map<String, Value>) -> String {
    let known: Vec<_> = map
        .keys()
        .take(8)
        .map(|key| format!("`{}`", key.escape_debug()))
        .collect();
    let known = match known.as_slice() {
        [] => "it is empty".to_owned(),
        known => format!("it has {}", known.join(", ")),
    };
    format!("there is no key `{}`: {known}", name.escape_debug())
}

/// CEL's errors in words of ours, without the values that its own texts repeat.
fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no key `{}`", key.escape_debug()),
        ExecutionError::NoSuchOverload(call) => format!(
            "`{}` cannot be applied to {}",
            call.function()
                .trim_start_matches('@')
                .replace('_', " ")
                .trim(),
            call.argument_types().join(" and ")
        ),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".into()
        }
        ExecutionError::Overflow(..) => "the number is too large".into(),
        ExecutionError::IndexOutOfBounds(_) => "there is no item at that place of the list".into(),
        ExecutionError::DuplicateKey(_) => "the map has a key twice".into(),
        ExecutionError::InternalError(reason) => reason.clone(),
        ExecutionError::ValuesNotComparable(..) => "the values cannot be compared".into(),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
            format!("`{operator}` does not fit the values")
        }
        ExecutionError::UnsupportedKeyType(_) => "this cannot be the key of a map".into(),
        ExecutionError::UnsupportedIndex(..) => {
            "this cannot be the index of a list or the key of a map".into()
        }
        other => other.to_string().chars().take(200).collect(),
    }
}
