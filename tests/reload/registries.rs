//! Registries that follow each other, through the library: what two of them share, what a run keeps, and what is let go.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use kennel::call::{Call, Request};
use kennel::flow;
use kennel::id::Digest;
use kennel::payload::Payload;
use kennel::plan::{Cache, CallStep, Plan};
use kennel::registry::{Change, Loader, Registry, Unserved};
use kennel::sandbox::compile::{CompileLimits, Compiler};
use kennel::sandbox::prescan::ScanCaps;
use kennel::settings::Settings;
use kennel::store::memory::MemoryStore;
use tokio::sync::Semaphore;

use super::version;
use crate::harness::{Kennel, kennel_binary};
use crate::hostile;

/// A directory of plugins, the registry that came of it last, and a flow that is served.
struct House {
    kennel: Kennel,
    loader: Loader,
    registry: Registry,
    plan: Plan,
}

impl House {
    async fn new(kennel: Kennel, flow: &str) -> Self {
        let compiler = Compiler::with_program(
            kennel_binary(),
            ScanCaps::default(),
            CompileLimits::default(),
        );
        let store = Arc::new(MemoryStore::new());
        let settings = settings(&kennel);
        let loader = Loader::open(settings, &kennel.state(), store, compiler).expect("opened");
        let registry = Registry::load(&loader, &kennel.agents())
            .await
            .expect("listed");
        let plan = flow::parse(flow, "flow").expect("a flow");
        Self {
            kennel,
            loader,
            registry,
            plan,
        }
    }

    /// One agent, `version`, that answers `v1`.
    async fn of_version() -> Self {
        let kennel = Kennel::new().file("agents/version.wasm", version("v1"));
        Self::new(kennel, "kennel: 1\nagent: version\n").await
    }

    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.kennel.agents().join(file), bytes).expect("written");
    }

    fn set(&self, text: &str) {
        fs::write(self.kennel.root().join("kennel.toml"), text).expect("written");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.kennel.agents().join(file)).expect("removed");
    }

    /// What has changed in the directory: a line each.
    async fn reload(&mut self) -> Vec<String> {
        let reloaded = self
            .registry
            .reload(&self.loader, &self.kennel.agents(), &self.plan)
            .await;
        let reloaded = reloaded.expect("reloaded");
        self.registry = reloaded.registry;
        reloaded.changes.iter().map(told).collect()
    }

    /// The same under the settings that stand in the file now.
    async fn reload_under_new_settings(&mut self) -> Result<Vec<String>, Unserved> {
        let loader = self
            .loader
            .under(settings(&self.kennel))
            .expect("nothing that is fixed");
        let reloaded = self
            .registry
            .reload(&loader, &self.kennel.agents(), &self.plan)
            .await?;
        (self.registry, self.loader) = (reloaded.registry, loader);
        Ok(reloaded.changes.iter().map(told).collect())
    }

    /// How an agent is called by runs that begin now.
    fn call(&self, agent: &str) -> Arc<dyn Call> {
        let step = CallStep::of(agent.parse().expect("a name"));
        self.registry.stack(&step).expect("it is there")
    }
}

fn settings(kennel: &Kennel) -> Settings {
    Settings::load(&kennel.root().join("kennel.toml")).expect("valid")
}

fn told(change: &Change) -> String {
    match change {
        Change::Added { agent, .. } => format!("added {agent}"),
        Change::Replaced { agent, before, now } if before == now => format!("terms of {agent}"),
        Change::Replaced { agent, .. } => format!("replaced {agent}"),
        Change::Returned { agent, .. } => format!("returned {agent}"),
        Change::Removed { agent, .. } => format!("removed {agent}"),
        Change::Gone { agent, .. } => format!("gone {agent}"),
        Change::Refused { refused, serves } => {
            let stays = serves
                .as_ref()
                .map_or("nothing", |(agent, _)| agent.as_str());
            format!("{} {}; {stays} serves", refused.agent, refused.error.kind())
        }
    }
}

/// What the agent answers.
async fn ask(agent: &Arc<dyn Call>, input: &str) -> String {
    let payload = Arc::new(Payload::Json(input.into()));
    match agent.call(Request::new("task", payload)).await {
        Ok(reply) => match &*reply.output {
            Payload::Text(text) | Payload::Json(text) => text.to_string(),
            Payload::Blob { .. } => "a blob".to_owned(),
        },
        Err(error) => error.failure.kind.to_string(),
    }
}

