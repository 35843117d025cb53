//! Rules of the host around a call and around a whole run: circuit breakers, degrading, batches, classes, budgets.

use std::time::Duration;

use super::check::CallSite;
use super::keys;
use super::lower::{Fields, Lower};
use super::tree::{Node, What};
use crate::plan::{Batch, Budget, CallStep, Callee, CircuitBreaker, Degrade, OnExceeded};
use crate::slots::Priority;
use crate::units::Fuel;

/// The load above which another agent is asked when nothing else is said: nearly full.
const DEGRADE_ABOVE: f64 = 0.8;
/// How long the first call of a batch waits for others when nothing else is said.
const BATCH_WAIT: Duration = Duration::from_millis(10);

impl Lower<'_> {
    /// A `circuit-breaker`.
    pub(super) fn breaker(&mut self, node: &Node) -> Option<CircuitBreaker> {
        let fields = self.fields(node, "`circuit-breaker`")?;
        self.only(&fields, &[keys::BREAKER], &[]);
        let mut breaker = CircuitBreaker::default();
        if let Some(failures) = self.whole(&fields, keys::BREAKER, "failures") {
            breaker.failures = failures;
        }
        if let Some(open_for) = fields.get("open-for").and_then(|node| self.span(node)) {
            breaker.open_for = open_for;
        }
        if let Some(calls) = self.whole(&fields, keys::BREAKER, "half-open-calls") {
            breaker.half_open_calls = calls;
        }
        Some(breaker)
    }

    /// A `degrade`.
    pub(super) fn degrade(&mut self, node: &Node) -> Option<Degrade> {
        let fields = self.fields(node, "`degrade`")?;
        self.only(&fields, &[keys::DEGRADE], &[]);
        let above = match fields.get("above") {
            Some(node) => self.load(node),
            None => Some(DEGRADE_ABOVE),
        };
        let skill_node = fields.get("skill");
        let skill = skill_node.and_then(|node| self.name(node, "the name of a skill"));
        let Some(to) = fields.get("to") else {
            self.problem(
                node.at.clone(),
                "`degrade` needs `to`",
                "write for example `degrade: { above: 0.8, to: other-agent }`",
            );
            return None;
        };
        let agent: crate::id::AgentName = self.name(to, "the name of an agent")?;
        self.calls.push(CallSite {
            skill: skill.clone().zip(skill_node.map(|node| node.at.clone())),
            ..CallSite::of(&agent, to.at.clone())
        });
        let call = CallStep {
            callee: Callee::Agent(agent),
            skill,
            policy: crate::plan::Policy::default(),
        };
        above.map(|above| Degrade {
            above,
            to: Box::new(call),
        })
    }

    fn load(&mut self, node: &Node) -> Option<f64> {
        let number = match &node.what {
            What::Number(number) => number.as_f64(),
            _ => None,
        };
        let load = number.filter(|load| (0.0..=100.0).contains(load));
        if load.is_none() {
            self.wrong(node, "a load from 0 (idle) over 1 (full) to 100");
        }
        load
    }

    /// A `batch`.
    pub(super) fn batch(&mut self, node: &Node) -> Option<Batch> {
        let fields = self.fields(node, "`batch`")?;
        self.only(&fields, &[keys::BATCH], &[]);
        let wait = match fields.get("wait") {
            Some(node) => self.span(node),
            None => Some(BATCH_WAIT),
        };
        if fields.get("size").is_none() {
            self.problem(
                node.at.clone(),
                "`batch` needs `size`",
                "write for example `batch: { size: 16, wait: 10ms }`",
            );
        }
        let size = self.whole(&fields, keys::BATCH, "size")?;
        Some(Batch {
            size: size as usize, // at most a thousand
            wait: wait?,
        })
    }

    /// The class at `priority`.
    pub(super) fn priority(&mut self, node: &Node) -> Option<Priority> {
        let words = Priority::ALL.map(|priority| (priority.label(), priority));
        self.one_of(node, &words)
    }

    /// The `budget` of a flow.
    pub(super) fn budget(&mut self, node: &Node) -> Option<Budget> {
        let fields = self.fields(node, "`budget`")?;
        self.only(&fields, &[keys::BUDGET], &[]);
        let fuel = fields.get("fuel");
        let fuel: Option<Fuel> = fuel.and_then(|node| self.parsed(node, "an amount of fuel"));
        let words = [("stop", OnExceeded::Stop), ("degrade", OnExceeded::Degrade)];
        let on_exceeded = fields.get("on-exceeded");
        Some(Budget {
            fuel: fuel.map(|fuel| fuel.0),
            wall: fields.get("wall").and_then(|node| self.span(node)),
            calls: self.whole(&fields, keys::BUDGET, "calls").map(u64::from),
            on_exceeded: on_exceeded
                .and_then(|node| self.one_of(node, &words))
                .unwrap_or_default(),
        })
    }

    /// The whole number at `key`, between the bounds that the table has.
    pub(super) fn whole(
        &mut self,
        fields: &Fields<'_>,
        table: &[keys::Key],
        key: &str,
    ) -> Option<u32> {
        let node = fields.get(key)?;
        let (least, most) = table.iter().find_map(|known| match known.shape {
            keys::Shape::Whole(least, most) if known.name == key => Some((least, most)),
            _ => None,
        })?;
        let number = match &node.what {
            What::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(node, &format!("a whole number from {least} to {most}"));
        }
        number
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        if let What::Text(text) = &node.what
            && let Some((_, value)) = words.iter().find(|(word, _)| word == text)
        {
            return Some(*value);
        }
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.wrong(node, &words.join(" or "));
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use crate::flow::{Agent, parse};
    use crate::plan::{Budget, Kind, OnExceeded, Plan, Policy};
    use crate::slots::Priority;

    fn plan(source: &str) -> Plan {
        let source = format!("kennel: 1\n{source}");
        parse(&source, "x").unwrap_or_else(|wrong| panic!("{}", wrong.render("x", &source, false)))
    }

    fn policy(source: &str) -> Policy {
        let plan = plan(source);
        let mut calls = plan.steps.iter().filter_map(|step| match &step.kind {
            Kind::Call(call) => Some(call.policy.clone()),
            _ => None,
        });
        calls.next().expect("a call")
    }

    /// What is said about each line in its place.
    fn told(place: fn(&str) -> String, lines: &[&str], expected: Expect) {
        let mut text = String::new();
        for line in lines {
            let source = place(line);
            let Err(problems) = parse(&source, "x") else {
                writeln!(text, "{line}: nothing wrong").expect("a string takes all");
                continue;
            };
            for problem in problems.iter() {
                let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})"));
                let hint = hint.unwrap_or_default();
                writeln!(text, "{line}: {}{hint}", problem.message).expect("a string takes all");
            }
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn every_rule_of_a_call_arrives_in_the_plan() {
        let policy = policy(
            "agent: a\npriority: high\ndeadline: 9s\ndegrade: { above: 1.5, to: cheap, skill: short }\n\
             circuit-breaker: { failures: 7, open-for: 1m, half-open-calls: 2 }\nbatch: { size: 16, wait: 20ms }",
        );
        assert_eq!(policy.priority, Some(Priority::High));
        assert_eq!(policy.deadline, Some(Duration::from_secs(9)));
        let breaker = policy.circuit_breaker.expect("a breaker");
        let numbers = (breaker.failures, breaker.open_for, breaker.half_open_calls);
        assert_eq!(numbers, (7, Duration::from_secs(60), 2));
        let batch = policy.batch.expect("a batch");
        assert_eq!((batch.size, batch.wait), (16, Duration::from_millis(20)));
        let degrade = policy.degrade.expect("another agent");
        assert_eq!(
            (degrade.above, degrade.to.to_string()),
            (1.5, "cheap · short".to_owned())
        );
    }

    #[test]
    fn a_rule_may_stand_in_a_named_set_and_on_a_fallback() {
        let policy = policy(
            "policies: { p: { priority: low, deadline: 9s, circuit-breaker: {}, degrade: { to: c }, batch: { size: 2 } } }\n\
             sequential:\n  - agent: a\n    policy: p\n    priority: high\n    \
             fallback: [{ agent: b, circuit-breaker: { failures: 2 }, deadline: 1s, priority: background, batch: { size: 3 } }]",
        );
        assert_eq!(policy.priority, Some(Priority::High), "the step's own wins");
        assert!(policy.deadline.is_some() && policy.circuit_breaker.is_some());
        assert!(policy.degrade.is_some() && policy.batch.is_some());
        let other = &policy.fallback[0].call.policy;
        assert_eq!(
            other.circuit_breaker.map(|breaker| breaker.failures),
            Some(2)
        );
        assert_eq!(other.deadline, Some(Duration::from_secs(1)));
        assert_eq!(other.priority, Some(Priority::Background));
        assert_eq!(other.batch.map(|batch| batch.size), Some(3));
    }

    #[test]
    fn a_flow_has_a_budget_and_a_class() {
        let plan = plan(
            "budget: { fuel: 20G, wall: 2m, calls: 200, on-exceeded: degrade }\npriority: background\nsequential: [{ agent: a }]",
        );
        assert_eq!(
            plan.budget,
            Budget {
                fuel: Some(20_000_000_000),
                wall: Some(Duration::from_secs(120)),
                calls: Some(200),
                on_exceeded: OnExceeded::Degrade,
            }
        );
        assert_eq!(plan.priority, Some(Priority::Background));
        let Kind::Call(call) = &plan.steps[1].kind else {
            panic!("a call");
        };
        assert_eq!(
            call.policy.priority, None,
            "who runs the flow applies its class"
        );
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_told() {
        told(
            |line| format!("kennel: 1\nagent: a\n{line}\n"),
            &[
                "circuit-breaker: 5",
                "circuit-breaker: { failures: 0, open-for: 0s, half-open-calls: 101 }",
                "circuit-breaker: { failure: 3 }",
                "degrade: cheap",
                "degrade: { above: 0.8 }",
                "degrade: { above: -1, to: cheap }",
                "degrade: { above: high, to: 'no name!', of: 1 }",
                "batch: 16",
                "batch: { wait: 1s }",
                "batch: { size: 1 }",
                "batch: { size: 8, wait: 8 }",
                "deadline: never",
                "priority: urgent",
                "priority: 1",
                "prioritty: low",
                "budget: 20G",
                "budget: { fuel: much, wall: 0s, calls: 0, on-exceeded: ask }",
                "budget: { fule: 1G }",
                "budget: { tokens: 50k }",
                "fallback: [{ agent: b, degrade: { to: c } }]",
            ],
            expect![[r#"
                circuit-breaker: 5: `5` should be `circuit-breaker`, which is a map
                circuit-breaker: { failures: 0, open-for: 0s, half-open-calls: 101 }: `0` should be a whole number from 1 to 1000
                circuit-breaker: { failures: 0, open-for: 0s, half-open-calls: 101 }: a length of time must be longer than nothing
                circuit-breaker: { failures: 0, open-for: 0s, half-open-calls: 101 }: `101` should be a whole number from 1 to 100
                circuit-breaker: { failure: 3 }: unknown key `failure` (did you mean `failures`?)
                degrade: cheap: `cheap` should be `degrade`, which is a map
                degrade: { above: 0.8 }: `degrade` needs `to` (write for example `degrade: { above: 0.8, to: other-agent }`)
                degrade: { above: -1, to: cheap }: `-1` should be a load from 0 (idle) over 1 (full) to 100
                degrade: { above: high, to: 'no name!', of: 1 }: `high` should be a load from 0 (idle) over 1 (full) to 100
                degrade: { above: high, to: 'no name!', of: 1 }: `no name!` is not a valid agent name: only ASCII letters, digits, `-`, `_` and `.` are allowed
                degrade: { above: high, to: 'no name!', of: 1 }: unknown key `of` (known are `above`, `to`, `skill`)
                batch: 16: `16` should be `batch`, which is a map
                batch: { wait: 1s }: `batch` needs `size` (write for example `batch: { size: 16, wait: 10ms }`)
                batch: { size: 1 }: `1` should be a whole number from 2 to 1000
                batch: { size: 8, wait: 8 }: `8` is not a length of time; write for example `30s` or `200ms`
                deadline: never: `never` is not a length of time; write for example `30s` or `200ms`
                priority: urgent: `urgent` should be `critical` or `high` or `normal` or `low` or `background`
                priority: 1: `1` should be `critical` or `high` or `normal` or `low` or `background`
                prioritty: low: unknown key `prioritty` (did you mean `priority`?)
                budget: 20G: `20G` should be `budget`, which is a map
                budget: { fuel: much, wall: 0s, calls: 0, on-exceeded: ask }: `much` is not an amount of fuel; write for example `5G` or `200M`
                budget: { fuel: much, wall: 0s, calls: 0, on-exceeded: ask }: a length of time must be longer than nothing
                budget: { fuel: much, wall: 0s, calls: 0, on-exceeded: ask }: `0` should be a whole number from 1 to 1000000
                budget: { fuel: much, wall: 0s, calls: 0, on-exceeded: ask }: `ask` should be `stop` or `degrade`
                budget: { fule: 1G }: unknown key `fule` (did you mean `fuel`?)
                budget: { tokens: 50k }: `tokens` is not supported by this version of kennel
                fallback: [{ agent: b, degrade: { to: c } }]: unknown key `degrade` (known are `agent`, `skill`, `with`, `timeout`, `retry`, `cache`, `deadline`, `circuit-breaker`, `batch`, `priority`)
            "#]],
        );
    }

    #[test]
    fn the_agent_asked_instead_must_be_there_and_have_the_skill() {
        let catalogue = || {
            let agent = |skills: &[&str]| Agent {
                skills: skills
                    .iter()
                    .map(|skill| (skill.parse().expect("a name"), None))
                    .collect(),
            };
            [("a", agent(&["s"])), ("cheap", agent(&["s"]))]
                .map(|(name, agent)| (name.parse().expect("a name"), agent))
                .into_iter()
                .collect()
        };
        for (to, fine) in [
            ("cheap", true),
            ("cheap, skill: s", true),
            ("chaep", false),
            ("cheap, skill: t", false),
        ] {
            let plan = plan(&format!("agent: a\ndegrade: {{ to: {to} }}"));
            let problems = crate::flow::check(&plan, &catalogue());
            assert_eq!(problems.is_empty(), fine, "{to}: {problems:?}");
        }
    }
}
