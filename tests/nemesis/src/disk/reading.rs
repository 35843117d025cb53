//! What a call will do to the disk, read from the registers before it is made.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use nix::libc::{self, user_regs_struct};
use nix::unistd::Pid;

use super::content::{Change, Kind};
use super::names::Naming;
use super::{Id, Pending, inside};
use crate::calls::Place;
use crate::memory::Memory;

/// What the call that `pid` is about to make does to files below `below`. A process that is gone does nothing.
pub(super) fn read(
    pid: Pid,
    regs: &user_regs_struct,
    below: &Path,
    next: u64,
) -> Result<Option<Pending>, String> {
    let call = Call { pid, below };
    let (one, two, three, four) = (regs.rdi, regs.rsi, regs.rdx, regs.r10);
    match regs.orig_rax as i64 {
        libc::SYS_write => call.write(one, Position::Own, three),
        libc::SYS_pwrite64 => call.write(one, Position::At(four), three),
        libc::SYS_writev => call.write(one, Position::Own, call.all(two, three)),
        libc::SYS_pwritev | libc::SYS_pwritev2 => {
            call.write(one, Position::At(four), call.all(two, three))
        }
        libc::SYS_sendfile => call.write(one, Position::Own, four),
        libc::SYS_copy_file_range if four == 0 => call.write(three, Position::Own, regs.r8),
        libc::SYS_copy_file_range => {
            let at = Memory::of(pid).and_then(|memory| memory.word(four));
            at.map_or(Ok(None), |at| call.write(three, Position::At(at), regs.r8))
        }
        libc::SYS_ftruncate => call.room(&call.fd(one), "ftruncate", two, u64::MAX),
        libc::SYS_truncate => call.room(&call.path(None, one), "truncate", two, u64::MAX),
        libc::SYS_fallocate => call.room(&call.fd(one), "fallocate", three, four),
        libc::SYS_fsync | libc::SYS_fdatasync => {
            let synced = call.fd(one).and_then(|path| call.id(&path.proc));
            Ok(synced.map(|id| Pending::Sync(Some(id), next)))
        }
        libc::SYS_sync | libc::SYS_syncfs => Ok(Some(Pending::Sync(None, next))),
        libc::SYS_open => call.open(call.path(None, one), two),
        libc::SYS_openat => call.open(call.path(Some(one), two), three),
        libc::SYS_mmap => Ok(call.mapped(three, four, regs.r8)),
        libc::SYS_mkdir => Ok(call.named("mkdir", call.path(None, one))),
        libc::SYS_mkdirat => Ok(call.named("mkdir", call.path(Some(one), two))),
        libc::SYS_link => Ok(call.named("link", call.path(None, two))),
        libc::SYS_linkat => Ok(call.named("link", call.path(Some(three), four))),
        libc::SYS_unlink | libc::SYS_rmdir => call.gone(call.path(None, one)),
        libc::SYS_unlinkat => call.gone(call.path(Some(one), two)),
        libc::SYS_rename => call.moved(call.path(None, one), call.path(None, two), 0),
        libc::SYS_renameat => {
            call.moved(call.path(Some(one), two), call.path(Some(three), four), 0)
        }
        libc::SYS_renameat2 => call.moved(
            call.path(Some(one), two),
            call.path(Some(three), four),
            regs.r8,
        ),
        _ => Ok(None),
    }
}

/// Where bytes go: where the descriptor stands, or elsewhere.
enum Position {
    Own,
    At(u64),
}

/// A file, with a path that reaches it though it may have no name any more.
struct Found {
    path: PathBuf,
    proc: PathBuf,
}

struct Call<'a> {
    pid: Pid,
    below: &'a Path,
}

