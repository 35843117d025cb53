//! Tasks that change state once, although they may be delivered more than once: the answer to each of the last tasks is kept beside
//! the state that it changed, in the same value, so that both are written or neither is.

use std::collections::VecDeque;

use kennel_sdk::prelude::*;
use kennel_sdk::state::StateError;
use serde::de::DeserializeOwned;

/// How many answers are kept for a key. A task that comes again after that many others for the same key counts as a new one.
const KEPT: usize = 16;

/// How often a change is tried when others change the same key at the same time.
const TRIES: u32 = 16;

/// A state and the answers to the tasks that changed it last.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handled<S, A> {
    /// What the tasks have built up.
    pub state: S,
    /// The ids of the last tasks and their answers, oldest first.
    answers: VecDeque<(String, A)>,
}

/// Answers the task `id` from the state under `key`, and changes that state, once: when the id was answered before, the same answer
/// comes back and nothing changes. `change` may run several times, each time on what is there then.
pub fn once<S, A>(
    key: &str,
    id: &str,
    mut change: impl FnMut(&mut S) -> Result<A, Error>,
) -> Result<A, Error>
where
    S: Default + Serialize + DeserializeOwned,
    A: Clone + Serialize + DeserializeOwned,
{
    let mut tries = 1;
    loop {
        let entry = state::get::<Handled<S, A>>(key).map_err(StateError::into_error)?;
        let expected = entry.as_ref().map(|entry| entry.revision);
        let mut handled = entry.map_or_else(Handled::default, |entry| entry.value);
        if let Some((_, answer)) = handled.answers.iter().find(|(known, _)| known == id) {
            return Ok(answer.clone());
        }
        let answer = change(&mut handled.state)?;
        handled.answers.push_back((id.to_owned(), answer.clone()));
        while handled.answers.len() > KEPT {
            handled.answers.pop_front();
        }
        match state::compare_and_swap(key, expected, &handled) {
            Ok(_) => return Ok(answer),
            Err(StateError::Conflict(_)) if tries < TRIES => tries += 1,
            Err(error) => return Err(error.into_error()),
        }
    }
}

impl<S: Default, A> Default for Handled<S, A> {
    fn default() -> Self {
        Self {
            state: S::default(),
            answers: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(id: &str) -> u64 {
        once("key", id, |count: &mut u64| {
            *count += 1;
            Ok(*count)
        })
        .unwrap()
    }

    #[test]
    fn a_task_that_comes_again_gets_its_answer_and_changes_nothing() {
        assert_eq!(["a", "b", "a", "b", "c"].map(count), [1, 2, 1, 2, 3]);
    }

    #[test]
    fn answers_are_kept_for_the_last_tasks_only() {
        assert_eq!(count("first"), 1);
        for task in 0..KEPT - 1 {
            count(&task.to_string());
        }
        assert_eq!(count("first"), 1);
        count("one more");
        assert_eq!(count("first"), KEPT as u64 + 2);
    }

    #[test]
    fn a_change_is_done_again_on_what_another_wrote_meanwhile() {
        let mut interfered = false;
        let answer = once("key", "mine", |count: &mut u64| {
            if !std::mem::replace(&mut interfered, true) {
                self::count("other");
            }
            *count += 10;
            Ok(*count)
        });
        assert_eq!(answer, Ok(11));
    }

    #[test]
    fn an_endless_conflict_is_left_to_another_try_of_the_task() {
        let mut other = 0;
        let answer = once("key", "mine", |count: &mut u64| {
            other += 1;
            self::count(&format!("other {other}"));
            *count += 1;
            Ok(*count)
        });
        assert!(matches!(answer, Err(Error::Recoverable(_))), "{answer:?}");
        assert_eq!(other, TRIES);
    }

    #[test]
    fn a_change_that_fails_leaves_no_trace() {
        let refused = once("key", "a", |_: &mut u64| -> Result<u64, Error> {
            Err(Error::invalid_input("no"))
        });
        assert!(refused.is_err());
        assert_eq!(state::get::<Value>("key"), Ok(None));
        assert_eq!(count("a"), 1);
    }
}
