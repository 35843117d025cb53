//! References between steps: an expression may read a step only when that step has surely ended by then.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::lower::{Lower, Moment, Owner, list};
use crate::meant::near;
use crate::plan::{Kind, OnError, Stage, StageMode, StepRef};

/// One reference to a step.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) id: String,
    pub(super) place: Range<usize>,
    pub(super) owner: Owner,
    /// The expression that makes it.
    pub(super) source: String,
}

/// A variable that only some places have.
#[derive(Debug, Clone)]
pub(super) struct LocalUse {
    pub(super) name: &'static str,
    pub(super) place: Range<usize>,
    pub(super) owner: Owner,
}

/// How a step stands to the one that refers to it.
enum Relation {
    Ended,
    Itself,
    Around,
    Inside,
    Later,
    Beside,
    /// In another arm of a `route`, or for another event.
    Instead,
    /// Inside something that runs many times or keeps its steps to itself.
    Enclosed(StepRef),
}

/// Tells every reference that cannot be kept.
pub(super) fn check(lower: &mut Lower<'_>) {
    let uses = std::mem::take(&mut lower.uses);
    let locals = std::mem::take(&mut lower.locals);
    let problems = uses.iter().filter_map(|used| problem(lower, used));
    let problems: Vec<_> = problems
        .chain(locals.iter().filter_map(|used| local(lower, used)))
        .collect();
    lower.problems.extend(problems);
}

/// What is wrong with the use of a variable that only some places have.
fn local(lower: &Lower<'_>, used: &LocalUse) -> Option<Diagnostic> {
    let step = used.owner.step;
    let around = || step.map(|step| way(lower, step)).unwrap_or_default();
    let kind = |group: StepRef| Some(&lower.steps.get(group.0)?.as_ref()?.kind);
    let within = |fits: &dyn Fn(&Kind, usize) -> bool| {
        around()
            .iter()
            .any(|(group, child)| kind(*group).is_some_and(|kind| fits(kind, *child)))
    };
    let each = |kind: &Kind, child: usize| match kind {
        Kind::Pipeline(stages) => stages
            .get(child)
            .is_some_and(|stage| stage.mode == StageMode::Each),
        Kind::Hierarchical(_) => child >= 2,
        _ => false,
    };
    let (known, wanted) = match used.name {
        "item" => (within(&each), "in stages with `each` and in workers"),
        "index" => (
            within(&|kind, child| each(kind, child) || matches!(kind, Kind::Repeat(_))),
            "in stages with `each`, in workers and in `repeat`",
        ),
        "error" => {
            let step = step.and_then(|step| lower.steps.get(step.0)?.as_ref());
            let goes_on = step.is_some_and(|step| step.on_error == OnError::Continue);
            (
                goes_on && used.owner.moment == Moment::After,
                "in the `output` of a step with `on-error: continue`",
            )
        }
        _ => (lower.event_driven, "in event-driven flows, which have `on`"),
    };
    let message = format!("there is no `{}` here; it is known {wanted}", used.name);
    (!known).then(|| Diagnostic::new(lower.source, used.place.clone(), message))
}

fn problem(lower: &Lower<'_>, used: &Use) -> Option<Diagnostic> {
    let id = &used.id;
    let tell = |message: String| Diagnostic::new(lower.source, used.place.clone(), message);
    let Some((target, _)) = lower.ids.get(id) else {
        let known = lower.ids.keys().map(String::as_str);
        let hint = bracket_hint(&used.source, lower.ids.keys()).unwrap_or_else(|| {
            match near(id, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", list(known.take(12))),
            }
        });
        return Some(tell(format!("there is no step `{id}`")).hint(hint));
    };
    // Everything has ended when the flow's own expressions are evaluated.
    let relation = match used.owner.step {
        Some(owner) => relation(lower, owner, *target),
        None => enclosure(lower, &way(lower, *target)).map_or(Relation::Ended, Relation::Enclosed),
    };
    let after = used.owner.moment == Moment::After;
    match relation {
        Relation::Ended => None,
        Relation::Inside if after => None,
        Relation::Itself if after => {
            Some(tell(format!("`{id}` is this step itself")).hint("its output is `prev` here"))
        }
        Relation::Itself => Some(tell(format!(
            "`{id}` is this step itself, which has not run yet"
        ))),
        Relation::Around => Some(tell(format!(
            "`{id}` is the step around this one, which has not ended yet"
        ))),
        Relation::Inside | Relation::Later => {
            Some(tell(format!("`{id}` runs later")).hint("a step can read the steps before it"))
        }
        Relation::Beside => Some(
            tell(format!(
                "`{id}` runs at the same time, in another branch of `parallel`"
            ))
            .hint("put the two steps into a `sequential`"),
        ),
        Relation::Instead => Some(tell(format!(
            "`{id}` runs instead of this step, not before it"
        ))),
        Relation::Enclosed(group) => {
            let group = lower.ids.iter().find(|(_, (step, _))| *step == group);
            let group = group.map_or("the step around it", |(id, _)| id.as_str());
            let hint = format!("read what `steps['{group}']` gives");
            Some(
                tell(format!(
                    "`{id}` is known only inside `{group}`, once for each time"
                ))
                .hint(hint),
            )
        }
    }
}

