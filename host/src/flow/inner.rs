//! Flows inside flows: which files a flow names, and how their steps become part of its plan.
//!
//! The texts are read by somebody else, since nothing here does IO: [`named`] says which are needed.

use std::collections::BTreeMap;

use super::MAX_STEPS;
use super::diagnostic::Diagnostic;
use super::lower::{self, Lower};
use super::tree::{self, Node, What};
use crate::plan::{Budget, Entry, Kind, SubFlow};

/// How deep flows may stand in flows.
const MAX_INNER: usize = 8;

/// The texts of other flows, by the name under which a flow finds them: its path from the folder of the outermost flow.
#[derive(Debug, Clone)]
pub(super) struct Others<'a> {
    pub(super) sources: &'a BTreeMap<String, String>,
    /// The names of the flows around, outermost first; that of the outermost is empty.
    pub(super) around: Vec<String>,
}

/// The names of the flows that `source`, itself named `own` (empty for the outermost), refers to. A text that is no flow names none.
pub fn named(source: &str, own: &str) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(root) = tree::read(source, &mut Vec::new()) {
        collect(&root, own, &mut names);
    }
    names
}

fn collect(node: &Node, own: &str, names: &mut Vec<String>) {
    match &node.what {
        What::List(items) => items.iter().for_each(|item| collect(item, own, names)),
        What::Map(entries) => {
            for (key, value) in entries {
                match &value.what {
                    What::Text(text) if key.text == "flow" => {
                        names.extend(resolve(own, text).ok());
                    }
                    _ => collect(value, own, names),
                }
            }
        }
        _ => {}
    }
}

/// The name of the flow that `own` calls `text`: `own`'s folder and `text` together, without `.` and `..` where these can be undone.
fn resolve(own: &str, text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') || text.contains(['\\', '\0']) {
        return Err("it must be a path from this flow's folder, with `/` between its parts");
    }
    let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.last().is_none_or(|last| *last == "..") {
                    parts.push("..");
                } else {
                    parts.pop();
                }
            }
            part => parts.push(part),
        }
    }
    let name = parts.join("/");
    match parts.last() {
        None => Err("it names no file"),
        Some(last) if last.contains('.') && *last != ".." => Ok(name),
        Some(_) => Ok(format!("{name}.yaml")),
    }
}

impl Lower<'_> {
    /// A step that is another flow.
    pub(super) fn sub_flow(&mut self, node: &Node) -> Kind {
        let nothing = Kind::Sequential(Vec::new());
        let Some(text) = self.text(node, "the name of a flow file") else {
            return nothing;
        };
        let own = self.others.around.last().map_or("", String::as_str);
        let name = match resolve(own, &text) {
            Ok(name) => name,
            Err(why) => {
                self.problem(node.at.clone(), format!("`{text}` is no flow file"), why);
                return nothing;
            }
        };
        if self.others.around.contains(&name) {
            let way = [&self.others.around[1..], &[name]].concat().join("` → `");
            let hint = "a flow cannot stand inside itself; `repeat` loops";
            self.problem(
                node.at.clone(),
                format!("the flows stand in a circle: `{way}`"),
                hint,
            );
            return nothing;
        }
        if self.others.around.len() > MAX_INNER {
            let what = format!("flows stand more than {MAX_INNER} deep in flows");
            self.problem(node.at.clone(), what, "flatten some of them");
            return nothing;
        }
        let Some(source) = self.others.sources.get(&name) else {
            let hint = "the path is from this flow's folder; `.yaml` may be left out";
            self.problem(
                node.at.clone(),
                format!("there is no flow file `{name}`"),
                hint,
            );
            return nothing;
        };
        let others = Others {
            sources: self.others.sources,
            around: [&self.others.around[..], std::slice::from_ref(&name)].concat(),
        };
        let plan = match lower::lower(source, &name, &others) {
            Ok(lowered) => lowered.plan,
            Err(problems) => {
                let first = problems.iter().next().map_or_else(String::new, brief);
                let what = format!("the flow `{name}` has {} problems: {first}", problems.len());
                let hint = format!("`kennel flow check {name}` shows them all");
                self.problem(node.at.clone(), what, hint);
                return nothing;
            }
        };
        let Entry::Root(root) = plan.entry else {
            let hint = "emit an event for it instead, with `emit`";
            let what = format!("the flow `{name}` is event-driven");
            self.problem(node.at.clone(), what, hint);
            return nothing;
        };
        if plan.budget != Budget::default() || plan.priority.is_some() {
            let what = format!("the flow `{name}` has a budget or a priority of its own");
            let hint = "those of the outermost flow hold for the whole run; take them out there";
            self.problem(node.at.clone(), what, hint);
        }
        if self.steps.len() + plan.steps.len() > MAX_STEPS {
            let what = format!("with `{name}`, the flow has more than {MAX_STEPS} steps");
            self.problem(node.at.clone(), what, "let one agent do more");
            return nothing;
        }
        let by = self.steps.len();
        for mut step in plan.steps {
            step.kind.shift(by);
            self.steps.push(Some(step));
            self.parents.push(None);
        }
        self.inner.extend(plan.sources);
        self.inner.insert(name.clone(), source.clone());
        Kind::Flow(Box::new(SubFlow {
            name: plan.name,
            root: crate::plan::StepRef(root.0 + by),
            input: plan.input,
            output: plan.output,
        }))
    }
}

/// Every problem of the calls in the flows inside, told at the beginning of the outermost text.
pub(super) fn told_outside(source: &str, name: &str, inner: &Diagnostic) -> Diagnostic {
    Diagnostic::new(
        source,
        0..0,
        format!("in the flow `{name}`, {}", brief(inner)),
    )
}

fn brief(problem: &Diagnostic) -> String {
    format!("line {}: {}", problem.line, problem.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_found_from_the_folder_of_the_one_that_names_it() {
        for (own, text, name) in [
            ("", "clean", "clean.yaml"),
            ("", "./parts/clean.yml", "parts/clean.yml"),
            ("parts/clean.yml", "deep/er", "parts/deep/er.yaml"),
            ("parts/clean.yml", "../other.yaml", "other.yaml"),
            ("", "../other.yaml", "../other.yaml"),
        ] {
            assert_eq!(resolve(own, text).as_deref(), Ok(name), "{own} {text}");
        }
        for text in ["/etc/passwd", "a\\b", "", "."] {
            assert!(resolve("", text).is_err(), "{text}");
        }
    }
}
