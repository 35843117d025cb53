//! What all shared state must do.

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::{
    Expect, KV_HISTORY, KV_INLINE_MAX, KV_PAST_BYTES, KV_PAST_CHANGES, Kv, KvAdd, KvBy, KvCas,
    KvChange, KvData, KvEntry, KvOp, KvQuota, KvSpace, KvValue, Rev, state_of,
};
use super::Rig;
use crate::id::{Digest, RunId};

const AMPLE: KvQuota = KvQuota {
    keys: 1000,
    bytes: 1 << 20,
};

const BY: KvBy = KvBy {
    run: None,
    task: None,
};

fn text(text: &str) -> KvValue {
    KvValue {
        format: "text".into(),
        bytes: text.to_owned().into(),
    }
}

fn json(text: &'static str) -> KvValue {
    KvValue {
        format: "json".into(),
        bytes: text.into(),
    }
}

async fn cas(kv: &dyn Kv, key: &str, expect: Expect, value: Option<KvValue>) -> KvCas {
    kv.cas("ns", key, expect, value, AMPLE, &BY).await.unwrap()
}

async fn set(kv: &dyn Kv, key: &str, value: KvValue) -> Rev {
    committed(cas(kv, key, Expect::Any, Some(value)).await)
}

fn committed(answer: KvCas) -> Rev {
    match answer {
        KvCas::Committed(rev) => rev,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_value_comes_back_with_its_format_and_revision(rig: impl Rig) {
    let kv = rig.store().kv();
    assert_eq!(kv.get("ns", "k").await, Ok(None));
    let value = KvValue {
        format: "image/png".into(),
        bytes: vec![0, 159, 146, 150].into(),
    };
    let rev = set(kv, "k", value.clone()).await;
    assert!(rev > Rev::NONE);
    assert_eq!(kv.get("ns", "k").await, Ok(Some(KvEntry { value, rev })));
}

pub(super) async fn a_change_needs_what_was_expected(rig: impl Rig) {
    let kv = rig.store().kv();
    let none = Expect::Rev(Rev::NONE);
    let first = committed(cas(kv, "k", Expect::Absent, Some(text("1"))).await);
    let there = KvCas::Conflict(Some(KvEntry {
        value: text("1"),
        rev: first,
    }));
    assert_eq!(cas(kv, "k", Expect::Absent, Some(text("2"))).await, there);
    assert_eq!(cas(kv, "k", none, Some(text("2"))).await, there);
    let stale = Expect::Rev(Rev(first.0 + 1));
    assert_eq!(cas(kv, "k", stale, None).await, there);
    let second = committed(cas(kv, "k", Expect::Rev(first), Some(text("2"))).await);
    assert!(second > first);
    let third = committed(cas(kv, "k", Expect::Any, Some(text("3"))).await);
    committed(cas(kv, "k", Expect::Rev(third), None).await);
    assert_eq!(kv.get("ns", "k").await, Ok(None));
    assert_eq!(
        cas(kv, "k", Expect::Rev(third), None).await,
        KvCas::Conflict(None)
    );
    committed(cas(kv, "k", none, Some(text("4"))).await);
}

pub(super) async fn revisions_grow_over_a_deletion(rig: impl Rig) {
    let kv = rig.store().kv();
    let mut last = Rev::NONE;
    for _ in 0..3 {
        let set = set(kv, "k", text("x")).await;
        let deleted = committed(cas(kv, "k", Expect::Rev(set), None).await);
        assert!(last < set && set < deleted, "{last:?} {set:?} {deleted:?}");
        last = deleted;
    }
    assert!(last.0 < 1 << 53);
}

pub(super) async fn of_many_racers_on_one_revision_one_wins(rig: impl Rig) {
    let kv = rig.store().kv();
    let mut rev = Rev::NONE;
    for _ in 0..5 {
        let racers = (0..16).map(|n| cas(kv, "k", Expect::Rev(rev), Some(text(&n.to_string()))));
        let answers = join_all(racers).await;
        let won: Vec<_> = (0..16)
            .filter(|&n| matches!(answers[n], KvCas::Committed(_)))
            .collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        let entry = kv.get("ns", "k").await.unwrap().unwrap();
        assert_eq!(entry.value, text(&won[0].to_string()));
        rev = entry.rev;
    }
}

pub(super) async fn increments_are_never_lost(rig: impl Rig) {
    let kv = rig.store().kv();
    let mut sums: Vec<_> = join_all((0..50).map(|_| kv.add("ns", "n", 3, AMPLE, &BY)))
        .await
        .into_iter()
        .map(|answer| match answer {
            Ok(KvAdd::Committed(sum)) => sum,
            other => panic!("{other:?}"),
        })
        .collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=50).map(|n| n * 3).collect::<Vec<_>>());
    assert_eq!(
        kv.add("ns", "n", -151, AMPLE, &BY).await,
        Ok(KvAdd::Committed(-1))
    );
    assert_eq!(kv.get("ns", "n").await.unwrap().unwrap().value, json("-1"));
}