impl Call<'_> {
    /// The file or directory of a descriptor, if it is below.
    fn fd(&self, fd: u64) -> Option<Found> {
        let path = Place::Fd(fd).resolve(self.pid)?;
        let proc = PathBuf::from(format!("/proc/{}/fd/{}", self.pid, fd as i32));
        path.starts_with(self.below).then_some(Found { path, proc })
    }

    /// The same of a path.
    fn path(&self, dir: Option<u64>, at: u64) -> Option<Found> {
        let path = Place::Path(dir, at).resolve(self.pid)?;
        let proc = path.clone();
        path.starts_with(self.below).then_some(Found { path, proc })
    }

    fn id(&self, path: &Path) -> Option<Id> {
        fs::metadata(path).ok().map(|meta| Id::of(&meta))
    }

    fn shown(&self, name: &str, path: &Path) -> String {
        format!("{name} {}", inside(path, self.below))
    }

    /// How many bytes a list of buffers has.
    fn all(&self, buffers: u64, count: u64) -> u64 {
        let Ok(memory) = Memory::of(self.pid) else {
            return 0;
        };
        // The length is the second word of each.
        let lengths = (0..count.min(1024)).map(|nth| memory.word(buffers + 16 * nth + 8));
        lengths.map(|length| length.unwrap_or(0)).sum()
    }

    fn write(&self, fd: u64, position: Position, most: u64) -> Result<Option<Pending>, String> {
        let Some(found) = self.fd(fd) else {
            return Ok(None);
        };
        let at = match position {
            // As a place of its own this one means the other.
            Position::At(at) if at != u64::MAX => Some(at),
            _ => self.stands_at(fd, &found),
        };
        let Some(at) = at else {
            return Ok(None);
        };
        let shown = self.shown("write", &found.path);
        self.change(
            &found,
            format!("{shown} {most} B at {at}"),
            Kind::Write,
            at,
            most,
        )
    }

    fn room(
        &self,
        found: &Option<Found>,
        name: &str,
        at: u64,
        most: u64,
    ) -> Result<Option<Pending>, String> {
        let Some(found) = found else {
            return Ok(None);
        };
        let shown = self.shown(name, &found.path);
        self.change(found, format!("{shown} at {at}"), Kind::Room, at, most)
    }

    fn change(
        &self,
        found: &Found,
        shown: String,
        kind: Kind,
        at: u64,
        most: u64,
    ) -> Result<Option<Pending>, String> {
        // Opening a pipe would wait for whoever is at its other end.
        let meta = fs::metadata(&found.proc).ok().filter(fs::Metadata::is_file);
        let Some(meta) = meta else {
            return Ok(None);
        };
        let file = OpenOptions::new().read(true).write(true).open(&found.proc);
        let file = file.map_err(|error| format!("{shown}: {error}"))?;
        let change = Change::planned(file, shown, kind, at, most)?;
        Ok(Some(Pending::Change(Id::of(&meta), change)))
    }

    /// Where the next byte goes that is written through a descriptor.
    fn stands_at(&self, fd: u64, found: &Found) -> Option<u64> {
        let info = format!("/proc/{}/fdinfo/{}", self.pid, fd as i32);
        let info = fs::read_to_string(info).ok()?;
        let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let flags = i32::from_str_radix(value("flags:")?.trim(), 8).ok()?;
        if flags & libc::O_APPEND != 0 {
            return Some(fs::metadata(&found.proc).ok()?.len());
        }
        value("pos:")?.trim().parse().ok()
    }

    fn open(&self, found: Option<Found>, flags: u64) -> Result<Option<Pending>, String> {
        let Some(found) = found else {
            return Ok(None);
        };
        let has = |flag| flags as i32 & flag != 0;
        if has(libc::O_CREAT) && found.path.symlink_metadata().is_err() {
            return Ok(self.named("create", Some(found)));
        }
        match has(libc::O_TRUNC) {
            true => self.room(&Some(found), "truncate", 0, u64::MAX),
            false => Ok(None),
        }
    }

    fn mapped(&self, access: u64, flags: u64, fd: u64) -> Option<Pending> {
        let writes = access as i32 & libc::PROT_WRITE != 0;
        let shared = flags as i32 & libc::MAP_SHARED != 0;
        let anonymous = flags as i32 & libc::MAP_ANONYMOUS != 0;
        let found = (writes && shared && !anonymous).then(|| self.fd(fd));
        found.flatten().map(|found| Pending::Map(found.path))
    }

    fn named(&self, name: &str, found: Option<Found>) -> Option<Pending> {
        let path = found?.path;
        let shown = self.shown(name, &path);
        Naming::new(path, shown).map(Pending::Name)
    }

    fn gone(&self, found: Option<Found>) -> Result<Option<Pending>, String> {
        let Some(Found { path, .. }) = found else {
            return Ok(None);
        };
        let shown = self.shown("unlink", &path);
        Ok(Naming::gone(path, shown)?.map(Pending::Name))
    }

    fn moved(
        &self,
        from: Option<Found>,
        to: Option<Found>,
        flags: u64,
    ) -> Result<Option<Pending>, String> {
        let (from, to) = match (from, to) {
            (None, None) => return Ok(None),
            (Some(from), Some(to)) => (from.path, to.path),
            _ => return Err(
                "a name is moved out of the directory or into it: what is lost then is not known"
                    .into(),
            ),
        };
        if flags & u64::from(libc::RENAME_EXCHANGE) != 0 {
            return Err("two names are exchanged: what is lost then is not known".into());
        }
        let shown = self.shown("rename", &to);
        Ok(Naming::moved(from, to, shown)?.map(Pending::Name))
    }
}
