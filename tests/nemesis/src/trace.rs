//! The loop: every thread of the program stops before and after each of its system calls, and goes on when it has been looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;

use nix::errno::Errno;
use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls::Operation;
use crate::clock;
use crate::disk::Disk;
use crate::options::{Fault, Loss, Options};
use crate::report::Report;
use crate::stops::{Trouble, alive, go_on};

/// What a stop before a system call is called by the kernel, and one after it.
const ENTRY: u8 = libc::PTRACE_SYSCALL_INFO_ENTRY;
const EXIT: u8 = libc::PTRACE_SYSCALL_INFO_EXIT;

/// Follows the program to its end.
pub(crate) fn follow(options: &Options, program: Child) -> Result<Report, String> {
    let first = Pid::from_raw(program.id() as i32);
    let loses = (options.fault).is_some_and(|planned| matches!(planned.fault, Fault::PowerLoss(_)));
    let mut tracer = Tracer {
        options,
        first,
        executed: false,
        after: BTreeMap::new(),
        processes: BTreeSet::from([first]),
        killed: false,
        report: Report::default(),
        disk: loses.then(|| Disk::new(&options.below)),
        cut: None,
    };
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(status) => tracer.look(status)?,
            Err(Errno::EINTR) => {}
            // Nobody is left.
            Err(Errno::ECHILD) => return tracer.end(),
            Err(error) => return Err(format!("wait: {error}")),
        }
    }
}

/// What is to be done when a call returns.
enum After {
    Fail(i32),
    Kill,
    Shift(i64),
    Interrupt,
}

struct Tracer<'a> {
    options: &'a Options,
    first: Pid,
    /// Whether the shell has become the program.
    executed: bool,
    after: BTreeMap<Pid, After>,
    processes: BTreeSet<Pid>,
    /// Whether all of them are.
    killed: bool,
    report: Report,
    /// What is not durable; watched only when that can be lost.
    disk: Option<Disk>,
    /// What is lost, once the power has failed.
    cut: Option<Loss>,
}

