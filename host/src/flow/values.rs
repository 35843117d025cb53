//! Values with expressions in them, and the places of those expressions in the file.

use super::diagnostic::Diagnostic;
use super::lower::{Lower, Owner};
use super::references::{self, Use};
use super::tree::{Node, What};
use crate::expr::{self, Expr, ExprError, Template};

impl Lower<'_> {
    /// A value with expressions in it.
    pub(super) fn template(&mut self, node: &Node, owner: Owner) -> Template {
        match &node.what {
            What::Text(text) => self.text_template(node, text, owner),
            What::List(items) => Template::list(
                items
                    .iter()
                    .map(|item| self.template(item, owner))
                    .collect(),
            ),
            What::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.text.clone(), self.template(value, owner)));
                Template::map(entries.collect())
            }
            _ => Template::Value(node.value()),
        }
    }

    fn text_template(&mut self, node: &Node, text: &str, owner: Owner) -> Template {
        let mut cursor = 0;
        let mut parts = Vec::new();
        for piece in expr::pieces(text) {
            match piece {
                Ok(part) => {
                    if let expr::Part::Expr(expr) = &part {
                        self.uses_of(node, &mut cursor, expr, owner);
                    }
                    parts.push(part);
                }
                Err(error) => self.bad_expression(node, &mut cursor, error),
            }
        }
        Template::text(parts)
    }

    /// A condition, with or without `${{ }}`.
    pub(super) fn condition(&mut self, node: &Node, owner: Owner) -> Option<Expr> {
        let text = match &node.what {
            What::Text(text) => text.clone(),
            What::Bool(value) => value.to_string(),
            _ => {
                self.wrong(node, "a condition such as `steps.check.ok == true`");
                return None;
            }
        };
        let source = expr::single(&text).map_or(text.as_str(), |inside| &text[inside]);
        let mut cursor = 0;
        match Expr::parse(source) {
            Ok(expr) => {
                self.uses_of(node, &mut cursor, &expr, owner);
                Some(expr)
            }
            Err(error) => {
                self.bad_expression(node, &mut cursor, error);
                None
            }
        }
    }

    fn uses_of(&mut self, node: &Node, cursor: &mut usize, expr: &Expr, owner: Owner) {
        let begin = self.find(node, cursor, expr.source());
        for (id, span) in &expr.references().steps {
            let place = begin.map_or(node.at.clone(), |begin| {
                begin + span.start..begin + span.end
            });
            self.uses.push(Use {
                id: id.clone(),
                place,
                owner,
                source: expr.source().to_owned(),
            });
        }
        let locals = ["item", "index", "error", "event"];
        for name in expr.roots().filter(|root| locals.contains(root)) {
            self.locals.push(references::LocalUse {
                name,
                place: begin.map_or(node.at.clone(), |begin| begin..begin + expr.source().len()),
                owner,
            });
        }
    }

    fn bad_expression(&mut self, node: &Node, cursor: &mut usize, error: ExprError) {
        let begin = self.find(node, cursor, &error.source_text);
        let place = match (begin, &error.span) {
            (Some(begin), Some(span)) => begin + span.start..begin + span.end,
            (Some(begin), None) => begin..begin + error.source_text.len(),
            (None, _) => node.at.clone(),
        };
        self.bad.push((error, place));
    }

    /// Where in the file the text of an expression begins. A text that YAML changed (escapes, folded lines) is not found; the
    /// place of the whole text has to do then.
    fn find(&self, node: &Node, cursor: &mut usize, text: &str) -> Option<usize> {
        let raw = self.source.get(node.at.clone())?;
        let found = *cursor + raw.get(*cursor..)?.find(text)?;
        *cursor = found + text.len();
        Some(node.at.start + found)
    }

    /// Tells what was wrong in expressions.
    pub(super) fn tell_bad_expressions(&mut self) {
        for (error, place) in std::mem::take(&mut self.bad) {
            let hint = references::bracket_hint(&error.source_text, self.ids.keys());
            let problem = Diagnostic::new(self.source, place, error.reason).maybe_hint(hint);
            self.problems.push(problem);
        }
    }
}
