//! Who is next: five classes, agents in turn within a class, and first come, first served within an agent.
//!
//! An agent whose turns take longer than others' sits some out, which is deficit round robin (Shreedhar and Varghese, 1995): what is
//! shared fairly is time, and not turns.
//! Waiting makes more urgent: whoever has waited [`AGE`] moves up a class, so nobody starves. Pure: the time is told, nothing waits
//! here, and what stands in the line is whatever the caller put there.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::Priority;
use crate::id::AgentName;

/// How long a task waits, all its waits together, before it counts as one class more urgent: `background` is `critical` after eight
/// seconds, well before the minute that a task has by default.
pub(super) const AGE: Duration = Duration::from_secs(2);

/// What waits, with its order.
#[derive(Debug)]
pub(super) struct Line<T> {
    levels: [Level; Priority::ALL.len()],
    places: HashMap<u64, Place<T>>,
    /// The turns that agents are to sit out.
    debts: HashMap<AgentName, u32>,
    /// Numbers are given in the order of coming.
    next: u64,
}

/// One class: the agents in the order of their turns, and of each the numbers that wait.
#[derive(Debug, Default)]
struct Level {
    turns: VecDeque<AgentName>,
    numbers: HashMap<AgentName, BTreeSet<u64>>,
    /// When whom is to move up.
    due: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Place<T> {
    what: T,
    agent: AgentName,
    level: usize,
    due: Instant,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            levels: Default::default(),
            places: HashMap::new(),
            debts: HashMap::new(),
            next: 0,
        }
    }
}

impl<T> Line<T> {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Puts `what` in line at `now`, after it has waited for `waited` elsewhere. The number is for [`Self::leave`].
    pub(super) fn join(
        &mut self,
        what: T,
        agent: &AgentName,
        priority: Priority,
        waited: Duration,
        now: Instant,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        let risen = waited.as_nanos() / AGE.as_nanos();
        let level =
            (priority as usize).saturating_sub(usize::try_from(risen).unwrap_or(usize::MAX));
        let since = u64::try_from(waited.as_nanos() % AGE.as_nanos()).unwrap_or(0); // less than AGE
        let place = Place {
            what,
            agent: agent.clone(),
            level,
            due: now + AGE.saturating_sub(Duration::from_nanos(since)),
        };
        self.levels[level].add(number, &place);
        self.places.insert(number, place);
        number
    }

    /// Takes `number` out of the line; `None` when it is not there any more.
    pub(super) fn leave(&mut self, number: u64) -> Option<T> {
        let place = self.places.remove(&number)?;
        self.levels[place.level].remove(number, &place);
        Some(place.what)
    }

    /// Takes out whose turn it is at `now`.
    pub(super) fn next(&mut self, now: Instant) -> Option<T> {
        self.rise(now);
        let Self { levels, debts, .. } = self;
        let number = levels.iter_mut().find_map(|level| level.next(debts))?;
        self.leave(number)
    }

    /// Makes `agent` sit out so many turns more.
    pub(super) fn charge(&mut self, agent: &AgentName, turns: u32) {
        if turns > 0 {
            let debt = self.debts.entry(agent.clone()).or_default();
            *debt = debt.saturating_add(turns);
        }
    }

    /// Moves up whoever has waited long enough, from the lowest class on, so that one look is enough after any time.
    fn rise(&mut self, now: Instant) {
        for from in (1..self.levels.len()).rev() {
            while let Some(&(due, number)) = self.levels[from].due.first()
                && due <= now
            {
                let Some(place) = self.places.get_mut(&number) else {
                    self.levels[from].due.pop_first(); // never: both are kept together
                    continue;
                };
                self.levels[from].remove(number, place);
                place.level = from - 1;
                place.due = due + AGE;
                self.levels[from - 1].add(number, place);
            }
        }
    }
}

impl Level {
    fn add<T>(&mut self, number: u64, place: &Place<T>) {
        if place.level > 0 {
            self.due.insert((place.due, number));
        }
        let numbers = self.numbers.entry(place.agent.clone()).or_default();
        if numbers.is_empty() {
            self.turns.push_back(place.agent.clone());
        }
        numbers.insert(number);
    }

