//! Expressions: CEL inside `${{ … }}`, compiled when a flow is read.
//!
//! Values are substituted as data and never parsed again. No IO, no clock, no randomness: the same scope gives the same value, so a
//! replay decides as the live run did.
//!
//! What differs from plain CEL, because values come from JSON:
//! - numbers mix: an operation between a whole number and one with a fraction is done with fractions (`2 * 1.5` is `3.0`). Equality
//!   and order already ignore the difference (`1 == 1.0`). Whole numbers divide to a whole number (`7 / 2` is `3`).
//! - maps are walked in the order of their keys, so that a result never depends on how a map is hashed.
//! - a map or list that is written out (`{'a': prev}`), and any reference (`steps.ocr`), keep the order of keys that the value has.
//! - bytes, types and optional values are refused: JSON cannot hold them.
//!
//! Bounds, each applied: [`MAX_SOURCE`], [`MAX_NESTING`], [`MAX_DEPTH`], [`MAX_RESULT`] and [`MAX_WORK`].

mod arithmetic;
mod check;
mod code;
mod convert;
mod eval;
mod meter;
mod stack;
mod syntax;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::id::RunId;

pub use template::{Part, Template};
pub(crate) use template::{pieces, single};

/// The longest expression, in bytes.
pub const MAX_SOURCE: usize = 4 << 10;
/// How deep an expression may nest; each operator of a chain (`a + b + c`) counts.
pub const MAX_NESTING: usize = 32;
/// How deep a value that an expression gives may nest: well below the 128 levels at which reading JSON stops.
pub const MAX_DEPTH: usize = 64;
/// The largest value that an expression may compute, in bytes of JSON. A plain reference (`steps.ocr.text`) computes nothing and
/// hands on values of any size.
pub const MAX_RESULT: usize = 256 << 10;
/// What one evaluation may copy, compare and walk over: a unit for each byte and element, some more for each round of a loop. Enough
/// for about 40 000 rounds, and over in a fraction of a second.
pub const MAX_WORK: u64 = 16 << 20;

/// A compiled expression. Cloning is cheap: the program is shared.
#[derive(Debug, Clone)]
pub struct Expr {
    program: Arc<Program>,
}

/// What [`Expr`]s share.
#[derive(Debug)]
struct Program {
    source: String,
    code: code::Code,
    references: References,
}

/// What an expression reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// The variables, of those that [`Scope`] has.
    pub roots: BTreeSet<&'static str>,
    /// The steps, each with where its id first stands in [`Expr::source`], in bytes.
    pub steps: Vec<(String, Range<usize>)>,
}

/// What expressions can see.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `input`: the run's input.
    pub input: &'a Value,
    /// `prev`: what the step before gave, or what the parent handed down.
    pub prev: &'a Value,
    /// `steps.ID`: the output of a finished step; null for one that was skipped; absent for one that has not finished.
    pub steps: &'a dyn Fn(&str) -> Option<&'a Value>,
    /// `run.id`.
    pub run: RunId,
    /// What only some places have.
    pub local: Locals<'a>,
}

/// Variables that only some places of a flow have; where one is absent, an expression that reads it fails.
#[derive(Clone, Copy, Default)]
pub struct Locals<'a> {
    /// `item`: what is being done, in a stage with `each` and in workers.
    pub item: Option<&'a Value>,
    /// `index`: its place from 0; in a `repeat`, the round.
    pub index: Option<&'a Value>,
    /// `error`: `{kind, message, step}` of a failure that the flow goes on after, or null; in the `output` of such a step.
    pub error: Option<&'a Value>,
    /// `event`: the attributes of the event that started the run.
    pub event: Option<&'a Value>,
}

/// Why an expression gives no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expression `{source_text}`: {reason}")]
pub struct ExprError {
    /// The expression as written.
    pub source_text: String,
    /// Why.
    pub reason: String,
    /// Which part of `source_text` is meant, in bytes, when that is known.
    pub span: Option<Range<usize>>,
}

/// CEL's standard functions and macros; no optional values, no extensions.
static STANDARD: LazyLock<Arc<cel::Env>> =
    LazyLock::new(|| Arc::new(cel::Env::stdlib().with_optional_support(false)));

impl Expr {
    /// Compiles `source`, which stands without `${{` and `}}`. Unknown names and functions are refused here, so that evaluation
    /// fails only for what the values are. Costs about 10 µs for a
    /// reference, 200 µs for a guard with a few operators, and some 20 ms for the worst text.
    pub fn parse(source: &str) -> Result<Self, ExprError> {
        let source = source.trim();
        stack::for_parser(source, || check::compile(source))
            .unwrap_or_else(|reason| Err(check::Fault { reason, span: None }))
            .map(|(code, references)| Self {
                program: Arc::new(Program {
                    source: source.to_owned(),
                    code,
                    references,
                }),
            })
            .map_err(|fault| ExprError {
                // A text that is too long is not repeated in full.
                source_text: source.chars().take(MAX_SOURCE).collect(),
                reason: fault.reason,
                span: fault.span,
            })
    }

    /// The expression as written, without `${{` and `}}`.
    pub fn source(&self) -> &str {
        &self.program.source
    }

    /// What it reads.
    pub fn references(&self) -> &References {
        &self.program.references
    }

    /// The variables it reads, of those that [`Scope`] has.
    pub fn roots(&self) -> impl Iterator<Item = &'static str> {
        self.program.references.roots.iter().copied()
    }

    /// The ids of the steps it reads.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        let steps = self.program.references.steps.iter();
        steps.map(|(id, _)| id.as_str())
    }

    /// The value in `scope`. Costs no conversion when the expression only refers to values or arranges them in maps and lists;
    /// otherwise the variables it names are converted once.
    pub fn eval(&self, scope: Scope<'_>) -> Result<Value, ExprError> {
        eval::run(&self.program.code, scope).map_err(|reason| self.error(reason))
    }

    /// The value in `scope`, which must be true or false.
    pub fn holds(&self, scope: Scope<'_>) -> Result<bool, ExprError> {
        match self.eval(scope)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(self.error(format!(
                "must be true or false, but is {}",
                convert::kind(&other)
            ))),
        }
    }

    fn error(&self, reason: String) -> ExprError {
        ExprError {
            source_text: self.source().to_owned(),
            reason,
            span: None,
        }
    }
}
