//! One attempt executed again, from its tape: the same guest, the same input, the same answers, and nothing outside is touched.

use std::sync::Arc;

use super::Sandbox;
use super::tape::{Tape, TapeError};
use crate::call::{Request, Usage};
use crate::failure::Failure;
use crate::payload::Payload;

/// How an attempt went this time.
#[derive(Debug)]
pub struct Replayed {
    /// What the agent answered, or how it failed.
    pub outcome: Result<Payload, Failure>,
    /// What it used.
    pub usage: Usage,
    /// The first thing that it asked the host for and had not asked for when it was recorded, or the other way round.
    pub diverged: Option<String>,
}

impl Sandbox {
    /// Executes `request` with the answers in `recorded`, within the bounds that stand there.
    ///
    /// # Errors
    /// When the recording cannot be played.
    pub async fn replay(
        &self,
        mut request: Request,
        recorded: Option<&[u8]>,
    ) -> Result<Replayed, TapeError> {
        let (tape, bounds) = Tape::play(recorded)?;
        let tape = Arc::new(tape);
        request.bounds = bounds;
        let (outcome, usage) = Box::pin(self.attempt(request, tape.clone())).await;
        let diverged = tape.divergence();
        Ok(Replayed {
            outcome,
            usage,
            diverged,
        })
    }
}
