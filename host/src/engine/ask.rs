//! What the calls of a run are asked: inputs, bounds and deadlines as the run stands, put together when a call begins.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::Value;

use super::EngineError;
use super::drive::Driver;
use crate::call::{Alternative, Bounds, Call, Lineage, Request};
use crate::failure::{Failure, FailureKind};
use crate::id::StepPath;
use crate::payload::{Blob, BlobRef, Payload};
use crate::plan::{CallStep, Fallback, Kind};
use crate::store::StoreError;

/// Why a request could not be put together.
enum Ask {
    Step(Failure),
    Store(StoreError),
}

impl From<Failure> for Ask {
    fn from(failure: Failure) -> Self {
        Self::Step(failure)
    }
}

impl From<StoreError> for Ask {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Driver<'_> {
    /// The call of a step and what it is asked. The inner failure is the step's: an expression gives no value, or there is no call.
    pub(super) async fn request(
        &self,
        path: &StepPath,
        input: Result<Arc<Value>, Failure>,
    ) -> Result<Result<(Arc<dyn Call>, Request), Failure>, EngineError> {
        let fail = |why: &str| Ok(Err(Failure::new(FailureKind::HostError, why)));
        let Some(state) = self.state.step(path) else {
            return fail("the step was not reached");
        };
        let Some(call) = self.calls.get(&state.step).cloned() else {
            return fail("the step has no call");
        };
        let plan = self.state.plan().clone();
        let Kind::Call(step) = &plan.step(state.step).kind else {
            return fail("the step is not a call");
        };
        let asked = async {
            let input = self.payload(input?).await?;
            let spent = self.state.spent();
            // Asked again, because the time may have run out since, and a run that is resumed begins here. This call is under way.
            let others = self.state.calls_under_way().saturating_sub(1);
            let exceeded = self.purse.exceeded(spent, others);
            let degraded = exceeded.is_some();
            if let Some(failure) = exceeded.filter(|_| !self.degrades(step)) {
                return Err(Ask::Step(failure));
            }
            let fuel = self.purse.fuel_left(spent).filter(|_| !degraded);
            let calls = self.purse.calls_left(spent, others);
            let bounds = Bounds {
                fuel,
                calls: calls.filter(|_| !degraded),
                ..Bounds::default()
            };
            let request = Request {
                skill: state.skill.clone(),
                bounds,
                deadline: self.purse.deadline().filter(|_| !degraded),
                priority: plan.priority.unwrap_or_default(),
                degraded,
                cache_key: self.cache_key(path, step).await?,
                alternatives: self.alternatives(path, &step.policy.fallback).await?,
                attempt: state.begun,
                lineage: Lineage {
                    run: Some(self.state.run()),
                    hops: self.state.hops(),
                    ..Lineage::default()
                },
                observer: self.watch.observer.for_step(path),
                ..Request::new(format!("{}/{path}", self.state.run()), input)
            };
            Ok((call, request))
        };
        match asked.await {
            Ok(asked) => Ok(Ok(asked)),
            Err(Ask::Step(failure)) => Ok(Err(failure)),
            Err(Ask::Store(error)) => Err(error.into()),
        }
    }

    async fn cache_key(
        &self,
        path: &StepPath,
        step: &CallStep,
    ) -> Result<Option<Arc<Payload>>, Ask> {
        match step
            .policy
            .cache
            .as_ref()
            .and_then(|cache| cache.key.as_ref())
        {
            None => Ok(None),
            Some(key) => Ok(Some(self.payload(self.state.evaluate(path, key)?).await?)),
        }
    }

    /// What the fallbacks of a call get, theirs included.
    fn alternatives<'f>(
        &'f self,
        path: &'f StepPath,
        fallbacks: &'f [Fallback],
    ) -> BoxFuture<'f, Result<Arc<[Alternative]>, Ask>> {
        async move {
            let mut alternatives = Vec::with_capacity(fallbacks.len());
            for Fallback { call, with } in fallbacks {
                alternatives.push(Alternative {
                    input: match with {
                        None => None,
                        Some(with) => Some(self.payload(self.state.evaluate(path, with)?).await?),
                    },
                    cache_key: self.cache_key(path, call).await?,
                    alternatives: self.alternatives(path, &call.policy.fallback).await?,
                });
            }
            Ok(alternatives.into())
        }
        .boxed()
    }

    /// What an agent gets for a value: a value that is nothing but a blob reference arrives as the blob.
    async fn payload(&self, value: Arc<Value>) -> Result<Arc<Payload>, Ask> {
        if let Some(BlobRef {
            digest, media_type, ..
        }) = BlobRef::from_value(&value)
        {
            let bytes = self.engine.backend.blobs().get(digest).await?;
            let missing = || {
                Failure::new(
                    FailureKind::InvalidInput,
                    format!("the store does not have the blob {digest}"),
                )
            };
            let bytes = bytes.ok_or_else(missing)?;
            return Ok(Arc::new(Payload::Blob(Blob { media_type, bytes })));
        }
        Ok(Arc::new(Payload::from_value(&value)))
    }
}
