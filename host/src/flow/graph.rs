//! The plan as a picture: Mermaid or Graphviz.
//!
//! One walk gives nodes, edges and frames; the two formats only write them down, each with its own escapes.

use crate::plan::{CallStep, Entry, Kind, Plan, Require, StageMode, Step, StepRef, Workers};
use crate::units::Span;

/// A language for pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Mermaid's `flowchart`.
    Mermaid,
    /// Graphviz' `digraph`.
    Dot,
}

/// The picture of `plan` in `format`.
pub fn graph(plan: &Plan, format: Format) -> String {
    let mut canvas = Canvas {
        format,
        text: String::new(),
        depth: 1,
        frames: 0,
    };
    let name = canvas.escape(&plan.name);
    match format {
        Format::Mermaid => canvas.text.push_str("flowchart TD\n"),
        Format::Dot => canvas.text.push_str(&format!(
            "digraph \"{name}\" {{\n  node [shape=box, style=rounded];\n"
        )),
    }
    canvas.node("input", &["input".to_owned()], true);
    let exits = match &plan.entry {
        Entry::Root(root) => canvas.step(plan, *root, vec!["input".to_owned()]),
        Entry::On(handlers) => handlers
            .iter()
            .flat_map(|(event, handler)| {
                let node = format!("e{}", handler.step.0);
                let every = handler.every.map(|every| format!("every {}", Span(every)));
                let lines: Vec<_> = std::iter::once(event.to_string()).chain(every).collect();
                canvas.node(&node, &lines, true);
                canvas.edge("input", &node, None);
                canvas.step(plan, handler.step, vec![node])
            })
            .collect(),
    };
    canvas.node("output", &["output".to_owned()], true);
    for exit in exits {
        canvas.edge(&exit, "output", None);
    }
    if format == Format::Dot {
        canvas.text.push_str("}\n");
    }
    canvas.text
}

struct Canvas {
    format: Format,
    text: String,
    depth: usize,
    frames: usize,
}

impl Canvas {
    /// Draws a step that follows `entries`; the nodes that its own followers come after.
    fn step(&mut self, plan: &Plan, at: StepRef, entries: Vec<String>) -> Vec<String> {
        let step = plan.step(at);
        match &step.kind {
            Kind::Call(call) => {
                let node = self.leaf(at, &lines(step, Some(call.to_string())), &entries);
                self.fallbacks(&node, call);
                vec![node]
            }
            Kind::Emit(event) => {
                vec![self.leaf(at, &lines(step, Some(format!("emits {event}"))), &entries)]
            }
            Kind::Approve(_) => {
                let asks = Some("asks a person".to_owned());
                vec![self.leaf(at, &lines(step, asks), &entries)]
            }
            Kind::Sequential(steps) => steps
                .iter()
                .fold(entries, |entries, step| self.step(plan, *step, entries)),
            Kind::Parallel {
                branches, require, ..
            } => {
                let title = match require {
                    Require::All => step.id.to_string(),
                    Require::Any => format!("{} (any)", step.id),
                    Require::AtLeast(count) => format!("{} (at least {count})", step.id),
                };
                self.open(&title);
                let exits = branches
                    .iter()
                    .flat_map(|branch| self.step(plan, *branch, entries.clone()))
                    .collect();
                self.close();
                exits
            }
            Kind::Hierarchical(parts) => {
                self.open(step.id.as_str());
                let planned = self.step(plan, parts.plan, entries);
                let workers: Vec<StepRef> = match &parts.workers {
                    Workers::Fixed(workers) => workers.values().copied().collect(),
                    Workers::BySkill(worker) => vec![*worker],
                };
                let done = workers
                    .into_iter()
                    .flat_map(|worker| self.step(plan, worker, planned.clone()))
                    .collect();
                let exits = self.step(plan, parts.synthesize, done);
                self.close();
                exits
            }
            Kind::Pipeline(stages) => {
                self.open(step.id.as_str());
                let exits = stages.iter().fold(entries, |entries, stage| {
                    let exits = self.step(plan, stage.step, entries);
                    if stage.mode == StageMode::Pages {
                        exits
                            .iter()
                            .for_each(|exit| self.edge(exit, exit, Some("next page")));
                    }
                    exits
                });
                self.close();
                exits
            }
            Kind::Route(arms) => {
                self.open(step.id.as_str());
                let mut exits: Vec<String> = arms
                    .iter()
                    .flat_map(|arm| self.step(plan, arm.step, entries.clone()))
                    .collect();
                self.close();
                if arms.iter().all(|arm| arm.when.is_some()) {
                    exits.extend(entries);
                }
                exits
            }
            Kind::Repeat(parts) => {
                self.open(&format!("{} (up to {} rounds)", step.id, parts.max));
                let exits = self.step(plan, parts.body, entries);
                self.close();
                exits
            }
            Kind::Flow(inner) => {
                self.open(&format!("{} (flow {})", step.id, inner.name));
                let exits = self.step(plan, inner.root, entries);
                self.close();
                exits
            }
        }
    }

