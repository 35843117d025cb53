//! Serving from the flow's queue, together with its timers and with what earlier processes have left unfinished.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::runs::{Cause, Runs};
use super::timers::Timers;
use super::{Fleet, Serving, Tally, Teller, Told};
use crate::delivery::{Delivered, Delivery, Taken};
use crate::engine::{Engine, EngineError};
use crate::event::CloudEvent;
use crate::id::RunId;
use crate::store::StoreError;

/// How long one look into the queue waits. Nothing hangs on it: whoever puts an event wakes the wait.
const LOOK: Duration = Duration::from_secs(60);
/// The pause after the store did not answer.
const BREATH: Duration = Duration::from_secs(1);
/// Runs in one page of the list.
const PAGE: usize = 1000;

impl Engine {
    /// Serves a flow until `stop` ends; then its runs are stopped and given back. Its subscription stays, so that events wait for the
    /// next process that serves it.
    ///
    /// First goes on with the flow's own unfinished runs. A store that does not answer for a while is told and tried again.
    ///
    /// # Errors
    /// When the store refuses, or holds what cannot be read.
    pub async fn serve(
        &self,
        serving: &Serving,
        tell: &mut Teller<'_>,
        stop: impl Future<Output = ()>,
    ) -> Result<Tally, EngineError> {
        let delivery = Delivery::new(self.backend.clone());
        let (plan, types) = (&serving.plan, &serving.types);
        let listened = types.keys().cloned().collect();
        let since = (serving.clock)();
        delivery
            .subscribe(&plan.name, listened, plan.digest, since)
            .await?;
        let mut timers = Timers::new(&plan.name, types, serving.clock.clone());
        let mut tell = |told: Told<'_>| tell(told);
        let mut runs = Runs::new(self, serving, &mut tell);
        let mut left = self.left_behind(serving, &mut runs).await?;
        // At most one look at a time, and never dropped half-way: what it took would wait for its lease to lapse.
        let mut looks = FuturesUnordered::new();
        tokio::pin!(stop);
        loop {
            while runs.free() > 0
                && let Some((run, fleet)) = left.pop_front()
            {
                runs.begin(Cause::Left(run, fleet));
            }
            if looks.is_empty() && runs.free() > 0 {
                looks.push(look(&delivery, &plan.name, runs.free()));
            }
            tokio::select! {
                biased;
                () = &mut stop => return Ok(runs.stop().await),
                ended = runs.next() => runs.ended(ended),
                Some(taken) = looks.next() => {
                    if let Err(error) = take(&mut runs, taken?).await {
                        runs.tell(Told::Trouble(&error.to_string()));
                    }
                }
                () = tick(timers.wait()) => {
                    let due = timers.due().map_err(|error| StoreError::Refused(error.to_string()))?;
                    for event in due {
                        ring(&mut runs, &delivery, serving, &event).await;
                    }
                }
            }
        }
    }

    /// The unfinished runs of the flow that can be driven on with this plan and the present agents, oldest first, each with these.
    async fn left_behind(
        &self,
        serving: &Serving,
        runs: &mut Runs<'_>,
    ) -> Result<VecDeque<(RunId, Arc<Fleet>)>, EngineError> {
        let fleet = serving.fleet.load_full();
        let mut left = VecDeque::new();
        let mut before = None;
        loop {
            let page = self.backend.log().runs(before, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(left);
            };
            before = Some(last.run);
            for run in page {
                if run.outcome.is_some() || run.flow != serving.plan.name {
                    continue;
                }
                match self.is_foreign(serving, &fleet, run.run).await? {
                    None => left.push_front((run.run, fleet.clone())),
                    Some(why) => runs.tell(Told::Left { run: run.run, why }),
                }
            }
        }
    }

    async fn is_foreign(
        &self,
        serving: &Serving,
        fleet: &Fleet,
        run: RunId,
    ) -> Result<Option<&'static str>, EngineError> {
        let beginning = self.beginning(run).await?;
        Ok(
            if beginning.source != serving.plan.source || beginning.sources != serving.plan.sources
            {
                Some("it was started with another version of the flow")
            } else if beginning.agents != fleet.agents {
                Some("it was started with other versions of its agents")
            } else {
                None
            },
        )
    }
}

/// Events that are there, or come soon. None when the store does not answer, after a pause.
async fn look(delivery: &Delivery, flow: &str, free: usize) -> Result<Vec<Taken>, StoreError> {
    match delivery.take(flow, free, LOOK).await {
        Err(StoreError::Unavailable(why)) => {
            tracing::warn!("look for events: {why}");
            tokio::time::sleep(BREATH).await;
            Ok(Vec::new())
        }
        taken => taken,
    }
}

async fn take(runs: &mut Runs<'_>, taken: Vec<Taken>) -> Result<(), StoreError> {
    for taken in taken {
        if runs.handles(taken.event()) {
            runs.begin(Cause::Delivered(Box::new(taken)));
        } else {
            // It came while the flow still listened for it, and would come again for ever.
            taken.dropped().await?;
        }
    }
    Ok(())
}

/// Puts a timer's event into the flow's own queue. One that finds no room is left out: the next one comes soon enough.
async fn ring(runs: &mut Runs<'_>, delivery: &Delivery, serving: &Serving, event: &CloudEvent) {
    let now = (serving.clock)();
    let trouble = match delivery.deliver(&serving.plan.name, event, now).await {
        Ok(Delivered::Queued | Delivered::Duplicate) => return,
        Ok(Delivered::Full) => "too many events wait".to_owned(),
        Err(error) => error.to_string(),
    };
    let event_type = &event.event_type;
    runs.tell(Told::Trouble(&format!(
        "a tick of `{event_type}` is left out: {trouble}"
    )));
}

async fn tick(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
