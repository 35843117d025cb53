//! `wasi:filesystem/types` for agents that may write: wasmtime-wasi's, but whatever may grow takes room from the agent's quota first.
//!
//! It decides nothing about paths and permissions; those are wasmtime-wasi's.

use std::io;
use std::sync::Arc;

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::{Descriptor, Dir, File, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::here::{Here, Name, now};
use super::quota::{Quota, Room, code, warn};
use super::stream::{At, FileStream, growth, write};
use crate::sandbox::log::Log;

/// One task's files, with the quota of its agent.
pub(in crate::sandbox) struct Counted<'a> {
    pub(in crate::sandbox) files: WasiFilesystemCtxView<'a>,
    pub(in crate::sandbox) quota: Arc<Quota>,
    pub(in crate::sandbox) log: Log,
}

/// What links [`Counted`].
pub(in crate::sandbox) struct CountedFiles;

impl HasData for CountedFiles {
    type Data<'a> = Counted<'a>;
}

impl Counted<'_> {
    /// Changes something below directories, all of it while the quota is held still.
    async fn change<T: Send + 'static>(
        &mut self,
        change: impl Fn(&mut Here, &Room<'_>) -> io::Result<FsResult<T>> + Send + Sync + 'static,
    ) -> FsResult<T> {
        let changed = self
            .quota
            .change(move |room| change(&mut Here::default(), room));
        changed.await.unwrap_or_else(|error| Err(self.told(&error)))
    }

    fn told(&self, error: &io::Error) -> FsError {
        warn(&self.log, error);
        code(error).into()
    }

    fn dir(&self, fd: &Resource<Descriptor>) -> FsResult<Dir> {
        match self.files.table.get(fd)? {
            Descriptor::Dir(dir) => Ok(dir.clone()),
            Descriptor::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    /// A file that may be written to.
    fn file(&self, fd: &Resource<Descriptor>) -> FsResult<Arc<std::fs::File>> {
        match self.files.table.get(fd)? {
            Descriptor::File(File { perms, .. }) if perms.write_not_permitted() => {
                Err(ErrorCode::NotPermitted.into())
            }
            Descriptor::File(file) => Ok(file.file.clone()),
            Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    fn stream(&mut self, fd: &Resource<Descriptor>, at: At) -> FsResult<Resource<DynOutputStream>> {
        let stream = FileStream::new(self.quota.clone(), self.log.clone(), self.file(fd)?, at);
        let stream: DynOutputStream = Box::new(stream);
        Ok(self.files.table.push(stream)?)
    }
}

impl types::Host for Counted<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.files.table.get(&error)?;
        Ok(error.downcast_ref::<io::Error>().map(code))
    }
}

/// What cannot grow.
macro_rules! as_it_is {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $answer:ty;)*) => {$(
        async fn $name(&mut self, fd: Resource<Descriptor>, $($arg: $ty),*) -> $answer {
            self.files.$name(fd, $($arg),*).await
        }
    )*};
}

impl HostDescriptor for Counted<'_> {
    as_it_is! {
        fn advise(offset: Filesize, len: Filesize, advice: Advice) -> FsResult<()>;
        fn sync_data() -> FsResult<()>;
        fn get_flags() -> FsResult<DescriptorFlags>;
        fn get_type() -> FsResult<DescriptorType>;
        fn set_times(accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<()>;
        fn read(len: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)>;
        fn read_directory() -> FsResult<Resource<DirectoryEntryStream>>;
        fn sync() -> FsResult<()>;
        fn stat() -> FsResult<DescriptorStat>;
        fn stat_at(flags: PathFlags, path: String) -> FsResult<DescriptorStat>;
        fn set_times_at(flags: PathFlags, path: String, accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<()>;
        fn readlink_at(path: String) -> FsResult<String>;
        fn remove_directory_at(path: String) -> FsResult<()>;
        fn unlink_file_at(path: String) -> FsResult<()>;
        fn is_same_object(other: Resource<Descriptor>) -> wasmtime::Result<bool>;
        fn metadata_hash() -> FsResult<MetadataHashValue>;
        fn metadata_hash_at(flags: PathFlags, path: String) -> FsResult<MetadataHashValue>;
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        self.files.read_via_stream(fd, offset)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.stream(&fd, At::Position(offset))
    }

    fn append_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.stream(&fd, At::End)
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let file = self.file(&fd)?;
        let written = write(&self.quota, file, At::Position(offset), bytes.into()).await;
        written.map_err(|error| self.told(&error))
    }

    /// A file counts by its length, because what is a hole today can be filled tomorrow.
    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let file = self.file(&fd)?;
        self.change(move |_, room| {
            room.take(growth(&file, size)?)?;
            file.set_len(size).map(Ok)
        })
        .await
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let dir = self.dir(&fd)?;
        let opened = self.change(move |here, room| {
            let dir = here.dir(&dir)?;
            if open_flags.contains(OpenFlags::CREATE) {
                let flags = path_flags;
                Name {
                    flags,
                    ..Name::new(dir, &path)
                }
                .take(here, room, 0)?;
            }
            let (fd, path) = (dir.fd(), path.clone());
            let opened = now(here.view().open_at(fd, path_flags, path, open_flags, flags));
            let opened = opened.and_then(|opened| here.take(opened));
            if let Ok(Descriptor::File(file)) = &opened {
                room.opened(&file.file);
            }
            Ok(opened)
        });
        let opened = opened.await?;
        Ok(self.files.table.push(opened)?)
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let dir = self.dir(&fd)?;
        self.change(move |here, room| {
            let dir = here.dir(&dir)?;
            Name::new(dir, &path).take(here, room, 0)?;
            Ok(now(here.view().create_directory_at(dir.fd(), path.clone())))
        })
        .await
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        let dir = self.dir(&fd)?;
        self.change(move |here, room| {
            let dir = here.dir(&dir)?;
            Name::new(dir, &path).take(here, room, target.len())?;
            Ok(now(here.view().symlink_at(
                dir.fd(),
                target.clone(),
                path.clone(),
            )))
        })
        .await
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (self.dir(&fd)?, self.dir(&new_fd)?);
        self.change(move |here, room| {
            let (from, to) = (here.dir(&from)?, here.dir(&to)?);
            Name::new(to, &new_path).take(here, room, 0)?;
            let (path, new_path) = (path.clone(), new_path.clone());
            Ok(now(here.view().link_at(
                from.fd(),
                flags,
                path,
                to.fd(),
                new_path,
            )))
        })
        .await
    }

    /// Takes no room, but a walk could miss what moves meanwhile, and a name that goes would be there for who looks and not for who makes it.
    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (self.dir(&fd)?, self.dir(&new_fd)?);
        let renamed = self.quota.change_alone(move || {
            let mut here = Here::default();
            let (from, to) = (here.dir(&from)?, here.dir(&to)?);
            Ok::<_, io::Error>(now(here.view().rename_at(
                from.fd(),
                path,
                to.fd(),
                new_path,
            )))
        });
        renamed.await.flatten().map_err(|error| self.told(&error))?
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        HostDescriptor::drop(&mut self.files, fd)
    }
}

impl HostDirectoryEntryStream for Counted<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.files.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.files, stream)
    }
}
