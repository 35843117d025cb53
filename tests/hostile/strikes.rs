//! Strikes of agents that take more than one call, or whose end has to be looked at closely.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use jiff::Timestamp;
use kennel::call::{Answers, Notice, Observer, Request};
use kennel::delivery::Delivery;
use kennel::engine::emit::publisher;
use kennel::engine::serve::{Fleet, Serving, Told};
use kennel::engine::{Engine, Watch};
use kennel::event::CloudEvent;
use kennel::failure::FailureKind;
use kennel::flow;
use kennel::payload::Payload;
use kennel::plan::Entry;
use kennel::record::Outcome as RunOutcome;
use kennel::store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::agents;
use crate::case::{End, Outcome, Strike, Struck, claim};
use crate::harness::Kennel;
use crate::host::{self, Host, json, task};

/// Gives an agent that is written as text its task.
pub(crate) fn text(agent: &'static str) -> Strike {
    Box::new(move |host| Box::pin(async move { Ok(Outcome::of_call(&host.text(agent).await)) }))
}

/// The same, and it has to answer with what it was given.
pub(crate) fn answers(agent: &'static str) -> Strike {
    Box::new(move |host| {
        Box::pin(async move {
            let reply = host.text(agent).await.map_err(|error| error.to_string())?;
            let right = *reply.output == Payload::Text("hello".into());
            claim(right, || format!("it answered {:?}", reply.output))?;
            Ok(Outcome::held(""))
        })
    })
}

/// Tells a villain to do harm.
pub(crate) fn harm(agent: &'static str, input: Value) -> Strike {
    Box::new(move |host| {
        let input = input.clone();
        Box::pin(async move {
            let ended = host.ask(agent, &input).await;
            let note = match &ended {
                Ok(reply) => format!("{:?}", reply.output),
                Err(error) => error.failure.message.chars().take(120).collect(),
            };
            Ok(Outcome {
                note,
                ..Outcome::of_call(&ended)
            })
        })
    })
}

/// Spins twice: the same task uses the same fuel.
pub(crate) async fn spin(host: &Host) -> Struck {
    let mut fuel = Vec::new();
    for _ in 0..2 {
        match host.text("spin").await {
            Ok(_) => return Ok(Outcome::of(End::Answered)),
            Err(error) if error.failure.kind == FailureKind::OutOfFuel => {
                fuel.push(error.trail.usage().fuel);
            }
            Err(error) => return Ok(Outcome::of(End::Failed(error.failure.kind))),
        }
    }
    claim(fuel[0] == fuel[1], || format!("fuel differs: {fuel:?}"))?;
    let note = format!("{} fuel, twice", fuel[0]);
    Ok(Outcome {
        note,
        ..Outcome::of(End::Failed(FailureKind::OutOfFuel))
    })
}

/// Sixteen at once, with all the fuel that a task may have by default, for two seconds.
pub(crate) async fn spin_many(host: &Host) -> Struck {
    let deadline = Some(Instant::now() + Duration::from_secs(2));
    let spinners = (0..16).map(|_| {
        let agent = host.agent("spin-many");
        tokio::spawn(async move {
            let hello = Payload::Text("hello".into());
            agent
                .call(Request {
                    deadline,
                    ..task(hello)
                })
                .await
        })
    });
    let spinners: Vec<_> = spinners.collect();
    let mut fuel = 0;
    for ended in join_all(spinners).await {
        let ended = ended.map_err(|error| error.to_string())?;
        let Err(error) = ended else {
            return Ok(Outcome::of(End::Answered));
        };
        if error.failure.kind != FailureKind::Deadline {
            return Ok(Outcome::of(End::Failed(error.failure.kind)));
        }
        fuel += error.trail.usage().fuel;
    }
    let note = format!("{:.1} G fuel together", fuel as f64 / 1e9);
    Ok(Outcome {
        note,
        ..Outcome::of(End::Failed(FailureKind::Deadline))
    })
}

