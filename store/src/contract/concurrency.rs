//! Many writers at once.
//!
//! Upstream: apiserver/pkg/storage/testing/store_tests.go (GuaranteedUpdate)

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use super::{modified, next, now, put, read, text, transact, watch, write};
use crate::{Range, Store, StoreError};

const WRITERS: usize = 16;

pub(super) async fn concurrent_transactions_get_revisions_of_their_own(store: &impl Store) {
    let before = now(store).await;
    let mut live = watch(store, Range::all(), before).await;
    let writer = async |writer: usize| {
        let mut revisions = Vec::new();
        for index in 0..10 {
            let value = format!("{writer}-{index}");
            revisions.push(write(store, vec![put(format!("/{writer}"), value.clone()), put("/shared", value)]).await);
        }
        assert!(revisions.is_sorted(), "one writer's revisions increase");
        revisions
    };
    let revisions: Vec<_> = join_all((0..WRITERS).map(writer)).await.into_iter().flatten().collect();
    let unique: BTreeSet<_> = revisions.iter().copied().collect();
    assert_eq!(unique.len(), revisions.len(), "no revision twice");
    let mut replayed = BTreeMap::new();
    for revision in unique {
        let commit = next(&mut live).await;
        assert_eq!(commit.revision, revision, "every commit once, in order");
        assert_eq!(commit.events.len(), 2, "a transaction is never torn");
        for event in commit.events {
            replayed.insert(text(&event.key), event.value.expect("nothing was deleted"));
        }
    }
    let present = read(store, Range::all()).await;
    let present: BTreeMap<_, _> = present.items.into_iter().map(|item| (text(&item.key), item.value)).collect();
    assert_eq!(replayed, present, "the watch and the state agree");
}

pub(super) async fn read_modify_write_loses_no_update(store: &impl Store) {
    write(store, vec![put("/counter", "0")]).await;
    let writer = async |_: usize| {
        let mut done = 0;
        while done < 4 {
            let item = read(store, Range::key("/counter")).await.items.remove(0);
            let count: u32 = text(&item.value).parse().expect("the counter is a number");
            let value = (count + 1).to_string();
            match transact(store, vec![modified("/counter", item.modified)], vec![put("/counter", value)]).await {
                Ok(_) => done += 1,
                Err(StoreError::Conflict { actual, .. }) => assert!(actual > item.modified),
                Err(error) => panic!("{error}"),
            }
        }
    };
    join_all((0..WRITERS).map(writer)).await;
    let item = read(store, Range::key("/counter")).await.items.remove(0);
    assert_eq!(text(&item.value), (4 * WRITERS).to_string());
}

pub(super) async fn current_is_never_behind_an_answer(store: &impl Store) {
    let writer = async |writer: usize| {
        for _ in 0..10 {
            let answered = write(store, vec![put(format!("/{writer}"), "v")]).await;
            assert!(now(store).await >= answered);
            assert!(read(store, Range::all()).await.revision >= answered);
        }
    };
    join_all((0..WRITERS).map(writer)).await;
}
