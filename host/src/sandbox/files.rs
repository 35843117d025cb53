//! Directories for guests: each granted path below the agent's own data directory, opened once when the plugin is loaded.
//!
//! The grants are resolved part by part without following a link, so a link that somebody placed there is refused and not obeyed.
//! What a guest does below a directory is confined by wasmtime-wasi, which resolves every path beneath the open directory, and what it
//! may take there by the [quota](quota::Quota) of its agent.

mod here;
mod quota;
mod stream;
mod view;
mod walk;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use self::quota::Quota;
pub(super) use self::view::{Counted, CountedFiles};
use crate::grants::{Access, FileGrant};
use crate::id::AgentName;
use crate::limits::Limits;

/// A granted directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the granted directory `{path}` of agent `{agent}` below {}: {reason}", .root.display())]
pub struct FilesError {
    agent: AgentName,
    path: String,
    root: std::path::PathBuf,
    reason: String,
}

/// What an agent has of files, for all of its tasks.
pub(super) struct Files {
    /// Its directories, as wasmtime-wasi has them.
    pub(super) wasi: WasiFilesystemCtx,
    /// What it may take in those that it may write in.
    pub(super) quota: Arc<Quota>,
}

/// The preopened directories of an agent: `ROOT/AGENT/PATH` for each grant, created when missing, seen by the guest as `PATH`.
///
/// # Errors
/// When a directory cannot be made or opened, or a part of its path is a link.
pub(super) fn open(
    root: &Path,
    agent: &AgentName,
    grants: &[FileGrant],
    limits: &Limits,
) -> Result<Files, FilesError> {
    let mut wasi = WasiCtxBuilder::new();
    let mut roots = Vec::new();
    for (nth, grant) in grants.iter().enumerate() {
        let fail = |reason: String| FilesError {
            agent: agent.clone(),
            path: grant.path.as_str().to_owned(),
            root: root.to_owned(),
            reason,
        };
        let directory =
            open_below(root, agent, grant).map_err(|(part, errno)| fail(explain(&part, errno)))?;
        let perms = match grant.access {
            Access::Read => FsPerms::ReadOnly,
            Access::Write => FsPerms::ReadWrite,
        };
        // The builder opens by path; this one leads to the directory just opened, whatever its name points at by now.
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        wasi.preopened_dir(path, grant.path.as_str(), perms)
            .map_err(|error| fail(error.to_string()))?;
        if may_write(grant) && !is_inside_another(nth, grants) {
            roots.push(directory);
        }
    }
    Ok(Files {
        wasi: wasi.build().filesystem().clone(),
        quota: Arc::new(Quota::new(limits, roots)),
    })
}

/// Whether anything in these directories can grow.
pub(super) fn can_grow(grants: &[FileGrant]) -> bool {
    grants.iter().any(may_write)
}

fn may_write(grant: &FileGrant) -> bool {
    grant.access == Access::Write
}

/// Whether whoever walks through the other directories to write in comes by the `nth` anyway.
fn is_inside_another(nth: usize, grants: &[FileGrant]) -> bool {
    let own = grants.get(nth).map_or("", |grant| grant.path.as_str());
    let mut others = grants
        .iter()
        .enumerate()
        .filter(|(_, grant)| may_write(grant));
    others.any(|(n, other)| match own.strip_prefix(other.path.as_str()) {
        Some("") => n < nth,
        Some(rest) => rest.starts_with('/'),
        None => false,
    })
}

fn open_below(
    root: &Path,
    agent: &AgentName,
    grant: &FileGrant,
) -> Result<OwnedFd, (String, Errno)> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    std::fs::create_dir_all(root).map_err(|error| {
        (
            root.display().to_string(),
            Errno::from_io_error(&error).unwrap_or(Errno::IO),
        )
    })?;
    // The operator chose the root; it may lie behind a link.
    let mut directory = rustix::fs::openat(CWD, root, flags, Mode::empty())
        .map_err(|errno| (root.display().to_string(), errno))?;
    for part in std::iter::once(agent.as_str()).chain(grant.path.as_str().split('/')) {
        let at = |errno| (part.to_owned(), errno);
        match rustix::fs::mkdirat(directory.as_fd(), part, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(at(errno)),
        }
        directory = rustix::fs::openat(
            directory.as_fd(),
            part,
            flags | OFlags::NOFOLLOW,
            Mode::empty(),
        )
        .map_err(at)?;
    }
    Ok(directory)
}

fn explain(part: &str, errno: Errno) -> String {
    match errno {
        Errno::NOTDIR | Errno::LOOP => {
            format!("`{part}` is a link or not a directory; remove it, or grant another path")
        }
        other => format!("`{part}`: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(path: &str) -> FileGrant {
        FileGrant {
            path: path.to_owned().try_into().expect("a path"),
            access: Access::Write,
        }
    }

    /// Opens `path` for the agent `agent`.
    fn open(root: &Path, path: &str) -> Result<Files, FilesError> {
        let agent = "agent".parse().expect("a name");
        super::open(root, &agent, &[grant(path)], &Limits::default())
    }

    #[test]
    fn a_granted_directory_is_made_below_the_agent_s_own() {
        let root = tempfile::tempdir().expect("a directory");
        open(root.path(), "data/in").expect("opened");
        assert!(root.path().join("agent/data/in").is_dir());
    }

    #[test]
    fn a_link_in_the_way_is_refused() {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join("agent")).expect("made");
        std::os::unix::fs::symlink("/tmp", root.path().join("agent/data")).expect("linked");
        let error = open(root.path(), "data")
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("is a link"), "{error}");
        let error = open(root.path(), "data/in")
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("is a link"), "{error}");
    }

    #[test]
    fn a_directory_inside_another_is_not_walked_twice() {
        let read = FileGrant {
            access: Access::Read,
            ..grant("fixed")
        };
        let paths = ["data/in", "data", "database", "data", "fixed/in"];
        let mut grants: Vec<_> = paths.into_iter().map(grant).collect();
        grants.push(read);
        let inside: Vec<_> = (0..paths.len())
            .map(|nth| is_inside_another(nth, &grants))
            .collect();
        assert_eq!(inside, [true, false, false, true, false]);
    }
}