pub(super) async fn an_increment_refuses_overflow_and_what_is_not_a_number(rig: impl Rig) {
    let kv = rig.store().kv();
    let max = i64::MAX;
    assert_eq!(
        kv.add("ns", "max", max, AMPLE, &BY).await,
        Ok(KvAdd::Committed(max))
    );
    let refused = kv.add("ns", "max", 1, AMPLE, &BY).await.unwrap();
    assert!(
        matches!(&refused, KvAdd::NotANumber(text) if text.contains("range")),
        "{refused:?}"
    );
    assert_eq!(
        kv.add("ns", "max", -max, AMPLE, &BY).await,
        Ok(KvAdd::Committed(0))
    );
    let others = [
        json("1.5"),
        json("\"1\""),
        json("9223372036854775808"),
        text("1"),
    ];
    for (n, value) in others.into_iter().enumerate() {
        let key = n.to_string();
        let rev = set(kv, &key, value.clone()).await;
        let refused = kv.add("ns", &key, 1, AMPLE, &BY).await.unwrap();
        assert!(
            matches!(refused, KvAdd::NotANumber(_)),
            "{value:?}: {refused:?}"
        );
        assert_eq!(kv.get("ns", &key).await, Ok(Some(KvEntry { value, rev })));
    }
}

pub(super) async fn the_quota_of_keys_is_exact(rig: impl Rig) {
    let kv = rig.store().kv();
    let quota = KvQuota { keys: 2, ..AMPLE };
    let put = async |key| {
        kv.cas("ns", key, Expect::Any, Some(text("x")), quota, &BY)
            .await
            .unwrap()
    };
    committed(put("a").await);
    committed(put("b").await);
    assert!(matches!(put("c").await, KvCas::Quota(_)));
    assert!(matches!(
        kv.add("ns", "c", 1, quota, &BY).await,
        Ok(KvAdd::Quota(_))
    ));
    assert_eq!(kv.get("ns", "c").await, Ok(None));
    committed(put("b").await);
    committed(
        kv.cas("ns", "a", Expect::Any, None, quota, &BY)
            .await
            .unwrap(),
    );
    committed(put("c").await);
}

pub(super) async fn the_quota_of_bytes_is_exact(rig: impl Rig) {
    let kv = rig.store().kv();
    let quota = KvQuota { bytes: 10, ..AMPLE };
    let put = async |key, value| {
        kv.cas("ns", key, Expect::Any, Some(text(value)), quota, &BY)
            .await
            .unwrap()
    };
    committed(put("a", "123456").await);
    assert!(matches!(put("b", "12345").await, KvCas::Quota(_)));
    committed(put("b", "1234").await);
    assert!(matches!(put("a", "1234567").await, KvCas::Quota(_)));
    committed(put("a", "12345").await);
    committed(put("b", "12345").await);
    committed(
        kv.cas("ns", "a", Expect::Any, None, quota, &BY)
            .await
            .unwrap(),
    );
    assert_eq!(
        kv.add("ns", "n", 12345, quota, &BY).await,
        Ok(KvAdd::Committed(12345))
    );
    assert!(matches!(
        kv.add("ns", "n", 90000, quota, &BY).await,
        Ok(KvAdd::Quota(_))
    ));
    assert_eq!(
        kv.add("ns", "n", 1, quota, &BY).await,
        Ok(KvAdd::Committed(12346))
    );
}