    /// A step without steps inside.
    fn leaf(&mut self, at: StepRef, lines: &[String], entries: &[String]) -> String {
        let node = format!("s{}", at.0);
        self.node(&node, lines, false);
        for entry in entries {
            self.edge(entry, &node, None);
        }
        node
    }

    fn fallbacks(&mut self, step: &str, call: &CallStep) {
        let mut from = step.to_owned();
        for (index, fallback) in call.policy.fallback.iter().enumerate() {
            let node = format!("{step}f{index}");
            self.node(&node, &[fallback.call.to_string()], false);
            self.edge(&from, &node, Some("fallback"));
            from = node;
        }
    }

    fn node(&mut self, id: &str, lines: &[String], round: bool) {
        let lines: Vec<_> = lines.iter().map(|line| self.escape(line)).collect();
        self.indent();
        let line = match (self.format, round) {
            (Format::Mermaid, true) => format!("{id}([\"{}\"])", lines.join("<br/>")),
            (Format::Mermaid, false) => format!("{id}[\"{}\"]", lines.join("<br/>")),
            (Format::Dot, true) => format!("{id} [label=\"{}\", shape=oval];", lines.join("\\n")),
            (Format::Dot, false) => format!("{id} [label=\"{}\"];", lines.join("\\n")),
        };
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn edge(&mut self, from: &str, to: &str, label: Option<&str>) {
        self.indent();
        let line = match (self.format, label) {
            (Format::Mermaid, None) => format!("{from} --> {to}"),
            (Format::Mermaid, Some(label)) => format!("{from} -. {label} .-> {to}"),
            (Format::Dot, None) => format!("{from} -> {to};"),
            (Format::Dot, Some(label)) => {
                format!("{from} -> {to} [label=\"{label}\", style=dashed];")
            }
        };
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn open(&mut self, title: &str) {
        let title = self.escape(title);
        self.indent();
        let frame = self.frames;
        self.frames += 1;
        self.text.push_str(&match self.format {
            Format::Mermaid => format!("subgraph g{frame} [\"{title}\"]\n"),
            Format::Dot => format!("subgraph cluster_{frame} {{ label=\"{title}\";\n"),
        });
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.indent();
        self.text.push_str(match self.format {
            Format::Mermaid => "end\n",
            Format::Dot => "}\n",
        });
    }

    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }

    /// `text` inside double quotes. Mermaid reads HTML there, so everything that could be markup becomes an entity.
    fn escape(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match (self.format, c) {
                (_, c) if c.is_control() => out.push(' '),
                (Format::Mermaid, '"' | '<' | '>' | '&' | '#' | ';' | '`' | '\\') => {
                    out.push_str(&format!("#{};", u32::from(c)));
                }
                (Format::Dot, '"' | '\\') => out.extend(['\\', c]),
                (_, c) => out.push(c),
            }
        }
        out
    }
}

fn lines(step: &Step, does: Option<String>) -> Vec<String> {
    let mut lines = vec![step.id.to_string()];
    lines.extend(does.filter(|does| does != step.id.as_str()));
    if let Some(when) = &step.when {
        let source = when.source();
        let mut short: String = source.chars().take(40).collect();
        if short.len() < source.len() {
            short.push('…');
        }
        lines.push(format!("if {short}"));
    }
    lines
}