#[tokio::test]
async fn a_plugin_to_which_nothing_happened_is_the_same_one() {
    let mut house = House::of_version().await;
    let before = house.registry.plugin("version").expect("there").clone();
    // The same bytes in another file, and a neighbour.
    house.put("new", version("v1"));
    let agents = house.kennel.agents();
    fs::rename(agents.join("new"), agents.join("version.wasm")).expect("renamed");
    house.put("other.wasm", version("other"));
    assert_eq!(house.reload().await, ["added other"]);
    assert_eq!(house.reload().await, [""; 0]);
    let now = house.registry.plugin("version").expect("there");
    assert!(Arc::ptr_eq(&before, now));
}

#[tokio::test]
async fn a_run_goes_on_with_the_version_that_it_began_with_and_the_next_takes_the_new_one() {
    let mut house = House::of_version().await;
    let begun = house.call("version");
    house.put("version.wasm", version("v2"));
    assert_eq!(house.reload().await, ["replaced version"]);
    assert_eq!(ask(&begun, "").await, "v1");
    assert_eq!(ask(&house.call("version"), "").await, "v2");
    let pins = house.registry.pins(&house.plan).expect("there");
    assert_eq!(
        pins.into_values().collect::<Vec<_>>(),
        [Digest::of(&version("v2"))]
    );
}

/// As bad as it can be: nobody waits until it is quiet, and files are written, cut, removed and exchanged while they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_in_the_middle_of_everything_fail_no_run() {
    let mut house = House::of_version().await;
    let file = house.kennel.agents().join("version.wasm");
    let turns = Arc::new(Semaphore::new(0));
    let swapping = tokio::spawn({
        let (file, turns) = (file.clone(), turns.clone());
        async move {
            let new = file.with_extension("new");
            let versions = [version("v1"), version("v2")];
            for swap in 0..200 {
                turns.acquire().await.expect("open").forget();
                let whole = &versions[swap % 2];
                match swap % 5 {
                    0 => fs::write(&file, &whole[..whole.len() / 2]).expect("written"),
                    1 => fs::remove_file(&file).expect("removed"),
                    2 => fs::write(&file, whole).expect("written"),
                    _ => {
                        fs::write(&new, whole).expect("written");
                        fs::rename(&new, &file).expect("renamed");
                    }
                }
            }
        }
    });
    let (mut runs, mut reloads, mut replaced) = (0, 0, 0);
    while runs < 500 || !swapping.is_finished() {
        let begun = house.call("version");
        let [agent] = house
            .registry
            .pins(&house.plan)
            .expect("there")
            .into_values()
            .collect::<Vec<_>>()[..]
        else {
            panic!("one agent")
        };
        // Two swaps for each reload, at whatever moment of it.
        turns.add_permits(2);
        let told = house.reload().await;
        reloads += 1;
        replaced += told
            .iter()
            .filter(|told| *told == "replaced version")
            .count();
        for _ in 0..5 {
            let answer = ask(&begun, "").await;
            assert_eq!(Digest::of(&version(&answer)), agent, "{answer}");
            runs += 1;
        }
    }
    swapping.await.expect("it ended");
    println!("{runs} runs, {reloads} reloads, {replaced} of them with another version");
    assert!(replaced > 0);
    house.reload().await;
    assert_eq!(ask(&house.call("version"), "").await, "v2");
}

#[tokio::test]
async fn a_version_that_is_refused_leaves_the_old_one_in_service_and_is_told_once() {
    let mut house = House::of_version().await;
    let whole = version("v2");
    let evil = wat::parse_str(hostile::importing("evil:host/escape")).expect("an agent");
    let bomb = wat::parse_str(hostile::bomb()).expect("a component");
    for (bytes, why) in [
        (&whole[..whole.len() / 2], "version invalid; version serves"),
        (&whole[..0], "version not-component; version serves"),
        (b"not wasm at all", "version not-component; version serves"),
        (&evil, "version capability-denied; version serves"),
        (&bomb, "version policy-limit; version serves"),
    ] {
        house.put("version.wasm", bytes);
        assert_eq!(house.reload().await, [why]);
        assert_eq!(house.reload().await, [""; 0], "{why}: again");
        assert_eq!(ask(&house.call("version"), "").await, "v1");
    }
    house.put("version.wasm", &whole);
    assert_eq!(house.reload().await, ["replaced version"]);
    house.put("version.toml", "[needs]\nstate = 7");
    assert_eq!(house.reload().await, ["version manifest; version serves"]);
    house.remove("version.toml");
    assert_eq!(house.reload().await, ["returned version"]);
}

