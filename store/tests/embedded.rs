//! The proofs of the store on disk: power cuts, damage, failing disks, and its format.
//!
//! kill -9 keeps what the kernel has, so it proves no sync: a run's operations are recorded, and directories are rebuilt
//! as a power cut could have left them. What it would take to break this is tried too: builds that leave out a sync.
//!
//! Upstream: etcd's server/storage/wal tests (wal_test.go, repair_test.go) and tests/robustness with its lazyfs
//! Left out: a full disk and a lock that is held, in store/src/embedded/tests.rs; kill -9, in tests/tests/embedded_kill.rs.
//!
//! In a normal run each byte of a recorded directory is cut at and has one of its bits flipped, but among zeros far from
//! anything only every 61st; `SKIFF_EVERY_BYTE=1` takes them all, `SKIFF_EVERY_BIT=1` all eight bits too (minutes).
//! `SKIFF_POWER_CUTS=20` tries twenty random power cuts after each operation (three otherwise).

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "embedded/recording.rs"]
mod recording;
#[path = "embedded/simulated.rs"]
mod simulated;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::executor::block_on;
use recording::{Recording, Reference, fast_directory, run, state};
use simulated::{Keep, Simulated};
use store::{
    Op, Range, Revision, Store, StoreError, Txn,
    embedded::{Embedded, Operation, Options, Tap, Verdict},
};

fn options() -> Options {
    Options { segment_bytes: 8 << 10, held_bytes: 1024, tap: None }
}

/// Opens a directory of `files`.
fn open(files: &BTreeMap<String, Vec<u8>>) -> Result<(tempfile::TempDir, Embedded), StoreError> {
    let directory = fast_directory();
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    let store = Embedded::open_with(directory.path(), options())?;
    Ok((directory, store))
}

/// What is wrong with a store that knows of `acknowledged`: a lost write, or a state that never was.
fn wrong(store: &Embedded, acknowledged: Revision, reference: &Reference) -> Option<String> {
    let (state, current) = state(store);
    if current < acknowledged {
        return Some(format!("revision {acknowledged} was acknowledged, the store is at {current}"));
    }
    (state != reference.state_at(current)).then(|| format!("the state at {current} is not what was written"))
}

/// Every directory that a power cut can leave of this run must open with all that was acknowledged; what does not.
fn power_cuts(recording: &Recording) -> Vec<String> {
    let mut simulated = Simulated::default();
    let mut failures = Vec::new();
    let mut acknowledged = Revision(1);
    let random: u64 = std::env::var("SKIFF_POWER_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for (index, operation) in recording.operations.iter().enumerate() {
        simulated.apply(operation);
        acknowledged = acknowledged.max(operation.answered().unwrap_or_default());
        let keeps = [Keep::Nothing, Keep::Everything].into_iter();
        for keep in keeps.chain((0..random).map(|seed| Keep::Some(index as u64 * 1000 + seed))) {
            let wrong = match open(&simulated.after_power_cut(keep)) {
                Ok((_directory, store)) => wrong(&store, acknowledged, &recording.reference),
                Err(error) => Some(error.to_string()),
            };
            failures.extend(wrong.map(|wrong| format!("cut after {index} ({operation}), {keep:?}: {wrong}")));
        }
    }
    failures
}

#[test]
fn after_a_power_cut_at_any_moment_every_acknowledged_write_is_there() {
    let recording = run(&options(), 160, |_| Verdict::Go);
    assert!(recording.has_written("checkpoint-"), "the run has checkpoints in it");
    assert!(recording.has_written("log-00000003"), "the run has several segments");
    let failures = power_cuts(&recording);
    assert!(failures.is_empty(), "{} of them, the first: {}", failures.len(), failures[0]);
}

/// A sync that a broken build leaves out.
#[derive(Debug, Clone, Copy)]
enum LeftOut {
    Log,
    PreparedSegment,
    Checkpoint,
    Mark,
    Directory,
}

impl LeftOut {
    fn judge(self, operation: &Operation<'_>) -> Verdict {
        let is_left_out = match (self, operation) {
            (LeftOut::Log, Operation::Sync { name }) => name.starts_with("log-") && !name.ends_with(".new"),
            (LeftOut::PreparedSegment, Operation::Sync { name }) => name.starts_with("log-") && name.ends_with(".new"),
            (LeftOut::Checkpoint, Operation::Sync { name }) => *name == "checkpoint.new",
            (LeftOut::Mark, Operation::Sync { name }) => *name == "mark",
            (LeftOut::Directory, Operation::SyncDirectory) => true,
            _ => false,
        };
        if is_left_out { Verdict::Skip } else { Verdict::Go }
    }
}

