//! Ranges, limits, and reads of the past.
//!
//! Upstream: apiserver/pkg/storage/testing/store_tests.go (Get, List)

use bytes::Bytes;

use super::{delete, now, put, read, shown, text, write};
use crate::{Range, Revision, Store, StoreError};

pub(super) async fn an_empty_store_reads_as_empty(store: &impl Store) {
    let snapshot = read(store, Range::all()).await;
    assert!(snapshot.items.is_empty() && !snapshot.more);
    assert!(snapshot.revision >= Revision(1), "0 means nothing to clients: a store begins at 1");
    assert_eq!(snapshot.revision, now(store).await);
}

pub(super) async fn a_range_is_in_key_order_and_ends_where_it_says(store: &impl Store) {
    for key in ["/b/2", "/a/foobar", "/a/foo/2", "/b/1", "/a/foo/1", "/a/fop"] {
        write(store, vec![put(key, "v")]).await;
    }
    let keys = async |range| {
        let snapshot = read(store, range).await;
        snapshot.items.iter().map(|item| text(&item.key)).collect::<Vec<_>>()
    };
    assert_eq!(keys(Range::prefix("/a/foo/")).await, ["/a/foo/1", "/a/foo/2"]);
    assert_eq!(keys(Range::prefix("/a/foo")).await, ["/a/foo/1", "/a/foo/2", "/a/foobar"]);
    assert_eq!(keys(Range::key("/b/1")).await, ["/b/1"]);
    assert!(keys(Range::key("/b")).await.is_empty());
    assert_eq!(
        keys(Range { start: "/a/foobar".into(), end: Some("/b/2".into()) }).await,
        ["/a/foobar", "/a/fop", "/b/1"]
    );
    assert_eq!(keys(Range { start: "/b".into(), end: None }).await, ["/b/1", "/b/2"]);
    assert!(keys(Range { start: "/b".into(), end: Some("/a".into()) }).await.is_empty());
    assert_eq!(keys(Range::all()).await.len(), 6);
}

pub(super) async fn a_limit_cuts_and_says_so(store: &impl Store) {
    for key in ["/1", "/2", "/3"] {
        write(store, vec![put(key, "v")]).await;
    }
    write(store, vec![delete("/2")]).await;
    let page = async |limit| store.range(Range::prefix("/"), None, Some(limit)).await.expect("a page can be read");
    assert_eq!(shown(&page(1).await), ["/1=v"]);
    assert!(page(1).await.more);
    assert_eq!(shown(&page(2).await), ["/1=v", "/3=v"]);
    assert!(!page(2).await.more);
}

pub(super) async fn a_read_at_an_old_revision_shows_what_was_there_then(store: &impl Store) {
    let before = now(store).await;
    let first = write(store, vec![put("/a", "1"), put("/b", "1")]).await;
    let second = write(store, vec![put("/a", "2")]).await;
    let third = write(store, vec![delete("/b"), put("/c", "3")]).await;
    let fourth = write(store, vec![put("/b", "4")]).await;
    for (at, expected) in [
        (before, vec![]),
        (first, vec!["/a=1", "/b=1"]),
        (second, vec!["/a=2", "/b=1"]),
        (third, vec!["/a=2", "/c=3"]),
        (fourth, vec!["/a=2", "/b=4", "/c=3"]),
    ] {
        let snapshot = store.range(Range::all(), Some(at), None).await.expect("history can be read");
        assert_eq!(shown(&snapshot), expected, "at {at}");
        assert_eq!(snapshot.revision, at, "a snapshot names the revision it is of");
        assert!(snapshot.items.iter().all(|item| item.modified <= at));
    }
    let modified: Vec<_> = read(store, Range::all()).await.items.iter().map(|item| item.modified).collect();
    assert_eq!(modified, [second, fourth, third]);
}

pub(super) async fn a_read_before_the_compaction_point_or_in_the_future_fails(store: &impl Store) {
    let first = write(store, vec![put("/a", "1")]).await;
    let second = write(store, vec![put("/a", "2"), put("/b", "2")]).await;
    let third = write(store, vec![delete("/b")]).await;
    store.compact(second).await.expect("history can be compacted");
    match store.range(Range::all(), Some(first), None).await {
        Err(StoreError::Compacted { requested, oldest }) => assert_eq!((requested, oldest), (first, second)),
        other => panic!("a read at {first} must be compacted, not {other:?}"),
    }
    let at_point = store.range(Range::all(), Some(second), None).await.expect("the compaction point itself is kept");
    assert_eq!(shown(&at_point), ["/a=2", "/b=2"]);
    assert_eq!(shown(&read(store, Range::all()).await), ["/a=2"]);
    store.compact(first).await.expect("compacting to less than before does nothing");
    let ahead = Revision(now(store).await.0 + 1000);
    match store.range(Range::all(), Some(ahead), None).await {
        Err(StoreError::Future { requested, current }) => {
            assert!(requested == ahead && current >= third, "{requested}, {current}");
        }
        other => panic!("a read at {ahead} must be in the future, not {other:?}"),
    }
    assert!(matches!(store.compact(ahead).await, Err(StoreError::Future { .. })));
}

pub(super) async fn values_of_every_size_come_back_as_they_were(store: &impl Store) {
    let values: Vec<Bytes> = [0, 1, 4095, 4096, 70_000, 1_000_000]
        .iter()
        .map(|length| (0..*length).map(|index: u32| (index * 31 % 251) as u8).collect())
        .collect();
    let mut revisions = Vec::new();
    for value in &values {
        revisions.push(write(store, vec![put("/value", value.clone())]).await);
    }
    for (value, revision) in values.iter().zip(revisions) {
        let snapshot = store.range(Range::key("/value"), Some(revision), None).await.expect("history can be read");
        assert_eq!(snapshot.items[0].value.len(), value.len());
        assert!(snapshot.items[0].value == *value, "the {} bytes differ", value.len());
    }
}