impl Tracer<'_> {
    fn end(mut self) -> Result<Report, String> {
        if let Some((disk, loss)) = self.disk.zip(self.cut) {
            self.report.lost = disk.lose(loss, self.options.seed)?;
        }
        Ok(self.report)
    }

    fn look(&mut self, status: WaitStatus) -> Result<(), String> {
        match status {
            WaitStatus::Exited(pid, code) if pid == self.first => self.report.code = code as u8,
            WaitStatus::Signaled(pid, signal, _) if pid == self.first => {
                self.report.code = 128 + signal as u8;
            }
            // A process that began while all were killed, and that nobody knew of.
            WaitStatus::PtraceSyscall(pid)
            | WaitStatus::PtraceEvent(pid, ..)
            | WaitStatus::Stopped(pid, _)
                if self.killed =>
            {
                let _ = kill(pid, Signal::SIGKILL);
                go_on(pid, None)?;
            }
            WaitStatus::PtraceSyscall(pid) => {
                // Who was killed meanwhile is no longer there to be looked at.
                alive(self.at_call(pid))?;
                go_on(pid, None)?;
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                alive(self.at_event(pid, event))?;
                go_on(pid, None)?;
            }
            WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal))?,
            _ => {}
        }
        Ok(())
    }

    fn at_event(&mut self, pid: Pid, event: i32) -> Result<(), Trouble> {
        match event {
            libc::PTRACE_EVENT_EXEC => {
                self.executed = true;
                if !self.options.clock.is_empty() {
                    clock::make_visible(pid, &ptrace::getregs(pid)?)?;
                }
            }
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
                let child = ptrace::getevent(pid)?;
                self.processes.insert(Pid::from_raw(child as i32));
            }
            _ => {}
        }
        Ok(())
    }

    fn at_call(&mut self, pid: Pid) -> Result<(), Trouble> {
        if !self.executed {
            return Ok(());
        }
        match ptrace::syscall_info(pid)?.op {
            ENTRY => {
                let regs = ptrace::getregs(pid)?;
                self.before(pid, regs)?;
                match &mut self.disk {
                    Some(disk) if self.cut.is_none() => Ok(disk.before(pid, &regs)?),
                    _ => Ok(()),
                }
            }
            EXIT => {
                if let Some(disk) = &mut self.disk {
                    disk.returned(pid, ptrace::getregs(pid)?.rax as i64)?;
                }
                match self.after.remove(&pid) {
                    Some(after) => self.afterwards(pid, &after),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn before(&mut self, pid: Pid, mut regs: user_regs_struct) -> Result<(), Trouble> {
        if !self.options.clock.is_empty() && clock::is_reading(&regs) {
            self.report.readings += 1;
            let now = self.report.readings;
            let mut jumps = self.options.clock.iter();
            if let Some((_, by)) = jumps.rfind(|(from, _)| *from <= now) {
                self.after.insert(pid, After::Shift(*by));
            }
            return Ok(());
        }
        let Some(operation) = Operation::of(pid, &regs, &self.options.below) else {
            return Ok(());
        };
        if self.options.list {
            self.report.list.push(operation.shown.clone());
        }
        if operation.is_ack() {
            self.report.acks += 1;
            if self.options.interrupt == Some(self.report.acks) {
                self.after.insert(pid, After::Interrupt);
            }
        }
        if operation.needs_space() && self.options.full.as_ref().is_some_and(|file| file.exists()) {
            self.hit(&operation);
            return self.fail(pid, regs, libc::ENOSPC);
        }
        let Some(planned) = self.options.fault else {
            self.report.positions += 1;
            return Ok(());
        };
        if !operation.can(planned.fault) {
            return Ok(());
        }
        self.report.positions += 1;
        let at = self.report.positions;
        if at != planned.at && !(planned.lasts && at > planned.at) {
            return Ok(());
        }
        self.hit(&operation);
        match planned.fault {
            Fault::KillBefore => self.kill(),
            Fault::KillAfter => {
                self.after.insert(pid, After::Kill);
            }
            Fault::Eio => self.fail(pid, regs, libc::EIO)?,
            Fault::Enospc => self.fail(pid, regs, libc::ENOSPC)?,
            Fault::PowerLoss(loss) => {
                self.cut = Some(loss);
                self.kill();
            }
            Fault::Torn(part) => {
                regs.rdx = part.of(regs.rdx).unwrap_or(regs.rdx);
                ptrace::setregs(pid, regs)?;
                self.after.insert(pid, After::Kill);
            }
        }
        Ok(())
    }

    fn afterwards(&mut self, pid: Pid, after: &After) -> Result<(), Trouble> {
        let mut regs = ptrace::getregs(pid)?;
        match after {
            After::Fail(errno) => {
                regs.rax = (-i64::from(*errno)) as u64;
                ptrace::setregs(pid, regs)?;
            }
            After::Shift(by) => {
                clock::shift(pid, &mut regs, *by)?;
                ptrace::setregs(pid, regs)?;
            }
            After::Kill => self.kill(),
            After::Interrupt => kill(self.first, Signal::SIGINT)?,
        }
        Ok(())
    }

    /// Lets the call fail: the kernel is asked for one that does not exist, and its answer is replaced.
    fn fail(&mut self, pid: Pid, mut regs: user_regs_struct, errno: i32) -> Result<(), Trouble> {
        regs.orig_rax = u64::MAX;
        ptrace::setregs(pid, regs)?;
        self.after.insert(pid, After::Fail(errno));
        Ok(())
    }

    fn hit(&mut self, operation: &Operation) {
        self.report.injected += 1;
        let place = self.report.positions.max(1);
        let shown = || format!("#{place} {}", operation.shown);
        self.report.hit.get_or_insert_with(shown);
    }

    fn kill(&mut self) {
        self.killed = true;
        for process in &self.processes {
            // One that has ended already needs no killing; numbers are not used again while a parent has not looked.
            let _ = kill(*process, Signal::SIGKILL);
        }
    }
}