pub(super) async fn a_namespace_over_its_quota_can_shrink(rig: impl Rig) {
    let kv = rig.store().kv();
    for key in ["a", "b", "c"] {
        set(kv, key, text("12345")).await;
    }
    let lowered = KvQuota { keys: 1, bytes: 4 };
    let change = async |key, value: Option<&str>| {
        kv.cas("ns", key, Expect::Any, value.map(text), lowered, &BY)
            .await
            .unwrap()
    };
    committed(change("a", Some("1234")).await);
    committed(change("b", None).await);
    assert!(matches!(change("a", Some("12345")).await, KvCas::Quota(_)));
}

pub(super) async fn keys_come_in_byte_order_page_by_page(rig: impl Rig) {
    let kv = rig.store().kv();
    let sorted = [
        "a",
        "a/",
        "a/B",
        "a/a",
        "a/a\u{0}",
        "a/é",
        "a/\u{10ffff}",
        "a0",
        "b",
    ];
    for key in sorted.iter().rev() {
        set(kv, key, text("x")).await;
    }
    assert_eq!(kv.keys("ns", "", None, 100).await.unwrap(), sorted);
    let under_a = &sorted[1..7];
    assert_eq!(kv.keys("ns", "a/", None, 100).await.unwrap(), under_a);
    let mut paged: Vec<String> = Vec::new();
    loop {
        let after = paged.last().map(String::as_str);
        let page = kv.keys("ns", "a/", after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(paged, under_a);
    assert_eq!(kv.keys("ns", "a/", Some("A"), 1).await.unwrap(), ["a/"]);
    assert!(kv.keys("ns", "zz", None, 1).await.unwrap().is_empty());
}

pub(super) async fn namespaces_do_not_see_each_other(rig: impl Rig) {
    let kv = rig.store().kv();
    let quota = KvQuota { keys: 1, bytes: 1 };
    for ns in ["one", "two"] {
        assert_eq!(kv.get(ns, "k").await, Ok(None));
        committed(
            kv.cas(ns, "k", Expect::Absent, Some(text("x")), quota, &BY)
                .await
                .unwrap(),
        );
    }
    committed(
        kv.cas("one", "k", Expect::Any, None, quota, &BY)
            .await
            .unwrap(),
    );
    assert!(kv.keys("one", "", None, 9).await.unwrap().is_empty());
    assert_eq!(kv.keys("two", "", None, 9).await.unwrap(), ["k"]);
}

pub(super) async fn every_change_is_in_the_history_with_who_made_it(rig: impl Rig) {
    let kv = rig.store().kv();
    let by = KvBy {
        run: Some(RunId::generate()),
        task: Some("run/step".into()),
    };
    set(kv, "k", text("1")).await;
    set(kv, "other", text("x")).await;
    let change = async |expect, value| {
        let answer = kv.cas("ns", "k", expect, value, AMPLE, &by).await;
        committed(answer.unwrap())
    };
    let rev = change(Expect::Any, Some(json("2"))).await;
    kv.add("ns", "k", 40, AMPLE, &by).await.unwrap();
    assert!(matches!(
        cas(kv, "k", Expect::Rev(rev), None).await,
        KvCas::Conflict(_)
    ));
    let now = kv.get("ns", "k").await.unwrap().unwrap().rev;
    change(Expect::Rev(now), Some(text("3"))).await;
    change(Expect::Any, None).await;
    let history = kv.history("ns", Some("k"), Rev::NONE, 100).await.unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|change| {
            let value = change.value.as_ref().map(|kept| match &kept.data {
                KvData::Inline(bytes) => (kept.format.as_str(), bytes.as_ref()),
                KvData::Blob(_) => panic!("{change:?}"),
            });
            (change.op, value, change.by == by)
        })
        .collect();
    let value = |format, bytes: &'static [u8]| Some((format, bytes));
    let expected = [
        (KvOp::Set, value("text", b"1"), false),
        (KvOp::Set, value("json", b"2"), true),
        (KvOp::Add(40), value("json", b"42"), true),
        (KvOp::Swap, value("text", b"3"), true),
        (KvOp::Delete, None, true),
    ];
    assert_eq!(told, expected, "a change that was refused is none");
    assert!(history.is_sorted_by(|a, b| a.rev < b.rev && a.at <= b.at));
    let all = kv.history("ns", None, history[0].rev, 2).await.unwrap();
    let keys: Vec<_> = all.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["other", "k"], "page by page, of the whole namespace");
    assert!(
        kv.history("no", None, Rev::NONE, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn a_large_value_is_one_blob_however_often_it_comes_back(rig: impl Rig) {
    let kv = rig.store().kv();
    let value = KvValue {
        format: "text".into(),
        bytes: vec![b'x'; KV_INLINE_MAX + 1].into(),
    };
    set(kv, "k", value.clone()).await;
    set(kv, "k", text("small")).await;
    let rev = set(kv, "k", value.clone()).await;
    let there = Some(KvEntry {
        value: value.clone(),
        rev,
    });
    assert_eq!(kv.get("ns", "k").await.unwrap(), there);
    assert_eq!(
        cas(kv, "k", Expect::Absent, None).await,
        KvCas::Conflict(there)
    );
    assert!(matches!(
        kv.add("ns", "k", 1, AMPLE, &BY).await,
        Ok(KvAdd::NotANumber(_))
    ));
    let history = kv.history("ns", None, Rev::NONE, 9).await.unwrap();
    let kept = |n: usize| history[n].value.clone().unwrap();
    assert_eq!(kept(0), kept(2));
    let KvData::Blob(digest) = kept(0).data else {
        panic!("{history:?}")
    };
    assert_eq!(
        rig.store().blobs().get(digest).await,
        Ok(Some(value.bytes.clone()))
    );
    let spaces = kv.spaces().await.unwrap();
    let space = KvSpace {
        agent: "ns".into(),
        keys: 1,
        bytes: value.bytes.len() as u64,
    };
    assert_eq!(spaces, [space]);
}

pub(super) async fn the_present_state_follows_from_its_history(rig: impl Rig) {
    let kv = rig.store().kv();
    for seed in 0..4 {
        let (ns, mut rng) = (format!("ns-{seed}"), StdRng::seed_from_u64(seed));
        for _ in 0..60 {
            any_change(kv, &ns, &mut rng).await;
        }
        let mut changes = Vec::new();
        while let Ok(page) = kv
            .history(&ns, None, changes.last().map_or(Rev::NONE, rev_of), 7)
            .await
            && !page.is_empty()
        {
            changes.extend(page);
        }
        assert!(changes.len() > 20, "{changes:?}");
        let state = state_of(changes);
        let keys: Vec<_> = state.keys().cloned().collect();
        assert_eq!(kv.keys(&ns, "", None, 100).await.unwrap(), keys);
        let mut bytes = 0;
        for (key, (rev, kept)) in state {
            let entry = kv.get(&ns, &key).await.unwrap().unwrap();
            let data = match kept.data {
                KvData::Inline(bytes) => bytes,
                KvData::Blob(digest) => rig.store().blobs().get(digest).await.unwrap().unwrap(),
            };
            assert_eq!((entry.rev, entry.value.bytes), (rev, data), "{key}");
            assert_eq!(entry.value.format, kept.format);
            bytes += kept.size;
        }
        let spaces = kv.spaces().await.unwrap();
        let told = spaces.iter().find(|space| space.agent == ns);
        assert_eq!(told.map_or(0, |space| space.bytes), bytes);
    }
}

fn rev_of(change: &KvChange) -> Rev {
    change.rev
}

/// Asks for some change; whether it is made does not matter.
async fn any_change(kv: &dyn Kv, ns: &str, rng: &mut StdRng) {
    let key = rng.random_range(0..5).to_string();
    let quota = KvQuota {
        keys: 4,
        bytes: 100_000,
    };
    if rng.random_bool(0.3) {
        let delta = rng.random_range(-9..9);
        kv.add(ns, &key, delta, quota, &BY).await.unwrap();
        return;
    }
    let current = kv.get(ns, &key).await.unwrap();
    let expect = match rng.random_range(0..4) {
        0 => Expect::Absent,
        1 => Expect::Rev(current.map_or(Rev::NONE, |entry| entry.rev)),
        _ => Expect::Any,
    };
    let value = match rng.random_range(0..4) {
        0 => None,
        1 => Some(json("7")),
        2 => Some(text(&"y".repeat(rng.random_range(0..40_000)))),
        _ => Some(text(&rng.random_range(0..100).to_string())),
    };
    kv.cas(ns, &key, expect, value, quota, &BY).await.unwrap();
}

pub(super) async fn of_each_key_only_the_newest_changes_are_kept(rig: impl Rig) {
    let kv = rig.store().kv();
    set(kv, "other", text("x")).await;
    let more = KV_HISTORY + 5;
    join_all((0..more).map(|_| kv.add("ns", "n", 1, AMPLE, &BY))).await;
    let history = kv.history("ns", None, Rev::NONE, 9999).await.unwrap();
    assert_eq!(history.len() as u64, KV_HISTORY + 1);
    assert_eq!(history[0].key, "other");
    assert_eq!(history[1].rev, Rev(7), "the oldest five are gone");
    let (_, kept) = state_of(history)["n"].clone();
    assert_eq!(kept.data, KvData::Inline(more.to_string().into()));
}

pub(super) async fn a_namespace_of_the_host_has_no_history(rig: impl Rig) {
    let kv = rig.store().kv();
    let change = async |expect, value: Option<&str>| {
        let cas = kv.cas(".own", "k", expect, value.map(text), AMPLE, &BY);
        committed(cas.await.unwrap())
    };
    let first = change(Expect::Absent, Some("1")).await;
    let second = change(Expect::Rev(first), Some("2")).await;
    let entry = kv.get(".own", "k").await.unwrap().unwrap();
    assert_eq!((entry.rev, entry.value), (second, text("2")));
    change(Expect::Rev(second), None).await;
    assert_eq!(kv.get(".own", "k").await, Ok(None));
    let third = change(Expect::Absent, Some("3")).await;
    assert!(third > second);
    assert_eq!(kv.history(".own", None, Rev::NONE, 9).await, Ok(vec![]));
}

pub(super) async fn a_key_of_the_host_outlives_any_number_of_changes(rig: impl Rig) {
    let kv = rig.store().kv();
    let more = KV_HISTORY + 5;
    join_all((0..more).map(|_| kv.add(".own", "n", 1, AMPLE, &BY))).await;
    let entry = kv.get(".own", "n").await.unwrap().unwrap();
    assert_eq!(entry.value.bytes, more.to_string());
    let set = kv.cas(".own", "n", Expect::Any, Some(json("7")), AMPLE, &BY);
    let rev = committed(set.await.unwrap());
    let value = json("7");
    let there = Ok(Some(KvEntry { value, rev }));
    assert_eq!(kv.get(".own", "n").await, there);
}

/// The history of the namespace `ns`, checked to lead to its present state.
async fn history_of(kv: &dyn Kv) -> Vec<KvChange> {
    let history = kv.history("ns", None, Rev::NONE, 9999).await.unwrap();
    let state = state_of(history.clone());
    let keys: Vec<_> = state.keys().cloned().collect();
    assert_eq!(kv.keys("ns", "", None, 9999).await.unwrap(), keys);
    for (key, (rev, _)) in state {
        assert_eq!(kv.get("ns", &key).await.unwrap().unwrap().rev, rev);
    }
    history
}

pub(super) async fn keys_that_come_and_go_do_not_grow_the_history_for_ever(rig: impl Rig) {
    let kv = rig.store().kv();
    let quota = KvQuota { keys: 2, bytes: 99 };
    let change = async |key: String, value: Option<&str>| {
        let answer = kv.cas("ns", &key, Expect::Any, value.map(text), quota, &BY);
        committed(answer.await.unwrap())
    };
    let stays = change("stays".into(), Some("x")).await;
    let bound = KV_HISTORY + 2 * KV_PAST_CHANGES;
    let mut last = stays;
    for n in 0..bound / 2 + 20 {
        change(format!("k{n}"), Some("")).await;
        last = change(format!("k{n}"), None).await;
    }
    let history = history_of(kv).await;
    assert_eq!(history.len() as u64, bound + 1);
    assert_eq!(history[0].rev, stays, "a present value is never forgotten");
    assert_eq!(history[1].key, "k20", "the oldest are");
    assert_eq!(history.last().map(rev_of), Some(last));
}

pub(super) async fn values_of_the_past_take_no_more_than_the_quota_allows(rig: impl Rig) {
    let kv = rig.store().kv();
    let quota = KvQuota { keys: 9, bytes: 10 };
    let put = async |key: &str, value: &str| {
        let set = kv.cas("ns", key, Expect::Any, Some(text(value)), quota, &BY);
        committed(set.await.unwrap())
    };
    put("stays", "1").await;
    for n in 0..9 {
        put("k", &n.to_string().repeat(n)).await;
        let history = history_of(kv).await;
        let bytes = |change: &KvChange| change.value.as_ref().map_or(0, |kept| kept.size);
        let held = 1 + n as u64;
        let past = history.iter().map(bytes).sum::<u64>() - held;
        assert!(past <= KV_PAST_BYTES * quota.bytes, "{n}: {history:?}");
    }
    let sizes: Vec<_> = history_of(kv).await;
    let sizes = sizes
        .iter()
        .map(|change| change.value.as_ref().unwrap().size);
    assert_eq!(sizes.collect::<Vec<_>>(), [1, 5, 6, 7, 8]);
}

pub(super) async fn a_key_whose_past_went_with_others_keeps_its_newest_changes(rig: impl Rig) {
    let kv = rig.store().kv();
    for _ in 0..KV_HISTORY {
        kv.add("ns", "n", 1, AMPLE, &BY).await.unwrap();
    }
    let none = KvQuota { keys: 9, bytes: 0 };
    committed(
        kv.cas("ns", "other", Expect::Any, Some(text("")), none, &BY)
            .await
            .unwrap(),
    );
    assert_eq!(history_of(kv).await.len(), 2, "only what is present");
    for n in 1..4 {
        kv.add("ns", "n", 1, AMPLE, &BY).await.unwrap();
        assert_eq!(history_of(kv).await.len(), 2 + n);
    }
}

pub(super) async fn a_large_value_that_is_refused_leaves_no_blob(rig: impl Rig) {
    let kv = rig.store().kv();
    let large = |with: &str| text(&with.repeat(KV_INLINE_MAX + 1));
    let put = async |value: KvValue, expect, quota| {
        let digest = Digest::of(&value.bytes);
        let answer = kv.cas("ns", "k", expect, Some(value), quota, &BY).await;
        (
            answer.unwrap(),
            rig.store().blobs().has(digest).await.unwrap(),
        )
    };
    let little = KvQuota { bytes: 99, ..AMPLE };
    assert!(matches!(
        put(large("q"), Expect::Any, little).await,
        (KvCas::Quota(_), false)
    ));
    let conflict = (KvCas::Conflict(None), false);
    assert_eq!(put(large("c"), Expect::Rev(Rev(7)), AMPLE).await, conflict);
    assert!(matches!(
        put(large("w"), Expect::Any, AMPLE).await,
        (KvCas::Committed(_), true)
    ));
}
