//! The file: who may read it, what stands in it, and what is said about one that is damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use futures_util::stream::StreamExt as _;

use super::super::super::{Cursor, Expect, KvBy, KvQuota, KvValue};
use super::super::writer::Touches;
use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_the_owner_can_read_what_is_kept() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/state");
    let store = SqliteStore::open(&dir).unwrap();
    store
        .blobs()
        .put(Bytes::from(vec![1; 100_000]))
        .await
        .unwrap();
    append(&store, new_lane(), 0, &[step_started(1)])
        .await
        .unwrap();
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("blobs")), 0o700);
    for file in ["kennel.db", "kennel.db-wal", "kennel.db-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_store_in_one_process_leaves_the_first_its_locks() {
    use std::os::unix::fs::MetadataExt as _;
    let (dir, _first) = open();
    let file = fs::metadata(dir.path().join("kennel.db")).unwrap().ino();
    // SQLite holds one for as long as a connection is open, and who finds none removes the log when it closes.
    let is_held = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let (own, file) = (std::process::id().to_string(), format!(":{file}"));
        locks.lines().any(|lock| {
            lock.contains("POSIX")
                && lock.split(' ').any(|word| word == own)
                && lock.split(' ').any(|word| word.ends_with(&file))
        })
    };
    assert!(is_held());
    let second = SqliteStore::open(dir.path()).unwrap();
    assert!(is_held(), "the second store took it away");
    drop(second);
    assert!(is_held(), "the second store took it along");
}

#[tokio::test]
async fn the_settings_that_durability_rests_on_are_in_force() {
    let (_dir, store) = open();
    let settings = |db: &Connection| {
        let number = |name| Ok(db.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?);
        let mode = db.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?;
        let names = ["synchronous", "busy_timeout", "wal_autocheckpoint"];
        let numbers: Result<Vec<_>> = names.into_iter().map(number).collect();
        Ok((mode, numbers?))
    };
    let writer = store.inner.writer.write(Touches::Other, settings).await;
    // 2 is FULL: the log is on the disk before a commit answers.
    assert_eq!(writer, Ok(("wal".into(), vec![2, 5000, 1000])));
    let write = |db: &Connection| Ok(db.execute("DELETE FROM events", [])?);
    let refused = store.inner.readers.read(write).await;
    assert!(is_unavailable(&refused), "a reader can write: {refused:?}");
}

#[tokio::test]
async fn everything_is_there_after_a_reopening() {
    let (dir, store) = open();
    let (lane, record) = (new_lane(), run_started("f"));
    append(&store, lane, 0, std::slice::from_ref(&record))
        .await
        .unwrap();
    let value = KvValue {
        format: "text".into(),
        bytes: "v".into(),
    };
    let quota = KvQuota { keys: 9, bytes: 9 };
    store
        .kv()
        .cas(
            "ns",
            "k",
            Expect::Any,
            Some(value.clone()),
            quota,
            &KvBy::default(),
        )
        .await
        .unwrap();
    let digest = store.blobs().put("blob".into()).await.unwrap();
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(
        store.log().replay(lane.run).await.unwrap()[0].record,
        record
    );
    assert_eq!(
        store.kv().get("ns", "k").await.unwrap().unwrap().value,
        value
    );
    assert_eq!(store.blobs().get(digest).await, Ok(Some("blob".into())));
}

#[tokio::test]
async fn a_file_made_by_a_newer_kennel_is_refused_untouched() {
    let (dir, store) = open();
    drop(store);
    raw(&dir).pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(dir.path()).err().unwrap().to_string();
    assert!(
        error.contains("newer kennel") && error.contains("99"),
        "{error}"
    );
    let version: i64 = raw(&dir)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_database_is_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("kennel.db"),
        "certainly not a database".repeat(100),
    )
    .unwrap();
    let error = SqliteStore::open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = SqliteStore::open(&file.join("state")).err().unwrap();
    assert!(is_unavailable::<()>(&Err(error.clone())), "{error}");
    assert!(
        error.to_string().contains("file/state/kennel.db"),
        "{error}"
    );
}

