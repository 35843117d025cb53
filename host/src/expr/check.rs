//! From text to code: compiles with CEL, then refuses what a flow may not say (unknown names and functions, shadowed variables,
//! computed step ids) and collects what the expression reads.
//!
//! It knows no flow: whether a step exists is checked where the flow is.

use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators,
};

use super::{MAX_NESTING, MAX_SOURCE, References, STANDARD, code, syntax};
use crate::meant::near;

/// The variables.
const ROOTS: [&str; 8] = [
    "error", "event", "index", "input", "item", "prev", "run", "steps",
];
/// The functions; all are CEL's own.
const FUNCTIONS: [&str; 12] = [
    "bool",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
/// Names of types, for `type(x) == string`.
const TYPES: [&str; 9] = [
    "bool",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// What is wrong, and where.
pub(super) struct Fault {
    pub(super) reason: String,
    pub(super) span: Option<Range<usize>>,
}

/// Compiles `source`.
pub(super) fn compile(source: &str) -> Result<(code::Code, References), Fault> {
    let plain = |reason: String| Fault { reason, span: None };
    if source.is_empty() {
        return Err(plain("it is empty".into()));
    }
    if source.len() > MAX_SOURCE {
        return Err(plain(format!("it is longer than {MAX_SOURCE} bytes")));
    }
    let program = STANDARD
        .compile(source)
        .map_err(|errors| syntax::fault(source, &errors))?;
    let mut checker = Checker {
        source,
        info: program.source_info(),
        locals: Vec::new(),
        references: References::default(),
    };
    checker.expr(program.expression(), 0)?;
    let references = checker.references;
    Ok((code::Code::of(program.expression()), references))
}

/// The end of the character at byte `at`.
pub(super) fn next_char(source: &str, at: usize) -> usize {
    let next = source.get(at..).and_then(|rest| rest.chars().next());
    at + next.map_or(0, char::len_utf8)
}

struct Checker<'a> {
    source: &'a str,
    info: &'a SourceInfo,
    /// The variables of the loops around, innermost last.
    locals: Vec<&'a str>,
    references: References,
}

impl<'a> Checker<'a> {
    fn expr(&mut self, expr: &'a IdedExpr, depth: usize) -> Result<(), Fault> {
        if depth > MAX_NESTING {
            return self.fail(expr, format!("it nests deeper than {MAX_NESTING} levels"));
        }
        let depth = depth + 1;
        match &expr.expr {
            Expr::Ident(name) => self.name(expr, name),
            Expr::Select(select) if is_steps(&select.operand) => {
                self.step(expr, &select.field);
                Ok(())
            }
            Expr::Select(select) => self.expr(&select.operand, depth),
            Expr::Call(call) => self.call(expr, call, depth),
            Expr::List(list) => list.elements.iter().try_for_each(|e| self.expr(e, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.expr(&entry.key, depth)?;
                    self.expr(&entry.value, depth)
                }
                EntryExpr::StructField(_) => self.fail(expr, "messages are not supported".into()),
            }),
            Expr::Comprehension(comprehension) => self.comprehension(expr, comprehension, depth),
            Expr::Literal(LiteralValue::Bytes(_)) => self.fail(
                expr,
                "bytes are not supported: JSON cannot hold them".into(),
            ),
            Expr::Literal(_) => Ok(()),
            Expr::Struct(_) => self.fail(
                expr,
                "messages are not supported; a map is `{'key': value}`".into(),
            ),
            Expr::Unspecified => self.fail(expr, "it is not a CEL expression".into()),
        }
    }

    fn name(&mut self, expr: &IdedExpr, name: &str) -> Result<(), Fault> {
        if self.locals.contains(&name) || name == "@result" || TYPES.contains(&name) {
            return Ok(());
        }
        match ROOTS.iter().find(|root| **root == name) {
            Some(&"steps") => self.fail(
                expr,
                "name the step: `steps.ID`, or `steps['some-id']`".into(),
            ),
            Some(&root) => {
                self.references.roots.insert(root);
                Ok(())
            }
            None => {
                let known = "`input`, `prev`, `steps.ID` and `run.id` are known";
                self.fail(
                    expr,
                    format!("unknown name `{}`; {known}", name.escape_debug()),
                )
            }
        }
    }

    fn call(&mut self, expr: &'a IdedExpr, call: &'a CallExpr, depth: usize) -> Result<(), Fault> {
        if call.func_name == operators::INDEX
            && let [target, key] = call.args.as_slice()
            && is_steps(target)
        {
            return match &key.expr {
                Expr::Literal(LiteralValue::String(id)) => {
                    self.step(key, id.inner());
                    Ok(())
                }
                _ => self.fail(
                    key,
                    "the id of a step must be written out: `steps['some-id']`".into(),
                ),
            };
        }
        if call.func_name == "matches" {
            self.pattern(call)?;
        }
        if call.func_name.chars().all(word) && !FUNCTIONS.contains(&call.func_name.as_str()) {
            let near = meant(&call.func_name);
            return self.fail(
                expr,
                format!("unknown function `{}`{near}", call.func_name.escape_debug()),
            );
        }
        call.target
            .iter()
            .map(AsRef::as_ref)
            .chain(&call.args)
            .try_for_each(|arg| self.expr(arg, depth))
    }

    /// A pattern must be written out, and is tried here: so no data can bring a pattern of its own, and a wrong one is found early.
    fn pattern(&self, call: &CallExpr) -> Result<(), Fault> {
        let Some(pattern) = call.args.last() else {
            return Ok(()); // the wrong number of arguments; evaluation says so
        };
        if !matches!(&pattern.expr, Expr::Literal(LiteralValue::String(_))) {
            return self.fail(
                pattern,
                "the pattern of `matches` must be written out as a text".into(),
            );
        }
        let trial = IdedExpr {
            id: 0,
            expr: Expr::Call(CallExpr {
                func_name: "matches".into(),
                target: None,
                args: vec![
                    IdedExpr {
                        id: 0,
                        expr: Expr::Literal(LiteralValue::String(String::new().into())),
                    },
                    pattern.clone(),
                ],
            }),
        };
        let context = cel::Context::with_env(STANDARD.clone());
        match cel::Value::resolve(&trial, &context) {
            Ok(_) => Ok(()),
            Err(_) => self.fail(
                pattern,
                "the pattern is not a regular expression, or is too large".into(),
            ),
        }
    }

    fn comprehension(
        &mut self,
        expr: &IdedExpr,
        loops: &'a ComprehensionExpr,
        depth: usize,
    ) -> Result<(), Fault> {
        let name = loops.iter_var.as_str();
        if ROOTS.contains(&name) {
            return self.fail(
                expr,
                format!("`{name}` means something already; name the loop's variable otherwise"),
            );
        }
        self.expr(&loops.iter_range, depth)?;
        self.locals.push(name);
        let inside = self.expr(&loops.loop_step, depth);
        self.locals.pop();
        inside
    }

    fn step(&mut self, at: &IdedExpr, id: &str) {
        self.references.roots.insert("steps");
        if !self.references.steps.iter().any(|(known, _)| known == id) {
            let span = self.span_of_step(at, id);
            self.references.steps.push((id.to_owned(), span));
        }
    }

    /// Where `id` stands: the parser gives where the selection or the literal begins, the id itself is in it or soon after.
    fn span_of_step(&self, at: &IdedExpr, id: &str) -> Range<usize> {
        let begin = self
            .info
            .offset_for(at.id)
            .map_or(0, |(start, _)| boundary(self.source, start as usize));
        let from = |begin: usize| {
            let rest = self.source.get(begin..)?;
            rest.find(id)
                .map(|found| begin + found..begin + found + id.len())
        };
        from(begin)
            .or_else(|| from(0))
            .unwrap_or(0..self.source.len())
    }

    fn fail(&self, at: &IdedExpr, reason: String) -> Result<(), Fault> {
        let span = self.extent(at);
        Err(Fault { reason, span })
    }

    /// The bytes of `expr`. The parser places a selection at its dot and a call at its bracket, so the beginning is that of the
    /// leftmost part.
    fn extent(&self, expr: &IdedExpr) -> Option<Range<usize>> {
        let (begin, end) = self.info.offset_for(expr.id)?;
        let own = boundary(self.source, begin as usize)..boundary(self.source, end as usize + 1);
        let left = match &expr.expr {
            Expr::Select(select) => Some(&*select.operand),
            Expr::Call(call) if call.func_name.chars().all(word) => {
                // The name is what a call is about, and it stands before the bracket.
                let before = self.source.get(..own.start)?.trim_end();
                let name = before.strip_suffix(call.func_name.as_str())?;
                return Some(name.len()..before.len());
            }
            Expr::Call(call) => call.args.first(),
            _ => None,
        };
        let begin = left
            .and_then(|left| self.extent(left))
            .map_or(own.start, |left| left.start.min(own.start));
        Some(begin..own.end.max(next_char(self.source, begin)))
    }
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The nearest place at or after byte `at` where a character begins.
fn boundary(source: &str, at: usize) -> usize {
    (at..source.len())
        .find(|&at| source.is_char_boundary(at))
        .unwrap_or(source.len())
}

fn is_steps(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::Ident(name) if name == "steps")
}

fn meant(name: &str) -> String {
    match near(name, FUNCTIONS) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!(
            "; known are {}",
            FUNCTIONS.map(|known| format!("`{known}`")).join(", ")
        ),
    }
}
