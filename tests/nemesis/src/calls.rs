//! Which system calls change files, what they touch, and which faults they can meet.

use std::path::{Component, Path, PathBuf};

use nix::libc::{self, user_regs_struct};
use nix::unistd::Pid;

use crate::memory::Memory;
use crate::options::Fault;

/// An operation that counts.
pub(crate) struct Operation {
    kind: Kind,
    /// For people: the call, the file below the directory, the bytes.
    pub(crate) shown: String,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One buffer of which a part can be written.
    Write,
    /// Other calls that need space: a new file, a longer one, a new name.
    Space,
    Sync,
    /// A name goes.
    Remove,
    /// The program tells its result.
    Ack,
}

impl Operation {
    /// What the call that `pid` is about to make does, if it counts.
    pub(crate) fn of(pid: Pid, regs: &user_regs_struct, below: &Path) -> Option<Self> {
        let call = regs.orig_rax as i64;
        let (name, kind, place) = match call {
            libc::SYS_write => ("write", Kind::Write, Place::Fd(regs.rdi)),
            libc::SYS_pwrite64 => ("pwrite", Kind::Write, Place::Fd(regs.rdi)),
            libc::SYS_writev => ("writev", Kind::Space, Place::Fd(regs.rdi)),
            libc::SYS_pwritev => ("pwritev", Kind::Space, Place::Fd(regs.rdi)),
            libc::SYS_pwritev2 => ("pwritev2", Kind::Space, Place::Fd(regs.rdi)),
            libc::SYS_copy_file_range => ("copy_file_range", Kind::Space, Place::Fd(regs.rdx)),
            libc::SYS_sendfile => ("sendfile", Kind::Space, Place::Fd(regs.rdi)),
            libc::SYS_ftruncate => ("ftruncate", Kind::Space, Place::Fd(regs.rdi)),
            libc::SYS_fallocate => ("fallocate", Kind::Space, Place::Fd(regs.rdi)),
            libc::SYS_fsync => ("fsync", Kind::Sync, Place::Fd(regs.rdi)),
            libc::SYS_fdatasync => ("fdatasync", Kind::Sync, Place::Fd(regs.rdi)),
            libc::SYS_open if creates(regs.rsi) => {
                ("create", Kind::Space, Place::Path(None, regs.rdi))
            }
            libc::SYS_openat if creates(regs.rdx) => {
                ("create", Kind::Space, Place::Path(Some(regs.rdi), regs.rsi))
            }
            libc::SYS_mkdir => ("mkdir", Kind::Space, Place::Path(None, regs.rdi)),
            libc::SYS_mkdirat => ("mkdir", Kind::Space, Place::Path(Some(regs.rdi), regs.rsi)),
            libc::SYS_rename => ("rename", Kind::Space, Place::Path(None, regs.rsi)),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                ("rename", Kind::Space, Place::Path(Some(regs.rdx), regs.r10))
            }
            libc::SYS_link => ("link", Kind::Space, Place::Path(None, regs.rsi)),
            libc::SYS_linkat => ("link", Kind::Space, Place::Path(Some(regs.rdx), regs.r10)),
            libc::SYS_unlink => ("unlink", Kind::Remove, Place::Path(None, regs.rdi)),
            libc::SYS_unlinkat => (
                "unlink",
                Kind::Remove,
                Place::Path(Some(regs.rdi), regs.rsi),
            ),
            _ => return None,
        };
        let path = place.resolve(pid)?;
        let Ok(inside) = path.strip_prefix(below) else {
            let acks = matches!(call, libc::SYS_write | libc::SYS_writev) && regs.rdi == 1;
            return acks.then(|| Self {
                kind: Kind::Ack,
                shown: "ack".into(),
                bytes: 0,
            });
        };
        let is_old = || path.exists();
        if name == "create" && is_old() || name == "mkdir" && is_old() {
            // Nothing comes into being.
            return None;
        }
        let bytes = match kind {
            Kind::Write => regs.rdx,
            _ => 0,
        };
        let size = match kind {
            Kind::Write => format!(" {bytes} B"),
            _ => String::new(),
        };
        Some(Self {
            kind,
            shown: format!("{name} {}{size}", inside.display()),
            bytes,
        })
    }

    /// Whether this fault can happen to it.
    pub(crate) fn can(&self, fault: Fault) -> bool {
        match fault {
            Fault::KillBefore | Fault::KillAfter | Fault::PowerLoss(_) => true,
            Fault::Eio => self.kind != Kind::Ack,
            Fault::Enospc => matches!(self.kind, Kind::Write | Kind::Space | Kind::Sync),
            Fault::Torn(part) => self.kind == Kind::Write && part.of(self.bytes).is_some(),
        }
    }

    /// Whether it needs space on the disk. What was written before can be made durable without any.
    pub(crate) fn needs_space(&self) -> bool {
        matches!(self.kind, Kind::Write | Kind::Space)
    }

    pub(crate) fn is_ack(&self) -> bool {
        self.kind == Kind::Ack
    }
}

fn creates(flags: u64) -> bool {
    flags as i32 & libc::O_CREAT != 0
}

/// How a call names its file: the address of a path is relative to a directory.
pub(crate) enum Place {
    Fd(u64),
    Path(Option<u64>, u64),
}

impl Place {
    pub(crate) fn resolve(&self, pid: Pid) -> Option<PathBuf> {
        let link = |name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).ok();
        match *self {
            Self::Fd(fd) => link(&format!("fd/{}", fd as i32)),
            Self::Path(dir, at) => {
                let path = PathBuf::from(Memory::of(pid).ok()?.text(at)?);
                if path.is_absolute() {
                    return Some(plain(&path));
                }
                let dir = match dir.map(|fd| fd as i32) {
                    None | Some(libc::AT_FDCWD) => link("cwd")?,
                    Some(fd) => link(&format!("fd/{fd}"))?,
                };
                Some(plain(&dir.join(path)))
            }
        }
    }
}

/// Without `.` and `..`; the file need not exist.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
