//! What only the store on disk has: it comes back as it was, keeps its directory small, and says when it can't.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use tempfile::TempDir;

use super::*;
use crate::{Op, contract, history::EMPTY};

fn small() -> Options {
    Options { segment_bytes: 1 << 20, held_bytes: 4096, tap: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn embedded_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let stores = std::sync::atomic::AtomicUsize::new(0);
    contract::check(|| async {
        let name = stores.fetch_add(1, Ordering::Relaxed).to_string();
        Embedded::open_with(directory.path().join(name), small()).unwrap()
    })
    .await;
}

fn put(key: impl Into<crate::Key>, value: impl Into<bytes::Bytes>) -> Txn {
    Txn { compares: vec![], ops: vec![Op::Put { key: key.into(), value: value.into(), ttl: None }] }
}

fn delete(key: &'static str) -> Txn {
    Txn { compares: vec![], ops: vec![Op::Delete { key: key.into() }] }
}

/// `key=value@modified` of everything, and the revision.
async fn state(store: &Embedded) -> (Vec<String>, Revision) {
    let snapshot = store.range(Range::all(), None, None).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = |item: &crate::KeyValue| format!("{}={}@{}", text(&item.key), text(&item.value), item.modified);
    (snapshot.items.iter().map(shown).collect(), snapshot.revision)
}

/// `revision key=value` of the commits after `after` up to now.
async fn commits(store: &Embedded, after: Revision) -> Vec<String> {
    let current = store.current().await.unwrap();
    let mut watch = store.watch(Range::all(), after).await.unwrap();
    let (mut shown, mut seen) = (Vec::new(), after.max(EMPTY));
    while seen < current {
        let commit = watch.next().await.unwrap().unwrap();
        seen = commit.revision;
        let values = commit.events.iter().map(|event| format!("{:?}={:?}", event.key, event.value));
        shown.push(format!("{seen} {}", values.collect::<Vec<_>>().join(" ")));
    }
    shown
}

fn names(directory: &TempDir, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

#[tokio::test]
async fn state_and_history_are_the_same_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    assert_eq!(store.current().await.unwrap(), EMPTY);
    for index in 0..40 {
        store.transact(put(format!("/k/{}", index % 7), format!("v{index}"))).await.unwrap();
    }
    store.transact(delete("/k/3")).await.unwrap();
    let before = (state(&store).await, commits(&store, EMPTY).await);
    drop(store);
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    assert_eq!((state(&store).await, commits(&store, EMPTY).await), before);
    let next = store.transact(put("/k/3", "again")).await.unwrap();
    assert_eq!(next.0, before.0.1.0 + 1, "no revision twice, none left out");
}

#[tokio::test]
async fn a_compaction_point_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    let first = store.transact(put("/a", "1")).await.unwrap();
    let second = store.transact(put("/a", "2")).await.unwrap();
    store.compact(second).await.unwrap();
    drop(store);
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    assert!(matches!(store.range(Range::all(), Some(first), None).await, Err(StoreError::Compacted { .. })));
}

#[tokio::test]
async fn the_directory_stays_small_when_history_is_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    store.transact(put("/stays", "from the beginning")).await.unwrap();
    let mut written = 0;
    while written < 12 << 20 {
        let revision = store.transact(put(format!("/k/{}", written % 5), vec![7; 100_000])).await.unwrap();
        store.compact(Revision(revision.0 - 3)).await.unwrap();
        written += 100_000;
    }
    let before = (state(&store).await, commits(&store, Revision(store.current().await.unwrap().0 - 3)).await);
    drop(store);
    let size: u64 = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 6 << 20, "{size} bytes hold {written} written");
    assert_eq!(names(&directory, "checkpoint-").len(), 1);
    assert!(!names(&directory, "log-").contains(&"log-00000001".to_owned()));
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    let from = Revision(store.current().await.unwrap().0 - 3);
    assert_eq!((state(&store).await, commits(&store, from).await), before);
}

#[tokio::test]
async fn values_of_removed_segments_are_read_from_the_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    let old = store.transact(put("/old", "as it was")).await.unwrap();
    let filler = async || {
        let mut last = old;
        for _ in 0..30 {
            last = store.transact(put("/filler", vec![1; 100_000])).await.unwrap();
        }
        last
    };
    let point = filler().await;
    store.compact(point).await.unwrap();
    // Whether or not the checkpoint is ready by now, what was there at the point can be read.
    store.transact(put("/old", "changed")).await.unwrap();
    filler().await;
    let then = store.range(Range::key("/old"), Some(point), None).await.unwrap();
    assert_eq!((&then.items[0].value[..], then.items[0].modified), (&b"as it was"[..], old));
    drop(store);
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    let then = store.range(Range::key("/old"), Some(point), None).await.unwrap();
    assert_eq!((&then.items[0].value[..], then.items[0].modified), (&b"as it was"[..], old));
}

