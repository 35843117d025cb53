//! Policies around a call: the keys of a step, named sets, fallbacks.

use std::time::Duration;

use super::diagnostic::Diagnostic;
use super::keys;
use super::lower::{Fields, Lower, Moment, Owner, list};
use super::references::{LocalUse, Use};
use super::tree::{Node, What};
use crate::call::Bounds;
use crate::failure::FailureKind;
use crate::meant::near;
use crate::plan::{
    Batch, Cache, CallStep, Callee, CircuitBreaker, Degrade, Fallback, Policy, Retry,
};
use crate::slots::Priority;
use crate::units::{Bytes, Fuel, Span};

/// Policies as far as they were written down.
#[derive(Debug, Clone, Default)]
pub(super) struct Partial {
    timeout: Option<Duration>,
    retry: Option<Retry>,
    fallback: Option<Vec<Fallback>>,
    cache: Option<Cache>,
    bounds: Option<Bounds>,
    deadline: Option<Duration>,
    circuit_breaker: Option<CircuitBreaker>,
    degrade: Option<Degrade>,
    batch: Option<Batch>,
    priority: Option<Priority>,
}

/// A named set of policies, with the references in it: each step that takes it must be able to make them.
#[derive(Debug)]
pub(super) struct Named {
    partial: Partial,
    uses: Vec<Use>,
    locals: Vec<LocalUse>,
}

/// The policies of a step: its own keys, then those of the named set.
pub(super) fn merged(own: Partial, named: Option<Partial>) -> Policy {
    let named = named.unwrap_or_default();
    Policy {
        timeout: own.timeout.or(named.timeout),
        retry: own.retry.or(named.retry),
        fallback: own.fallback.or(named.fallback).unwrap_or_default(),
        cache: own.cache.or(named.cache),
        bounds: own.bounds.or(named.bounds).unwrap_or_default(),
        deadline: own.deadline.or(named.deadline),
        circuit_breaker: own.circuit_breaker.or(named.circuit_breaker),
        degrade: own.degrade.or(named.degrade),
        batch: own.batch.or(named.batch),
        priority: own.priority.or(named.priority),
    }
}

