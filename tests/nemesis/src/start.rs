//! Starting the program so that not one of its calls is missed: a shell waits for a line, is seized meanwhile, and becomes the program.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use nix::sys::ptrace::{self, Options as Trace};
use nix::unistd::Pid;

use crate::options::Options;

/// The program reads nothing: its standard input is what the shell waits on.
const SCRIPT: &str = "read go && exec \"$@\" < /dev/null";

/// Starts the program; it is stopped for the first time when it is executed.
pub(crate) fn start(options: &Options) -> Result<Child, String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "sh"])
        .args(&options.program)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("/bin/sh: {error}"))?;
    let pid = Pid::from_raw(child.id() as i32);
    let trace = Trace::PTRACE_O_TRACESYSGOOD
        | Trace::PTRACE_O_TRACECLONE
        | Trace::PTRACE_O_TRACEFORK
        | Trace::PTRACE_O_TRACEVFORK
        | Trace::PTRACE_O_TRACEEXEC
        | Trace::PTRACE_O_EXITKILL;
    ptrace::seize(pid, trace).map_err(|error| {
        let _ = child.kill();
        format!(
            "ptrace is not permitted here ({error}): in a container allow it with `--cap-add SYS_PTRACE`, and see kernel.yama.ptrace_scope"
        )
    })?;
    let mut go = child.stdin.take().ok_or("the shell has no input")?;
    go.write_all(b"go\n")
        .map_err(|error| format!("the shell does not read: {error}"))?;
    Ok(child)
}
