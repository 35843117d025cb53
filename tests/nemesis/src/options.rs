//! The command line.

use std::path::PathBuf;

/// What is to be done.
pub(crate) struct Options {
    pub(crate) report: PathBuf,
    /// Absolute, with no symbolic link in it: it is compared with what the kernel says.
    pub(crate) below: PathBuf,
    pub(crate) fault: Option<Planned>,
    pub(crate) full: Option<PathBuf>,
    /// From which reading of the wall clock on it is off by how many seconds.
    pub(crate) clock: Vec<(u64, i64)>,
    pub(crate) interrupt: Option<u64>,
    pub(crate) list: bool,
    /// What is drawn follows from it.
    pub(crate) seed: u64,
    pub(crate) program: Vec<String>,
}

/// A fault and its place.
#[derive(Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) fault: Fault,
    /// Counts from 1, and counts only what the fault applies to.
    pub(crate) at: u64,
    pub(crate) lasts: bool,
}

/// What can go wrong with one operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The program is killed instead of it.
    KillBefore,
    /// The program is killed right after it.
    KillAfter,
    /// It fails: the device is broken.
    Eio,
    /// It fails: no space is left.
    Enospc,
    /// A part of the bytes is written, then the program is killed.
    Torn(Part),
    /// The program is killed instead of it, and what is not durable is lost.
    PowerLoss(Loss),
}

/// How much is lost with the power of what is not durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    All,
    /// What is drawn.
    Part,
}

/// How much of a torn write comes through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Sector,
    Half,
    AllButOne,
}

impl Part {
    /// How many of `all` bytes; `None` where that would be all or nothing.
    pub(crate) fn of(self, all: u64) -> Option<u64> {
        let part = match self {
            Self::Sector => 512,
            Self::Half => all / 2,
            Self::AllButOne => all.saturating_sub(1),
        };
        (part > 0 && part < all).then_some(part)
    }
}

impl Options {
    pub(crate) fn read(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self {
            report: PathBuf::new(),
            below: PathBuf::new(),
            fault: None,
            full: None,
            clock: Vec::new(),
            interrupt: None,
            list: false,
            seed: 0,
            program: Vec::new(),
        };
        let (mut fault, mut at) = (None, None);
        let mut args = args;
        while let Some(arg) = args.next() {
            if arg == "--" {
                read.program = args.collect();
                break;
            }
            let wrong = || format!("`{arg}` is no option; see the head of its source");
            let (name, value) = arg.split_once('=').unwrap_or((&arg, ""));
            match name {
                "report" => read.report = value.into(),
                "below" => {
                    read.below = std::fs::canonicalize(value)
                        .map_err(|error| format!("`{value}`: {error}"))?;
                }
                "fault" => fault = Some(fault_of(value).ok_or_else(wrong)?),
                "at" => at = Some(place_of(value).ok_or_else(wrong)?),
                "full" => read.full = Some(value.into()),
                "clock" => {
                    for jump in value.split(',') {
                        let (from, by) = jump.split_once(':').ok_or_else(wrong)?;
                        let parsed = (from.parse().ok()).zip(by.parse().ok());
                        read.clock.push(parsed.ok_or_else(wrong)?);
                    }
                }
                "interrupt" => read.interrupt = Some(value.parse().map_err(|_| wrong())?),
                "list" => read.list = true,
                "seed" => read.seed = value.parse().map_err(|_| wrong())?,
                _ => return Err(wrong()),
            }
        }
        read.fault = match (fault, at) {
            (Some(fault), Some((at, lasts))) => Some(Planned { fault, at, lasts }),
            (None, None) => None,
            _ => return Err("`fault` and `at` belong together".into()),
        };
        if read.program.is_empty()
            || !read.below.is_absolute()
            || read.report.as_os_str().is_empty()
        {
            return Err("`report`, `below` and a program after `--` are needed".into());
        }
        Ok(read)
    }
}

fn fault_of(name: &str) -> Option<Fault> {
    Some(match name {
        "kill-before" => Fault::KillBefore,
        "kill-after" => Fault::KillAfter,
        "eio" => Fault::Eio,
        "enospc" => Fault::Enospc,
        "torn-sector" => Fault::Torn(Part::Sector),
        "torn-half" => Fault::Torn(Part::Half),
        "torn-less" => Fault::Torn(Part::AllButOne),
        "power-loss" => Fault::PowerLoss(Loss::All),
        "power-loss-part" => Fault::PowerLoss(Loss::Part),
        _ => return None,
    })
}

fn place_of(text: &str) -> Option<(u64, bool)> {
    let (number, lasts) = match text.strip_suffix('+') {
        Some(number) => (number, true),
        None => (text, false),
    };
    Some((number.parse().ok()?, lasts))
}
