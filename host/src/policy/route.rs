//! Route: whichever agent has the skill and the least to do is asked, under policies of its own.
//!
//! Chooses anew for each request ([`crate::health::choose`]); what comes after the choice, retries included, stays with the agent.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::NotLoaded;
use crate::call::{Call, CallError, Reply, Request, Trail};
use crate::failure::FailureKind;
use crate::health::{Directory, choose};
use crate::id::SkillName;

/// Skills that a message lists.
const LISTED: usize = 20;

/// Asks one of the agents in `directory` for `skill`, or for the skill that each request brings.
///
/// # Errors
/// When no agent has the skill, or none has any.
pub(super) fn to(
    directory: Directory,
    skill: Option<&SkillName>,
) -> Result<Arc<dyn Call>, NotLoaded> {
    let nobody = match skill {
        None => directory.skills.is_empty(),
        Some(skill) => !directory.skills.contains_key(skill),
    };
    if nobody {
        return Err(NotLoaded::Skill(skill.cloned()));
    }
    Ok(Arc::new(Routed {
        directory,
        skill: skill.cloned(),
    }))
}

struct Routed {
    directory: Directory,
    skill: Option<SkillName>,
}

impl Call for Routed {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(self.ask(request))
    }
}

impl Routed {
    async fn ask(&self, mut request: Request) -> Result<Reply, CallError> {
        let Some(skill) = self.skill.clone().or_else(|| request.skill.clone()) else {
            let message = "the call names no skill, and so does the step";
            return Err(CallError::new(FailureKind::InvalidInput, message));
        };
        let peers = self.directory.skills.get(&skill);
        let peers = peers.ok_or_else(|| self.unknown(&skill))?;
        let callers = request.lineage.callers.clone();
        let chosen = choose(&skill, peers, |agent| callers.contains(agent));
        let (peer, _turn) = chosen.map_err(|failure| CallError {
            failure,
            trail: Trail::default(),
        })?;
        request.skill = Some(skill);
        peer.call.call(request).await
    }