/// Every way to lie about values and memory.
pub(crate) async fn liars(host: &Host) -> Struck {
    let liars = agents::liars();
    for (name, _) in &liars {
        let ended = host.text(&format!("liar-{name}")).await;
        let lied = matches!(&ended, Err(error) if error.failure.kind == FailureKind::AbiViolation);
        claim(lied, || format!("`{name}` ended so: {ended:?}"))?;
    }
    let note = format!("{} lies", liars.len());
    Ok(Outcome {
        note,
        ..Outcome::of(End::Failed(FailureKind::AbiViolation))
    })
}

/// Sixteen megabytes of words that steer terminals: what reaches the observer is bounded, counted and plain.
pub(crate) async fn print(host: &Host) -> Struck {
    let (bytes, steering) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (counted, bad) = (bytes.clone(), steering.clone());
    let observer = Observer::new(Arc::new(move |_, _, notice| {
        if let Notice::Log(_, _, line) = notice {
            counted.fetch_add(line.len(), Ordering::Relaxed);
            let steers = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            bad.fetch_add(
                line.chars().filter(|&c| steers(c)).count(),
                Ordering::Relaxed,
            );
        }
    }));
    let asked = Request {
        observer,
        ..task(json(&json!({ "print": 16 })))
    };
    let ended = host.agent("printer").call(asked).await;
    let ended = ended.map(drop).map_err(|error| error.failure.kind);
    claim(
        matches!(ended, Ok(()) | Err(FailureKind::OutOfFuel)),
        || format!("it ended so: {ended:?}"),
    )?;
    let (bytes, steering) = (
        bytes.load(Ordering::Relaxed),
        steering.load(Ordering::Relaxed),
    );
    claim(steering == 0, || {
        format!("{steering} characters steer a terminal")
    })?;
    // The limit, and the line that counts what was dropped.
    claim((1..=(256 << 10) + 256).contains(&bytes), || {
        format!("{bytes} bytes are kept")
    })?;
    Ok(Outcome::held(format!("{} KiB kept", bytes >> 10)))
}

/// Looks around.
pub(crate) async fn snoop(host: &Host) -> Struck {
    let look = json!({ "look": ["/", ".", "..", "/proc", "/etc", "/home", "/tmp", "data"] });
    let seen = host.answer("snoop", &look).await?;
    let nothing = json!({ "env": [], "args": [], "seen": [], "settings": {} });
    claim(seen == nothing, || format!("it sees {seen}"))?;
    Ok(Outcome::held(""))
}

/// Calls whoever waits for it.
pub(crate) async fn circle(host: &Host) -> Struck {
    let ask = |skill: &str, input: Value| json!({ "call": { "skill": skill, "input": input } });
    for circle in [ask("ping", json!({})), ask("pong", ask("ping", json!({})))] {
        let ended = host.ask("ping", &circle).await;
        let refused = matches!(&ended, Err(error) if error.failure.message.contains("call-cycle"));
        claim(refused, || format!("{circle} ended so: {ended:?}"))?;
    }
    Ok(Outcome::held(""))
}

/// A chain of agents that each call another one.
pub(crate) async fn chain(host: &Host) -> Struck {
    let fan = json!({ "fan": { "skill": "harm", "times": 1, "depth": 20 } });
    let all = host.answer("fanner", &fan).await?;
    claim(all["tasks"] == 9, || {
        format!("one and eight below it, not {all}")
    })?;
    claim(all["why"].to_string().contains("call-depth"), || {
        format!("why: {all}")
    })?;
    Ok(Outcome::held("9 tasks"))
}

/// A tree of calls, twenty below each.
pub(crate) async fn tree(host: &Host) -> Struck {
    let fan = json!({ "fan": { "skill": "harm", "times": 20, "depth": 3 } });
    let all = host.answer("fanner", &fan).await?;
    let tasks = all["tasks"].as_u64().unwrap_or(u64::MAX);
    claim((17..=257).contains(&tasks), || {
        format!("one and 256 below it at most, not {all}")
    })?;
    claim(all["why"].to_string().contains("fan-out"), || {
        format!("why: {all}")
    })?;
    Ok(Outcome::held(format!(
        "{tasks} tasks, {} refused",
        all["refused"]
    )))
}

