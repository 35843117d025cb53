//! A thread that stands still may be gone by the time it is looked at: whoever was killed meanwhile is no trouble.

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Why a thread could not be looked at.
pub(crate) enum Trouble {
    Kernel(Errno),
    Other(String),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

pub(crate) fn alive(looked: Result<(), Trouble>) -> Result<(), String> {
    match looked {
        Ok(()) | Err(Trouble::Kernel(Errno::ESRCH)) => Ok(()),
        Err(Trouble::Kernel(error)) => Err(format!("ptrace: {error}")),
        Err(Trouble::Other(why)) => Err(why),
    }
}

pub(crate) fn go_on(pid: Pid, signal: Option<Signal>) -> Result<(), String> {
    alive(ptrace::syscall(pid, signal).map_err(Trouble::from))
}
