//! `[defaults]` of a manifest: policies of a call that a flow does not set itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::FailureKind;
use crate::plan;
use crate::units::Span;

/// `[defaults]`: policies that hold when a flow does not set its own.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Defaults {
    /// Bounds one attempt.
    pub timeout: Option<Span>,
    /// Tries again.
    pub retry: Option<RetryDefaults>,
    /// Answers from earlier answers.
    pub cache: Option<CacheDefaults>,
    /// Stops asking the agent while it keeps failing.
    pub circuit_breaker: Option<BreakerDefaults>,
}

/// `defaults.retry`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetryDefaults {
    /// Tries in all.
    pub attempts: u32,
    /// The longest wait before the second try.
    pub backoff: Span,
    /// How much longer each further wait may be.
    pub factor: f64,
    /// The longest wait of all.
    pub max_backoff: Span,
    /// Whether waits are drawn at random below their bound.
    pub jitter: bool,
    /// The failure kinds to try again.
    pub on: Option<Vec<FailureKind>>,
}

impl Default for RetryDefaults {
    fn default() -> Self {
        let plan::Retry {
            attempts,
            backoff,
            factor,
            max_backoff,
            jitter,
            on,
        } = plan::Retry::default();
        Self {
            attempts,
            backoff: Span(backoff),
            factor,
            max_backoff: Span(max_backoff),
            jitter,
            on,
        }
    }
}

/// `defaults.cache`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CacheDefaults {
    /// The age at which an answer is too old.
    pub ttl: Span,
}

/// `defaults.circuit-breaker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BreakerDefaults {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open_for: Span,
    /// Calls that try the agent at the same time once that is over.
    pub half_open_calls: u32,
}

impl Default for BreakerDefaults {
    fn default() -> Self {
        let plan::CircuitBreaker {
            failures,
            open_for,
            half_open_calls,
        } = plan::CircuitBreaker::default();
        Self {
            failures,
            open_for: Span(open_for),
            half_open_calls,
        }
    }
}

impl Defaults {
    /// The bounds that flows have for the same keys.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(breaker) = &self.circuit_breaker {
            breaker.check()?;
        }
        let Some(retry) = &self.retry else {
            return Ok(());
        };
        if !(1..=100).contains(&retry.attempts) {
            return Err(format!(
                "defaults.retry.attempts is {}, it should be from 1 to 100",
                retry.attempts
            ));
        }
        if !(1.0..=100.0).contains(&retry.factor) {
            return Err(format!(
                "defaults.retry.factor is {}, it should be from 1 to 100",
                retry.factor
            ));
        }
        Ok(())
    }

    /// `policy`, with these where it says nothing.
    #[must_use]
    pub fn under(&self, policy: &plan::Policy) -> plan::Policy {
        let retry = self.retry.clone().map(|retry| plan::Retry {
            attempts: retry.attempts,
            backoff: retry.backoff.0,
            factor: retry.factor,
            max_backoff: retry.max_backoff.0,
            jitter: retry.jitter,
            on: retry.on,
        });
        let cache = self.cache.as_ref().map(|cache| plan::Cache {
            ttl: cache.ttl.0,
            key: None,
        });
        let breaker = self.circuit_breaker.map(|breaker| plan::CircuitBreaker {
            failures: breaker.failures,
            open_for: breaker.open_for.0,
            half_open_calls: breaker.half_open_calls,
        });
        plan::Policy {
            timeout: policy.timeout.or(self.timeout.map(|span| span.0)),
            retry: policy.retry.clone().or(retry),
            cache: policy.cache.clone().or(cache),
            circuit_breaker: policy.circuit_breaker.or(breaker),
            ..policy.clone()
        }
    }
}

impl BreakerDefaults {
    fn check(self) -> Result<(), String> {
        for (key, said, most) in [
            ("failures", self.failures, 1_000),
            ("half-open-calls", self.half_open_calls, 100),
        ] {
            if !(1..=most).contains(&said) {
                return Err(format!(
                    "defaults.circuit-breaker.{key} is {said}, it should be from 1 to {most}"
                ));
            }
        }
        match self.open_for.0.is_zero() {
            false => Ok(()),
            true => Err("defaults.circuit-breaker.open-for is 0s, it should be longer".to_owned()),
        }
    }
}