    fn remove<T>(&mut self, number: u64, place: &Place<T>) {
        self.due.remove(&(place.due, number));
        if let Some(numbers) = self.numbers.get_mut(&place.agent) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.numbers.remove(&place.agent);
                self.turns.retain(|agent| *agent != place.agent);
            }
        }
    }

    /// The first number of the agent whose turn it is; the turn passes on to the next agent.
    fn next(&mut self, debts: &mut HashMap<AgentName, u32>) -> Option<u64> {
        // Rounds in which everybody sits out are left out.
        let of = |debts: &HashMap<_, u32>, agent| debts.get(agent).copied().unwrap_or(0);
        let rounds = self.turns.iter().map(|agent| of(debts, agent)).min()?;
        if rounds > 0 {
            for agent in &self.turns {
                debts
                    .entry(agent.clone())
                    .and_modify(|debt| *debt -= rounds);
            }
        }
        loop {
            let agent = self.turns.pop_front()?;
            self.turns.push_back(agent.clone());
            match debts.get_mut(&agent) {
                Some(debt) if *debt > 0 => *debt -= 1,
                _ => return self.numbers.get(&agent)?.first().copied(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Priority as P;

    fn agent(name: &str) -> AgentName {
        name.parse().expect("a name")
    }

    /// Everybody in the order of leaving, when all come at once and nobody waits long.
    fn order(coming: &[(&'static str, &str, Priority)]) -> Vec<&'static str> {
        let now = Instant::now();
        let mut line = Line::default();
        for (what, who, priority) in coming {
            line.join(*what, &agent(who), *priority, Duration::ZERO, now);
        }
        std::iter::from_fn(|| line.next(now)).collect()
    }

    #[test]
    fn the_more_urgent_class_goes_first_and_then_who_came_first() {
        assert_eq!(
            order(&[
                ("background", "a", P::Background),
                ("low", "a", P::Low),
                ("first", "a", P::Normal),
                ("second", "a", P::Normal),
                ("high", "a", P::High),
                ("critical", "a", P::Critical),
            ]),
            ["critical", "high", "first", "second", "low", "background"]
        );
    }

    #[test]
    fn agents_of_one_class_take_turns_however_much_one_of_them_wants() {
        let many = ["a1", "a2", "a3", "a4"].map(|what| (what, "a", P::Normal));
        let few = [
            ("b1", "b", P::Normal),
            ("c1", "c", P::Normal),
            ("b2", "b", P::Normal),
        ];
        assert_eq!(
            order(&[many.as_slice(), &few].concat()),
            ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
        );
    }

    #[test]
    fn an_agent_whose_turns_are_three_times_as_long_has_a_third_of_them() {
        let now = Instant::now();
        let mut line = Line::default();
        let mut order = String::new();
        for _ in 0..12 {
            line.join("a", &agent("a"), P::Normal, Duration::ZERO, now);
            line.join("b", &agent("b"), P::Normal, Duration::ZERO, now);
        }
        for _ in 0..12 {
            let what = line.next(now).expect("somebody");
            order.push_str(what);
            if what == "a" {
                line.charge(&agent("a"), 2);
            }
        }
        assert_eq!(order, "abbbabbbabbb");
    }

    #[test]
    fn who_is_alone_waits_for_nobody_however_long_it_took() {
        let now = Instant::now();
        let mut line = Line::default();
        line.charge(&agent("a"), u32::MAX);
        line.charge(&agent("b"), u32::MAX - 1);
        for what in ["a1", "a2"] {
            line.join(what, &agent("a"), P::Normal, Duration::ZERO, now);
        }
        line.join("b", &agent("b"), P::Normal, Duration::ZERO, now);
        let order: Vec<_> = std::iter::from_fn(|| line.next(now)).collect();
        assert_eq!(order, ["b", "a1", "a2"]);
    }

    #[test]
    fn waiting_moves_up_a_class_at_a_time() {
        for (classes, first) in [(0, "high"), (2, "high"), (3, "high"), (4, "old")] {
            let start = Instant::now();
            let now = start + AGE * classes;
            let mut line = Line::default();
            line.join("old", &agent("a"), P::Background, Duration::ZERO, start);
            line.join("high", &agent("b"), P::High, Duration::ZERO, now);
            line.join("low", &agent("c"), P::Low, Duration::ZERO, now);
            let order: Vec<_> = std::iter::from_fn(|| line.next(now)).collect();
            assert_eq!(order[0], first, "{classes}");
            assert_eq!(order[2] == "old", classes == 0, "{classes}");
        }
    }

    #[test]
    fn earlier_waits_count() {
        let now = Instant::now();
        for (waited, level) in [(0, 4), (1, 4), (2, 3), (7, 1), (8, 0), (u32::MAX, 0)] {
            let mut line = Line::default();
            let waited = Duration::from_secs(waited.into());
            let number = line.join((), &agent("a"), P::Background, waited, now);
            assert_eq!(line.places[&number].level, level, "{waited:?}");
        }
        let mut line = Line::default();
        let number = line.join((), &agent("a"), P::Low, Duration::from_millis(1_500), now);
        assert_eq!(line.places[&number].due, now + Duration::from_millis(500));
    }

    #[test]
    fn who_leaves_is_not_missed() {
        let now = Instant::now();
        let mut line = Line::default();
        let first = line.join(1, &agent("a"), P::Normal, Duration::ZERO, now);
        line.join(2, &agent("b"), P::Normal, Duration::ZERO, now);
        line.join(3, &agent("a"), P::Normal, Duration::ZERO, now);
        assert_eq!(line.leave(first), Some(1));
        assert_eq!(line.leave(first), None);
        assert_eq!([line.next(now), line.next(now)], [Some(3), Some(2)]);
        assert_eq!((line.next(now), line.len()), (None, 0));
        let level = &line.levels[P::Normal as usize];
        assert!(level.turns.is_empty() && level.numbers.is_empty() && level.due.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// One is served every `SERVICE`; whatever comes meanwhile, of whatever class, waits in a line that holds at most `MOST`.
        #[test]
        fn nobody_waits_beyond_a_bound(
            coming in prop::collection::vec(prop::collection::vec((0..3_usize, prop::sample::select(P::ALL.to_vec())), 0..4), 400)
        ) {
            const SERVICE: Duration = Duration::from_millis(100);
            const MOST: usize = 20;
            let agents = ["a", "b", "c"].map(agent);
            let bound = AGE * 4 + SERVICE * u32::try_from(MOST * agents.len()).expect("small");
            let mut now = Instant::now();
            let mut line = Line::default();
            let mut served = 0;
            for come in &coming {
                for (who, priority) in come {
                    if line.len() < MOST {
                        line.join(now, &agents[*who], *priority, Duration::ZERO, now);
                    }
                }
                if let Some(since) = line.next(now) {
                    served += 1;
                    prop_assert!(now - since <= bound, "{:?} > {bound:?}", now - since);
                }
                now += SERVICE;
            }
            let oldest = line.places.values().map(|place| now - place.what).max();
            prop_assert!(oldest.unwrap_or_default() <= bound);
            prop_assert!(served + line.len() <= coming.iter().map(Vec::len).sum());
        }
    }
}
