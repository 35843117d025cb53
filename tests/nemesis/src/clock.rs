//! The wall clock of the program. Monotonic clocks are left alone: they do not jump on a real machine either.

use nix::libc::{self, user_regs_struct};
use nix::unistd::Pid;

use crate::memory::Memory;

/// The entry of the auxiliary vector that names the kernel's own library, in which the time is read without a system call.
const SYSINFO_EHDR: u64 = libc::AT_SYSINFO_EHDR;
/// An entry that is passed over.
const IGNORE: u64 = 1;

/// Hides the library in which the time is read without a system call, so that every reading is seen. To be called when a program has
/// just been executed.
pub(crate) fn make_visible(pid: Pid, regs: &user_regs_struct) -> Result<(), String> {
    let memory = Memory::of(pid)?;
    // On the stack: the count of arguments, the arguments and a zero, the environment and a zero, then pairs up to a zero.
    let mut at = regs.rsp + 8 * (memory.word(regs.rsp)? + 2);
    while memory.word(at)? != 0 {
        at += 8;
    }
    at += 8;
    loop {
        match memory.word(at)? {
            0 => return Ok(()),
            SYSINFO_EHDR => memory.set_word(at, IGNORE)?,
            _ => {}
        }
        at += 16;
    }
}

/// Whether this call reads the wall clock.
pub(crate) fn is_reading(regs: &user_regs_struct) -> bool {
    match regs.orig_rax as i64 {
        libc::SYS_clock_gettime => {
            [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE].contains(&(regs.rdi as i32))
        }
        libc::SYS_gettimeofday | libc::SYS_time => true,
        _ => false,
    }
}

/// Changes what the call has just read by so many seconds.
pub(crate) fn shift(pid: Pid, regs: &mut user_regs_struct, by: i64) -> Result<(), String> {
    let at = match regs.orig_rax as i64 {
        libc::SYS_clock_gettime => regs.rsi,
        _ => regs.rdi,
    };
    if at != 0 {
        // Each of the structures begins with the seconds.
        let memory = Memory::of(pid)?;
        memory.set_word(at, (memory.word(at)? as i64 + by) as u64)?;
    }
    if regs.orig_rax as i64 == libc::SYS_time {
        regs.rax = (regs.rax as i64 + by) as u64;
    }
    Ok(())
}