#[tokio::test]
async fn a_ttl_goes_on_after_opening_again_and_in_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    let ttl = |key: &'static str, ttl| Txn {
        compares: vec![],
        ops: vec![Op::Put { key: key.into(), value: "v".into(), ttl: Some(ttl) }],
    };
    store.transact(ttl("/hour", Duration::from_secs(3600))).await.unwrap();
    let short = store.transact(ttl("/short", Duration::from_millis(300))).await.unwrap();
    for _ in 0..30 {
        store.transact(put("/filler", vec![1; 100_000])).await.unwrap();
    }
    store.compact(short).await.unwrap();
    drop(store);
    let store = Embedded::open_with(directory.path(), small()).unwrap();
    let mut watch = store.watch(Range::key("/short"), short).await.unwrap();
    let commit = watch.next().await.unwrap().unwrap();
    assert!(commit.events[0].value.is_none(), "{commit:?}");
    assert_eq!(store.range(Range::prefix("/hour"), None, None).await.unwrap().items.len(), 1);
    assert!(store.read().next_deadline_ms().is_some());
}

#[tokio::test]
async fn a_second_opener_is_refused_and_told_who_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).unwrap();
    let Err(StoreError::Unavailable(refused)) = Embedded::open(directory.path()) else { panic!("opened twice") };
    assert!(refused.contains(&format!("in use by process {};", std::process::id())), "{refused}");
    drop(store);
    assert!(Embedded::open(directory.path()).is_ok());
}

#[tokio::test]
async fn a_full_disk_refuses_puts_takes_deletes_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let tap: Tap = {
        let full = full.clone();
        Arc::new(move |operation| match operation {
            Operation::Create { .. } if full.load(Ordering::Relaxed) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(Verdict::Go),
        })
    };
    let options = Options { tap: Some(tap), ..small() };
    let store = Embedded::open_with(directory.path(), options.clone()).unwrap();
    store.transact(put("/a", "1")).await.unwrap();
    store.transact(put("/b", "1")).await.unwrap();
    full.store(true, Ordering::Relaxed);
    let mut refused = None;
    for index in 0..100 {
        if let Err(error) = store.transact(put(format!("/filler/{index}"), vec![1; 100_000])).await {
            refused = Some((index, error));
            break;
        }
    }
    let (index, error) = refused.expect("a full disk is noticed");
    assert!(matches!(error, StoreError::NoSpace(_)), "{error:?}");
    let (before, current) = state(&store).await;
    assert_eq!(before.len(), 2 + index, "what was refused is not there");
    store.transact(delete("/a")).await.unwrap();
    assert_eq!(state(&store).await.1.0, current.0 + 1);
    assert!(matches!(store.transact(put("/c", vec![1; 100_000])).await, Err(StoreError::NoSpace(_))));
    full.store(false, Ordering::Relaxed);
    store.transact(put("/c", vec![1; 100_000])).await.unwrap();
    let before = state(&store).await;
    drop(store);
    let store = Embedded::open_with(directory.path(), options).unwrap();
    assert_eq!(state(&store).await, before);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let Err(StoreError::Unavailable(refused)) = Embedded::open("/proc/nothing/here") else { panic!("opened") };
    assert!(refused.contains("/proc/nothing/here"), "{refused}");
}

#[tokio::test]
async fn a_lost_mark_a_lost_segment_and_a_foreign_segment_are_refused() {
    let make = async || {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open_with(directory.path(), small()).unwrap();
        for _ in 0..30 {
            store.transact(put("/filler", vec![1; 100_000])).await.unwrap();
        }
        drop(store);
        directory
    };
    let refused = |directory: &TempDir, expected: &str| match Embedded::open_with(directory.path(), small()) {
        Err(StoreError::Corrupt(text)) => {
            assert!(text.contains(expected), "{text}");
            assert!(text.contains("Restore the directory from a backup"), "{text}");
        }
        other => panic!("{expected}: {:?}", other.err()),
    };
    let (directory, other) = (make().await, make().await);
    for name in names(&directory, "log-") {
        let path = directory.path().join(&name);
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        refused(&directory, "log-");
        std::fs::copy(other.path().join(&name), &path).unwrap();
        refused(&directory, "belongs to another store");
        std::fs::write(&path, kept).unwrap();
    }
    std::fs::remove_file(directory.path().join("mark")).unwrap();
    refused(&directory, "how far the log went can't be read");
}
