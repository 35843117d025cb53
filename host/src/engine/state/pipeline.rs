//! `pipeline`: stages one after the other; items stream through neighbouring stages with `each`.
//!
//! An item moves on when it is done, not when its stage is. Little is under way at any time: a stage takes an item only when there is
//! room in front of the next one, and a source of pages is asked again only when its items are wanted. What has gone through is
//! forgotten but for its output, so a million items do not sit in the state. Outputs keep the order of the items.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::scope::{Frame, FrameId};
use super::step::{Place, Status, Tally, Work};
use super::{RunState, Spot};
use crate::expr::MAX_DEPTH;
use crate::failure::{Failure, FailureKind};
use crate::id::StepPath;
use crate::payload::is_deeper;
use crate::plan::{OnItemError, Stage, StageMode};

/// Items that wait in front of a stage, for each that it does at a time.
const ROOM: usize = 2;

/// Where a pipeline stands.
#[derive(Debug, Clone)]
pub(super) struct Items {
    /// The stages that are at work: one with the whole input, or those that items stream through.
    segment: Segment,
}

#[derive(Debug, Clone)]
enum Segment {
    /// This stage has everything at once.
    Whole(usize),
    Stream(Box<Stream>),
}

/// Items on their way through `each` stages.
#[derive(Debug, Clone)]
struct Stream {
    /// The stage that gives pages, when one does.
    pages: Option<Pages>,
    /// The items that no stage has taken yet.
    source: VecDeque<Arc<Value>>,
    /// The next item's place in the order.
    next_index: usize,
    /// The `each` stages: from this one…
    first: usize,
    /// …up to, without, this one.
    end: usize,
    lanes: Vec<Lane>,
    /// The item that each child is about, and its lane.
    under_way: BTreeMap<Place, (usize, Item)>,
    /// The output of each item, by its place; none for what is not there yet, or was dropped.
    done: Vec<Option<Arc<Value>>>,
    failed: Option<(StepPath, Failure)>,
}

/// One stage of a stream.
#[derive(Debug, Clone, Default)]
struct Lane {
    waiting: VecDeque<Item>,
    running: usize,
    tally: Tally,
}

#[derive(Debug, Clone)]
struct Item {
    index: usize,
    value: Arc<Value>,
    frame: FrameId,
}

/// A stage whose answers are pages of items.
#[derive(Debug, Clone)]
struct Pages {
    stage: usize,
    given: Arc<Value>,
    /// The place of the next page, from 0.
    page: usize,
    cursor: Option<Value>,
    asking: Option<Place>,
    ended: bool,
    tally: Tally,
}

impl RunState {
    pub(super) fn open_pipeline(&mut self, at: Place, stages: &[Stage], given: Arc<Value>) {
        self.open_segment(at, stages, 0, given);
    }

    /// Goes on with stage `n` and what comes before it, or ends the pipeline.
    fn open_segment(&mut self, at: Place, stages: &[Stage], n: usize, given: Arc<Value>) {
        let Some(stage) = stages.get(n) else {
            return self.succeed(at, given);
        };
        let mut segment = match stage.mode {
            StageMode::Whole => Segment::Whole(n),
            StageMode::Pages => {
                let pages = Pages {
                    stage: n,
                    given: given.clone(),
                    page: 0,
                    cursor: None,
                    asking: None,
                    ended: false,
                    tally: Tally::default(),
                };
                Segment::Stream(Box::new(Stream::new(stages, n + 1, Some(pages))))
            }
            StageMode::Each => Segment::Stream(Box::new(Stream::new(stages, n, None))),
        };
        if let Segment::Stream(stream) = &mut segment
            && stream.pages.is_none()
        {
            let Some(items) = given.as_array() else {
                let id = &self.plan.step(stage.step).id;
                let why = format!("stage `{id}` has `each`, but what it gets is not a list");
                return self.fail_itself(at, Failure::new(FailureKind::InvalidInput, why));
            };
            stream.source = items.iter().cloned().map(Arc::new).collect();
        }
        let whole = matches!(segment, Segment::Whole(_));
        let work = Work::Items(Box::new(Items { segment }));
        self.change(at, |state| {
            state.work = work;
            state.given = Arc::new(Value::Null); // a long list is held once
        });
        if whole {
            self.enter_child(at, stage.step, given);
        } else {
            self.advance(at, stages);
        }
    }

