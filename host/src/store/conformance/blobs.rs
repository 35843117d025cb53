//! What all blobs and hints must do.

use bytes::Bytes;
use futures_util::stream::StreamExt as _;

use super::Rig;
use crate::id::Digest;

pub(super) async fn bytes_are_kept_once_and_come_back_on_both_sides_of_the_boundary(rig: impl Rig) {
    let blobs = rig.store().blobs();
    for size in [0, 1, 64 * 1024, 64 * 1024 + 1, 300_000] {
        let bytes = Bytes::from((0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        let digest = blobs.put(bytes.clone()).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(blobs.put(bytes.clone()).await, Ok(digest));
        assert_eq!(blobs.has(digest).await, Ok(true));
        assert_eq!(blobs.get(digest).await, Ok(Some(bytes.clone())));
        for (offset, length) in [(0, 7), (5, 100_000), (size, 1), (size + 9, 9), (3, 0)] {
            let from = offset.min(size);
            let part = bytes.slice(from..size.min(from + length));
            let read = blobs.get_part(digest, offset as u64, length).await;
            assert_eq!(
                read,
                Ok(Some(part)),
                "{length} bytes from {offset} of {size}"
            );
        }
        let beyond = blobs.get_part(digest, u64::MAX, usize::MAX).await;
        assert_eq!(beyond, Ok(Some(Bytes::new())));
    }
}

pub(super) async fn what_was_never_put_is_not_there(rig: impl Rig) {
    let blobs = rig.store().blobs();
    let digest = Digest::of(b"never");
    assert_eq!(blobs.has(digest).await, Ok(false));
    assert_eq!(blobs.get(digest).await, Ok(None));
    assert_eq!(blobs.get_part(digest, 0, 1).await, Ok(None));
}

pub(super) async fn a_hint_reaches_those_who_listen_to_its_prefix(rig: impl Rig) {
    let hints = rig.store().hints();
    hints.publish("run.1", Bytes::from_static(b"nobody listens yet"));
    let mut runs = hints.subscribe("run.");
    let mut all = hints.subscribe("");
    hints.publish("task.1", Bytes::from_static(b"t"));
    hints.publish("run.2", Bytes::from_static(b"r"));
    assert_eq!(
        runs.next().await,
        Some(("run.2".into(), Bytes::from_static(b"r")))
    );
    assert_eq!(
        all.next().await,
        Some(("task.1".into(), Bytes::from_static(b"t")))
    );
}
