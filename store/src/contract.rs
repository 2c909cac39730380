//! What every back end must do: checks that run against any [`Store`].
//!
//! Upstream: apiserver/pkg/storage/testing/store_tests.go
//! Left out: what only one back end has (durability, TLS): their own tests have it.
//!
//! Each check gets a store of its own, which may share its revisions with others (etcd does): nothing here assumes
//! that a store begins at revision 1.

mod concurrency;
mod ledgers;
mod reads;
mod transactions;
mod ttl;
mod watches;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures::StreamExt;

use crate::{Commit, Compare, Op, Range, Revision, Snapshot, Store, StoreError, Txn, Watch};

/// How long something may take that must happen; only a broken store waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every check, each with a store from `make`.
///
/// # Panics
/// When the store breaks the contract.
pub async fn check<S: Store, F: Future<Output = S>>(make: impl Fn() -> F) {
    reads::an_empty_store_reads_as_empty(&make().await).await;
    reads::a_range_is_in_key_order_and_ends_where_it_says(&make().await).await;
    reads::a_limit_cuts_and_says_so(&make().await).await;
    reads::a_read_at_an_old_revision_shows_what_was_there_then(&make().await).await;
    reads::a_read_before_the_compaction_point_or_in_the_future_fails(&make().await).await;
    reads::values_of_every_size_come_back_as_they_were(&make().await).await;
    transactions::revisions_increase_and_mark_what_they_wrote(&make().await).await;
    transactions::a_failed_compare_names_the_key_and_changes_nothing(&make().await).await;
    transactions::a_transaction_that_changes_nothing_takes_no_revision(&make().await).await;
    transactions::what_no_store_can_run_is_invalid(&make().await).await;
    ledgers::a_ledger_stops_at_its_ceiling_and_at_zero(&make().await).await;
    ledgers::a_refused_ledger_undoes_the_whole_transaction(&make().await).await;
    ledgers::two_ledgers_move_together_or_not_at_all(&make().await).await;
    ledgers::racing_writers_never_take_more_than_there_is(&make().await).await;
    watches::a_watch_shows_history_and_then_what_happens(&make().await).await;
    watches::a_transaction_is_one_commit_in_key_order(&make().await).await;
    watches::a_watch_cut_after_any_commit_resumes_without_gap_or_repeat(&make().await).await;
    watches::a_watch_sees_only_its_range(&make().await).await;
    watches::a_watch_before_the_compaction_point_or_in_the_future_fails(&make().await).await;
    watches::history_after_the_compaction_point_is_complete(&make().await).await;
    ttl::a_key_expires_at_a_revision_of_its_own(&make().await).await;
    ttl::writing_a_key_again_replaces_its_ttl(&make().await).await;
    concurrency::concurrent_transactions_get_revisions_of_their_own(&make().await).await;
    concurrency::read_modify_write_loses_no_update(&make().await).await;
    concurrency::current_is_never_behind_an_answer(&make().await).await;
}

fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Op {
    Op::Put { key: key.into(), value: value.into(), ttl: None }
}

fn delete(key: &str) -> Op {
    Op::Delete { key: key.to_owned().into() }
}

fn add(ledger: &str, delta: i64, ceiling: Option<i64>) -> Op {
    Op::Add { ledger: ledger.to_owned().into(), delta, ceiling }
}

fn absent(key: &str) -> Compare {
    Compare::Absent(key.to_owned().into())
}

fn modified(key: &str, revision: Revision) -> Compare {
    Compare::Modified(key.to_owned().into(), revision)
}

async fn transact(store: &impl Store, compares: Vec<Compare>, ops: Vec<Op>) -> Result<Revision, StoreError> {
    store.transact(Txn { compares, ops }).await
}

/// A transaction that must succeed.
async fn write(store: &impl Store, ops: Vec<Op>) -> Revision {
    transact(store, vec![], ops).await.expect("an unconditional write succeeds")
}

async fn now(store: &impl Store) -> Revision {
    store.current().await.expect("the current revision can be read")
}

async fn read(store: &impl Store, range: Range) -> Snapshot {
    store.range(range, None, None).await.expect("the present can be read")
}

/// `key=value` of a snapshot, for comparing.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    snapshot.items.iter().map(|item| format!("{}={}", text(&item.key), text(&item.value))).collect()
}

/// `key=value` of a commit; `key-` is a delete.
fn events(commit: &Commit) -> Vec<String> {
    let show = |value: &Option<Bytes>| value.as_ref().map_or("-".into(), |value| format!("={}", text(value)));
    commit.events.iter().map(|event| format!("{}{}", text(&event.key), show(&event.value))).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn watch(store: &impl Store, range: Range, after: Revision) -> Watch {
    store.watch(range, after).await.expect("the watch opens")
}

/// The next commit, which must come.
async fn next(watch: &mut Watch) -> Commit {
    tokio::time::timeout(PATIENCE, watch.next())
        .await
        .expect("the watch shows the next commit in time")
        .expect("the watch does not end")
        .expect("the watch does not fail")
}

/// The error that opening or reading a watch ends with; commits before it are skipped.
async fn failure(store: &impl Store, after: Revision) -> StoreError {
    let mut watch = match store.watch(Range::all(), after).await {
        Ok(watch) => watch,
        Err(error) => return error,
    };
    loop {
        let item = tokio::time::timeout(PATIENCE, watch.next()).await.expect("the watch fails in time");
        if let Err(error) = item.expect("the watch fails before it ends") {
            return error;
        }
    }
}
