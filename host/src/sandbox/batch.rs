//! Several tasks in one sandbox, through the agent's `handle-batch`.
//!
//! They have one memory, one deadline and the fuel of all of them; each has its own output, checked like any other, and an even share
//! of what they used. What ends the sandbox ends all of them.

use std::sync::Arc;

use tokio::time::Instant;

use super::bindings::kennel::agent::types as wit;
use super::tape::Tape;
use super::task::Errand;
use super::{Sandbox, convert};
use crate::call::{Answers, Bounds, CallError, Lineage, Observer, Reply, Request, Together, Usage};
use crate::failure::{Failure, FailureKind};

impl Sandbox {
    /// Handles `together`, of which `first` is the first and brings the deadline of all.
    pub(super) async fn handle_together(
        &self,
        first: Request,
        together: Arc<Together>,
    ) -> Result<Reply, CallError> {
        let requests = together.requests();
        let Some(indices) = &self.linked.exports.batch else {
            let message = "the agent does not export `kennel:agent/batch@0.1.0`";
            return Err(CallError::new(FailureKind::HostError, message));
        };
        let own = Instant::now() + self.plugin.limits.timeout.0;
        let errand = Errand {
            task_id: first.task_id.clone(),
            inputs: requests
                .iter()
                .map(|request| request.input.clone())
                .collect(),
            deadline: first.deadline.map_or(own, |deadline| deadline.min(own)),
            bounds: self.bounds_of(requests),
            // It calls nobody; what it emits follows from all of them.
            lineage: Lineage {
                hops: requests
                    .iter()
                    .map(|request| request.lineage.hops)
                    .max()
                    .unwrap_or_default(),
                ..Lineage::default()
            },
            observer: everybody(requests),
            priority: first.priority,
            // What the host tells a batch belongs to none of its tasks alone.
            tape: Arc::new(Tape::off()),
        };
        let run = self.run(errand, async |store| {
            let instance = self.linked.pre.instantiate_async(&mut *store).await?;
            let guest = indices.load(&mut *store, &instance)?;
            let tasks: Vec<_> = requests
                .iter()
                .map(|request| wit::Task {
                    id: &request.task_id,
                    skill: request.skill.as_ref().map_or("", |skill| skill.as_str()),
                    input: convert::param(&request.input),
                    attempt: request.attempt,
                })
                .collect();
            guest.call_handle_batch(&mut *store, &tasks).await
        });
        let (answers, usage) = Box::pin(run).await;
        let answers = answers.and_then(|answers| one_each(answers, requests.len()));
        let mut answers = match answers {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(failure) => vec![Err(failure); requests.len()],
        }
        .into_iter();
        let shares = shares(usage, requests.len() as u64);
        let results = requests.iter().zip(shares).map(|(request, share)| {
            let mut usage = Usage {
                bytes_in: request.input.size() as u64,
                ..share
            };
            // There are as many answers as requests.
            let lost = || {
                Err(Failure::new(
                    FailureKind::HostError,
                    "the host lost an answer",
                ))
            };
            let answer = answers.next().unwrap_or_else(lost);
            let output = self.output(answer, &mut usage);
            let lost = Answers::Lost("it was handled together with others".to_owned());
            self.ended(request.attempt, output, usage, Some(lost))
        });
        together.give(results.collect())
    }

    /// Fuel and calls add up, each task bringing at most its own limit; memory is the least that any of them may have.
    fn bounds_of(&self, requests: &[Request]) -> Bounds {
        let limit = self.plugin.limits.fuel.0;
        let fuel = requests
            .iter()
            .map(|request| request.bounds.fuel.unwrap_or(limit).min(limit));
        // Each task is one of its own calls, and all of them together are one.
        let most = self.plugin.limits.calls;
        let calls = requests.iter().map(|request| {
            let calls = request.bounds.calls;
            calls.map_or(most, |calls| calls.saturating_sub(1))
        });
        Bounds {
            fuel: Some(fuel.fold(0, u64::saturating_add)),
            memory: requests
                .iter()
                .filter_map(|request| request.bounds.memory)
                .min(),
            calls: Some(calls.fold(1, u64::saturating_add)),
        }
    }
}

type Answer = Result<wit::PayloadResult, wit::Error>;

fn one_each(answers: Vec<Answer>, tasks: usize) -> Result<Vec<Answer>, Failure> {
    let given = answers.len();
    if given == tasks {
        return Ok(answers);
    }
    let message = format!("the agent gave {given} results for a batch of {tasks} tasks");
    Err(Failure::new(FailureKind::AbiViolation, message))
}

/// Everybody who listens to one of the tasks hears all of the sandbox: whose task it works on is not known.
fn everybody(requests: &[Request]) -> Observer {
    let listening = requests.iter().map(|request| &request.observer);
    let listening: Vec<_> = listening
        .filter(|observer| observer.listens())
        .cloned()
        .collect();
    if listening.is_empty() {
        return Observer::default();
    }
    Observer::new(Arc::new(move |_, agent, notice| {
        for observer in &listening {
            observer.tell(agent, notice.clone());
        }
    }))
}

