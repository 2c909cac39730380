//! kill -9 at random moments under full writes: nothing acknowledged is lost, nothing seen disappears.
//!
//! Upstream: etcd's tests/robustness/failpoint (KillFailpoint)
//! Left out: power cuts, which this can't show; store/tests/embedded.rs does.
//!
//! `SKIFF_KILLS=200` kills that often (20 times otherwise), `SKIFF_SEED` repeats a run's choices. A run that fails names
//! what was broken and where its history is.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use futures::StreamExt;
use store::{Embedded, Range, Revision, Store};
use tests::{
    history::{self, Answer, Called, Change, Record, Request},
    tagged,
};

/// A writer is killed after it told at most so many lines, two for each operation.
const MOST_LINES: usize = 3000;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Lets a writer run until it has told a random number of lines, kills it, and returns what it told.
fn run_and_kill(directory: &Path, cycle: u64, lines: usize, base_ns: u64, compact_to: Revision) -> Vec<Record> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_store_writer"))
        .arg(directory)
        .args([cycle, cycle * 100, base_ns, compact_to.0].map(|number| number.to_string()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(writer.stdout.take().unwrap());
    let mut text = Vec::new();
    for _ in 0..lines {
        assert!(told.read_until(b'\n', &mut text).unwrap() > 0, "the writer ended by itself: {:?}", writer.wait());
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    std::io::copy(&mut told, &mut text).unwrap();
    history::read(&text[..]).unwrap()
}

/// Reads what the store says happened after `seen`, and its state.
async fn look(directory: &Path, seen: Revision, client: u32, now_ns: impl Fn() -> u64) -> (Vec<Record>, Revision) {
    let store = Embedded::open(directory).unwrap_or_else(|error| panic!("after a kill: {error}"));
    let mut records = Vec::new();
    let request = Request::List { prefix: "/k/".into(), at: None };
    records.push(Record::Called(Called { client, id: 0, at_ns: now_ns(), request }));
    let snapshot = store.range(Range::all(), None, None).await.unwrap();
    let answer = Answer::Listed { revision: snapshot.revision.0, items: tagged::items(&snapshot).unwrap() };
    records.push(Record::Returned { client, id: 0, at_ns: now_ns(), answer });
    let mut watch = store.watch(Range::all(), seen).await.unwrap();
    let mut last = seen;
    while last < snapshot.revision {
        let commit = watch.next().await.unwrap().unwrap();
        last = commit.revision;
        records.extend(commit.events.iter().map(|event| {
            let key = String::from_utf8_lossy(&event.key).into_owned();
            let tag = event.value.as_ref().map(|value| tagged::tag(value).unwrap());
            Record::Changed(Change { revision: last.0, key, tag, label: String::new() })
        }));
    }
    (records, last)
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_to_kill_9_at_random_moments() {
    let (kills, seed) = (number("SKIFF_KILLS", 20), number("SKIFF_SEED", fastrand::u64(..1 << 32)));
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let started = Instant::now();
    let now_ns = || started.elapsed().as_nanos() as u64;
    let (mut records, mut seen) = (Vec::new(), Revision(1));
    for cycle in 1..=kills {
        let compact_to = Revision(random.u64(1..=seen.0));
        records.extend(run_and_kill(&store, cycle, random.usize(1..MOST_LINES), now_ns(), compact_to));
        let (found, last) = look(&store, seen, (cycle * 100 + 99) as u32, now_ns).await;
        records.extend(found);
        seen = last;
    }
    let operations = history::operations(&records);
    let written = operations.iter().filter(|operation| matches!(operation.answer, Answer::Written { .. })).count();
    let unknown = operations.iter().filter(|operation| operation.answer == Answer::Unknown).count();
    println!(
        "{:?}: {kills} kills, {written} writes acknowledged, {unknown} outcomes unknown, seed {seed}",
        started.elapsed()
    );
    history::assert_holds(&format!("kill-{seed}"), &records);
    assert!(written as u64 > 100 * kills && unknown as u64 > kills, "the writers wrote, and were cut off");
}
