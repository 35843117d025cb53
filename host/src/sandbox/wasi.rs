//! WASI for one task: which interfaces are linked, and the context behind them, built when it is first needed.
//!
//! Every view counts a host call. Sockets are never linked.

use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView};
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings as p2;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::files::{Counted, CountedFiles};
use super::log::Stream;
use super::stdio::LogStream;
use super::task::Task;

/// Streams and stream errors live in the table alone.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links every WASI interface that agents may import without network. Files are counted only where they `can_grow`: whoever may write
/// nowhere pays nothing for the quota.
pub(super) fn link(linker: &mut Linker<Task>, can_grow: bool) -> wasmtime::Result<()> {
    p2::io::error::add_to_linker::<Task, Io>(linker, Task::io)?;
    p2::io::poll::add_to_linker::<Task, HasSelf<Task>>(linker, |task| task)?;
    p2::io::streams::add_to_linker::<Task, Io>(linker, Task::io)?;
    p2::clocks::wall_clock::add_to_linker::<Task, HasSelf<Task>>(linker, |task| task)?;
    p2::clocks::monotonic_clock::add_to_linker::<Task, HasSelf<Task>>(linker, |task| task)?;
    p2::random::random::add_to_linker::<Task, HasSelf<Task>>(linker, |task| task)?;
    p2::random::insecure::add_to_linker::<Task, HasSelf<Task>>(linker, |task| task)?;
    p2::random::insecure_seed::add_to_linker::<Task, HasSelf<Task>>(linker, |task| task)?;
    match can_grow {
        true => p2::filesystem::types::add_to_linker::<Task, CountedFiles>(linker, Task::counted)?,
        false => {
            p2::filesystem::types::add_to_linker::<Task, WasiFilesystem>(linker, Task::filesystem)?;
        }
    }
    p2::filesystem::preopens::add_to_linker::<Task, WasiFilesystem>(linker, Task::filesystem)?;
    link_cli(linker)
}

fn link_cli(linker: &mut Linker<Task>) -> wasmtime::Result<()> {
    p2::cli::exit::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::environment::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::stdin::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::stdout::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::stderr::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::terminal_input::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::terminal_output::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::terminal_stdin::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::terminal_stdout::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    p2::cli::terminal_stderr::add_to_linker::<Task, WasiCli>(linker, Task::cli)?;
    Ok(())
}

impl Task {
    fn io(&mut self) -> &mut ResourceTable {
        self.calls.count();
        &mut self.table
    }

    pub(super) fn timers(&mut self) -> WasiClocksCtxView<'_> {
        let (ctx, table) = self.wasi();
        WasiClocksCtxView {
            ctx: ctx.clocks(),
            table,
        }
    }

    fn filesystem(&mut self) -> WasiFilesystemCtxView<'_> {
        let (ctx, table) = self.wasi();
        WasiFilesystemCtxView {
            ctx: ctx.filesystem(),
            table,
        }
    }

    fn counted(&mut self) -> Counted<'_> {
        let (quota, log) = (self.plugin.files.quota.clone(), self.log().clone());
        let files = self.filesystem();
        Counted { files, quota, log }
    }

    fn cli(&mut self) -> WasiCliCtxView<'_> {
        let (ctx, table) = self.wasi();
        WasiCliCtxView {
            ctx: ctx.cli(),
            table,
        }
    }

    fn wasi(&mut self) -> (&mut WasiCtx, &mut ResourceTable) {
        self.calls.count();
        if self.wasi.is_none() {
            self.wasi = Some(Box::new(self.build_wasi()));
        }
        let Self { wasi, table, .. } = self;
        // Filled just above.
        (
            wasi.get_or_insert_with(|| Box::new(WasiCtxBuilder::new().build())),
            table,
        )
    }

    /// Nothing is inherited from the host's process: what is not named here is empty or denied.
    fn build_wasi(&mut self) -> WasiCtx {
        let log = self.log().clone();
        let plugin = &self.plugin;
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(LogStream::new(&log, Stream::Out))
            .stderr(LogStream::new(&log, Stream::Err))
            .envs(&plugin.env);
        let mut wasi = wasi.build();
        wasi.filesystem().clone_from(&plugin.files.wasi);
        wasi
    }
}
