//! What a quota stops, and what it lets pass: through the view that guests get, on a real directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::FutureExt as _;
use tempfile::TempDir;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, Host as _, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, FsResult, StreamError};

use super::super::walk::Used;
use super::{REST, rest};
use crate::call::{Notice, Observer};
use crate::limits::Limits;
use crate::sandbox::files::{self, Counted, Files};
use crate::sandbox::log::Log;
use crate::sandbox::testing::{grants, listener};
use crate::units::{Bytes, Span};

const KIB: u64 = 1 << 10;

type Told<T> = Result<T, ErrorCode>;

/// An agent with the directories `data` and `more` to write in, which may take 64 KiB and 20 names together.
struct Agent {
    root: TempDir,
    files: Files,
}

impl Agent {
    fn new() -> Self {
        let limits = Limits {
            files: Bytes(64 * KIB),
            file_count: 20,
            ..Limits::default()
        };
        Self::with(&limits)
    }

    fn with(limits: &Limits) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let granted = grants(
            "files = [{ path = 'data', access = 'write' }, { path = 'more', access = 'write' }, { path = 'fixed', access = 'read' }]",
        );
        let name = "agent".parse().expect("a name");
        let files = files::open(root.path(), &name, &granted.files, limits).expect("opened");
        Self { root, files }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join("agent").join(path)
    }

    fn task(&self) -> Task {
        self.task_told_to(&Observer::default())
    }

    fn task_told_to(&self, observer: &Observer) -> Task {
        let name = "agent".parse().expect("a name");
        let mut task = Task {
            files: self.files.wasi.clone(),
            quota: self.files.quota.clone(),
            log: Log::new(&name, observer, &Limits::default()),
            table: ResourceTable::new(),
            dirs: Vec::new(),
        };
        let dirs = task.view().files.get_directories();
        task.dirs = dirs
            .map(|dirs| dirs.into_iter().map(|(dir, _)| dir.rep()).collect())
            .expect("there is room in the table");
        task
    }

    /// Bytes and names below the directory, counted in another way than the quota does.
    fn holds(&self, path: &str) -> (u64, u64) {
        below(&self.path(path))
    }

    fn walks(&self) -> u64 {
        self.files.quota.walks.load(Ordering::Relaxed)
    }
}

fn below(path: &Path) -> (u64, u64) {
    let entries = fs::read_dir(path).expect("listed").flatten();
    entries.fold((0, 0), |(bytes, names), entry| {
        let meta = entry.metadata().expect("there");
        let (inner, more) = match meta.is_dir() {
            true => below(&entry.path()),
            false => (meta.len(), 0),
        };
        (bytes + inner, names + more + 1)
    })
}

/// One task of it: what a guest does, each as one call of `wasi:filesystem`.
struct Task {
    files: WasiFilesystemCtx,
    quota: Arc<super::Quota>,
    log: Log,
    table: ResourceTable,
    dirs: Vec<u32>,
}

/// A file that a task has open.
type File = Resource<Descriptor>;

fn again(file: &File) -> File {
    Resource::new_borrow(file.rep())
}

fn told<T>(answer: FsResult<T>) -> Told<T> {
    answer.map_err(|error| error.downcast().expect("not a trap"))
}