/// `usage` in `n` even shares, what does not divide on the first.
fn shares(usage: Usage, n: u64) -> impl Iterator<Item = Usage> {
    let n = n.max(1);
    (0..n).map(move |at| {
        let share = |all: u64| all / n + if at == 0 { all % n } else { 0 };
        Usage {
            fuel: share(usage.fuel),
            wall_us: share(usage.wall_us),
            host_calls: share(usage.host_calls),
            peer_calls: share(usage.peer_calls),
            ..usage
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Call as _;
    use crate::limits::Limits;
    use crate::payload::Payload;
    use crate::sandbox::testing::guest::{ECHO, Guest};
    use crate::sandbox::testing::{Kennel, request};
    use crate::units::Bytes;

    /// A component whose `handle-batch` has this body: it gets the tasks as a list at `$at` of `$n`, 40 bytes each, and gives back the
    /// address of a list of results, 24 bytes each.
    fn batch(body: &str) -> String {
        let fields = format!(
            r#"(func (export "batch") (param $at i32) (param $n i32) (result i32) (local $i i32) (local $to i32) {body})"#
        );
        Guest {
            handle: ECHO,
            fields: &fields,
            exports: r#"
  (func $batch (param "tasks" (list $task)) (result (list (result $payload (error $error))))
    (canon lift (core func $i "batch") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (instance $batching (export "handle-batch" (func $batch)))
  (export "kennel:agent/batch@0.1.0" (instance $batching))"#,
            ..Guest::default()
        }
        .wat()
    }

    /// Answers each task with its own text, but `given` results for all.
    fn echo(given: &str) -> String {
        // A task: id 0..8, skill 8..16, input's case 16, pointer and length 20..28, then the rest of a blob, and the attempt.
        batch(&format!(
            "(block $done (loop $more
               (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
               (local.set $to (i32.add (i32.const 4096) (i32.mul (local.get $i) (i32.const 24))))
               (i32.store (local.get $to) (i32.const 0))
               (i32.store offset=4 (local.get $to) (i32.const 0))
               (i32.store offset=8 (local.get $to) (i32.load offset=20 (local.get $at)))
               (i32.store offset=12 (local.get $to) (i32.load offset=24 (local.get $at)))
               (local.set $at (i32.add (local.get $at) (i32.const 40)))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br $more)))
             (i32.store (i32.const 64) (i32.const 4096))
             (i32.store (i32.const 68) {given})
             (i32.const 64)"
        ))
    }

    /// What becomes of texts that are handled together.
    async fn ask(agent: &Sandbox, texts: &[&str]) -> Vec<Result<Reply, CallError>> {
        let one = |text: &&str| request(Payload::Text((*text).to_owned()));
        let requests: Vec<_> = texts.iter().map(one).collect();
        let mut first = requests[0].clone();
        let together = Arc::new(Together::new(requests));
        first.together = Some(together.clone());
        let _ = agent.call(first).await;
        together.take().expect("results")
    }

    fn kinds(results: &[Result<Reply, CallError>]) -> Vec<Option<FailureKind>> {
        let kind = |result: &Result<Reply, CallError>| {
            result.as_ref().err().map(|error| error.failure.kind)
        };
        results.iter().map(kind).collect()
    }

    #[tokio::test]
    async fn each_task_of_a_batch_has_its_own_answer_and_its_share_of_what_was_used() {
        let kennel = Kennel::new();
        let agent = kennel.agent(&echo("(local.get $n)"));
        assert!(agent.batches());
        let results = ask(&agent, &["a", "bb", "ccc"]).await;
        let mut usages = Vec::new();
        for (result, text) in results.into_iter().zip(["a", "bb", "ccc"]) {
            let reply = result.expect("an answer");
            assert_eq!(*reply.output, Payload::Text(text.into()));
            usages.push(reply.trail.usage());
        }
        let [first, second, third] = usages[..] else {
            panic!("three of three");
        };
        assert_eq!((first.bytes_in, third.bytes_out), (1, 3));
        assert!(first.fuel >= second.fuel && second.fuel == third.fuel && second.fuel > 0);
    }

    #[tokio::test]
    async fn a_wrong_number_of_results_breaks_the_rules_for_all() {
        let kennel = Kennel::new();
        for given in ["(i32.const 0)", "(i32.const 1)", "(i32.const 3)"] {
            let agent = kennel.agent(&echo(given));
            let results = ask(&agent, &["a", "b"]).await;
            assert_eq!(
                kinds(&results),
                [Some(FailureKind::AbiViolation); 2],
                "{given}"
            );
        }
    }

    #[tokio::test]
    async fn a_trap_ends_all_and_says_so_to_each() {
        let kennel = Kennel::new();
        let agent = kennel.agent(&batch("unreachable"));
        let results = ask(&agent, &["a", "b"]).await;
        assert_eq!(kinds(&results), [Some(FailureKind::Trapped); 2]);
    }

    #[tokio::test]
    async fn an_output_that_is_too_large_fails_its_own_task_only() {
        let kennel = Kennel::new();
        let limits = Limits {
            output: Bytes(2),
            ..Limits::default()
        };
        let agent = kennel.load("agent", &echo("(local.get $n)"), limits, "");
        let results = ask(&agent.expect("an agent"), &["a", "bbb", "cc"]).await;
        assert_eq!(
            kinds(&results),
            [None, Some(FailureKind::OutputTooLarge), None]
        );
    }

    #[test]
    fn an_agent_without_the_export_does_not_batch() {
        let kennel = Kennel::new();
        let agent = kennel.agent(&crate::sandbox::testing::guest::handle(ECHO));
        assert!(!agent.batches());
    }
}