    /// A child of the pipeline has ended.
    pub(super) fn stage_ended(&mut self, at: Place, child: Place, stages: &[Stage]) {
        let Some(Work::Items(items)) = self.steps.get(&at).map(|state| &state.work) else {
            return;
        };
        let stream = match &items.segment {
            Segment::Stream(stream) => stream,
            Segment::Whole(n) => {
                let next = n + 1;
                return match self.given_on(child) {
                    Ok(output) => self.open_segment(at, stages, next, output),
                    Err((by, failure)) => self.fail(at, by, failure),
                };
            }
        };
        let asked = stream.pages.as_ref().and_then(|pages| pages.asking) == Some(child);
        let (ended, path, usage) = match self.steps.get(&child) {
            Some(state) => (
                state.status.clone(),
                state.path.clone(),
                self.usage_below(child),
            ),
            None => return,
        };
        let given = self.given_on(child);
        self.forget(child);
        self.change(at, |state| state.children.retain(|kept| *kept != child));
        let Some(state) = self.steps.get_mut(&at) else {
            return;
        };
        let Some(stream) = Stream::of(&mut state.work) else {
            return;
        };
        let frames = &mut self.frames;
        if asked {
            if let Some(pages) = &mut stream.pages {
                pages.asking = None;
                pages.tally.add(usage, &ended);
            }
            if let Err(failure) = given.and_then(|page| stream.take_page(&page, &path)) {
                stream.failed.get_or_insert(failure);
            }
        } else if let Some((lane, mut item)) = stream.under_way.remove(&child) {
            stream.lanes[lane].running -= 1;
            stream.lanes[lane].tally.add(usage, &ended);
            match given {
                Ok(output) => {
                    item.value = output;
                    stream.move_on(lane, item, frames);
                }
                Err(failure) => {
                    frames.remove(&item.frame);
                    let stage = &stages[stream.first + lane];
                    if stage.on_item_error == OnItemError::Fail {
                        stream.failed.get_or_insert(failure);
                    }
                }
            }
        }
        self.advance(at, stages);
    }

    /// Begins what can begin; ends the stream when nothing is left.
    fn advance(&mut self, at: Place, stages: &[Stage]) {
        loop {
            let Some(next) = self.stream(at).map(|stream| stream.next(stages)) else {
                return;
            };
            match next {
                Next::Nothing => return,
                Next::Page => self.ask_page(at, stages),
                Next::Item(lane, item) => self.begin_item(at, stages, lane, item),
                Next::Ended => return self.end_stream(at, stages),
            }
        }
    }

    fn ask_page(&mut self, at: Place, stages: &[Stage]) {
        let spot = self.steps.get(&at).map(super::groups::inside);
        let Some(mut spot) = spot else { return };
        let pages = self.stream(at).and_then(|stream| stream.pages.as_mut());
        let Some(pages) = pages else { return };
        spot.index = Some(pages.page);
        spot.cursor.clone_from(&pages.cursor);
        pages.page += 1;
        let (step, given) = (stages[pages.stage].step, pages.given.clone());
        let child = self.enter(step, Some(at), spot, given);
        if let Some(pages) = self.stream(at).and_then(|stream| stream.pages.as_mut()) {
            pages.asking = Some(child);
        }
    }

    fn begin_item(&mut self, at: Place, stages: &[Stage], lane: usize, mut item: Item) {
        let Some(state) = self.steps.get(&at) else {
            return;
        };
        let (around, outer) = (state.frame, state.outer.clone());
        match self.frames.get_mut(&item.frame) {
            Some(frame) => frame.set_item(item.value.clone()),
            None => {
                let frame = Frame::of_item(around, Some(item.value.clone()), item.index);
                item.frame = self.open_frame(frame);
            }
        }
        let spot = Spot {
            frame: item.frame,
            outer,
            index: Some(item.index),
            ..Spot::default()
        };
        let Some(stream) = self.stream(at) else {
            return;
        };
        stream.lanes[lane].running += 1;
        let step = stages[stream.first + lane].step;
        let child = self.enter(step, Some(at), spot, item.value.clone());
        if let Some(stream) = self.stream(at) {
            stream.under_way.insert(child, (lane, item));
        }
    }