impl Task {
    fn view(&mut self) -> Counted<'_> {
        Counted {
            files: WasiFilesystemCtxView {
                ctx: &mut self.files,
                table: &mut self.table,
            },
            quota: self.quota.clone(),
            log: self.log.clone(),
        }
    }

    /// One of the granted directories, and the rest of `path`.
    fn at(&self, path: &str) -> (File, String) {
        let (dir, rest) = path.split_once('/').expect("below a directory");
        let nth = ["data", "more", "fixed"]
            .iter()
            .position(|name| *name == dir);
        let dir = self.dirs[nth.expect("a granted one")];
        (Resource::new_borrow(dir), rest.to_owned())
    }

    async fn open(&mut self, path: &str, flags: OpenFlags) -> Told<File> {
        let (dir, path) = self.at(path);
        let write = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let (mut view, follow) = (self.view(), PathFlags::empty());
        told(view.open_at(dir, follow, path, flags, write).await)
    }

    async fn create(&mut self, path: &str) -> Told<File> {
        self.open(path, OpenFlags::CREATE).await
    }

    async fn set_size(&mut self, file: &File, size: u64) -> Told<()> {
        told(self.view().set_size(again(file), size).await)
    }

    async fn write(&mut self, file: &File, count: u64, offset: u64) -> Told<u64> {
        told(self.view().write(again(file), bytes(count), offset).await)
    }

    async fn unlink(&mut self, path: &str) -> Told<()> {
        let (dir, path) = self.at(path);
        told(self.view().unlink_file_at(dir, path).await)
    }

    async fn make_dir(&mut self, path: &str) -> Told<()> {
        let (dir, path) = self.at(path);
        told(self.view().create_directory_at(dir, path).await)
    }

    async fn symlink(&mut self, target: &str, path: &str) -> Told<()> {
        let (dir, path) = self.at(path);
        told(self.view().symlink_at(dir, target.to_owned(), path).await)
    }

    async fn link(&mut self, from: &str, to: &str) -> Told<()> {
        let ((from, path), (to, new_path)) = (self.at(from), self.at(to));
        let flags = PathFlags::empty();
        told(self.view().link_at(from, flags, path, to, new_path).await)
    }

    async fn rename(&mut self, from: &str, to: &str) -> Told<()> {
        let ((from, path), (to, new_path)) = (self.at(from), self.at(to));
        told(self.view().rename_at(from, path, to, new_path).await)
    }

    fn close(&mut self, file: File) {
        self.table.delete(file).expect("it was open");
    }

    /// Opens a stream from `offset` on, or at the end.
    fn stream(&mut self, file: &File, offset: Option<u64>) -> DynOutputStream {
        let opened = match offset {
            Some(offset) => self.view().write_via_stream(again(file), offset),
            None => self.view().append_via_stream(again(file)),
        };
        let stream = told(opened).expect("it may be written to");
        self.table.delete(stream).expect("it was opened")
    }
}

fn bytes(count: u64) -> Vec<u8> {
    vec![b'x'; usize::try_from(count).expect("they fit")]
}

/// Writes chunks of 4 KiB until it is refused.
async fn pour(stream: &mut DynOutputStream) -> StreamError {
    loop {
        if let Err(error) = stream.blocking_write_and_flush(bytes(4 * KIB).into()).await {
            return error;
        }
    }
}

#[tokio::test]
async fn no_stream_writes_past_the_quota_and_the_guest_is_told_which_error_it_was() {
    for offset in [Some(0), Some(100), None] {
        let agent = Agent::new();
        let mut task = agent.task();
        let file = task.create("data/file").await.expect("made");
        let mut stream = task.stream(&file, offset);
        let StreamError::LastOperationFailed(error) = pour(&mut stream).await else {
            panic!("not a failure of the operation");
        };
        let error = task.table.push(error).expect("there is room");
        let code = task.view().filesystem_error_code(error).expect("no trap");
        assert_eq!(code, Some(ErrorCode::Quota));
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
        let (bytes, _) = agent.holds("data");
        assert!((60 * KIB..=64 * KIB).contains(&bytes), "{bytes}");
    }
}

#[tokio::test]
async fn no_write_passes_the_quota_wherever_it_begins() {
    for (count, offset) in [(65 * KIB, 0), (KIB, 64 * KIB), (1, 1 << 40), (1, u64::MAX)] {
        let agent = Agent::new();
        let mut task = agent.task();
        let file = task.create("data/file").await.expect("made");
        assert_eq!(task.write(&file, 60 * KIB, 0).await, Ok(60 * KIB));
        let refused = task.write(&file, count, offset).await;
        assert_eq!(refused, Err(ErrorCode::Quota), "{count} at {offset}");
        assert_eq!(agent.holds("data"), (60 * KIB, 1));
    }
}

#[tokio::test]
async fn a_file_with_nothing_in_it_counts_by_its_length() {
    let agent = Agent::new();
    let mut task = agent.task();
    let file = task.create("data/file").await.expect("made");
    assert_eq!(task.set_size(&file, 1 << 40).await, Err(ErrorCode::Quota));
    assert_eq!(task.set_size(&file, 64 * KIB).await, Ok(()));
    let other = task.create("more/other").await.expect("made");
    assert_eq!(task.set_size(&other, 1).await, Err(ErrorCode::Quota));
    assert_eq!(agent.holds("data"), (64 * KIB, 1));
}