impl Lower<'_> {
    /// The `policies` of a flow.
    pub(super) fn policies(&mut self, node: &Node) {
        let Some(sets) = self.fields(node, "named sets of policies") else {
            return;
        };
        for (name, set) in sets.0 {
            let Some(fields) = self.fields(set, "a set of policies") else {
                continue;
            };
            self.only(&fields, &[keys::POLICY], &[]);
            let (uses, locals) = (self.uses.len(), self.locals.len());
            let owner = Owner {
                step: None,
                moment: Moment::After,
            };
            let partial = self.policy_keys(&fields, owner);
            // They are checked where the set is taken: what a step may read depends on where it stands.
            let named = Named {
                partial,
                uses: self.uses.split_off(uses),
                locals: self.locals.split_off(locals),
            };
            self.policies.insert(name.text.clone(), named);
        }
    }

    /// The set that `policy` names.
    pub(super) fn named_policy(&mut self, node: &Node, owner: Owner) -> Option<Partial> {
        let name = self.text(node, "the name of a set of policies")?;
        let Some(named) = self.policies.get(&name) else {
            let known = self.policies.keys().map(String::as_str);
            let hint = match near(&name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.policies.is_empty() => "the flow has no `policies`".to_owned(),
                None => format!("known are {}", list(known)),
            };
            self.problem(
                node.at.clone(),
                format!("there is no set of policies `{name}`"),
                hint,
            );
            return None;
        };
        let uses = named.uses.iter().map(|used| Use {
            owner,
            ..used.clone()
        });
        let locals = named.locals.iter().map(|used| LocalUse {
            owner,
            ..used.clone()
        });
        self.uses.extend(uses.collect::<Vec<_>>());
        self.locals.extend(locals.collect::<Vec<_>>());
        Some(named.partial.clone())
    }

    /// The policy keys among `fields`.
    pub(super) fn policy_keys(&mut self, fields: &Fields<'_>, owner: Owner) -> Partial {
        Partial {
            timeout: fields.get("timeout").and_then(|node| self.span(node)),
            retry: fields.get("retry").and_then(|node| self.retry(node)),
            fallback: fields
                .get("fallback")
                .and_then(|node| self.fallbacks(node, owner)),
            cache: fields.get("cache").and_then(|node| self.cache(node, owner)),
            bounds: fields.get("limits").and_then(|node| self.limits(node)),
            deadline: fields.get("deadline").and_then(|node| self.span(node)),
            circuit_breaker: fields
                .get("circuit-breaker")
                .and_then(|node| self.breaker(node)),
            degrade: fields.get("degrade").and_then(|node| self.degrade(node)),
            batch: fields.get("batch").and_then(|node| self.batch(node)),
            priority: fields.get("priority").and_then(|node| self.priority(node)),
        }
    }

    fn retry(&mut self, node: &Node) -> Option<Retry> {
        let fields = self.fields(node, "`retry`")?;
        self.only(&fields, &[keys::RETRY], &[]);
        let mut retry = Retry::default();
        if let Some(attempts) = fields.get("attempts").and_then(|node| self.attempts(node)) {
            retry.attempts = attempts;
        }
        if let Some(backoff) = fields.get("backoff").and_then(|node| self.span(node)) {
            retry.backoff = backoff;
        }
        if let Some(factor) = fields.get("factor").and_then(|node| self.factor(node)) {
            retry.factor = factor;
        }
        if let Some(longest) = fields.get("max-backoff").and_then(|node| self.span(node)) {
            retry.max_backoff = longest;
        }
        if let Some(node) = fields.get("jitter") {
            match node.what {
                What::Bool(jitter) => retry.jitter = jitter,
                _ => self.wrong(node, "true or false"),
            }
        }
        retry.on = fields.get("on").and_then(|node| self.kinds(node));
        Some(retry)
    }

    fn attempts(&mut self, node: &Node) -> Option<u32> {
        let whole = match &node.what {
            What::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        let attempts = whole.filter(|attempts| (1..=100).contains(attempts));
        if attempts.is_none() {
            self.wrong(node, "a whole number from 1 to 100");
        }
        attempts
    }

    fn factor(&mut self, node: &Node) -> Option<f64> {
        let number = match &node.what {
            What::Number(number) => number.as_f64(),
            _ => None,
        };
        let factor = number.filter(|factor| (1.0..=100.0).contains(factor));
        if factor.is_none() {
            self.wrong(node, "a number from 1 to 100");
        }
        factor
    }

    fn kinds(&mut self, node: &Node) -> Option<Vec<FailureKind>> {
        let What::List(items) = &node.what else {
            self.wrong(
                node,
                "a list of failure kinds, such as `[recoverable, deadline]`",
            );
            return None;
        };
        if items.is_empty() {
            self.problem(
                node.at.clone(),
                "the list of failure kinds is empty",
                "leave `on` out for the usual ones",
            );
        }
        items.iter().map(|item| self.kind(item)).collect()
    }

    fn kind(&mut self, node: &Node) -> Option<FailureKind> {
        let name = self.text(node, "a failure kind")?;
        let known = || FailureKind::ALL.iter().map(|kind| kind.label());
        let kind = FailureKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.label() == name);
        if kind.is_none() {
            let hint = match near(&name, known()) {
                _ if name == "timeout" => "did you mean `deadline`?".to_owned(),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", list(known())),
            };
            self.problem(
                node.at.clone(),
                format!("unknown failure kind `{name}`"),
                hint,
            );
        }
        kind
    }

    fn cache(&mut self, node: &Node, owner: Owner) -> Option<Cache> {
        let fields = self.fields(node, "`cache`")?;
        self.only(&fields, &[keys::CACHE], &[]);
        let key = fields.get("key").map(|node| self.template(node, owner));
        let Some(ttl) = fields.get("ttl") else {
            self.problem(
                node.at.clone(),
                "`cache` needs `ttl`",
                "write for example `cache: { ttl: 5m }`",
            );
            return None;
        };
        self.span(ttl).map(|ttl| Cache { ttl, key })
    }

    fn limits(&mut self, node: &Node) -> Option<Bounds> {
        let fields = self.fields(node, "`limits`")?;
        self.only(&fields, &[keys::LIMITS], &[]);
        let memory: Option<Bytes> = fields
            .get("memory")
            .and_then(|node| self.parsed(node, "a number of bytes"));
        let fuel: Option<Fuel> = fields
            .get("fuel")
            .and_then(|node| self.parsed(node, "an amount of fuel"));
        Some(Bounds {
            fuel: fuel.map(|fuel| fuel.0),
            memory: memory.map(|memory| memory.0),
            ..Bounds::default()
        })
    }

    pub(super) fn span(&mut self, node: &Node) -> Option<Duration> {
        let Span(span) = self.parsed(node, "a length of time such as `30s`")?;
        if span.is_zero() {
            let message = "a length of time must be longer than nothing";
            self.problems
                .push(Diagnostic::new(self.source, node.at.clone(), message));
            return None;
        }
        Some(span)
    }

    fn fallbacks(&mut self, node: &Node, owner: Owner) -> Option<Vec<Fallback>> {
        let What::List(items) = &node.what else {
            self.wrong(node, "a list of agents, such as `[other-agent]`");
            return None;
        };
        if items.is_empty() {
            self.problem(
                node.at.clone(),
                "the list of fallbacks is empty",
                "name an agent, or leave `fallback` out",
            );
        }
        items
            .iter()
            .map(|item| self.fallback(item, owner))
            .collect()
    }

    fn fallback(&mut self, node: &Node, owner: Owner) -> Option<Fallback> {
        if let What::Text(_) = node.what {
            let agent = self.name(node, "the name of an agent")?;
            self.calls
                .push(super::check::CallSite::of(&agent, node.at.clone()));
            let call = CallStep {
                callee: Callee::Agent(agent),
                skill: None,
                policy: Policy::default(),
            };
            return Some(Fallback {
                call: Box::new(call),
                with: None,
            });
        }
        let fields = self.fields(node, "the name of an agent, or a step")?;
        let inner: &[keys::Key] = &keys::POLICY[2..3];
        self.only(
            &fields,
            &[keys::FALLBACK],
            &[(
                inner,
                "name the agents one after the other in the outer list",
            )],
        );
        if fields.get("agent").is_none() {
            self.problem(
                node.at.clone(),
                "a fallback needs `agent`",
                "write `- NAME`, or `- agent: NAME` with policies below",
            );
            return None;
        }
        let (agent, skill) = self.callee(&fields);
        let with_node = fields.get("with");
        let with = with_node.map(|node| self.template(node, owner));
        if let (Some(site), Some(with), Some(node)) = (self.calls.last_mut(), &with, with_node) {
            site.with = Some((with.clone(), node.at.clone()));
        }
        let policy = merged(self.policy_keys(&fields, owner), None);
        Some(Fallback {
            call: Box::new(CallStep {
                callee: Callee::Agent(agent),
                skill,
                policy,
            }),
            with,
        })
    }
}
