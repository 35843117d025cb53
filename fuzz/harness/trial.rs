//! One trial: an input is handed to the host, and panics, slowness and hanging are noticed.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use super::Target;
use super::keep::Shelf;

/// What no input may take longer than. A debug build of the host is several times as slow as what people use.
const SLOW: Duration = match cfg!(debug_assertions) {
    true => Duration::from_secs(4),
    false => Duration::from_secs(1),
};
/// A slow input is tried so often again before it is blamed: the machine may have been busy.
const AGAIN: u32 = 3;
/// What hangs longer than this is kept and ends the process: nothing else can end it.
const HANGS: Duration = Duration::from_secs(60);

/// What came of an input.
pub(super) enum Verdict {
    /// It went well; the mark, and how long it took.
    Good(String, Duration),
    /// It did not, and why.
    Bad(String),
}

/// Since when what is tried, if anything is.
type Now = Mutex<Option<(Instant, Vec<u8>)>>;

/// Tries inputs of one target.
pub(super) struct Trial<'t> {
    target: &'t Target,
    shelf: &'t Shelf,
    /// What is tried right now, and since when; the guard looks at it.
    now: Arc<Now>,
}

impl<'t> Trial<'t> {
    pub(super) fn new(target: &'t Target, shelf: &'t Shelf) -> Self {
        let now = Arc::default();
        guard(target, &now);
        Self { target, shelf, now }
    }

    /// Hands `input` to the host.
    pub(super) fn of(&self, input: &[u8]) -> Verdict {
        self.shelf.note(input);
        let (mut verdict, mut took) = self.once(input);
        for _ in 0..AGAIN {
            if took < SLOW {
                break;
            }
            (verdict, took) = self.once(input);
        }
        match verdict {
            Ok(_) if took >= SLOW => Verdict::Bad(format!("it took {took:.1?}, again and again")),
            Ok(mark) => Verdict::Good(mark, took),
            Err(why) => Verdict::Bad(why),
        }
    }

    fn once(&self, input: &[u8]) -> (Result<String, String>, Duration) {
        let start = Instant::now();
        *self.now.lock().expect("nobody panics here") = Some((start, input.to_vec()));
        let verdict = quietly(|| (self.target.check)(input));
        *self.now.lock().expect("nobody panics here") = None;
        (verdict, start.elapsed())
    }

    /// All inputs were tried.
    pub(super) fn done(&self) {
        self.shelf.clear();
    }
}

impl Drop for Trial<'_> {
    /// Also when a trial has failed: the process lives on, so the input on the side has nothing to tell.
    fn drop(&mut self) {
        self.shelf.clear();
    }
}

/// Keeps what hangs, and ends the process then.
fn guard(target: &Target, now: &Arc<Now>) {
    let now = Arc::downgrade(now);
    let (name, shelf) = (target.name, Shelf::of(target));
    std::thread::spawn(move || {
        while let Some(now) = now.upgrade() {
            if let Some((since, input)) = &*now.lock().expect("nobody panics here")
                && since.elapsed() > HANGS
            {
                let file = shelf.keep(input);
                let seconds = HANGS.as_secs();
                eprintln!(
                    "{name} hangs for {seconds} s at an input, kept as {}",
                    file.display()
                );
                shelf.clear();
                std::process::exit(101);
            }
            drop(now);
            std::thread::sleep(Duration::from_millis(250));
        }
    });
}

thread_local! {
    /// What the panic of this thread said, while somebody wants to know.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does `work`; a panic is an error with what it said, and nothing is printed.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let noted = SAID.with_borrow_mut(|said| match said {
                Some(said) => {
                    *said = info.to_string();
                    true
                }
                None => false,
            });
            if !noted {
                usual(info);
            }
        }));
    });
    SAID.set(Some(String::new()));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    let said = SAID.take().unwrap_or_default();
    done.map_err(|_| said)
}
