//! Counters with a ceiling: quotas, and addresses and capacity that nobody may take twice.
//!
//! Upstream: none

use std::sync::Arc;

use futures::future::join_all;

use super::{absent, add, put, read, shown, text, transact, write};
use crate::{Range, Store, StoreError};

pub(super) async fn a_ledger_stops_at_its_ceiling_and_at_zero(store: &impl Store) {
    write(store, vec![add("/l", 2, Some(3))]).await;
    write(store, vec![add("/l", 1, Some(3))]).await;
    match transact(store, vec![], vec![add("/l", 1, Some(3))]).await {
        Err(StoreError::Ceiling { ledger, current, delta }) => {
            assert_eq!((text(&ledger).as_str(), current, delta), ("/l", 3, 1));
        }
        other => panic!("the ledger is full, not {other:?}"),
    }
    write(store, vec![add("/l", -1, Some(1))]).await;
    write(store, vec![add("/l", -2, None)]).await;
    assert!(matches!(transact(store, vec![], vec![add("/l", -1, None)]).await, Err(StoreError::Ceiling { .. })));
    assert_eq!(shown(&read(store, Range::all()).await), ["/l=0"]);
}

pub(super) async fn a_refused_ledger_undoes_the_whole_transaction(store: &impl Store) {
    write(store, vec![add("/l", 1, Some(1))]).await;
    let refused = transact(store, vec![], vec![put("/a", "1"), add("/l", 1, Some(1))]).await;
    assert!(matches!(refused, Err(StoreError::Ceiling { .. })), "{refused:?}");
    let refused = transact(store, vec![absent("/l")], vec![add("/l", 9, Some(1))]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "compares come first: {refused:?}");
    assert_eq!(shown(&read(store, Range::all()).await), ["/l=1"]);
}

pub(super) async fn two_ledgers_move_together_or_not_at_all(store: &impl Store) {
    write(store, vec![add("/l/1", 1, Some(5)), add("/l/2", 4, Some(5)), put("/a", "1")]).await;
    let refused = transact(store, vec![], vec![add("/l/1", 1, Some(5)), add("/l/2", 2, Some(5))]).await;
    assert!(matches!(refused, Err(StoreError::Ceiling { .. })), "{refused:?}");
    write(store, vec![add("/l/1", -1, None), add("/l/2", 1, Some(5))]).await;
    assert_eq!(shown(&read(store, Range::all()).await), ["/a=1", "/l/1=0", "/l/2=5"]);
}

pub(super) async fn racing_writers_never_take_more_than_there_is(store: &impl Store) {
    let store = Arc::new(store);
    let answers = join_all((0..40).map(|index| {
        let store = store.clone();
        async move {
            let ops = vec![add("/l", 1, Some(25)), put(format!("/taken/{index}"), "1")];
            transact(*store, vec![], ops).await
        }
    }))
    .await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(taken, 25, "as many as there are, no more");
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(matches!(refused, StoreError::Ceiling { current: 25, .. }), "{refused:?}");
    }
    assert_eq!(shown(&read(*store, Range::key("/l")).await), ["/l=25"]);
    assert_eq!(read(*store, Range::prefix("/taken/")).await.items.len(), 25);
}