    fn end_stream(&mut self, at: Place, stages: &[Stage]) {
        let Some(stream) = self.stream(at) else {
            return;
        };
        let end = stream.end;
        let failed = stream.failed.take();
        let done = std::mem::take(&mut stream.done);
        let mut tallies = Vec::new();
        if let Some(pages) = stream.pages.take() {
            tallies.push((pages.stage, pages.tally));
        }
        let first = stream.first;
        let lanes = std::mem::take(&mut stream.lanes);
        let left = lanes.iter().flat_map(|lane| &lane.waiting);
        let left: Vec<FrameId> = left.map(|item| item.frame).collect();
        left.into_iter().for_each(|frame| self.close_frame(frame));
        let lanes = lanes.into_iter();
        tallies.extend(
            lanes
                .enumerate()
                .map(|(lane, state)| (first + lane, state.tally)),
        );
        let output = done.into_iter().flatten();
        let output: Vec<Value> = output.map(|value| Value::clone(&value)).collect();
        let output = Arc::new(Value::Array(output));
        for (stage, tally) in tallies {
            let last = stage + 1 == end;
            let status = match &failed {
                Some((by, failure)) => Status::Failed(by.clone(), failure.clone()),
                None if last => Status::Succeeded(output.clone()),
                None => Status::Succeeded(Arc::new(Value::Null)),
            };
            self.keep_stage(at, &stages[stage], tally, status, last);
        }
        match failed {
            Some((by, failure)) => self.fail(at, by, failure),
            None if is_deeper(&output, MAX_DEPTH) => {
                let why =
                    format!("the list of outputs is nested more than {MAX_DEPTH} levels deep");
                self.fail_itself(at, Failure::new(FailureKind::OutputTooLarge, why));
            }
            None => self.open_segment(at, stages, end, output),
        }
    }

    /// Leaves one line for a stage whose items were forgotten; `steps.ID` of the last stage of a stream is the list of outputs.
    fn keep_stage(&mut self, at: Place, stage: &Stage, tally: Tally, status: Status, last: bool) {
        let Some(mut spot) = self.steps.get(&at).map(super::groups::inside) else {
            return;
        };
        let id = self.plan.step(stage.step).id.clone();
        if let (true, Status::Succeeded(output)) = (last, &status)
            && let Some(frame) = self.frames.get_mut(&spot.frame)
        {
            frame.set_output(id.as_str(), output.clone());
        }
        let path = StepPath::within(spot.outer.as_ref(), &id, None);
        let place = self.next_place;
        self.next_place += 1;
        self.by_path.insert(path.clone(), place);
        let state = super::StepState {
            step: stage.step,
            path,
            status,
            trail: Default::default(),
            begun: 0,
            until: None,
            skill: None,
            tally: Some(tally),
            parent: Some(at),
            given: Arc::new(Value::Null),
            cursor: None,
            frame: spot.frame,
            outer: spot.outer.take(),
            children: Vec::new(),
            work: Work::Plain,
        };
        self.steps.insert(place, state);
        self.change(at, |state| state.children.push(place));
    }

    fn stream(&mut self, at: Place) -> Option<&mut Stream> {
        Stream::of(&mut self.steps.get_mut(&at)?.work)
    }

    fn usage_below(&self, at: Place) -> crate::call::Usage {
        let Some(state) = self.steps.get(&at) else {
            return Default::default();
        };
        let children = state.children.iter().map(|child| self.usage_below(*child));
        children.fold(state.trail.usage(), |sum, usage| sum.plus(usage))
    }
}

/// What a stream can do now.
enum Next {
    Nothing,
    Page,
    Item(usize, Item),
    Ended,
}

impl Stream {
    fn of(work: &mut Work) -> Option<&mut Self> {
        match work {
            Work::Items(items) => match &mut items.segment {
                Segment::Stream(stream) => Some(stream),
                Segment::Whole(_) => None,
            },
            _ => None,
        }
    }