#[tokio::test]
async fn a_version_that_fails_to_describe_itself_leaves_the_old_one_in_service() {
    let mut house = House::new(Kennel::new().guest("slow"), "kennel: 1\nagent: slow\n").await;
    house.put("slow.toml", "[limits]\nfuel = '10'");
    assert_eq!(house.reload().await, ["slow describe; slow serves"]);
    assert_eq!(house.reload().await, [""; 0]);
    let input = r#"{"sleep": 0, "note": "well"}"#;
    assert_eq!(ask(&house.call("slow"), input).await, "well");
    house.put("slow.toml", "[limits]\nfuel = '1G'");
    assert_eq!(house.reload().await, ["terms of slow"]);
}

#[tokio::test]
async fn nobody_takes_over_the_name_of_an_agent_in_service() {
    let mut house = House::of_version().await;
    house.put("thief.wasm", version("stolen"));
    house.put("thief.toml", "name = 'version'");
    let mut told = house.reload().await;
    told.sort();
    assert_eq!(
        told,
        [
            "version duplicate; nothing serves",
            "version duplicate; version serves"
        ]
    );
    assert_eq!(ask(&house.call("version"), "").await, "v1");
}

#[tokio::test]
async fn what_the_flow_needs_stays_when_its_file_goes_and_nothing_else_does() {
    let mut house = House::of_version().await;
    house.put("other.wasm", version("other"));
    house.reload().await;
    house.remove("version.wasm");
    house.remove("other.wasm");
    let mut told = house.reload().await;
    told.sort();
    assert_eq!(told, ["gone version", "removed other"]);
    assert_eq!(house.reload().await, [""; 0], "told once");
    assert_eq!(ask(&house.call("version"), "").await, "v1");
    house.put("version.wasm", version("v1"));
    assert_eq!(house.reload().await, ["returned version"]);
}

#[tokio::test]
async fn a_version_that_the_flow_cannot_use_is_refused() {
    let kennel = Kennel::new()
        .guest("counter")
        .guest("slow")
        .settings("[grants.counter]\nstate = true");
    let by_skill = "kennel: 1\nskill: count\n";
    let by_name = "kennel: 1\nagent: counter\nskill: count\n";
    let slow = fs::read(kennel.agents().join("slow.wasm")).expect("read");
    let counter = fs::read(kennel.agents().join("counter.wasm")).expect("read");
    let mut house = House::new(kennel, by_name).await;
    for flow in [by_name, by_skill] {
        house.plan = flow::parse(flow, "flow").expect("a flow");
        house.put("counter.wasm", &slow);
        assert_eq!(
            house.reload().await,
            ["counter unfit; counter serves"],
            "{flow}"
        );
        house.put("counter.wasm", &counter);
        assert_eq!(house.reload().await, ["returned counter"], "{flow}");
    }
}

#[tokio::test]
async fn code_is_let_go_when_the_last_run_that_began_with_it_has_ended() {
    let mut house = House::of_version().await;
    let code = |house: &House| house.registry.plugin("version").expect("there").code();
    let mut old = Vec::new();
    let run = house.call("version");
    for round in 2..6 {
        old.push(code(&house));
        house.put("version.wasm", version(&format!("v{round}")));
        assert_eq!(house.reload().await, ["replaced version"]);
    }
    let held =
        |old: &[kennel::sandbox::Code]| old.iter().map(|code| code.is_held()).collect::<Vec<_>>();
    assert_eq!(
        held(&old),
        [true, false, false, false],
        "a run has the first"
    );
    assert_eq!(ask(&run, "").await, "v1");
    drop(run);
    assert_eq!(held(&old), [false; 4]);
    assert!(code(&house).is_held());
}

#[tokio::test]
async fn an_agent_sees_the_peers_of_the_run_that_it_works_for() {
    let kennel = Kennel::new()
        .guest("ping")
        .guest("pong")
        .settings("[grants.ping]\npeers = ['pong']\n[grants.pong]\npeers = ['ping']");
    let mut house = House::new(kennel, "kennel: 1\nagent: ping\n").await;
    let question = r#"{"call": {"skill": "pong", "input": {"note": "here"}}}"#;
    let begun = house.call("ping");
    house.remove("pong.wasm");
    assert_eq!(house.reload().await, ["removed pong"]);
    assert_eq!(ask(&begun, question).await, "here");
    let later = ask(&house.call("ping"), question).await;
    assert_ne!(later, "here");
}

