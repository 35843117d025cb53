//! What steps emit, on its way to whoever listens.

use std::sync::Arc;

use futures_util::future::FutureExt as _;
use jiff::Timestamp;
use serde_json::Value;

use super::{Emission, Publish};
use crate::delivery::{Delivered, Delivery};
use crate::event::{CloudEvent, flow_source};
use crate::failure::{Failure, FailureKind};
use crate::store::{SharedBackend, StoreError};

/// Emits the events of steps through `backend`. Each is durable for every flow that listens when it counts as emitted.
pub fn publisher(backend: SharedBackend) -> Arc<Publish> {
    Arc::new(move |emission| emit(backend.clone(), emission).boxed())
}

async fn emit(backend: SharedBackend, emission: Emission) -> Result<(), Failure> {
    let Emission {
        flow,
        id,
        event_type,
        data,
        hops,
    } = emission;
    let now = Timestamp::now();
    let event = CloudEvent::new(flow_source(&flow), id, event_type, Value::clone(&data)).map_err(
        |error| {
            Failure::new(
                FailureKind::InvalidInput,
                format!("it is not an event: {error}"),
            )
        },
    )?;
    let event = CloudEvent {
        time: Some(now),
        ..event
    };
    let event = event
        .after(hops)
        .map_err(|error| Failure::new(FailureKind::CallDepth, error.to_string()))?;
    let published = Delivery::new(backend).publish(&event, now).await;
    let published = published.map_err(|error| {
        let kind = match error {
            // It only refuses what is too long.
            StoreError::Refused(_) => FailureKind::TooMuchData,
            StoreError::Unavailable(_) | StoreError::Damaged(_) => FailureKind::HostError,
        };
        Failure::new(kind, error.to_string())
    })?;
    let full: Vec<_> = published.at(Delivered::Full).collect();
    match full.as_slice() {
        [] => Ok(()),
        full => {
            let message = format!("too many events wait for `{}`", full.join("`, `"));
            Err(Failure::new(FailureKind::Overloaded, message))
        }
    }
}