fn relation(lower: &Lower<'_>, owner: StepRef, target: StepRef) -> Relation {
    if owner == target {
        return Relation::Itself;
    }
    let (ours, theirs) = (way(lower, owner), way(lower, target));
    let shared = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let (our_next, their_next) = (ours.get(shared), theirs.get(shared));
    if theirs.iter().any(|(group, _)| *group == owner) {
        return match enclosure(lower, &theirs[shared..]) {
            Some(group) => Relation::Enclosed(group),
            None => Relation::Inside,
        };
    }
    match (our_next, their_next) {
        _ if ours.iter().any(|(group, _)| *group == target) => Relation::Around,
        (Some((group, our_child)), Some((their_group, their_child))) if group == their_group => {
            // Groups that are still being lowered have no kind yet; but then nobody asks.
            match lower
                .steps
                .get(group.0)
                .and_then(Option::as_ref)
                .map(|step| &step.kind)
            {
                Some(Kind::Parallel { .. }) => Relation::Beside,
                Some(Kind::Route(_)) => Relation::Instead,
                _ if their_child >= our_child => Relation::Later,
                // Of the stages that one item streams through, the later see the earlier.
                Some(Kind::Pipeline(stages)) if streams(stages, *their_child, *our_child) => {
                    match enclosure(lower, &theirs[shared + 1..]) {
                        Some(group) => Relation::Enclosed(group),
                        None => Relation::Ended,
                    }
                }
                _ => match enclosure(lower, &theirs[shared..]) {
                    Some(group) => Relation::Enclosed(group),
                    None => Relation::Ended,
                },
            }
        }
        _ => Relation::Instead, // the steps of two events
    }
}

/// Whether an item goes from stage `from` to stage `to` without the stages in between waiting for others.
fn streams(stages: &[Stage], from: usize, to: usize) -> bool {
    let between = stages.get(from..=to).unwrap_or_default();
    between.iter().all(|stage| stage.mode == StageMode::Each)
}

/// The outermost group on a way that does not let others see the step at its end.
fn enclosure(lower: &Lower<'_>, way: &[(StepRef, usize)]) -> Option<StepRef> {
    let encloses = |n: usize, (group, child): &(StepRef, usize)| {
        match lower
            .steps
            .get(group.0)
            .and_then(Option::as_ref)
            .map(|step| &step.kind)
        {
            Some(Kind::Repeat(_) | Kind::Hierarchical(_) | Kind::Flow(_)) => true,
            Some(Kind::Pipeline(stages)) => match stages.get(*child).map(|stage| stage.mode) {
                None | Some(StageMode::Whole) => false,
                Some(StageMode::Pages) => true,
                // The last of a stream leaves the list of its outputs, but nothing of what is inside it.
                Some(StageMode::Each) => {
                    n + 1 < way.len()
                        || streams(stages, *child, child + 1) && child + 1 < stages.len()
                }
            },
            _ => false,
        }
    };
    let found = way.iter().enumerate().find(|(n, at)| encloses(*n, at));
    found.map(|(_, (group, _))| *group)
}

/// The groups around a step from the outermost in, each with which of its children leads on.
fn way(lower: &Lower<'_>, step: StepRef) -> Vec<(StepRef, usize)> {
    let parent = |step: StepRef| lower.parents.get(step.0).copied().flatten();
    let mut way: Vec<_> =
        std::iter::successors(parent(step), |(group, _)| parent(*group)).collect();
    way.reverse();
    way
}

/// What to say when an expression holds `steps.a-b` and there is a step `a-b`: CEL reads that as a subtraction.
pub(super) fn bracket_hint<'i>(
    source: &str,
    ids: impl IntoIterator<Item = &'i String>,
) -> Option<String> {
    let special = |id: &&String| id.contains(['-', '.']);
    let id = ids
        .into_iter()
        .filter(special)
        .find(|id| source.contains(&format!("steps.{id}")))?;
    Some(format!(
        "write `steps['{id}']`: after a dot, `-` would be a minus"
    ))
}