/// Keys and values without end, and a key that looks like a path.
pub(crate) async fn flush_state(host: &Host) -> Struck {
    let before = store_size(host);
    let flood = |keys: u32, value: usize, key: &str| json!({ "flush-state": { "keys": keys, "value": value, "key": key } });
    let many = host
        .answer("flusher", &flood(400, 8_000, "../../../etc/passwd\0\n"))
        .await?;
    let kept = many["kept"].as_u64().unwrap_or(u64::MAX);
    claim(kept * 8_000 <= 1 << 20, || {
        format!("more is kept than allowed: {many}")
    })?;
    claim(many["why"].to_string().contains("quota"), || {
        format!("why: {many}")
    })?;
    claim(many["odd"].is_string(), || {
        format!("the odd key was taken: {many}")
    })?;
    let large = host
        .answer("flusher", &flood(1, 300_000, "x".repeat(600).as_str()))
        .await?;
    claim(large["kept"] == 0 && large["odd"].is_string(), || {
        format!("{large}")
    })?;
    let grown = store_size(host).saturating_sub(before);
    claim(grown <= 8 << 20, || {
        format!("the store grew by {grown} bytes")
    })?;
    Ok(Outcome::held(format!(
        "{kept} keys kept, the store grew by {} KiB",
        grown >> 10
    )))
}

fn store_size(host: &Host) -> u64 {
    let files = std::fs::read_dir(host.kennel.state())
        .expect("listed")
        .flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len())
        .sum()
}

/// Executes an attempt again with what it was told the first time, and with another input.
pub(crate) async fn replay(host: &Host) -> Struck {
    let input = json(&json!("chance"));
    let reply = host
        .agent("dicer")
        .call(task(input.clone()))
        .await
        .map_err(|error| error.to_string())?;
    let attempt = reply.trail.attempts.first().ok_or("no attempt")?;
    let Some(Answers::Inline(recorded)) = &attempt.answers else {
        return Err(format!("no recording: {:?}", attempt.answers));
    };
    let dicer = host.registry.plugin("dicer").expect("it is loaded");
    let again = dicer
        .replay(task(input.clone()), Some(recorded))
        .await
        .map_err(|error| error.to_string())?;
    let same = again.outcome.as_ref().ok() == Some(reply.output.as_ref());
    claim(same && again.diverged.is_none(), || {
        format!("another outcome: {again:?}")
    })?;
    claim(again.usage.fuel == attempt.usage.fuel, || {
        "another use of fuel".to_owned()
    })?;
    let other = task(json(&json!({ "storm": ["storm", 1] })));
    let drifted = dicer
        .replay(other, Some(recorded))
        .await
        .map_err(|error| error.to_string())?;
    claim(drifted.diverged.is_some(), || {
        format!("no drift seen: {drifted:?}")
    })?;
    Ok(Outcome::held(
        drifted
            .diverged
            .unwrap_or_default()
            .chars()
            .take(80)
            .collect::<String>(),
    ))
}

