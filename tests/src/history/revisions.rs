//! I01 to I04: writes are there, once, in an order that real time allows, and were rightly refused.
//!
//! Upstream: none

use std::collections::{HashMap, HashSet};

use super::{Answer, Operation, Replay, Request, Violation};

/// What is wrong with the writes of a run.
pub fn check(operations: &[Operation], replay: &Replay) -> Vec<Violation> {
    let mut violations = Vec::new();
    check_account(replay, &mut violations);
    check_asked(operations, replay, &mut violations);
    check_acknowledged(operations, replay, &mut violations);
    check_real_time(operations, replay, &mut violations);
    check_refusals(operations, replay, &mut violations);
    violations
}

/// I02: the store's own account has strictly increasing revisions (a transaction's changes share one), and no tag twice.
fn check_account(replay: &Replay, violations: &mut Vec<Violation>) {
    let mut tags = HashMap::new();
    for pair in replay.changes().windows(2) {
        let same_transaction = pair[0].revision == pair[1].revision && pair[0].key != pair[1].key;
        if pair[1].revision <= pair[0].revision && !same_transaction {
            let what = format!("revision {} of {} comes after {}", pair[1].revision, pair[1].key, pair[0].revision);
            violations.push(Violation { invariant: "I02", what });
        }
    }
    for change in replay.changes() {
        let Some(tag) = &change.tag else { continue };
        if let Some(before) = tags.insert(tag, change.revision) {
            let what = format!("{tag} was written at revision {before} and again at {}", change.revision);
            violations.push(Violation { invariant: "I02", what });
        }
    }
}

/// I04: the account has nothing that nobody asked for.
fn check_asked(operations: &[Operation], replay: &Replay, violations: &mut Vec<Violation>) {
    let mut asked = HashMap::new();
    let mut deleted_at = HashSet::new();
    // Per key the deletes that took place, or may have, at a revision that nobody was told.
    let mut untold: HashMap<&str, u64> = HashMap::new();
    for operation in operations {
        match (&operation.called.request, &operation.answer) {
            (Request::Create { key, tag } | Request::Update { key, tag, .. }, _) => drop(asked.insert(tag, key)),
            (Request::Delete { key, .. }, Answer::Written { revision }) => drop(deleted_at.insert((key, *revision))),
            (Request::Delete { key, .. }, Answer::Done | Answer::Unknown) => *untold.entry(key).or_default() += 1,
            _ => {}
        }
    }
    for change in replay.changes() {
        let is_asked_for = match &change.tag {
            Some(tag) => asked.get(tag) == Some(&&change.key),
            None if deleted_at.contains(&(&change.key, change.revision)) => true,
            None => {
                let left = untold.get_mut(change.key.as_str()).filter(|left| **left > 0);
                left.map(|left| *left -= 1).is_some()
            }
        };
        if !is_asked_for {
            violations.push(Violation { invariant: "I04", what: format!("nobody asked for {change:?}") });
        }
    }
}

/// I01 and I02: each acknowledged write is in the account, at the revision that its writer was told.
fn check_acknowledged(operations: &[Operation], replay: &Replay, violations: &mut Vec<Violation>) {
    let mut told = HashMap::new();
    let bounds = Bounds::of(operations, replay);
    for operation in operations {
        check_done(operation, &bounds, replay, violations);
        let Answer::Written { revision } = operation.answer else { continue };
        let (key, tag) = match &operation.called.request {
            Request::Create { key, tag } | Request::Update { key, tag, .. } => (key, Some(tag.as_str())),
            Request::Delete { key, .. } => (key, None),
            Request::List { .. } => continue,
        };
        match replay.at(key, revision) {
            Some(change) if change.tag.as_deref() == tag => {}
            Some(change) => violations.push(Violation {
                invariant: "I02",
                what: format!("{key} at revision {revision} is {:?}, its writer was told of {tag:?}", change.tag),
            }),
            None => violations.push(Violation {
                invariant: "I01",
                what: format!("{key}={tag:?} was acknowledged at revision {revision} and is not there"),
            }),
        }
        if let Some(other) = told.insert(revision, key)
            && other != key
        {
            let what = format!("revision {revision} was given to writes of {other} and of {key}");
            violations.push(Violation { invariant: "I02", what });
        }
        check_precondition(&operation.called.request, revision, replay, violations);
    }
}

/// I01 for a delete that was acknowledged without its revision: there is one that it can be.
fn check_done(operation: &Operation, bounds: &Bounds, replay: &Replay, violations: &mut Vec<Violation>) {
    let (Answer::Done, Some(returned)) = (&operation.answer, operation.returned_ns) else { return };
    let Request::Delete { key, expected } = &operation.called.request else { return };
    let (from, to) = (bounds.acknowledged_before(operation.called.at_ns), bounds.called_before(returned));
    let replaced = |revision: u64| replay.present(key, revision - 1).map(|present| present.revision);
    let found = replay.history(key).any(|change| {
        let inside = change.revision > from && change.revision <= to;
        inside && change.tag.is_none() && (expected.is_none() || replaced(change.revision) == *expected)
    });
    if !found {
        let what = format!("the delete of {key} ({expected:?}) was acknowledged and is not there, from {from} to {to}");
        violations.push(Violation { invariant: "I01", what });
    }
}

