//! The etcd back end against a real etcd: the contract, mTLS, restarts and compaction under a watch.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "etcd/server.rs"]
mod server;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use server::{Server, Transport};
use store::{
    Op, Range, Revision, Store, StoreError, Txn, contract,
    etcd::{Config, Etcd},
};

fn put(key: &'static str, value: &'static str) -> Txn {
    Txn { compares: vec![], ops: vec![Op::Put { key: key.into(), value: value.into(), ttl: None }] }
}

/// Runs the contract with a prefix of its own for each check.
async fn check(server: &Server) {
    let checks = AtomicUsize::new(0);
    contract::check(|| async {
        let prefix = format!("check{}:", checks.fetch_add(1, Ordering::Relaxed));
        Etcd::connect(Config { prefix, ..server.config() }).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_keeps_the_contract() {
    check(&Server::start(Transport::Plain)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_keeps_the_contract_over_mutual_tls() {
    let server = Server::start(Transport::MutualTls);
    check(&server).await;
    let stranger = Config { tls: None, ..server.config() };
    assert!(Etcd::connect(stranger).await.is_err(), "without a certificate there is no way in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_resumes_after_etcd_was_killed_and_started_again() {
    let mut server = Server::start(Transport::Plain);
    let store = Etcd::connect(server.config()).await.unwrap();
    let before = store.current().await.unwrap();
    let mut watch = store.watch(Range::all(), before).await.unwrap();
    let first = store.transact(put("/a", "1")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, first);
    server.kill();
    let refused = store.transact(put("/a", "2")).await;
    assert!(matches!(refused, Err(StoreError::Unknown(_) | StoreError::Unavailable(_))), "{refused:?}");
    server.start_again();
    let second = loop {
        if let Ok(revision) = store.transact(put("/a", "3")).await {
            break revision;
        }
    };
    let mut last = first;
    while last < second {
        let commit = watch.next().await.unwrap().unwrap();
        assert!(commit.revision > last, "no revision twice");
        last = commit.revision;
    }
    assert_eq!(last, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_missed_a_compaction_says_so() {
    let mut server = Server::start(Transport::Plain);
    let store = Etcd::connect(server.config()).await.unwrap();
    let first = store.transact(put("/a", "1")).await.unwrap();
    let mut watch = store.watch(Range::all(), first).await.unwrap();
    server.kill();
    server.start_again();
    let other = Etcd::connect(server.config()).await.unwrap();
    other.transact(put("/a", "2")).await.unwrap();
    let third = other.transact(put("/a", "3")).await.unwrap();
    other.compact(third).await.unwrap();
    // Whether the watch came back before the compaction or after it, what it shows has no gap.
    let mut expected = first;
    loop {
        match watch.next().await.unwrap() {
            Ok(commit) => {
                expected = Revision(expected.0 + 1);
                assert_eq!(commit.revision, expected);
                if expected == third {
                    return;
                }
            }
            Err(StoreError::Compacted { requested, oldest }) => {
                assert_eq!((requested, oldest), (expected, third));
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn keys_of_others_in_the_same_etcd_are_not_seen() {
    let server = Server::start(Transport::Plain);
    let ours = Etcd::connect(server.config()).await.unwrap();
    let theirs = Etcd::connect(Config { prefix: "skifg:".into(), ..server.config() }).await.unwrap();
    let before = ours.current().await.unwrap();
    let mut watch = ours.watch(Range::all(), before).await.unwrap();
    theirs.transact(put("/a", "theirs")).await.unwrap();
    let revision = ours.transact(put("/b", "ours")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, revision);
    assert_eq!(ours.range(Range::all(), None, None).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_unavailable() {
    let nowhere = Etcd::connect(Config::new(["http://127.0.0.1:1"])).await;
    assert!(matches!(nowhere, Err(StoreError::Unavailable(_))));
}