#[tokio::test]
async fn anybody_can_read_the_records_with_sql() {
    let (dir, store) = open();
    let lane = new_lane();
    append(
        &store,
        lane,
        0,
        &[run_started("daily"), step_started(2), run_succeeded()],
    )
    .await
    .unwrap();
    let sql = "SELECT group_concat(kind), max(json_extract(body, '$.attempt')) FROM events WHERE run = ?1";
    let read: (String, i64) = raw(&dir)
        .query_row(sql, [lane.run.to_string()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(read, ("run-started,step-started,run-finished".into(), 2));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_never_skipped() {
    let changes = [
        ("body = '{\"type\": \"step-st'", "EOF"),
        ("body = '{\"type\": \"made-up\"}'", "made-up"),
        ("body = CAST(x'7bff7d' AS TEXT)", "utf-8"),
        ("version = 2", "update kennel"),
        ("version = 0", "no format 0"),
        ("id = 'x'", "ULID"),
        ("at = 'yesterday'", "time"),
        ("body = replace(body, '1', '2')", "checksum"),
        ("at = '2026-01-01T00:00:00Z'", "checksum"),
        ("sum = sum + 1", "checksum"),
        ("body = (SELECT body FROM events WHERE rev = 3)", "checksum"),
    ];
    for (change, reason) in changes {
        let (dir, store) = open();
        let lane = new_lane();
        let records = [run_started("f"), step_started(1), step_started(2)];
        append(&store, lane, 0, &records).await.unwrap();
        raw(&dir)
            .execute(&format!("UPDATE events SET {change} WHERE rev = 2"), [])
            .unwrap();
        let Err(StoreError::Damaged(text)) = store.log().replay(lane.run).await else {
            panic!("{change} was not noticed");
        };
        let place = format!("run {}, lane _, record 2: ", lane.run);
        assert!(text.starts_with(&place) && text.contains(reason), "{text}");
        let tail = store.log().tail(Cursor(0), None).await.unwrap();
        let seen: Vec<_> = tail.collect().await;
        assert_eq!(
            seen.len(),
            2,
            "the record before it, the error, and the end"
        );
        assert_eq!(seen[0].as_ref().unwrap().record, records[0]);
        assert_eq!(seen[1], Err(StoreError::Damaged(text)));
    }
}

#[tokio::test]
async fn records_from_before_there_were_checksums_are_read_without() {
    let (dir, store) = open();
    let lane = new_lane();
    let records = [run_started("f"), step_started(1), run_succeeded()];
    append(&store, lane, 0, &records[..2]).await.unwrap();
    drop(store);
    raw(&dir)
        .execute_batch("ALTER TABLE events DROP COLUMN sum; PRAGMA user_version = 4")
        .unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    append(&store, lane, 2, &records[2..]).await.unwrap();
    let read = store.log().replay(lane.run).await.unwrap();
    assert!(read.into_iter().map(|stored| stored.record).eq(records));
    raw(&dir)
        .execute("UPDATE events SET at = '2026-01-01T00:00:00Z'", [])
        .unwrap();
    let changed = store.log().replay(lane.run).await;
    assert!(
        matches!(&changed, Err(StoreError::Damaged(text)) if text.contains("record 3: ")),
        "{changed:?}"
    );
}

#[tokio::test]
async fn the_list_of_runs_can_be_made_anew_from_the_records() {
    let (dir, store) = open();
    for n in 0..6 {
        let lane = new_lane();
        append(
            &store,
            lane,
            0,
            &[run_started(&n.to_string()), step_started(1)],
        )
        .await
        .unwrap();
        if n % 2 == 0 {
            append(&store, lane, 2, &[run_succeeded()]).await.unwrap();
        }
    }
    let live = store.log().runs(None, 99).await.unwrap();
    raw(&dir)
        .execute("UPDATE runs SET flow = 'wrong', outcome = NULL", [])
        .unwrap();
    assert_ne!(store.log().runs(None, 99).await.unwrap(), live);
    store.rebuild().await.unwrap();
    assert_eq!(store.log().runs(None, 99).await.unwrap(), live);
}

#[tokio::test]
async fn large_blobs_are_files_and_small_ones_are_not() {
    let (dir, store) = open();
    let small = store
        .blobs()
        .put(Bytes::from(vec![1; 64 * 1024]))
        .await
        .unwrap();
    let large = store
        .blobs()
        .put(Bytes::from(vec![1; 64 * 1024 + 1]))
        .await
        .unwrap();
    let path = |digest: crate::id::Digest| {
        dir.path()
            .join("blobs")
            .join(&digest.hex()[..2])
            .join(digest.hex())
    };
    assert!(!path(small).exists());
    assert_eq!(fs::metadata(path(large)).unwrap().len(), 64 * 1024 + 1);
    assert_eq!(mode(&path(large)), 0o600);
    let shelf = fs::read_dir(path(large).parent().unwrap()).unwrap();
    assert_eq!(shelf.count(), 1, "no temporary file is left");
}

#[tokio::test]
async fn a_record_that_is_missing_or_out_of_place_is_noticed() {
    for (change, place) in [
        (
            "DELETE FROM events WHERE rev = 2",
            "record 3: it does not follow record 1",
        ),
        (
            "DELETE FROM events WHERE rev = 1",
            "record 2: it does not follow record 0",
        ),
        (
            "UPDATE events SET rev = 9 WHERE rev = 2",
            "record 9: it is not what was written: its checksum differs",
        ),
        (
            "UPDATE events SET gseq = 99 WHERE rev = 1",
            "record 2: it does not follow record 1",
        ),
    ] {
        let (dir, store) = open();
        let lane = new_lane();
        let records = [run_started("f"), step_started(1), step_started(2)];
        append(&store, lane, 0, &records).await.unwrap();
        raw(&dir).execute(change, []).unwrap();
        let Err(StoreError::Damaged(text)) = store.log().replay(lane.run).await else {
            panic!("{change} was not noticed");
        };
        assert!(text.ends_with(place), "{change}: {text}");
    }
}

#[tokio::test]
async fn bytes_that_have_changed_are_damaged_in_a_file_and_in_the_table() {
    let (dir, store) = open();
    let small = store.blobs().put("small".into()).await.unwrap();
    let bytes = Bytes::from(vec![7; 100_000]);
    let large = store.blobs().put(bytes.clone()).await.unwrap();
    raw(&dir)
        .execute("UPDATE blobs SET bytes = x'00'", [])
        .unwrap();
    let path = dir
        .path()
        .join("blobs")
        .join(&large.hex()[..2])
        .join(large.hex());
    let mut changed = bytes.to_vec();
    changed[50_000] ^= 1;
    fs::write(&path, &changed).unwrap();
    for digest in [small, large] {
        let answer = store.blobs().get(digest).await;
        assert!(
            matches!(&answer, Err(StoreError::Damaged(text)) if text.contains(&digest.hex())),
            "{answer:?}"
        );
    }
    fs::write(&path, "cut short").unwrap();
    store.blobs().put(bytes.clone()).await.unwrap();
    assert_eq!(
        store.blobs().get(large).await,
        Ok(Some(bytes)),
        "one of the wrong size is written again"
    );
}

const BY: KvBy = KvBy {
    run: None,
    task: None,
};

async fn set(store: &SqliteStore, key: &str, text: &str) {
    let value = KvValue {
        format: "text".into(),
        bytes: text.to_owned().into(),
    };
    let quota = KvQuota {
        keys: 9,
        bytes: 1 << 20,
    };
    let set = store
        .kv()
        .cas("ns", key, Expect::Any, Some(value), quota, &BY);
    set.await.unwrap();
}

#[tokio::test]
async fn the_present_shared_state_is_made_anew_from_its_history() {
    let (dir, store) = open();
    set(&store, "a", "1").await;
    set(&store, "a", "22").await;
    set(&store, "b", &"x".repeat(100_000)).await;
    set(&store, "gone", "3").await;
    let quota = KvQuota { keys: 9, bytes: 9 };
    let gone = store.kv().cas("ns", "gone", Expect::Any, None, quota, &BY);
    gone.await.unwrap();
    let seen = async || {
        let kv = store.kv();
        let entries = (kv.get("ns", "a").await, kv.get("ns", "b").await);
        (entries, kv.keys("ns", "", None, 9).await, kv.spaces().await)
    };
    let before = seen().await;
    raw(&dir)
        .execute_batch("DELETE FROM kv_used; UPDATE kv SET rev = 1 WHERE key = 'a'; DELETE FROM kv WHERE key = 'b'; INSERT INTO kv VALUES ('ns', 'gone', 4); DELETE FROM kv_past; INSERT INTO kv_past VALUES ('ns', 2, 2)")
        .unwrap();
    assert_ne!(seen().await, before);
    store.rebuild().await.unwrap();
    assert_eq!(seen().await, before);
    assert_eq!(past(&raw(&dir)), ([1, 4, 5].to_vec(), [3, 2]));
}

/// The revisions of the namespace `ns` that are past, and how many changes and bytes they are said to come to.
fn past(db: &Connection) -> (Vec<i64>, [i64; 2]) {
    let mut statement = db.prepare("SELECT rev FROM kv_past").unwrap();
    let revs = statement.query_map([], |row| row.get(0)).unwrap();
    let sums = db.query_row(
        "SELECT past, past_bytes FROM kv_used WHERE ns = 'ns'",
        [],
        |row| Ok([row.get(0)?, row.get(1)?]),
    );
    (revs.map(|rev| rev.unwrap()).collect(), sums.unwrap())
}

#[tokio::test]
async fn a_history_from_before_it_was_bounded_is_bounded_by_the_next_change() {
    let (dir, store) = open();
    drop(store);
    fs::remove_file(dir.path().join("kennel.db")).unwrap();
    let old = raw(&dir);
    old.execute_batch(&super::super::schema::STEPS[..3].concat())
        .unwrap();
    old.execute_batch(
        "INSERT INTO kv_log (rev, ns, key, nth, op, format, size, bytes) VALUES
             (1, 'ns', 'k', 1, 'set', 'text', 2, x'6869'), (2, 'ns', 'k', 2, 'set', 'text', 1, x'68'),
             (3, 'ns', 'gone', 1, 'set', 'text', 3, x'686968'), (4, 'ns', 'gone', 2, 'delete', NULL, 0, NULL);
         INSERT INTO kv VALUES ('ns', 'k', 2); INSERT INTO kv_used VALUES ('ns', 1, 1);
         UPDATE kv_last SET rev = 4; PRAGMA user_version = 3",
    )
    .unwrap();
    drop(old);
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(past(&raw(&dir)), ([1, 3, 4].to_vec(), [3, 5]));
    let quota = KvQuota { keys: 9, bytes: 2 };
    let delete = store.kv().cas("ns", "k", Expect::Any, None, quota, &BY);
    delete.await.unwrap();
    assert_eq!(past(&raw(&dir)), ([2, 3, 4, 5].to_vec(), [4, 4]));
}

#[tokio::test]
async fn state_from_before_histories_were_kept_is_the_beginning_of_one() {
    let (dir, store) = open();
    drop(store);
    fs::remove_file(dir.path().join("kennel.db")).unwrap();
    let old = raw(&dir);
    old.execute_batch(super::super::schema::STEPS[0]).unwrap();
    old.execute_batch(
        "INSERT INTO kv VALUES ('ns', 'k', 7, 'text', x'6869'); INSERT INTO kv_used VALUES ('ns', 1, 2);
         UPDATE kv_last SET rev = 9; PRAGMA user_version = 1",
    )
    .unwrap();
    drop(old);
    let store = SqliteStore::open(dir.path()).unwrap();
    let entry = store.kv().get("ns", "k").await.unwrap().unwrap();
    assert_eq!((entry.rev, entry.value.bytes), (Rev(7), Bytes::from("hi")));
    set(&store, "k", "new").await;
    let history = store.kv().history("ns", Some("k"), Rev::NONE, 9).await;
    let revs: Vec<_> = history.unwrap().iter().map(|change| change.rev.0).collect();
    assert_eq!(revs, [7, 10]);
}
