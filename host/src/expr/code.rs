//! The code of an expression: what can be done on JSON directly, told apart from what CEL has to compute.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, MapExpr, operators};

use super::meter;

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Code {
    /// A reference.
    Path(Path),
    /// A map that is written out, with keys that are texts.
    Map(Vec<(String, Code)>),
    /// A list that is written out.
    List(Vec<Code>),
    /// `condition ? then : otherwise`.
    If(Box<[Code; 3]>),
    /// Anything else.
    Cel(Box<Cel>),
}

/// A variable and the way into it.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) keys: Vec<Key>,
}

/// A variable; each step is one of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    Input,
    Prev,
    Run,
    Item,
    Index,
    Error,
    Event,
    Step(String),
}

impl Root {
    /// The variable's name in CEL; steps share one.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Prev => "prev",
            Self::Run => "run",
            Self::Item => "item",
            Self::Index => "index",
            Self::Error => "error",
            Self::Event => "event",
            Self::Step(_) => "steps",
        }
    }
}

/// A way into a value.
#[derive(Debug)]
pub(super) enum Key {
    Name(String),
    Index(usize),
}

/// A computation, with the variables it needs.
#[derive(Debug)]
pub(super) struct Cel {
    pub(super) expr: IdedExpr,
    pub(super) levels: usize,
    pub(super) needs: BTreeSet<Root>,
}

impl Code {
    /// The code of a checked expression.
    pub(super) fn of(expr: &IdedExpr) -> Self {
        if let Some(path) = Path::of(expr) {
            return Self::Path(path);
        }
        match &expr.expr {
            Expr::List(list) => Self::List(list.elements.iter().map(Self::of).collect()),
            Expr::Map(map) => written_out(map).unwrap_or_else(|| Self::cel(expr)),
            Expr::Call(call) if call.func_name == operators::CONDITIONAL => {
                match call.args.as_slice() {
                    [condition, then, otherwise] => Self::If(Box::new([
                        Self::of(condition),
                        Self::of(then),
                        Self::of(otherwise),
                    ])),
                    _ => Self::cel(expr),
                }
            }
            _ => Self::cel(expr),
        }
    }

    fn cel(expr: &IdedExpr) -> Self {
        let mut needs = BTreeSet::new();
        collect(expr, &mut needs);
        let expr = meter::metered(expr);
        let levels = meter::levels(&expr);
        Self::Cel(Box::new(Cel {
            expr,
            levels,
            needs,
        }))
    }
}

/// The map as code when every key is a text and none stands twice; CEL tells about the rest.
fn written_out(map: &MapExpr) -> Option<Code> {
    let mut entries: Vec<(String, Code)> = Vec::with_capacity(map.entries.len());
    for entry in &map.entries {
        let EntryExpr::MapEntry(entry) = &entry.expr else {
            return None;
        };
        let Expr::Literal(LiteralValue::String(key)) = &entry.key.expr else {
            return None;
        };
        if entries.iter().any(|(known, _)| known == key.inner()) {
            return None;
        }
        entries.push((key.inner().to_owned(), Code::of(&entry.value)));
    }
    Some(Code::Map(entries))
}

impl Path {
    fn of(expr: &IdedExpr) -> Option<Self> {
        if let Some(id) = step(expr) {
            return Some(Self {
                root: Root::Step(id),
                keys: Vec::new(),
            });
        }
        let (inner, key) = match &expr.expr {
            Expr::Ident(name) => {
                let root = root(name)?;
                return Some(Self {
                    root,
                    keys: Vec::new(),
                });
            }
            Expr::Select(select) if !select.test => {
                (&*select.operand, Key::Name(select.field.clone()))
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [inner, key] = call.args.as_slice() else {
                    return None;
                };
                (inner, literal_key(key)?)
            }
            _ => return None,
        };
        let mut path = Self::of(inner)?;
        path.keys.push(key);
        Some(path)
    }
}

fn root(name: &str) -> Option<Root> {
    use Root as R;
    let all = [
        R::Input,
        R::Prev,
        R::Run,
        R::Item,
        R::Index,
        R::Error,
        R::Event,
    ];
    all.into_iter().find(|root| root.name() == name)
}

/// The id, when `expr` is `steps.ID` or `steps['ID']` (in `has(steps.ID)` too).
fn step(expr: &IdedExpr) -> Option<String> {
    let is_steps = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if name == "steps");
    match &expr.expr {
        Expr::Select(select) if !select.test && is_steps(&select.operand) => {
            Some(select.field.clone())
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [
                steps,
                IdedExpr {
                    expr: Expr::Literal(LiteralValue::String(id)),
                    ..
                },
            ] if is_steps(steps) => Some(id.inner().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

fn literal_key(key: &IdedExpr) -> Option<Key> {
    match &key.expr {
        Expr::Literal(LiteralValue::String(name)) => Some(Key::Name(name.inner().to_owned())),
        Expr::Literal(LiteralValue::Int(index)) => {
            usize::try_from(*index.inner()).ok().map(Key::Index)
        }
        _ => None,
    }
}

/// The variables in `expr`. A loop's own variable never has such a name: that was checked.
fn collect(expr: &IdedExpr, needs: &mut BTreeSet<Root>) {
    if let Some(id) = step(expr) {
        needs.insert(Root::Step(id));
        return;
    }
    match &expr.expr {
        Expr::Ident(name) => needs.extend(root(name)),
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) if name == "steps" => {
                needs.insert(Root::Step(select.field.clone()));
            }
            _ => collect(&select.operand, needs),
        },
        Expr::Call(call) => {
            let target = call.target.iter().map(AsRef::as_ref);
            target.chain(&call.args).for_each(|arg| collect(arg, needs));
        }
        Expr::List(list) => list.elements.iter().for_each(|item| collect(item, needs)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    collect(&entry.key, needs);
                    collect(&entry.value, needs);
                }
            }
        }
        Expr::Comprehension(loops) => {
            collect(&loops.iter_range, needs);
            collect(&loops.loop_step, needs);
        }
        Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}
