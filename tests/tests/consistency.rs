//! Concurrent writers, readers and watchers over the API server, with each back end: the history must hold I01 to I07.
//!
//! Upstream: etcd's tests/robustness, which does this to etcd alone
//! Left out: two API servers on one etcd; patches; clients over the network, which tests/tests/apiserver.rs has.
//!
//! A run that broke a promise says which, and leaves its history beside the temporary files.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "consistency/clients.rs"]
mod clients;
#[allow(dead_code, reason = "only its plain transport is used here")]
#[path = "../../store/tests/etcd/server.rs"]
mod etcd;

use std::{sync::Arc, time::Duration};

use apiserver::{
    server::{self, Config},
    service::ApiServer,
};
use clients::{Clients, follow_store};
use store::{Embedded, Memory, Range, Revision, Store, StoreError, embedded::Options, etcd::Etcd};
use tests::history::{self, Answer};

const WRITERS: u32 = 6;
/// How many writes of each writer must succeed.
const WRITES: u32 = 60;
/// How long a run may take; one takes seconds.
const PATIENCE: Duration = Duration::from_secs(100);

async fn api_server(store: Arc<dyn Store>) -> ApiServer {
    let config = Config { disabled_admission_plugins: vec!["ServiceAccount".into()], ..Config::default() };
    server::open(config, store, Default::default()).await.unwrap()
}

/// Runs writers and watchers, with `fault` in the middle and then a compaction, and checks what they saw.
async fn check(run: &str, store: Arc<dyn Store>, fault: impl AsyncFnOnce(&Clients)) {
    let account_from = store.current().await.unwrap();
    let clients = Clients::new(api_server(store.clone()).await);
    let ended = tokio::time::timeout(PATIENCE, drive(&clients, &store, account_from, fault)).await;
    let records = clients.take_records();
    history::assert_holds(run, &records);
    ended.expect("writers succeed and watchers are shown the last object, and not only in the end");
    let operations = history::operations(&records);
    let count = |wanted: fn(&Answer) -> bool| operations.iter().filter(|operation| wanted(&operation.answer)).count();
    let written = count(|answer| matches!(answer, Answer::Written { .. } | Answer::Done));
    let refused = count(|answer| *answer == Answer::Refused);
    let listed = count(|answer| matches!(answer, Answer::Listed { .. }));
    let unknown = count(|answer| *answer == Answer::Unknown);
    println!("{written} written, {refused} refused, {listed} lists, {unknown} unknown, {} records", records.len());
    assert!(written as u32 >= WRITERS * WRITES && refused > 0 && listed > 0, "the clients met each other");
}

async fn drive(clients: &Clients, store: &Arc<dyn Store>, account_from: Revision, fault: impl AsyncFnOnce(&Clients)) {
    let account = tokio::spawn(follow_store(clients.clone(), store.clone(), account_from));
    let from = clients.list(90).await.expect("a list before the run");
    let watchers = [None, Some("x"), Some("y"), None].into_iter().enumerate();
    let watchers: Vec<_> =
        watchers.map(|(index, label)| tokio::spawn(clients.clone().watch(index as u32 * 100, label, from))).collect();
    let writers: Vec<_> = (0..WRITERS).map(|client| tokio::spawn(clients.clone().write(client, WRITES))).collect();
    clients.wait_until_written(WRITERS * WRITES / 4).await;
    fault(clients).await;
    clients.wait_until_written(WRITERS * WRITES / 2).await;
    compact(clients, store, from).await;
    // A watch from before the compaction shows everything or is told 410, never a gap.
    let late = tokio::spawn(clients.clone().watch(5000, None, from));
    for writer in writers {
        writer.await.unwrap();
    }
    clients.finish().await;
    for watcher in watchers {
        watcher.await.unwrap();
    }
    late.await.unwrap();
    account.await.unwrap();
}

/// Compacts up to what the account and the API server have seen, which is more than `from`: neither misses anything.
async fn compact(clients: &Clients, store: &Arc<dyn Store>, from: u64) {
    let oldest = Revision(clients.accounted(from).await);
    clients.list(91).await.expect("a list, which waits until the server has seen what was there before");
    clients.record(history::Record::Compacted { revision: oldest.0, at_ns: clients.now_ns() });
    store.compact(oldest).await.unwrap();
    let gone = store.range(Range::all(), Some(Revision(oldest.0 - 1)), None).await;
    assert!(matches!(gone, Err(StoreError::Compacted { .. })), "history before {oldest} is still there: {gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_memory_the_history_is_consistent() {
    check("over-memory", Arc::new(Memory::new()), async |_| {}).await;
}

#[test]
fn over_the_embedded_store_the_history_is_consistent() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let options = Options { segment_bytes: 64 << 10, held_bytes: 16 << 10, tap: None };
    let store = Embedded::open_with(directory.path(), options).unwrap();
    runtime.block_on(check("over-embedded", Arc::new(store), async |_| {}));
    // With it goes the server, and with that the store, which stops the process when its directory goes first.
    drop(runtime);
    directory.close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_etcd_that_is_killed_and_started_again_the_history_is_consistent() {
    let mut server = etcd::Server::start(etcd::Transport::Plain);
    let store = Arc::new(Etcd::connect(server.config()).await.unwrap());
    check("over-etcd", store, async |clients| {
        clients.store_is_up(false);
        server.kill();
        server.start_again();
        clients.store_is_up(true);
    })
    .await;
}