#[tokio::test]
async fn what_the_operator_takes_back_is_taken_back_but_not_from_under_the_flow() {
    let kennel = Kennel::new()
        .guest("counter")
        .file("agents/version.wasm", version("v1"))
        .settings("[grants.counter]\nstate = true");
    let mut house = House::new(kennel, "kennel: 1\nagent: version\n").await;
    let settings = |house: &House, text| {
        fs::write(house.kennel.root().join("kennel.toml"), text).expect("written")
    };
    settings(&house, "");
    let told = house
        .reload_under_new_settings()
        .await
        .expect("the flow does not need it");
    assert_eq!(
        told,
        [
            "counter capability-denied; nothing serves",
            "removed counter"
        ]
    );
    settings(&house, "[grants.counter]\nstate = true");
    assert_eq!(
        house.reload_under_new_settings().await.expect("fine"),
        ["added counter"]
    );
    house.plan = flow::parse("kennel: 1\nagent: counter\n", "flow").expect("a flow");
    settings(&house, "");
    let lacks = house
        .reload_under_new_settings()
        .await
        .expect_err("the flow needs it");
    let lacks = lacks.to_string();
    assert!(
        lacks.contains("the flow needs") && lacks.contains("state = true"),
        "{lacks}"
    );
    assert!(house.registry.plugin("counter").is_some());
}

#[tokio::test]
async fn a_refused_version_does_not_keep_old_grants_alive() {
    let kennel = Kennel::new()
        .file("agents/version.wasm", version("v1"))
        .settings("[grants.version]\nstate = true\nenv = ['LANG']");
    let mut house = House::new(kennel, "kennel: 1\nagent: version\n").await;
    house.put("version.wasm", "broken");
    fs::write(
        house.kennel.root().join("kennel.toml"),
        "[grants.version]\nenv = ['LANG']",
    )
    .expect("written");
    let told = house.reload_under_new_settings().await.expect("it stays");
    assert_eq!(
        told,
        ["version not-component; version serves", "terms of version"]
    );
    let terms = &house.registry.plugin("version").expect("there").terms;
    assert!(!terms.effective.state && terms.effective.env == ["LANG"]);
}

#[tokio::test]
async fn what_is_known_about_an_agent_stays_with_its_file_and_ends_with_it() {
    let mut house = House::of_version().await;
    let answered = |house: &House| {
        let health = house
            .registry
            .plugin("version")
            .expect("there")
            .health
            .clone();
        health.report().tally.completed()
    };
    let begun = house.call("version");
    ask(&begun, "").await;
    fs::write(
        house.kennel.root().join("kennel.toml"),
        "[limits]\nfuel = '1G'",
    )
    .expect("written");
    let told = house.reload_under_new_settings().await.expect("fine");
    assert_eq!(told, ["terms of version"]);
    ask(&house.call("version"), "").await;
    ask(&begun, "").await;
    assert_eq!(answered(&house), 3, "one file, two sets of terms");
    house.put("version.wasm", version("v2"));
    house.reload().await;
    assert_eq!(answered(&house), 0);
}

#[tokio::test]
async fn what_was_fixed_at_the_start_cannot_be_changed() {
    let house = House::of_version().await;
    let under = |text: &str| {
        fs::write(house.kennel.root().join("kennel.toml"), text).expect("written");
        house.loader.under(settings(&house.kennel)).map(drop)
    };
    assert!(
        under("[limits]\nmemory = '32MiB'").is_ok(),
        "less than the pool has"
    );
    for (text, key) in [
        ("[limits]\nmemory = '65MiB'", "`limits.memory`"),
        ("[host]\nin-flight = 7", "`host`"),
    ] {
        let error = under(text).expect_err("it is fixed").to_string();
        assert!(
            error.starts_with(key) && error.contains("start kennel again"),
            "{error}"
        );
    }
}

/// A house with the agent `count`, which has the skill `count` only as long as it gets a megabyte.
async fn house_of_skilled(flow: &str, when_poor: &str) -> House {
    let agent = wat::parse_str(hostile::skilled("count", when_poor)).expect("an agent");
    let kennel = Kennel::new().file("agents/count.wasm", agent);
    House::new(kennel, flow).await
}

const POOR: &str = "[limits]\nmemory = '1MiB'\ndescribe-timeout = '100ms'";

