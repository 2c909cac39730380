//! I06, and I03 and I04 for reads: a list is exactly the state at its revision, which is neither stale nor to come.
//!
//! Upstream: none

use super::{Answer, Operation, Replay, Request, Violation, revisions::Bounds};

/// What is wrong with the reads of a run.
pub fn check(operations: &[Operation], replay: &Replay) -> Vec<Violation> {
    let bounds = Bounds::of(operations, replay);
    let mut violations = Vec::new();
    let listed = operations.iter().filter_map(|operation| match (&operation.called.request, &operation.answer) {
        (Request::List { prefix, at }, Answer::Listed { revision, items }) => {
            Some((*revision, items, prefix, *at, operation))
        }
        _ => None,
    });
    let mut lists: Vec<_> = listed.collect();
    lists.sort_by_key(|(revision, ..)| *revision);
    let mut states = replay.states();
    for (revision, items, prefix, at, operation) in lists {
        let expected = states.at(revision, prefix);
        if *items != expected {
            let odd = items.iter().find(|item| !expected.contains(item));
            let odd = odd.map(|item| format!("shows {item:?}")).or_else(|| {
                let missing = expected.iter().find(|item| !items.contains(item));
                missing.map(|item| format!("lacks {item:?}"))
            });
            let (client, id) = (operation.called.client, operation.called.id);
            let odd = odd.unwrap_or("is out of order".into());
            let what = format!("list {id} of client {client}, of {prefix:?} at {revision}, {odd}");
            violations.push(Violation { invariant: "I06", what });
        }
        let possible = operation.returned_ns.map_or(u64::MAX, |returned| bounds.called_before(returned));
        if revision > possible {
            let what = format!("a list of {prefix:?} at {revision} ended when at most {possible} had been asked for");
            violations.push(Violation { invariant: "I03", what });
        }
        match at {
            Some(at) if at != revision => {
                let what = format!("a list at revision {at} was answered with {revision}");
                violations.push(Violation { invariant: "I06", what });
            }
            Some(_) => {}
            None => {
                let known = bounds.acknowledged_before(operation.called.at_ns);
                if revision < known {
                    let what = format!("a list of {prefix:?} at {revision} began when {known} was known: stale");
                    violations.push(Violation { invariant: "I03", what });
                }
            }
        }
    }
    violations
}
