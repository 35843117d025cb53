//! wasmtime-wasi's operations on directories, done at once on the thread that asks, so that a quota can be held still meanwhile.

use std::io;

use futures_util::FutureExt as _;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{HostDescriptor as _, PathFlags};
use wasmtime_wasi::p2::{FsError, FsResult};

use super::quota::Room;
use super::walk::Used;

/// wasmtime-wasi's view over a table of its own. Only for threads that may block.
#[derive(Default)]
pub(super) struct Here {
    /// What it opens is for other threads, which may not.
    ctx: WasiFilesystemCtx,
    table: ResourceTable,
}

/// A directory in that table.
#[derive(Clone, Copy)]
pub(super) struct Place {
    rep: u32,
    /// Whether anything may be changed in it.
    may_change: bool,
}

impl Place {
    /// As an argument.
    pub(super) fn fd(self) -> Resource<Descriptor> {
        Resource::new_borrow(self.rep)
    }
}

impl Here {
    /// The same directory, in which operations block.
    pub(super) fn dir(&mut self, dir: &Dir) -> io::Result<Place> {
        let may_change = !dir.perms.write_not_permitted();
        let dir = Dir::new(dir.dir.try_clone()?, dir.perms, dir.open_mode, true);
        let placed = self.table.push(Descriptor::Dir(dir));
        let rep = placed.map_err(io::Error::other)?.rep();
        Ok(Place { rep, may_change })
    }

    pub(super) fn view(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView {
            ctx: &mut self.ctx,
            table: &mut self.table,
        }
    }

    /// Whether `path` leads to something.
    fn has(&mut self, place: Place, flags: PathFlags, path: &str) -> bool {
        now(self.view().stat_at(place.fd(), flags, path.to_owned())).is_ok()
    }

    /// Hands over what was opened.
    pub(super) fn take(&mut self, opened: Resource<Descriptor>) -> FsResult<Descriptor> {
        Ok(self.table.delete(opened)?)
    }
}

/// Where something gets a name.
pub(super) struct Name<'a> {
    pub(super) dir: Place,
    pub(super) path: &'a str,
    /// Whether a link there is a name of what it leads to.
    pub(super) flags: PathFlags,
}

impl<'a> Name<'a> {
    pub(super) fn new(dir: Place, path: &'a str) -> Self {
        let flags = PathFlags::empty();
        Self { dir, path, flags }
    }

    /// Takes room for it, and for `bytes` behind it. If it is there already, or may not be, nothing grows, whatever is tried.
    pub(super) fn take(self, here: &mut Here, room: &Room<'_>, bytes: usize) -> io::Result<()> {
        if !self.dir.may_change || here.has(self.dir, self.flags, self.path) {
            return Ok(());
        }
        room.take(Used {
            bytes: bytes as u64,
            ..Used::ENTRY
        })
    }
}

/// The end of an operation that waits for nothing.
pub(super) fn now<T>(operation: impl Future<Output = FsResult<T>>) -> FsResult<T> {
    let waits = || wasmtime::format_err!("an operation on a file waited where it should not");
    let ended = operation.now_or_never();
    ended.unwrap_or_else(|| Err(FsError::trap(waits())))
}
