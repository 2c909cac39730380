//! Compares, atomicity, revisions.
//!
//! Upstream: apiserver/pkg/storage/testing/store_tests.go (Create, Delete)

use super::{absent, delete, modified, now, put, read, shown, transact, write};
use crate::{MAX_OPERATIONS, Range, Revision, Store, StoreError};

pub(super) async fn revisions_increase_and_mark_what_they_wrote(store: &impl Store) {
    let first = write(store, vec![put("/a", "1"), put("/b", "1")]).await;
    let second = write(store, vec![put("/a", "2")]).await;
    assert!(second > first);
    let snapshot = read(store, Range::all()).await;
    assert_eq!(snapshot.items[0].modified, second);
    assert_eq!(snapshot.items[1].modified, first);
    assert_eq!(snapshot.revision, second);
}

pub(super) async fn a_failed_compare_names_the_key_and_changes_nothing(store: &impl Store) {
    let created = transact(store, vec![absent("/a")], vec![put("/a", "1")]).await.expect("/a is absent");
    let updated = transact(store, vec![modified("/a", created)], vec![put("/a", "2")]).await.expect("/a is as read");
    for (compares, expected_key, expected) in [
        (vec![absent("/a")], "/a", updated),
        (vec![modified("/a", created)], "/a", updated),
        (vec![modified("/b", created)], "/b", Revision(0)),
        (vec![modified("/a", updated), modified("/b", updated), absent("/a")], "/b", Revision(0)),
        (vec![absent("/b"), absent("/a")], "/a", updated),
    ] {
        match transact(store, compares.clone(), vec![put("/a", "3"), put("/c", "3")]).await {
            Err(StoreError::Conflict { key, actual }) => {
                assert_eq!((&key[..], actual), (expected_key.as_bytes(), expected), "{compares:?}");
            }
            other => panic!("{compares:?} must conflict, not {other:?}"),
        }
    }
    assert_eq!(shown(&read(store, Range::all()).await), ["/a=2"]);
    assert_eq!(now(store).await, updated, "a refused transaction takes no revision");
    let compares = vec![modified("/a", updated), absent("/b")];
    transact(store, compares, vec![delete("/a"), put("/b", "4")]).await.expect("every compare holds");
    assert_eq!(shown(&read(store, Range::all()).await), ["/b=4"]);
    transact(store, vec![absent("/a")], vec![put("/a", "5")]).await.expect("a deleted key is absent");
}

pub(super) async fn a_transaction_that_changes_nothing_takes_no_revision(store: &impl Store) {
    let written = write(store, vec![put("/a", "1")]).await;
    assert_eq!(write(store, vec![delete("/b")]).await, written);
    assert_eq!(transact(store, vec![modified("/a", written)], vec![]).await.expect("/a is as read"), written);
    assert!(matches!(transact(store, vec![absent("/a")], vec![]).await, Err(StoreError::Conflict { .. })));
    assert_eq!(now(store).await, written);
    let same_again = write(store, vec![put("/a", "1")]).await;
    assert!(same_again > written, "writing the same value is a write");
}

pub(super) async fn what_no_store_can_run_is_invalid(store: &impl Store) {
    let before = now(store).await;
    let twice = vec![put("/a", "1"), delete("/a")];
    let many = (0..=MAX_OPERATIONS).map(|index| put(format!("/{index}"), "1")).collect();
    for ops in [twice, many, vec![put("", "1")]] {
        match transact(store, vec![], ops).await {
            Err(StoreError::Invalid(_)) => {}
            other => panic!("it must be invalid, not {other:?}"),
        }
    }
    assert_eq!(now(store).await, before);
    let most = (0..MAX_OPERATIONS).map(|index| put(format!("/{index}"), "1")).collect();
    write(store, most).await;
}