#[tokio::test]
async fn files_directories_and_links_count_by_name() {
    for way in ["file", "directory", "symlink", "link"] {
        let agent = Agent::new();
        let mut task = agent.task();
        task.create("data/one").await.expect("made");
        let mut made = 1;
        let refused = loop {
            let path = format!("more/{made}");
            let tried = match way {
                "file" => task.create(&path).await.map(|_| ()),
                "directory" => task.make_dir(&path).await,
                "symlink" => task.symlink("one", &path).await,
                _ => task.link("data/one", &path).await,
            };
            match tried {
                Ok(()) => made += 1,
                Err(code) => break code,
            }
        };
        assert_eq!((refused, made), (ErrorCode::Quota, 20), "{way}");
        assert_eq!(agent.holds("more").1, 19, "{way}");
    }
}

#[tokio::test]
async fn what_is_there_already_can_be_opened_and_moved_when_there_is_no_room_for_more() {
    let agent = Agent::new();
    let mut task = agent.task();
    for name in 0..20 {
        let file = task.create(&format!("data/{name}")).await.expect("made");
        task.close(file);
    }
    assert_eq!(task.create("data/20").await.err(), Some(ErrorCode::Quota));
    for _ in 0..50 {
        let file = task.create("data/7").await.expect("it is there");
        task.close(file);
    }
    assert_eq!(task.make_dir("data/7").await, Err(ErrorCode::Exist));
    assert_eq!(task.rename("data/7", "more/7").await, Ok(()));
    assert_eq!(task.rename("data/8", "more/7").await, Ok(()));
    assert_eq!(task.create("data/8").await.err(), None);
}

#[tokio::test]
async fn where_nothing_may_be_written_it_is_the_permission_that_is_missing() {
    let agent = Agent::new();
    let mut task = agent.task();
    let file = task.create("data/file").await.expect("made");
    task.set_size(&file, 64 * KIB).await.expect("it fits");
    assert_eq!(
        task.create("fixed/new").await.err(),
        Some(ErrorCode::NotPermitted)
    );
    assert_eq!(
        task.make_dir("fixed/new").await,
        Err(ErrorCode::NotPermitted)
    );
    assert_eq!(
        task.link("data/file", "fixed/new").await,
        Err(ErrorCode::NotPermitted)
    );
}

#[tokio::test]
async fn what_is_deleted_or_cut_makes_room_at_once() {
    let agent = Agent::new();
    let mut task = agent.task();
    for _ in 0..5 {
        let file = task.create("data/file").await.expect("made");
        assert_eq!(task.write(&file, 60 * KIB, 0).await, Ok(60 * KIB));
        assert_eq!(
            task.write(&file, 5 * KIB, 60 * KIB).await,
            Err(ErrorCode::Quota)
        );
        assert_eq!(task.set_size(&file, KIB).await, Ok(()));
        assert_eq!(task.write(&file, 60 * KIB, KIB).await, Ok(60 * KIB));
        task.close(file);
        assert_eq!(task.unlink("data/file").await, Ok(()));
    }
    assert_eq!(agent.holds("data"), (0, 0));
}

#[tokio::test]
async fn a_file_can_be_overwritten_for_ever() {
    let agent = Agent::new();
    let mut task = agent.task();
    let file = task.create("data/file").await.expect("made");
    assert_eq!(task.write(&file, 64 * KIB, 0).await, Ok(64 * KIB));
    for _ in 0..100 {
        assert_eq!(task.write(&file, 32 * KIB, 10 * KIB).await, Ok(32 * KIB));
    }
    for _ in 0..20 {
        let mut stream = task.stream(&file, Some(0));
        for _ in 0..16 {
            let written = stream.blocking_write_and_flush(bytes(4 * KIB).into()).await;
            written.expect("nothing grows");
        }
    }
    assert_eq!(agent.walks(), 1, "it takes no counting again");
}

#[tokio::test]
async fn a_file_can_be_emptied_and_filled_for_ever() {
    let agent = Agent::new();
    let mut task = agent.task();
    for _ in 0..20 {
        let file = task
            .open("data/file", OpenFlags::CREATE | OpenFlags::TRUNCATE)
            .await;
        let file = file.expect("made");
        assert_eq!(task.write(&file, 40 * KIB, 0).await, Ok(40 * KIB));
        task.close(file);
    }
}