    /// The `each` stages from `first` on.
    fn new(stages: &[Stage], first: usize, pages: Option<Pages>) -> Self {
        let each = stages[first..].iter();
        let count = each
            .take_while(|stage| stage.mode == StageMode::Each)
            .count();
        Self {
            pages,
            source: VecDeque::new(),
            next_index: 0,
            first,
            end: first + count,
            lanes: vec![Lane::default(); count],
            under_way: BTreeMap::new(),
            done: Vec::new(),
            failed: None,
        }
    }

    /// The last lanes first, so that what is nearly done makes room.
    fn next(&mut self, stages: &[Stage]) -> Next {
        let idle = self.under_way.is_empty()
            && self
                .pages
                .as_ref()
                .is_none_or(|pages| pages.asking.is_none());
        if self.failed.is_some() {
            return if idle { Next::Ended } else { Next::Nothing };
        }
        if self.lanes.is_empty() {
            while let Some(value) = self.source.pop_front() {
                self.done.push(Some(value));
            }
        }
        for lane in (0..self.lanes.len()).rev() {
            let at_once = stages[self.first + lane].concurrency;
            if self.lanes[lane].running >= at_once || !self.has_room(lane, stages) {
                continue;
            }
            let item = match lane {
                0 => self.source.pop_front().map(|value| self.new_item(value)),
                _ => self.lanes[lane].waiting.pop_front(),
            };
            if let Some(item) = item {
                return Next::Item(lane, item);
            }
        }
        let wanted = self
            .lanes
            .first()
            .map_or(1, |_| ROOM * stages[self.first].concurrency);
        match &self.pages {
            Some(pages) if !pages.ended => {
                if pages.asking.is_none() && self.source.len() < wanted {
                    return Next::Page;
                }
                Next::Nothing
            }
            _ if idle && self.source.is_empty() => Next::Ended,
            _ => Next::Nothing,
        }
    }

    /// Whether what `lane` is about to do will fit in front of the next lane.
    fn has_room(&self, lane: usize, stages: &[Stage]) -> bool {
        let Some(next) = self.lanes.get(lane + 1) else {
            return true;
        };
        let room = ROOM * stages[self.first + lane + 1].concurrency;
        next.waiting.len() + self.lanes[lane].running < room
    }

    fn new_item(&mut self, value: Arc<Value>) -> Item {
        let index = self.next_index;
        self.next_index += 1;
        self.done.push(None);
        Item {
            index,
            value,
            frame: FrameId::MAX, // no frame has this number: it gets its own when it begins
        }
    }

    /// The item is done with `lane`.
    fn move_on(&mut self, lane: usize, item: Item, frames: &mut BTreeMap<FrameId, Frame>) {
        match self.lanes.get_mut(lane + 1) {
            Some(next) => next.waiting.push_back(item),
            None => {
                frames.remove(&item.frame);
                self.done[item.index] = Some(item.value); // `new_item` has made its place
            }
        }
    }

    /// A page has come: its items stream on, and its `next` says where the next one begins.
    fn take_page(&mut self, page: &Value, path: &StepPath) -> Result<(), (StepPath, Failure)> {
        let bad = |why| Err((path.clone(), Failure::new(FailureKind::AbiViolation, why)));
        let Some(pages) = &mut self.pages else {
            return Ok(());
        };
        let Some(items) = page.get("items").and_then(Value::as_array) else {
            return bad(
                "a stage with `pages` should answer {\"items\": […], \"next\": …}, and `items` is no list",
            );
        };
        let next = page.get("next").filter(|next| !next.is_null());
        if next.is_some() && next == pages.cursor.as_ref() {
            return bad("the page's `next` is where it began itself, so it would never end");
        }
        pages.cursor = next.cloned();
        pages.ended = next.is_none();
        self.source.extend(items.iter().cloned().map(Arc::new));
        Ok(())
    }
}

/// The input of a page: the stage's own, with the place to go on at.
pub(super) fn with_cursor(input: &Value, cursor: &Value) -> Result<Arc<Value>, Failure> {
    let Value::Object(fields) = input else {
        let why = "the input of a stage with `pages` must be a map: the next page's `cursor` goes into it";
        return Err(Failure::new(FailureKind::InvalidInput, why));
    };
    let mut fields = fields.clone();
    fields.insert("cursor".into(), cursor.clone());
    Ok(Arc::new(Value::Object(fields)))
}