#[tokio::test]
async fn settings_under_which_an_agent_loses_the_skill_that_the_flow_asks_for_are_not_taken() {
    for (flow, why) in [
        ("kennel: 1\nskill: count\n", "the flow needs"),
        (
            "kennel: 1\nagent: count\nskill: count\n",
            "would not fit the flow",
        ),
    ] {
        let mut house = house_of_skilled(flow, "").await;
        house.set(POOR);
        let error = house.reload_under_new_settings().await.expect_err(flow);
        assert!(error.to_string().contains(why), "{flow}: {error}");
        assert_eq!(house.reload().await, [""; 0], "{flow}: as it was");
        house.registry.calls(&house.plan).expect("it is served");
    }
}

#[tokio::test]
async fn an_agent_that_cannot_be_asked_for_its_card_keeps_it_and_gets_the_new_terms() {
    let mut house = house_of_skilled("kennel: 1\nskill: count\n", "(loop (br 0))").await;
    house.set(POOR);
    let told = house.reload_under_new_settings().await.expect("it stays");
    assert_eq!(told, ["terms of count"]);
    let plugin = house.registry.plugin("count").expect("there");
    assert_eq!(plugin.terms.limits.memory.0, 1 << 20);
}

#[tokio::test]
async fn what_the_operator_takes_back_is_taken_back_while_the_directory_cannot_be_listed() {
    let kennel = Kennel::new()
        .guest("counter")
        .file("agents/version.wasm", version("v1"))
        .settings("[grants.counter]\nstate = true\n[grants.version]\nstate = true");
    let mut house = House::new(kennel, "kennel: 1\nagent: version\n").await;
    for n in 0..256 {
        house.put(&format!("flood{n}.wasm"), "");
    }
    house.set("");
    let full = house.reload_under_new_settings().await;
    assert!(matches!(full, Err(Unserved::Directory(_))));
    let loader = house.loader.under(settings(&house.kennel)).expect("fine");
    let under = house.registry.under(&loader, &house.plan).await;
    let under = under.expect("the flow has what it needs");
    let told: Vec<_> = under.changes.iter().map(told).collect();
    let expected = [
        "counter capability-denied; nothing serves",
        "terms of version",
        "removed counter",
    ];
    assert_eq!(told, expected);
    let plugin = under.registry.plugin("version").expect("there");
    assert!(!plugin.terms.effective.state);
    house.plan = flow::parse("kennel: 1\nagent: counter\n", "flow").expect("a flow");
    let lacks = house.registry.under(&loader, &house.plan).await;
    assert!(matches!(lacks, Err(Unserved::Lacks { .. })));
}

#[tokio::test]
async fn an_agent_that_its_file_no_longer_provides_is_told() {
    let mut house = House::of_version().await;
    house.put("version.toml", "name = 'other'");
    let mut told = house.reload().await;
    told.sort();
    assert_eq!(told, ["added other", "gone version"]);
    assert_eq!(house.reload().await, [""; 0], "told once");
    house.remove("version.toml");
    let mut told = house.reload().await;
    told.sort();
    assert_eq!(told, ["removed other", "returned version"]);
}

#[tokio::test]
async fn who_joins_an_older_runs_asking_finds_its_peers_when_that_run_gives_up() {
    let kennel = Kennel::new()
        .guest("slow")
        .guest("ping")
        .guest("pong")
        .settings("[host]\nin-flight = 1\n[grants.ping]\npeers = ['pong']\n[grants.pong]\npeers = ['ping']");
    let mut house = House::new(kennel, "kennel: 1\nagent: ping\n").await;
    let mut step = CallStep::of("ping".parse().expect("a name"));
    step.policy.cache = Some(Cache {
        ttl: Duration::from_secs(60),
        key: None,
    });
    let asked = |house: &House| {
        let stack = house.registry.stack(&step).expect("there");
        let question = r#"{"call": {"skill": "pong", "input": {"note": "here"}}}"#;
        Box::pin(async move { ask(&stack, question).await })
    };
    // The only slot is taken, so that those who ask wait before any code runs.
    let slow = house.call("slow");
    // With its call, or that would keep the older agents.
    let mut busy = Box::pin(async move { ask(&slow, r#"{"sleep": 60000}"#).await });
    assert!(futures_util::poll!(&mut busy).is_pending());
    let mut first = asked(&house);
    assert!(futures_util::poll!(&mut first).is_pending());
    house.put("neighbour.wasm", version("v1"));
    house.reload().await;
    let mut second = asked(&house);
    assert!(futures_util::poll!(&mut second).is_pending());
    drop((first, busy));
    assert_eq!(second.await, "here");
}