/// Thirty-two agents that each fill 48 MiB and hold them, on a host that has room for four and a queue of four.
pub(crate) async fn crowd(_: &Host) -> Struck {
    let kennel = Kennel::new()
        .guest_as("villain", "toucher")
        .settings("[host]\nin-flight = 4\nqueue = 4\n[grants.toucher]\nstate = true\npeers = ['harm']\nevents = ['storm']\nhttp = ['http://api.example.com']");
    let backend = Arc::new(SqliteStore::open(&kennel.state()).expect("opened"));
    let loader = host::loader(kennel.root(), &kennel.state(), backend);
    let registry = host::load(&loader, &kennel.agents()).await;
    let agent = host::agent(&registry, "toucher");
    let calls = (0..32).map(|_| {
        let agent = agent.clone();
        tokio::spawn(async move { agent.call(task(json(&json!({ "touch": [48, 500] })))).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut ends = BTreeMap::<_, u32>::new();
    for ended in join_all(calls).await {
        let ended = ended.map_err(|error| error.to_string())?;
        let end = ended.map_or_else(|error| error.failure.kind.label(), |_| "answered");
        *ends.entry(end).or_default() += 1;
    }
    let expected = BTreeMap::from([("answered", 8), ("overloaded", 24)]);
    claim(ends == expected, || format!("{ends:?}"))?;
    Ok(Outcome::held(format!("{ends:?}")))
}

/// An event that wakes an agent that emits two more of its kind, on a flow that is served.
pub(crate) async fn storm(host: &Host) -> Struck {
    const FLOW: &str = "kennel: 1\nname: storm\non:\n  storm: { agent: stormer, with: '${{ {\"storm\": [\"storm\", 2]} }}' }\n";
    /// One event and eight generations, each twice as large.
    const RUNS: usize = (1 << 9) - 1;
    let plan = Arc::new(flow::parse(FLOW, "storm").map_err(|error| format!("{error:?}"))?);
    let Entry::On(handlers) = &plan.entry else {
        return Err("the flow waits for events".to_owned());
    };
    let fleet = Fleet {
        calls: host
            .registry
            .calls(&plan)
            .map_err(|error| error.to_string())?,
        agents: host
            .registry
            .pins(&plan)
            .map_err(|error| error.to_string())?,
    };
    let serving = Serving {
        fleet: Arc::new(ArcSwap::from_pointee(fleet)),
        types: handlers.keys().map(|kind| (kind.clone(), None)).collect(),
        plan: plan.clone(),
        parallel: 16,
        watch: Watch::default(),
        clock: Arc::new(Timestamp::now),
    };
    let engine = Engine::new(host.backend.clone(), Duration::from_secs(10))
        .publishing(publisher(host.backend.clone()));
    let delivery = Delivery::new(host.backend.clone());
    let kind = "storm".parse().map_err(|error| format!("{error}"))?;
    // Another one each time: the same event would not count again.
    let id = Timestamp::now().to_string();
    let event =
        CloudEvent::new("/tests", id, kind, json!({})).map_err(|error| error.to_string())?;
    let types = handlers.keys().cloned().collect();
    let now = Timestamp::now();
    delivery
        .subscribe("storm", types, plan.digest, now)
        .await
        .map_err(|error| error.to_string())?;
    delivery
        .publish(&event, now)
        .await
        .map_err(|error| error.to_string())?;
    let (mut ended, mut failed) = (0, 0);
    let all = Arc::new(Notify::new());
    let over = all.clone();
    let mut tell = |told: Told<'_>| {
        if let Told::Ended(run) = told {
            ended += 1;
            let outcome = run
                .how
                .as_ref()
                .ok()
                .and_then(|state| state.as_ref()?.outcome());
            failed += usize::from(!matches!(outcome, Some(RunOutcome::Succeeded { .. })));
            if ended == RUNS {
                all.notify_one();
            }
        }
    };
    let stop = async {
        let _ = tokio::time::timeout(Duration::from_secs(60), over.notified()).await;
        // One more would come by now.
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    engine
        .serve(&serving, &mut tell, stop)
        .await
        .map_err(|error| error.to_string())?;
    let waiting = delivery
        .unsubscribe("storm")
        .await
        .map_err(|error| error.to_string())?;
    claim((ended, failed) == (RUNS, 0), || {
        format!("{ended} runs, {failed} of them failed; {RUNS} are eight generations")
    })?;
    claim(waiting == Some(0), || {
        format!("{waiting:?} events still wait")
    })?;
    Ok(Outcome::held(format!("{ended} runs")))
}