/// A conditional write that took place found what it asked for.
fn check_precondition(request: &Request, revision: u64, replay: &Replay, violations: &mut Vec<Violation>) {
    let (key, expected) = match request {
        Request::Create { key, .. } => (key, 0),
        Request::Update { key, expected: Some(expected), .. } | Request::Delete { key, expected: Some(expected) } => {
            (key, *expected)
        }
        _ => return,
    };
    let found = replay.present(key, revision - 1).map_or(0, |present| present.revision);
    if found != expected {
        let what = format!("the write of {key} at {revision} expected revision {expected} and replaced {found}");
        violations.push(Violation { invariant: "I03", what });
    }
}

/// I03: a write that ended before another began has the lower revision.
fn check_real_time(operations: &[Operation], replay: &Replay, violations: &mut Vec<Violation>) {
    let mut latest_call = (0, 0);
    let mut writes: Vec<(u64, &Operation)> =
        operations.iter().filter_map(|operation| Some((revision_of(operation, replay)?, operation))).collect();
    writes.sort_by_key(|(revision, _)| *revision);
    for (revision, operation) in writes {
        if operation.returned_ns.is_some_and(|returned| returned < latest_call.0) {
            let what =
                format!("the write at revision {revision} had returned before the one at {} was called", latest_call.1);
            violations.push(Violation { invariant: "I03", what });
        }
        latest_call = latest_call.max((operation.called.at_ns, revision));
    }
}

/// The revision of a write that took place, told or not.
fn revision_of(operation: &Operation, replay: &Replay) -> Option<u64> {
    if let Answer::Written { revision } = operation.answer {
        return Some(revision);
    }
    match &operation.called.request {
        Request::Create { tag, .. } | Request::Update { tag, .. } if operation.answer == Answer::Unknown => {
            replay.with_tag(tag).map(|change| change.revision)
        }
        _ => None,
    }
}

/// I03: a refusal had a reason in some state between call and answer. I04: what was refused did not happen.
fn check_refusals(operations: &[Operation], replay: &Replay, violations: &mut Vec<Violation>) {
    let bounds = Bounds::of(operations, replay);
    for operation in operations.iter().filter(|operation| operation.answer == Answer::Refused) {
        let (Some(returned), called) = (operation.returned_ns, operation.called.at_ns) else { continue };
        let (key, expected) = match &operation.called.request {
            Request::Create { key, tag } | Request::Update { key, tag, .. } if replay.with_tag(tag).is_some() => {
                violations.push(Violation { invariant: "I04", what: format!("{key}={tag} was refused and is there") });
                continue;
            }
            Request::Create { key, .. } => (key, Some(0)),
            Request::Update { key, expected, .. } | Request::Delete { key, expected } => (key, *expected),
            Request::List { .. } => continue,
        };
        let (from, to) = (bounds.acknowledged_before(called), bounds.called_before(returned));
        let refused_by = |found: u64| match expected {
            Some(expected) => found != expected,
            None => found == 0,
        };
        let found_at = |revision| replay.present(key, revision).map_or(0, |present| present.revision);
        let in_between = replay.history(key).filter(|change| change.revision > from && change.revision <= to);
        if !refused_by(found_at(from)) && !in_between.into_iter().any(|change| refused_by(found_at(change.revision))) {
            let what = format!("{:?} was refused, without a reason from {from} to {to}", operation.called.request);
            violations.push(Violation { invariant: "I03", what });
        }
    }
}

/// Which revisions a moment can lie between.
pub(super) struct Bounds {
    /// (returned, highest revision told by then), by time.
    acknowledged: Vec<(u64, u64)>,
    /// (called, lowest revision of the writes called from then on), latest first.
    called: Vec<(u64, u64)>,
}

impl Bounds {
    pub(super) fn of(operations: &[Operation], replay: &Replay) -> Bounds {
        let mut acknowledged = Vec::new();
        let mut called = Vec::new();
        for operation in operations {
            if let Some(revision) = revision_of(operation, replay) {
                called.push((operation.called.at_ns, revision));
            }
            let told = match operation.answer {
                Answer::Written { revision } | Answer::Listed { revision, .. } => Some(revision),
                _ => None,
            };
            let consistent = !matches!(operation.called.request, Request::List { at: Some(_), .. });
            if let (Some(revision), Some(returned), true) = (told, operation.returned_ns, consistent) {
                acknowledged.push((returned, revision));
            }
        }
        acknowledged.sort_unstable();
        let mut highest = 0;
        for (_, revision) in &mut acknowledged {
            highest = highest.max(*revision);
            *revision = highest;
        }
        called.sort_unstable_by(|a, b| b.cmp(a));
        let mut lowest = u64::MAX;
        for (_, revision) in &mut called {
            lowest = lowest.min(*revision);
            *revision = lowest;
        }
        Bounds { acknowledged, called }
    }

    /// The highest revision that somebody had been told of before `at_ns`.
    pub(super) fn acknowledged_before(&self, at_ns: u64) -> u64 {
        let count = self.acknowledged.partition_point(|(time, _)| *time < at_ns);
        count.checked_sub(1).map_or(0, |index| self.acknowledged[index].1)
    }

    /// The highest revision that can have been there at `at_ns`: the one before the first that was called later.
    pub(super) fn called_before(&self, at_ns: u64) -> u64 {
        let count = self.called.partition_point(|(time, _)| *time > at_ns);
        count.checked_sub(1).map_or(u64::MAX, |index| self.called[index].1 - 1)
    }
}