    fn unknown(&self, skill: &SkillName) -> CallError {
        let known = self.directory.skills.keys();
        let more = known.len().saturating_sub(LISTED);
        let mut listed: Vec<_> = known.take(LISTED).map(SkillName::to_string).collect();
        if more > 0 {
            listed.push(format!("{more} more"));
        }
        let listed = listed.join(", ");
        let message =
            format!("no loaded agent has the skill `{skill}`; loaded skills are {listed}");
        CallError::new(FailureKind::InvalidInput, message)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::super::script::{Act, House, name, skilled, step, told};
    use crate::call::Lineage;
    use crate::failure::FailureKind as F;
    use crate::health::quarantine::FAULTS;
    use crate::id::AgentName;
    use crate::plan::CallStep;

    fn lineage(callers: &[&str]) -> Lineage {
        Lineage {
            callers: callers
                .iter()
                .map(|agent| name(agent))
                .collect::<Vec<AgentName>>()
                .into(),
            ..Lineage::default()
        }
    }

    /// Agents that all have the skill `read`, each with its acts.
    fn readers(agents: &[(&str, &[Act])]) -> House {
        let mut house = House::new(8);
        for (agent, acts) in agents {
            house.agent(agent, acts.iter().copied());
            house.skill("read", agent);
        }
        house
    }

    async fn ask(house: &House, step: &CallStep) -> String {
        told(&house.stack(step).call(house.request("?")).await)
    }

    const SLOW: [Act; 2] = [Act::Take(Duration::from_secs(1)), Act::Answer("slow")];

    #[tokio::test(start_paused = true)]
    async fn calls_at_once_are_spread_over_all_that_have_the_skill() {
        let house = readers(&[("a", &SLOW), ("b", &SLOW), ("c", &SLOW)]);
        let step = skilled(Some("read"));
        let stack = house.stack(&step);
        let calls = (0..3).map(|_| stack.call(house.request("?")));
        let mut served: Vec<_> = join_all(calls).await.iter().map(told).collect();
        served.sort();
        assert_eq!(
            served,
            ["a", "b", "c"].map(|agent| format!("Text(\"slow\"); {agent} 1 ok"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_choice_counts_calls_that_came_in_other_ways() {
        let house = readers(&[("a", &SLOW), ("b", &SLOW)]);
        let direct = async { ask(&house, &step("a")).await };
        let routed = async {
            sleep(Duration::from_millis(1)).await;
            ask(&house, &skilled(Some("read"))).await
        };
        let (_, routed) = tokio::join!(direct, routed);
        assert_eq!(routed, "Text(\"slow\"); b 1 ok");
    }

    #[tokio::test(start_paused = true)]
    async fn of_equally_busy_ones_the_quicker_and_then_the_more_reliable_is_asked() {
        use Act::{Answer, Fail, Take};
        let take = |millis| Take(Duration::from_millis(millis));
        let a = [take(30), Answer("a")];
        let b = [take(20), Answer("b"), take(20), Answer("b")];
        let c = [take(10), Fail(F::Recoverable)];
        let house = readers(&[("a", &a), ("b", &b), ("c", &c)]);
        for agent in ["a", "b", "c"] {
            ask(&house, &step(agent)).await;
        }
        // c is quick to fail, which makes it the dearest.
        assert_eq!(
            ask(&house, &skilled(Some("read"))).await,
            "Text(\"b\"); b 1 ok"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_quarantine_is_passed_over_until_it_may_be_tried() {
        let broken = [Act::Fail(F::Trapped); FAULTS as usize];
        let a: Vec<_> = broken.into_iter().chain([Act::Answer("well")]).collect();
        let house = readers(&[("a", &a), ("b", &[Act::Answer("b")])]);
        for _ in 0..FAULTS {
            ask(&house, &step("a")).await;
        }
        let read = skilled(Some("read"));
        assert_eq!(ask(&house, &read).await, "Text(\"b\"); b 1 ok");
        sleep(Duration::from_secs(1)).await;
        let a = house.request("?");
        let mut only_a = a.clone();
        only_a.lineage = lineage(&["b"]);
        let result = house.stack(&read).call(only_a).await;
        assert_eq!(told(&result), "Text(\"well\"); a 1 ok");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_an_open_breaker_is_passed_over_by_those_who_heed_it() {
        let house = readers(&[("a", &[Act::Fail(F::Fatal)]), ("b", &[Act::Answer("b")])]);
        let broken = skilled(Some("read")).breaker(1, 60);
        let mut only_a = house.request("?");
        only_a.lineage = lineage(&["b"]);
        let stack = house.stack(&broken);
        assert!(stack.call(only_a.clone()).await.is_err());
        assert_eq!(ask(&house, &broken).await, "Text(\"b\"); b 1 ok");
        let failure = stack.call(only_a).await.expect_err("nobody").failure;
        assert_eq!(failure.kind, F::BreakerOpen);
        assert!(failure.message.contains("`a` keeps failing"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn when_nobody_can_be_asked_the_failure_says_why() {
        let house = readers(&[("a", &[Act::Fail(F::Trapped); FAULTS as usize]), ("b", &[])]);
        for _ in 0..FAULTS {
            ask(&house, &step("a")).await;
        }
        for (callers, kind, says) in [
            (vec!["b"], F::BreakerOpen, "`a` is quarantined until"),
            (vec!["a", "b"], F::CallCycle, "waits for this call itself"),
        ] {
            let mut request = house.request("?");
            request.lineage = lineage(&callers);
            let stack = house.stack(&skilled(Some("read")));
            let failure = stack.call(request).await.expect_err("nobody").failure;
            assert_eq!(failure.kind, kind);
            assert!(failure.message.contains(says), "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_bring_the_skill_and_an_unknown_one_is_told_with_the_known() {
        let mut house = readers(&[("a", &[Act::Answer("read")])]);
        house.agent("w", [Act::Answer("written")]);
        house.skill("write", "w");
        let stack = house.stack(&skilled(None));
        for (skill, answer) in [
            ("write", "Text(\"written\"); w 1 ok"),
            ("read", "Text(\"read\"); a 1 ok"),
        ] {
            let mut request = house.request("?");
            request.skill = Some(skill.parse().expect("a name"));
            assert_eq!(told(&stack.call(request).await), answer);
        }
        let mut request = house.request("?");
        request.skill = Some("sing".parse().expect("a name"));
        let failure = stack.call(request).await.expect_err("nobody sings").failure;
        assert_eq!(
            failure.to_string(),
            "invalid-input: no loaded agent has the skill `sing`; loaded skills are read, write"
        );
        let failure = stack.call(house.request("?")).await.expect_err("no skill");
        assert_eq!(failure.failure.kind, F::InvalidInput);
    }

    #[tokio::test(start_paused = true)]
    async fn the_chosen_agent_has_the_policies_of_the_step_and_the_defaults_of_its_own() {
        let acts = [Act::Fail(F::Recoverable), Act::Answer("at last")];
        let mut house = readers(&[("a", &acts)]);
        house.agent("b", [Act::Answer("b")]);
        let defaults = step("a").retry(2).policy;
        let base = house
            .providers
            .bases
            .get_mut(&name("a"))
            .expect("it is there");
        base.defaults = defaults;
        let result = ask(&house, &skilled(Some("read")).cache(60)).await;
        assert_eq!(result, "Text(\"at last\"); a 1 recoverable; a 2 ok");
        let result = ask(&house, &skilled(Some("read")).cache(60)).await;
        assert_eq!(result, "Text(\"at last\"), cached 0ns ago");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fallback_is_asked_when_the_chosen_one_fails() {
        let mut house = readers(&[("a", &[Act::Fail(F::Fatal)])]);
        house.agent("b", [Act::Answer("instead")]);
        let result = ask(&house, &skilled(Some("read")).fallback(step("b"))).await;
        assert_eq!(result, "Text(\"instead\"), by b; a 1 fatal; b 1 ok");
    }

    #[test]
    fn a_skill_that_nobody_has_is_told_before_anything_runs() {
        let house = readers(&[("a", &[])]);
        let error = super::super::stack(&skilled(Some("sing")), &house.providers).err();
        let error = error.expect("nobody sings");
        assert_eq!(error.to_string(), "no loaded agent has the skill `sing`");
        let empty = House::new(1);
        let error = super::super::stack(&skilled(None), &empty.providers).err();
        assert_eq!(
            error.expect("nobody is there").to_string(),
            "no loaded agent says which skills it has"
        );
    }
}
