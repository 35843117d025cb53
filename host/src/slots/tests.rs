//! Slots in use: who executes, who waits, and that everything ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::line::AGE;
use super::turn::Executing;
use super::*;

fn slots(slots: usize, in_flight: usize, queue: usize) -> Arc<Slots> {
    let some = |n| NonZeroUsize::new(n).expect("at least one");
    Arc::new(Slots::new(Sizes {
        slots: some(slots),
        in_flight: some(in_flight),
        queue,
    }))
}

fn claim(agent: &str, priority: Priority) -> Claim {
    Claim {
        agent: agent.parse().expect("a name"),
        priority,
    }
}

fn normal(agent: &str) -> Claim {
    claim(agent, Priority::Normal)
}

/// A slot that somebody holds.
fn occupied(slots: &Slots) -> Pass<'_> {
    match slots
        .cores
        .enter(&normal("holder"), 0, &Waited::default(), 0)
    {
        Entry::Inside(slot) => slot,
        Entry::Waits(_) | Entry::Full => panic!("no slot is free"),
    }
}

/// Lets others go on, as a guest does that has used a million units of fuel: it wakes itself at once.
async fn yields() {
    let mut before = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut before, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Yields `slices` times, as a guest does that computes, and writes down each slice.
async fn spin(name: &'static str, slices: usize, log: &Mutex<Vec<&'static str>>) {
    for _ in 0..slices {
        log.lock().push(name);
        yields().await;
    }
}

/// Lets `agent` in and makes it spin.
async fn spins(
    slots: &Slots,
    claim: Claim,
    name: &'static str,
    slices: usize,
    log: &Mutex<Vec<&'static str>>,
) -> Duration {
    let admitted = slots.admit(claim, 0).await.expect("room");
    admitted.execute(None, spin(name, slices, log)).await;
    admitted.waited()
}

#[tokio::test]
async fn whoever_is_next_gets_what_becomes_free_and_nobody_jumps_the_queue() {
    let slots = slots(1, 1, 8);
    let admitted = slots.admit(normal("a"), 0).await.expect("room");
    let mut first = Box::pin(slots.admit(normal("a"), 0));
    let mut second = Box::pin(slots.admit(normal("a"), 0));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(slots.waiting(), 2);

    drop(admitted);
    let late = slots.admit(normal("b"), 0).now_or_never();
    assert!(late.is_none(), "nobody jumps the queue");
    assert!((&mut second).now_or_never().is_none());
    let admitted = (&mut first).now_or_never().expect("its turn");
    drop(admitted);
    assert!((&mut second).now_or_never().is_some());
    assert_eq!((slots.in_flight(), slots.waiting()), (0, 0));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_one_who_leaves_makes_room() {
    let slots = slots(1, 1, 1);
    let _admitted = slots.admit(normal("a"), 0).await.expect("room");
    let mut waiting = Box::pin(slots.admit(normal("a"), 0));
    assert!((&mut waiting).now_or_never().is_none());
    let refused = slots.admit(normal("a"), 0).now_or_never();
    assert_eq!(
        refused.expect("at once").expect_err("full").to_string(),
        "1 tasks are in flight and 1 wait already"
    );
    drop(waiting);
    let late = slots.admit(normal("a"), 0).now_or_never();
    assert!(late.is_none(), "it waits now");
}

#[tokio::test]
async fn one_who_leaves_when_its_turn_has_come_passes_it_on() {
    let slots = slots(1, 1, 8);
    let admitted = slots.admit(normal("a"), 0).await.expect("room");
    let mut first = Box::pin(slots.admit(normal("a"), 0));
    let mut second = Box::pin(slots.admit(normal("a"), 0));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    drop(admitted);
    drop(first);
    assert!((&mut second).now_or_never().is_some());
}

#[tokio::test]
async fn tasks_that_compute_take_turns_slice_by_slice() {
    let slots = slots(1, 8, 0);
    let log = Mutex::default();
    let spins = |agent, name, slices| spins(&slots, normal(agent), name, slices, &log);
    tokio::join!(
        spins("greedy", "1", 20),
        spins("greedy", "2", 20),
        spins("greedy", "3", 20),
        spins("small", "s", 10),
    );
    let log = log.lock().concat();
    let between: Vec<_> = log.split('s').map(str::len).collect();
    let (first, last) = (between[0], between[10]);
    assert!(first <= 4, "it has its first turn soon: {log}");
    assert!(
        between[2..10].iter().all(|&others| others == 1),
        "and then every other one: {log}"
    );
    assert_eq!(log.len(), 70);
    assert!(last > 30, "{log}");
}

#[tokio::test]
async fn the_more_urgent_one_executes_first_whatever_computes_besides() {
    let slots = slots(1, 8, 0);
    let log = Mutex::default();
    let slot = occupied(&slots);
    let mut all = Box::pin(async {
        tokio::join!(
            spins(&slots, claim("a", Priority::Background), "b", 20, &log),
            spins(&slots, claim("b", Priority::Normal), "n", 20, &log),
            spins(&slots, claim("a", Priority::Critical), "c", 20, &log),
        );
    });
    assert!((&mut all).now_or_never().is_none());
    drop(slot);
    all.await;
    let log = log.lock().concat();
    let until = |name| log.rfind(name).expect("it executed");
    // Why a task was pending for the first time is not known, so each may let others pass once.
    assert!(until('c') <= 21, "{log}");
    assert!(until('n') <= 41 && until('b') == 59, "{log}");
}

#[tokio::test(start_paused = true)]
async fn agents_share_the_time_and_not_the_turns() {
    let slots = slots(1, 8, 0);
    let start = Instant::now();
    let computes = async |agent: &str, turn: Duration| {
        let admitted = slots.admit(normal(agent), 0).await.expect("room");
        let work = async {
            let mut used = Duration::ZERO;
            while start.elapsed() < Duration::from_secs(10) {
                // The clock goes on while the slot is held, as it does for a guest that computes.
                tokio::time::advance(turn).now_or_never();
                used += turn;
                yields().await;
            }
            used.as_secs_f64()
        };
        admitted.execute(None, work).await
    };
    let (long, short) = tokio::join!(
        computes("long", Duration::from_millis(50)),
        computes("short", Duration::from_millis(1)),
    );
    assert!(
        (4.5..5.5).contains(&long) && (4.5..5.5).contains(&short),
        "{long} {short}"
    );
}

#[tokio::test]
async fn one_who_computes_alone_keeps_its_slot_until_somebody_wants_it() {
    let slots = slots(1, 8, 0);
    let log = Mutex::default();
    let mut alone = Box::pin(spins(&slots, normal("a"), "a", 9, &log));
    assert!((&mut alone).now_or_never().is_none());
    assert_eq!(slots.cores.inside(), 0, "it may be waiting for something");
    assert!((&mut alone).now_or_never().is_none());
    assert_eq!(slots.cores.inside(), 1, "it yields");
    let mut other = Box::pin(spins(&slots, normal("b"), "b", 1, &log));
    assert!((&mut other).now_or_never().is_none());
    assert_eq!(log.lock().concat(), "aa");
    assert!((&mut alone).now_or_never().is_none());
    assert!((&mut other).now_or_never().is_none());
    assert_eq!(log.lock().concat(), "aaab");
    drop(alone);
    drop(other);
    assert_eq!((slots.cores.inside(), slots.cores.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_something_else_holds_no_slot() {
    let slots = slots(1, 8, 0);
    let sleeper = async {
        let admitted = slots.admit(normal("a"), 0).await.expect("room");
        admitted.execute(None, sleep(Duration::from_secs(9))).await;
        admitted.waited()
    };
    let log = Mutex::default();
    let start = Instant::now();
    let spinner = async {
        spins(&slots, normal("b"), "b", 100, &log).await;
        start.elapsed()
    };
    assert_eq!(
        tokio::join!(sleeper, spinner),
        (Duration::ZERO, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_in_every_line_is_added_up() {
    let slots = slots(1, 1, 8);
    let first = slots.admit(normal("a"), 0).await.expect("room");
    let blocker = occupied(&slots);
    let task = async {
        let admitted = slots.admit(normal("a"), 0).await.expect("room");
        admitted.execute(None, async {}).await;
        admitted.waited()
    };
    let others = async {
        sleep(Duration::from_secs(3)).await;
        drop(first);
        sleep(Duration::from_secs(4)).await;
        drop(blocker);
    };
    let (waited, ()) = tokio::join!(task, others);
    assert_eq!(waited, Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_slot_still_notices_its_deadline() {
    let slots = slots(1, 8, 8);
    let _blocker = occupied(&slots);
    let start = Instant::now();
    let deadline = start + Duration::from_secs(5);
    let admitted = slots.admit(normal("a"), 0).await.expect("room");
    let work = tokio::time::timeout_at(deadline, std::future::pending::<()>());
    let ended = admitted.execute(Some(deadline), work).await;
    assert!(ended.is_err());
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(admitted.waited(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_panic_gives_the_slot_back() {
    let slots = slots(1, 1, 0);
    let admitted = slots.admit(normal("a"), 0).await.expect("room");
    let work = async { panic!("as the test wants") };
    let ended = std::panic::AssertUnwindSafe(admitted.execute(None, work))
        .catch_unwind()
        .await;
    assert!(ended.is_err());
    assert_eq!((slots.cores.inside(), Executing::has(&slots)), (0, false));
}

#[tokio::test(start_paused = true)]
async fn the_load_is_that_of_the_last_moments_and_of_the_queue() {
    let slots = slots(2, 4, 10);
    assert!(slots.load() < 0.01);
    let waited = Waited::default();
    let second = Duration::from_secs(1);
    let one = slots.cores.enter(&normal("a"), 0, &waited, 9);
    sleep(second).await;
    assert!(
        (0.45..0.55).contains(&slots.load()),
        "one of two: {}",
        slots.load()
    );
    let two = slots.cores.enter(&normal("a"), 0, &waited, 9);
    let three = slots.cores.enter(&normal("a"), 0, &waited, 9);
    sleep(second).await;
    assert!(
        (1.4..1.6).contains(&slots.load()),
        "and one that waits: {}",
        slots.load()
    );
    drop((three, two, one));
    sleep(second).await;
    assert!(slots.load() < 0.1, "nobody: {}", slots.load());

    let mut inside = Vec::new();
    for taken in [0.25, 0.5, 0.75, 1.0] {
        inside.push(slots.admit(normal("a"), 0).await.expect("room"));
        assert!(
            (slots.load() - taken).abs() < 0.05,
            "{taken}: {}",
            slots.load()
        );
    }
    let mut waits = Box::pin(slots.admit(normal("a"), 0));
    assert!((&mut waits).now_or_never().is_none());
    assert!((slots.load() - 1.1).abs() < 0.01, "{}", slots.load());
}

/// What a task does: computes, and calls others, each on its own task or on the caller's.
#[derive(Debug, Clone)]
struct Tree {
    slices: usize,
    spawned: bool,
    children: Vec<Tree>,
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = (0..4_usize, any::<bool>()).prop_map(|(slices, spawned)| Tree {
        slices,
        spawned,
        children: Vec::new(),
    });
    leaf.prop_recursive(6, 40, 4, |inner| {
        (
            0..4_usize,
            any::<bool>(),
            prop::collection::vec(inner, 0..4),
        )
            .prop_map(|(slices, spawned, children)| Tree {
                slices,
                spawned,
                children,
            })
    })
}

impl Tree {
    fn size(&self) -> usize {
        1 + self.children.iter().map(Self::size).sum::<usize>()
    }

    /// Executes the tree; says how many tasks it were.
    fn run(self, slots: Arc<Slots>, depth: usize) -> BoxFuture<'static, usize> {
        async move {
            let claim = claim(["a", "b", "c"][depth % 3], Priority::ALL[depth % 5]);
            let admitted = slots.admit(claim, depth).await.expect("room");
            let work = async {
                for _ in 0..self.slices {
                    yields().await;
                }
                let children = self.children.into_iter().map(|child| {
                    let spawned = child.spawned;
                    let child = child.run(slots.clone(), depth + 1);
                    async move {
                        match spawned {
                            true => tokio::spawn(child).await.expect("no panic"),
                            false => child.await,
                        }
                    }
                });
                yields().await;
                join_all(children).await.into_iter().sum::<usize>() + 1
            };
            admitted.execute(None, work).await
        }
        .boxed()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_slot_and_one_place_are_enough_for_tasks_that_call_tasks(
        forest in prop::collection::vec(trees(), 1..4),
        threads: bool,
    ) {
        let mut runtime = if threads {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2);
            builder
        } else {
            tokio::runtime::Builder::new_current_thread()
        };
        runtime.enable_time().build().expect("a runtime").block_on(async {
            let slots = slots(1, 1, 8);
            let sizes: Vec<_> = forest.iter().map(Tree::size).collect();
            let all = join_all(forest.into_iter().map(|tree| tokio::spawn(tree.run(slots.clone(), 0))));
            let all = tokio::time::timeout(Duration::from_secs(60), all).await;
            let ended: Vec<_> = all.expect("no deadlock").into_iter().map(|n| n.expect("no panic")).collect();
            prop_assert_eq!(ended, sizes);
            prop_assert_eq!((slots.in_flight(), slots.cores.inside(), slots.cores.waiting()), (0, 0, 0));
            Ok(())
        })?;
    }

    /// Tasks of every class that always want to execute, and one slot: each of them comes to its end.
    #[test]
    fn nobody_starves_among_tasks_that_compute(
        tasks in prop::collection::vec((0..3_usize, prop::sample::select(Priority::ALL.to_vec()), 1..30_usize), 1..20)
    ) {
        const SLICE: Duration = Duration::from_millis(100);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let slots = slots(1, 100, 0);
            let start = Instant::now();
            let gaps = Mutex::new(BTreeMap::<usize, (Instant, Duration)>::new());
            let gaps = &gaps;
            let all = tasks.iter().enumerate().map(|(n, (who, priority, slices))| {
                let slots = slots.clone();
                async move {
                    let claim = claim(["a", "b", "c"][*who], *priority);
                    let admitted = slots.admit(claim, 0).await.expect("room");
                    let work = async {
                        for _ in 0..*slices {
                            // The slot is held while the clock goes on, as it is by a guest that computes.
                            tokio::time::advance(SLICE).now_or_never();
                            {
                                let mut gaps = gaps.lock();
                                let (last, longest) =
                                    gaps.entry(n).or_insert((start, Duration::ZERO));
                                *longest = (*longest).max(last.elapsed());
                                *last = Instant::now();
                            }
                            yields().await;
                        }
                    };
                    admitted.execute(None, work).await;
                }
            });
            join_all(all).await;
            let bound = AGE * 4 + SLICE * 20 * 3;
            for (n, (_, longest)) in gaps.lock().iter() {
                prop_assert!(*longest <= bound, "task {n} waited {longest:?}");
            }
            prop_assert_eq!(gaps.lock().len(), tasks.len());
            Ok(())
        })?;
    }
}
