//! Compiles plugins in a child process that can be killed, because compiling is where hostile bytes do most harm.
//!
//! wasmtime promises nothing about the time and memory that compiling takes, and its bugs there may end the process. So the host
//! never compiles: it starts `kennel __compile`, which limits itself, scans, compiles, answers through a pipe and ends. Whatever
//! else it does (hang, crash, answer nonsense) is an error about that plugin, and costs the host nothing.

mod child;
mod error;
mod wire;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use moka::future::Cache;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::id::Digest;
use crate::sandbox::prescan::ScanCaps;

pub use child::child_main;
pub use error::CompileError;

/// The first argument that turns the `kennel` command into a compile child. Not for users.
pub const CHILD: &str = "__compile";

/// The largest artefact that is accepted from a child, in bytes. A Python component of 19 MB becomes 35 million.
const MAX_ARTEFACT: u64 = 512 << 20;
/// Refused plugins that are remembered, and for how long: a directory full of them must not keep a core busy, but what a loaded
/// machine made of a plugin must not be final either.
const REFUSED: u64 = 1_024;
const REMEMBERED: Duration = Duration::from_secs(600);

/// What compiling one plugin may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Address space of the child in bytes, its own code included. Default 2 GiB: JavaScript and Python components of 12 and 19 MB
    /// need 0.4 GiB.
    pub address_space: u64,
    /// CPU time in whole seconds. Default 60: the same two took 18 and 16 s of a busy core.
    pub cpu_seconds: u64,
    /// Wall time, waiting for a free child not included. Default 5 min: the child has a low priority, and CPU time is what
    /// really bounds it; this one is for a child that hangs.
    pub wall: Duration,
    /// Children at the same time. Default 1.
    pub children: usize,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            address_space: 2 << 30,
            cpu_seconds: 60,
            wall: Duration::from_secs(300),
            children: 1,
        }
    }
}

/// What a compile child returned for a plugin. Made here only, which is why it may become a
/// [`TrustedArtefact`](crate::sandbox::cache::TrustedArtefact).
pub struct Compiled(Vec<u8>);

impl Compiled {
    /// The artefact, as `Engine::precompile_component` made it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// For tests of the cache, which need no real artefact.
    #[cfg(test)]
    pub(super) fn of_test(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compiled({} bytes)", self.0.len())
    }
}

/// Starts compile children, and remembers which plugins they refused.
#[derive(Debug)]
pub struct Compiler {
    exe: PathBuf,
    caps: ScanCaps,
    limits: CompileLimits,
    slots: Semaphore,
    refused: Cache<Digest, CompileError>,
}

impl Compiler {
    /// A compiler whose children are this very program.
    #[must_use]
    pub fn new(caps: ScanCaps, limits: CompileLimits) -> Self {
        // This link names the running program even after an upgrade has replaced the file, so parent and child always agree.
        Self::with_program(PathBuf::from("/proc/self/exe"), caps, limits)
    }

    /// A compiler whose children are another program that understands [`CHILD`]: for tests, which are not the `kennel` command.
    /// `exe` must be an absolute path, because children start in the root directory.
    #[must_use]
    pub fn with_program(exe: PathBuf, caps: ScanCaps, limits: CompileLimits) -> Self {
        let slots = Semaphore::new(limits.children.max(1));
        let refused = Cache::builder()
            .max_capacity(REFUSED)
            .time_to_live(REMEMBERED)
            .build();
        Self {
            exe,
            caps,
            limits,
            slots,
            refused,
        }
    }

    /// Scans and compiles a plugin, or says again why it was refused before. `plugin` is the digest of `bytes`. Waits for a free
    /// child first. Dropping the future kills the child.
    ///
    /// # Errors
    /// When the plugin is refused by the scan or the compiler, costs more than the limits, or ends the child; or when the
    /// machine could not run a child properly, which is not remembered.
    pub async fn compile(&self, plugin: &Digest, bytes: &[u8]) -> Result<Compiled, CompileError> {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|closed| CompileError::host(&closed))?;
        if let Some(error) = self.refused.get(plugin).await {
            return Err(error);
        }
        let result = self.compile_now(bytes).await;
        if let Err(error) = &result
            && error.is_about_the_plugin()
        {
            self.refused.insert(*plugin, error.clone()).await;
        }
        result
    }

    async fn compile_now(&self, bytes: &[u8]) -> Result<Compiled, CompileError> {
        let header = wire::Header {
            address_space: self.limits.address_space,
            cpu_seconds: self.limits.cpu_seconds,
            caps: self.caps.clone(),
        };
        let request =
            wire::request_head(&header, bytes.len()).map_err(|error| CompileError::host(&error))?;
        let mut child = self.start().map_err(|error| CompileError::host(&error))?;
        match tokio::time::timeout(self.limits.wall, exchange(&mut child, &request, bytes)).await {
            Ok(Ok((status, reply))) => self.judge(status, reply),
            Ok(Err(error)) => Err(CompileError::host(&error)),
            Err(_) => {
                // Kills and reaps. If even that fails, `kill_on_drop` tries again, and the runtime reaps.
                let _ = child.kill().await;
                Err(CompileError::Stalled {
                    most: self.limits.wall,
                })
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.exe)
            .arg(CHILD)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What a dying compiler prints may quote the plugin.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    /// Only an ordinary end with a well-formed answer counts as one.
    fn judge(
        &self,
        status: std::process::ExitStatus,
        reply: Vec<u8>,
    ) -> Result<Compiled, CompileError> {
        use std::os::unix::process::ExitStatusExt as _;
        if status.signal() == Some(rustix::process::Signal::XCPU.as_raw()) {
            let most = Duration::from_secs(self.limits.cpu_seconds);
            return Err(CompileError::Timeout { most });
        }
        if !status.success() {
            return Err(CompileError::Crash {
                how: status.to_string(),
            });
        }
        match wire::parse_reply(reply) {
            Some(wire::Reply::Artefact(artefact)) => Ok(Compiled(artefact)),
            Some(wire::Reply::Refused(refused)) => Err(refused.into()),
            None => Err(CompileError::Crash {
                how: "an answer that is not one".to_owned(),
            }),
        }
    }
}

/// Writes the request, reads the answer to its end, and reaps the child. A child that dies early closes its pipes; its exit status
/// then says more than the broken pipe.
async fn exchange(
    child: &mut Child,
    head: &[u8],
    bytes: &[u8],
) -> std::io::Result<(std::process::ExitStatus, Vec<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        let written = async {
            stdin.write_all(head).await?;
            stdin.write_all(bytes).await?;
            stdin.shutdown().await
        };
        match written.await {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    let mut reply = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ARTEFACT).read_to_end(&mut reply).await?;
    }
    Ok((child.wait().await?, reply))
}
