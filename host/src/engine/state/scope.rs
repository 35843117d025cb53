//! What expressions see: frames of step outputs, one for the run and one for each item, round or flow inside it.
//!
//! A frame ends with what it was made for, so a million items do not leave a million frames.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::RunState;
use crate::expr::{ExprError, Locals, Scope, Template};
use crate::failure::{Failure, FailureKind};

/// A frame; later ones are greater, and none is used twice.
pub(super) type FrameId = usize;

/// The outermost frame.
pub(super) const RUN: FrameId = 0;

/// The steps that see each other, and what else they see.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame {
    around: Option<FrameId>,
    /// What `steps.ID` sees: outputs, and null for skipped steps.
    outputs: BTreeMap<String, Arc<Value>>,
    item: Option<Arc<Value>>,
    index: Option<Value>,
    /// The input of the flow that the frame is for; nothing around it is seen then.
    input: Option<Arc<Value>>,
}

impl Frame {
    /// For an item or a round.
    pub(super) fn of_item(around: FrameId, item: Option<Arc<Value>>, index: usize) -> Self {
        Self {
            around: Some(around),
            item,
            index: Some(index.into()),
            ..Self::default()
        }
    }

    /// For a flow with its own input.
    pub(super) fn of_flow(input: Arc<Value>) -> Self {
        Self {
            input: Some(input),
            ..Self::default()
        }
    }

    /// The item has come to another stage.
    pub(super) fn set_item(&mut self, item: Arc<Value>) {
        self.item = Some(item);
    }

    pub(super) fn set_output(&mut self, id: &str, output: Arc<Value>) {
        self.outputs.insert(id.to_owned(), output);
    }
}

/// What one expression is evaluated with, besides its frame.
#[derive(Clone, Copy)]
pub(super) struct With<'a> {
    pub(super) prev: &'a Value,
    pub(super) error: Option<&'a Value>,
}

impl<'a> With<'a> {
    pub(super) fn prev(prev: &'a Value) -> Self {
        Self { prev, error: None }
    }
}

impl RunState {
    pub(super) fn open_frame(&mut self, frame: Frame) -> FrameId {
        let id = self.next_frame;
        self.next_frame += 1;
        self.frames.insert(id, frame);
        id
    }

    pub(super) fn close_frame(&mut self, frame: FrameId) {
        self.frames.remove(&frame);
    }

    pub(super) fn eval(
        &self,
        frame: FrameId,
        with: With<'_>,
        template: &Template,
    ) -> Result<Arc<Value>, Failure> {
        let value = self.in_scope(frame, with, |scope| template.eval(scope));
        value
            .map(Arc::new)
            .map_err(|error| expression_failure(&error))
    }

    pub(super) fn in_scope<R>(
        &self,
        frame: FrameId,
        With { prev, error }: With<'_>,
        eval: impl FnOnce(Scope<'_>) -> R,
    ) -> R {
        let frames = || {
            std::iter::successors(self.frames.get(&frame), |frame| {
                self.frames.get(&frame.around?)
            })
        };
        let lookup = |id: &str| frames().find_map(|frame| Some(frame.outputs.get(id)?.as_ref()));
        let own_input = frames().find_map(|frame| frame.input.as_deref());
        eval(Scope {
            input: own_input.unwrap_or(&self.input),
            prev,
            steps: &lookup,
            run: self.run,
            local: Locals {
                item: frames().find_map(|frame| frame.item.as_deref()),
                index: frames().find_map(|frame| frame.index.as_ref()),
                error,
                event: self.event.as_ref().filter(|_| own_input.is_none()),
            },
        })
    }
}

pub(super) fn expression_failure(error: &ExprError) -> Failure {
    Failure::new(FailureKind::InvalidInput, error.to_string())
}
