//! Watches: history, then the present, without a gap.
//!
//! Upstream: apiserver/pkg/storage/testing/watcher_tests.go

use super::{delete, events, failure, next, now, put, read, watch, write};
use crate::{Range, Revision, Store, StoreError};

pub(super) async fn a_watch_shows_history_and_then_what_happens(store: &impl Store) {
    let before = now(store).await;
    let first = write(store, vec![put("/a", "1")]).await;
    let mut watch = watch(store, Range::all(), before).await;
    let second = write(store, vec![put("/a", "2")]).await;
    let third = write(store, vec![delete("/a")]).await;
    for (revision, expected) in [(first, "/a=1"), (second, "/a=2"), (third, "/a-")] {
        let commit = next(&mut watch).await;
        assert_eq!((commit.revision, events(&commit)), (revision, vec![expected.to_owned()]));
    }
    drop(watch);
    write(store, vec![put("/a", "4")]).await;
}

pub(super) async fn a_transaction_is_one_commit_in_key_order(store: &impl Store) {
    write(store, vec![put("/b", "0")]).await;
    let mut watch = watch(store, Range::all(), now(store).await).await;
    let revision = write(store, vec![put("/c", "1"), delete("/b"), put("/a", "1"), delete("/absent")]).await;
    let commit = next(&mut watch).await;
    assert_eq!(commit.revision, revision);
    assert_eq!(events(&commit), ["/a=1", "/b-", "/c=1"]);
}

pub(super) async fn a_watch_cut_after_any_commit_resumes_without_gap_or_repeat(store: &impl Store) {
    let before = now(store).await;
    let mut revisions = vec![before];
    for index in 0..12 {
        let value = index.to_string();
        let ops = match index % 4 {
            0 => vec![put("/a", value)],
            1 => vec![put("/a", value.clone()), put("/b", value)],
            2 => vec![delete("/a"), put("/c", value)],
            _ => vec![delete("/b"), delete("/c")],
        };
        revisions.push(write(store, ops).await);
    }
    let mut whole = Vec::new();
    let mut uncut = watch(store, Range::all(), before).await;
    for _ in 1..revisions.len() {
        let commit = next(&mut uncut).await;
        whole.push((commit.revision, events(&commit)));
    }
    assert_eq!(whole.iter().map(|(revision, _)| *revision).collect::<Vec<_>>(), revisions[1..]);
    for (cut, after) in revisions.iter().enumerate() {
        let mut resumed = watch(store, Range::all(), *after).await;
        for expected in &whole[cut..] {
            let commit = next(&mut resumed).await;
            assert_eq!((commit.revision, events(&commit)), *expected, "resumed after {after}");
        }
    }
}

pub(super) async fn a_watch_sees_only_its_range(store: &impl Store) {
    let before = now(store).await;
    write(store, vec![put("/a/1", "1")]).await;
    write(store, vec![put("/ab", "1")]).await;
    let mut watch = watch(store, Range::prefix("/a/"), before).await;
    write(store, vec![put("/b", "1")]).await;
    let last = write(store, vec![put("/a/2", "2"), put("/c", "2")]).await;
    assert_eq!(events(&next(&mut watch).await), ["/a/1=1"]);
    let commit = next(&mut watch).await;
    assert_eq!((commit.revision, events(&commit)), (last, vec!["/a/2=2".to_owned()]));
}

pub(super) async fn a_watch_before_the_compaction_point_or_in_the_future_fails(store: &impl Store) {
    let first = write(store, vec![put("/a", "1")]).await;
    let second = write(store, vec![delete("/a")]).await;
    let third = write(store, vec![put("/a", "3")]).await;
    store.compact(second).await.expect("history can be compacted");
    match failure(store, first).await {
        StoreError::Compacted { requested, oldest } => assert_eq!((requested, oldest), (first, second)),
        other => panic!("a watch after {first} must be compacted, not {other:?}"),
    }
    let mut at_point = watch(store, Range::all(), second).await;
    let commit = next(&mut at_point).await;
    assert_eq!((commit.revision, events(&commit)), (third, vec!["/a=3".to_owned()]));
    let ahead = Revision(now(store).await.0 + 1000);
    match failure(store, ahead).await {
        StoreError::Future { requested, .. } => assert_eq!(requested, ahead),
        other => panic!("a watch after {ahead} must be in the future, not {other:?}"),
    }
}

pub(super) async fn history_after_the_compaction_point_is_complete(store: &impl Store) {
    write(store, vec![put("/kept", "0"), put("/gone", "0"), put("/rewritten", "0")]).await;
    let point = write(store, vec![delete("/gone"), put("/rewritten", "1")]).await;
    let deleted = write(store, vec![delete("/rewritten")]).await;
    let again = write(store, vec![put("/gone", "2")]).await;
    store.compact(point).await.expect("history can be compacted");
    let mut watch = watch(store, Range::all(), point).await;
    for (revision, expected) in [(deleted, "/rewritten-"), (again, "/gone=2")] {
        let commit = next(&mut watch).await;
        assert_eq!((commit.revision, events(&commit)), (revision, vec![expected.to_owned()]));
    }
    store.compact(again).await.expect("history can be compacted to the present");
    assert_eq!(super::shown(&read(store, Range::all()).await), ["/gone=2", "/kept=0"]);
}