#[tokio::test]
async fn a_file_that_was_unlinked_counts_until_nobody_has_it_open() {
    let agent = Agent::new();
    let mut task = agent.task();
    let hidden = task.create("data/hidden").await.expect("made");
    task.unlink("data/hidden").await.expect("removed");
    assert_eq!(task.write(&hidden, 60 * KIB, 0).await, Ok(60 * KIB));
    let mut other = agent.task();
    let file = other.create("data/file").await.expect("made");
    assert_eq!(other.write(&file, 60 * KIB, 0).await, Err(ErrorCode::Quota));
    task.close(hidden);
    assert_eq!(other.write(&file, 60 * KIB, 0).await, Ok(60 * KIB));
}

#[tokio::test]
async fn what_others_leave_there_or_take_away_is_noticed() {
    let agent = Agent::new();
    fs::write(agent.path("data/theirs"), bytes(80 * KIB)).expect("written");
    let mut task = agent.task();
    let theirs = task.create("data/theirs").await.expect("it is there");
    // More than the quota: it may be changed and made less, but not more.
    assert_eq!(task.write(&theirs, KIB, 0).await, Ok(KIB));
    assert_eq!(
        task.write(&theirs, 1, 80 * KIB).await,
        Err(ErrorCode::Quota)
    );
    assert_eq!(task.create("data/mine").await.err(), Some(ErrorCode::Quota));
    task.close(theirs);
    fs::remove_file(agent.path("data/theirs")).expect("removed");
    let mine = task.create("data/mine").await.expect("made");
    assert_eq!(task.write(&mine, 64 * KIB, 0).await, Ok(64 * KIB));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_at_the_same_time_stay_within_it_together() {
    for _ in 0..5 {
        let agent = Arc::new(Agent::new());
        let tasks = (0..8).map(|nth| {
            let agent = agent.clone();
            tokio::spawn(async move {
                let mut task = agent.task();
                let path = format!("data/{nth}");
                let file = task.create(&path).await.expect("made");
                let mut stream = task.stream(&file, [Some(0), None][nth % 2]);
                pour(&mut stream).await
            })
        });
        let tasks: Vec<_> = tasks.collect();
        for task in tasks {
            let ended = task.await.expect("no panic");
            assert!(
                matches!(ended, StreamError::LastOperationFailed(_)),
                "{ended:?}"
            );
        }
        let (bytes, names) = agent.holds("data");
        assert_eq!((bytes, names), (64 * KIB, 8));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_hidden_from_a_count_by_moving_it_about() {
    let agent = Arc::new(Agent::new());
    fs::create_dir(agent.path("data/full")).expect("made");
    fs::write(agent.path("data/full/file"), bytes(60 * KIB)).expect("written");
    let over = Arc::<AtomicBool>::default();
    let mover = tokio::spawn({
        let (agent, over) = (agent.clone(), over.clone());
        async move {
            let mut task = agent.task();
            let mut moves = 0;
            while moves == 0 || !over.load(Ordering::Relaxed) {
                task.rename("data/full", "more/full").await.expect("moved");
                task.rename("more/full", "data/full").await.expect("moved");
                moves += 2;
            }
            moves
        }
    });
    let mut task = agent.task();
    let file = task.create("data/file").await.expect("made");
    for _ in 0..50 {
        assert_eq!(task.write(&file, 5 * KIB, 0).await, Err(ErrorCode::Quota));
    }
    over.store(true, Ordering::Relaxed);
    assert!(mover.await.expect("no panic") > 0);
    assert!(agent.walks() > 50, "each time it was counted anew");
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_is_just_below_its_quota_makes_the_host_walk_a_tenth_of_the_time() {
    assert_eq!(rest(Duration::from_millis(20)), Duration::from_millis(180));
    assert_eq!(REST + 1, 10);
    let agent = Agent::new();
    let mut task = agent.task();
    let file = task.create("data/file").await.expect("made");
    assert_eq!(task.set_size(&file, 64 * KIB).await, Ok(()));
    let begun = tokio::time::Instant::now();
    assert_eq!(task.write(&file, 1, 64 * KIB).await, Err(ErrorCode::Quota));
    assert!(begun.elapsed() > Duration::ZERO, "the second walk waited");
}

#[tokio::test]
async fn a_stream_that_is_dropped_has_written_what_it_had_taken() {
    let agent = Agent::new();
    let mut task = agent.task();
    let file = task.create("data/file").await.expect("made");
    let mut stream = task.stream(&file, Some(0));
    assert!(stream.check_write().is_ok_and(|permit| permit > 0));
    // Held as it is while somebody walks.
    let still = agent.files.quota.sum.write().await;
    let written = stream.write(bytes(4 * KIB).into());
    written.expect("it has a permit");
    assert!(matches!(stream.check_write(), Ok(0)));
    assert!(stream.write(bytes(1).into()).is_err(), "without a permit");
    drop(still);
    stream.cancel().await;
    assert_eq!(agent.holds("data"), (4 * KIB, 1));
}

#[tokio::test]
async fn whoever_has_no_quota_left_and_no_need_is_not_stopped() {
    let agent = Agent::with(&Limits {
        files: Bytes(0),
        file_count: 0,
        ..Limits::default()
    });
    fs::write(agent.path("data/theirs"), "").expect("written");
    let mut task = agent.task();
    let theirs = task.create("data/theirs").await.expect("it is there");
    assert_eq!(task.write(&theirs, 0, 5).await, Ok(0));
    assert_eq!(task.write(&theirs, 1, 0).await, Err(ErrorCode::Quota));
    let all = Agent::with(&Limits {
        files: Bytes(u64::MAX),
        file_count: u64::MAX,
        ..Limits::default()
    });
    let mut task = all.task();
    let file = task.create("data/file").await.expect("made");
    assert_eq!(task.set_size(&file, 1 << 40).await, Ok(()));
}

#[tokio::test]
async fn the_log_says_once_which_limit_it_was() {
    let agent = Agent::new();
    let (observer, notices) = listener();
    let mut task = agent.task_told_to(&observer);
    let file = task.create("data/file").await.expect("made");
    for _ in 0..3 {
        assert_eq!(task.set_size(&file, 1 << 20).await, Err(ErrorCode::Quota));
        pour(&mut task.stream(&file, Some(0))).await;
    }
    let lines = notices.lock();
    let [Notice::Log(level, source, line)] = lines.as_slice() else {
        panic!("not one line: {lines:?}");
    };
    assert_eq!((*level, source.as_str()), (tracing::Level::WARN, "files"));
    assert!(line.contains("64KiB; `limits.files`"), "{line}");
}

#[tokio::test]
async fn a_change_that_hangs_makes_the_others_fail_and_not_wait_for_ever() {
    let agent = Agent::with(&Limits {
        host_call_timeout: Span(Duration::from_millis(10)),
        ..Limits::default()
    });
    let mut task = agent.task();
    let held = Arc::new(Barrier::new(2));
    let hangs = agent.files.quota.change({
        let held = held.clone();
        move |_| {
            held.wait();
            held.wait();
            Ok(())
        }
    });
    let mut hangs = pin!(hangs);
    assert!(hangs.as_mut().now_or_never().is_none());
    held.wait();
    assert_eq!(task.create("data/file").await.err(), Some(ErrorCode::Io));
    held.wait();
    hangs.await.expect("it goes on");
    assert_eq!(task.create("data/file").await.err(), None);
}

#[tokio::test]
async fn what_can_never_fit_makes_nobody_walk() {
    let agent = Agent::new();
    let mut task = agent.task();
    let file = task.create("data/file").await.expect("made");
    let walks = || agent.files.quota.walks.load(Ordering::Relaxed);
    let before = walks();
    for size in [64 * KIB + 1, 1 << 40, u64::MAX] {
        assert_eq!(task.set_size(&file, size).await, Err(ErrorCode::Quota));
    }
    assert_eq!(walks(), before);
}

#[tokio::test]
async fn the_limit_that_is_named_is_the_one_that_is_met() {
    let agent = Agent::new();
    for name in 0..21 {
        fs::write(agent.path(&format!("data/{name}")), "").expect("written");
    }
    let growing = agent.files.quota.change(|room| room.take(Used::bytes(1)));
    let error = growing.await.expect_err("nothing may grow").to_string();
    assert!(error.contains("`limits.file-count`"), "{error}");
}
