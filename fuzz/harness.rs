//! The harness: tries a target for so many inputs or so many seconds, and keeps what failed.
//!
//! An input is bytes, and those of most targets are texts that a person can read. What a target says about an input that went well
//! is its *mark*; an input with a new mark joins the pool that later ones are made from, so the search goes where something new
//! happens without any help from the compiler. All of it follows from one seed.

mod budget;
mod keep;
mod maker;
mod mutate;
mod shrink;
mod tree;
mod trial;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub(crate) use self::maker::Maker;
pub(crate) use self::tree::{Forest, to_yaml};

use self::budget::Budget;
use self::keep::Shelf;
use self::trial::{Trial, Verdict};

/// The most inputs that later ones are made from.
const POOL: usize = 2_048;
/// The longest input that is made.
const LONGEST: usize = 64 << 10;
/// An input that takes longer is no model for others: a few of them would take all the time there is.
const TIRING: Duration = Duration::from_millis(50);
/// How long a failing input is made smaller.
const SHRINKING: Duration = Duration::from_secs(20);

/// Something to be tried.
pub(crate) struct Target {
    /// Its name: that of its test, and of its folder below `kept/`.
    pub(crate) name: &'static str,
    /// What the files of kept inputs end in.
    pub(crate) ending: &'static str,
    /// How many inputs a plain `cargo test` makes.
    pub(crate) inputs: u32,
    /// Inputs to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mean something to the host, one a line.
    pub(crate) words: &'static str,
    /// Makes an input.
    pub(crate) make: fn(&mut Maker<'_>) -> Vec<u8>,
    /// Hands an input to the host, panics when what comes back may not be, and says briefly what came back: its mark.
    pub(crate) check: fn(&[u8]) -> String,
}

/// Tries `target`: what was kept, what it begins with, and then new inputs.
pub(crate) fn run(target: &Target) {
    let shelf = Shelf::of(target);
    shelf.look_at_the_last_one(target);
    let trial = Trial::new(target, &shelf);
    let mut marks = HashSet::new();
    let mut pool = Vec::new();
    let kept = shelf.kept();
    for (file, input) in &kept {
        if let Verdict::Bad(why) = trial.of(input) {
            panic!(
                "{} was kept because it failed, and it fails again: {why}",
                file.display()
            );
        }
        pool.push(input.clone());
    }
    for input in (target.seeds)() {
        let (mark, _) = judge(target, &shelf, &trial, &input, None);
        marks.insert(mark);
        pool.push(input);
    }
    let begun = pool.len();
    let words: Vec<_> = target.words.split_terminator('\n').collect();
    let budget = Budget::of(target);
    let mut rng = StdRng::seed_from_u64(budget.seed);
    let start = Instant::now();
    let mut tried = 0_u64;
    while budget.goes_on(tried, start) {
        let mut input = (target.make)(&mut Maker::new(&mut rng, &pool, &words));
        input.truncate(LONGEST);
        let (mark, took) = judge(target, &shelf, &trial, &input, Some(budget.seed));
        tried += 1;
        if marks.insert(mark) && took < TIRING {
            if pool.len() < POOL {
                pool.push(input);
            } else {
                // Those to begin with stay, so that the search never leaves what people write.
                let at = begun + (tried as usize % (POOL - begun).max(1));
                pool[at] = input;
            }
        }
    }
    trial.done();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "{}: {tried} inputs in {seconds:.1} s ({:.0}/s), {} different answers, {} kept inputs passed; seed {}",
        target.name,
        tried as f64 / seconds.max(0.001),
        marks.len(),
        kept.len(),
        budget.seed,
    );
}

/// The mark of a good input, and how long it took. A bad one is made smaller, kept and told, and ends the test.
fn judge(
    target: &Target,
    shelf: &Shelf,
    trial: &Trial<'_>,
    input: &[u8],
    seed: Option<u64>,
) -> (String, Duration) {
    match trial.of(input) {
        Verdict::Good(mark, took) => (mark, took),
        Verdict::Bad(why) => {
            let small = shrink::smaller(input, SHRINKING, |smaller| {
                matches!(trial.of(smaller), Verdict::Bad(_))
            });
            let file = shelf.keep(&small);
            let seed = seed.map_or("it is one of the seeds".to_owned(), |seed| {
                format!("seed {seed}")
            });
            let why = match trial.of(&small) {
                Verdict::Bad(why) => why,
                Verdict::Good(..) => why,
            };
            panic!(
                "{why}\n\n  kept as {}, {} of {} bytes ({seed}); again with: cargo xtask fuzz {}\n",
                file.display(),
                small.len(),
                input.len(),
                target.name,
            );
        }
    }
}