#[test]
fn a_build_that_leaves_out_a_sync_is_caught() {
    for broken in [LeftOut::Log, LeftOut::PreparedSegment, LeftOut::Checkpoint, LeftOut::Mark, LeftOut::Directory] {
        let recording = run(&options(), 160, move |operation| broken.judge(operation));
        let failures = power_cuts(&recording);
        println!("without {broken:?}: {} cuts lose something, the first: {:?}", failures.len(), failures.first());
        assert!(!failures.is_empty(), "without the sync of {broken:?} nothing was lost: the cuts prove nothing");
    }
}

/// Opens `files`, of a run in which everything was acknowledged: all of it is there, or the refusal names a file.
fn intact_or_refused(files: &BTreeMap<String, Vec<u8>>, last: Revision, reference: &Reference, what: &str) -> bool {
    match open(files) {
        Ok((_directory, store)) => {
            assert_eq!(wrong(&store, last, reference), None, "{what}");
            true
        }
        Err(StoreError::Corrupt(text)) => {
            assert!(text.contains("log-") || text.contains("mark") || text.contains("checkpoint-"), "{what}: {text}");
            false
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

/// A small run that ended without closing, and its files.
fn small_run() -> (Recording, BTreeMap<String, Vec<u8>>) {
    let recording = run(&Options { segment_bytes: 4 << 10, ..options() }, 64, |_| Verdict::Go);
    let mut simulated = Simulated::default();
    recording.operations.iter().for_each(|operation| simulated.apply(operation));
    let files = simulated.after_power_cut(Keep::Everything);
    (recording, files)
}

/// The segment that was written to last, not one that is being prepared.
fn last_segment(files: &BTreeMap<String, Vec<u8>>) -> String {
    let segments = files.keys().filter(|name| name.starts_with("log-") && !name.ends_with(".new"));
    segments.max().expect("there is a log").clone()
}

/// The places of a file that are damaged: all that are near something, and a sample of what is zeros around.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    const NEAR: usize = 64;
    let every = std::env::var_os("SKIFF_EVERY_BYTE").is_some();
    let quiet = |index: usize| {
        let around = &bytes[index.saturating_sub(NEAR)..(index + NEAR).min(bytes.len())];
        around.iter().all(|byte| *byte == 0)
    };
    (0..bytes.len()).filter(move |index| every || index % 61 == 0 || !quiet(*index))
}

#[test]
fn a_log_cut_at_any_byte_opens_whole_or_is_refused() {
    let (recording, files) = small_run();
    let last = recording.reference.last();
    let (mut opened, mut refused) = (0, 0);
    for name in files.keys() {
        for length in places(&files[name]) {
            let mut cut = files.clone();
            cut.get_mut(name).unwrap().truncate(length);
            let whole = intact_or_refused(&cut, last, &recording.reference, &format!("{name} cut at {length}"));
            *(if whole { &mut opened } else { &mut refused }) += 1;
        }
    }
    println!("{opened} opened, {refused} refused");
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}

#[test]
fn a_log_with_any_byte_flipped_opens_whole_or_is_refused() {
    let (recording, files) = small_run();
    let last = recording.reference.last();
    let every_bit = std::env::var_os("SKIFF_EVERY_BIT").is_some();
    let (mut opened, mut refused) = (0, 0);
    for name in files.keys() {
        for index in places(&files[name]) {
            for bit in 0..8 {
                if !every_bit && bit != index % 8 {
                    continue;
                }
                let mut flipped = files.clone();
                flipped.get_mut(name).unwrap()[index] ^= 1 << bit;
                let what = format!("{name} flipped at {index}, bit {bit}");
                let whole = intact_or_refused(&flipped, last, &recording.reference, &what);
                *(if whole { &mut opened } else { &mut refused }) += 1;
            }
        }
    }
    println!("{opened} opened, {refused} refused");
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}

fn read_files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn damage_is_told_from_a_torn_end_also_when_the_mark_lags() {
    let directory = fast_directory();
    let store = Embedded::open_with(directory.path(), Options { segment_bytes: 64 << 10, ..options() }).unwrap();
    let mut reference = Reference::default();
    // Asked for one after the other, so that each is a batch.
    let mut write = |value: String| {
        let put = Op::Put { key: "/a".into(), value: value.clone().into(), ttl: None };
        let revision = block_on(store.transact(Txn { compares: vec![], ops: vec![put] })).unwrap();
        reference.note(revision, "/a".into(), Some(value));
    };
    write("first".into());
    // After a power cut the mark may be as old as its last sync.
    let lagging = read_files(directory.path())["mark"].clone();
    (0..5).for_each(|number| write(format!("number {number}")));
    let mut files = read_files(directory.path());
    files.insert("mark".into(), lagging);
    assert!(intact_or_refused(&files, reference.last(), &reference, "a mark that lags"));
    let log = files.get_mut("log-00000001").unwrap();
    let damaged = log.windows(8).position(|window| window == b"number 2").expect("values are in the log as they are");
    log[damaged] ^= 1;
    let Err(StoreError::Corrupt(text)) = open(&files).map(|_| ()) else { panic!("opened with a damaged batch") };
    assert!(
        text.contains("log-00000001 at offset") && text.contains("revision 5 can't be read, but a later batch"),
        "{text}"
    );
}

#[test]
fn what_lies_behind_the_last_batch_is_cut_and_writing_goes_on() {
    let (recording, mut files) = small_run();
    let name = last_segment(&files);
    let log = files.get_mut(&name).unwrap();
    // The last batch may end with zeros of its own.
    let end = log.iter().rposition(|byte| *byte != 0).unwrap() + 64;
    let garbage = (log.len() - end).min(700);
    for (index, byte) in log[end..][..garbage].iter_mut().enumerate() {
        *byte = (index * 37 % 251) as u8;
    }
    let (directory, store) = open(&files).unwrap();
    assert_eq!(wrong(&store, recording.reference.last(), &recording.reference), None);
    let put = Op::Put { key: "/after".into(), value: "v".into(), ttl: None };
    let revision = block_on(store.transact(Txn { compares: vec![], ops: vec![put] })).unwrap();
    assert_eq!(revision.0, recording.reference.last().0 + 1);
    drop(store);
    let store = Embedded::open_with(directory.path(), options()).unwrap();
    assert_eq!(block_on(store.range(Range::key("/after"), None, None)).unwrap().items.len(), 1);
}

/// Runs this test program again with `name` as its one test, in a process of its own; how it ended and what it said.
fn in_a_process(name: &str, directory: &Path) -> (Option<i32>, String) {
    use std::os::unix::process::ExitStatusExt;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let command = command.args(["--exact", name, "--nocapture"]).env("SKIFF_STORE_DIRECTORY", directory);
    let output = command.output().unwrap();
    (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
}

const SIGABRT: i32 = 6;

#[test]
fn a_failed_sync_stops_the_process_and_loses_nothing() {
    if let Some(directory) = std::env::var_os("SKIFF_STORE_DIRECTORY") {
        return write_until_a_sync_fails(Path::new(&directory));
    }
    let directory = fast_directory();
    let (signal, said) = in_a_process("a_failed_sync_stops_the_process_and_loses_nothing", directory.path());
    assert_eq!(signal, Some(SIGABRT), "{said}");
    assert!(said.contains("can't go on: the disk is broken; stopping"), "{said}");
    let told = said.lines().filter_map(|line| line.strip_prefix("told ")).count();
    assert!(told > 2, "{said}");
    let store = Embedded::open_with(directory.path(), options()).unwrap();
    let current = block_on(store.current()).unwrap();
    assert!(current.0 > told as u64, "{told} were told, the store is at {current}");
}

fn write_until_a_sync_fails(directory: &Path) {
    let syncs = AtomicUsize::new(0);
    let tap: Tap = std::sync::Arc::new(move |operation| match operation {
        Operation::Sync { name } if name.starts_with("log-") && syncs.fetch_add(1, Ordering::Relaxed) > 8 => {
            Err(io::Error::other("the disk is broken"))
        }
        _ => Ok(Verdict::Go),
    });
    let store = Embedded::open_with(directory, Options { tap: Some(tap), ..options() }).unwrap();
    loop {
        let put = Op::Put { key: "/a".into(), value: "v".into(), ttl: None };
        let revision = block_on(store.transact(Txn { compares: vec![], ops: vec![put] })).unwrap();
        eprintln!("told {revision}");
    }
}

#[test]
fn the_first_format_opens() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    if std::env::var_os("SKIFF_WRITE_FIXTURE").is_some() {
        write_fixture(&fixture);
    }
    let mut files = read_files(&fixture);
    let expected = String::from_utf8(files.remove("expected").unwrap()).unwrap();
    assert!(files.keys().any(|name| name.starts_with("checkpoint-")), "the fixture has a checkpoint");
    let (_directory, store) = open(&files).unwrap();
    assert_eq!(shown(&store), expected);
}

fn shown(store: &Embedded) -> String {
    let (state, current) = state(store);
    let lines = state.iter().map(|(key, (value, modified))| format!("{key} {modified} {value}\n"));
    format!("{current}\n{}", lines.collect::<String>())
}

/// Writes a fixture of the present format.
fn write_fixture(fixture: &Path) {
    let (_, files) = small_run();
    std::fs::create_dir_all(fixture).unwrap();
    for (name, bytes) in files.iter().filter(|(name, _)| !name.ends_with(".new")) {
        std::fs::write(fixture.join(name), bytes).unwrap();
    }
    let (_directory, store) = open(&files).unwrap();
    std::fs::write(fixture.join("expected"), shown(&store)).unwrap();
}
