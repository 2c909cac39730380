//! I05 and I07: a watch shows every matching event once, in order, whole, and says so when it can't go on.
//!
//! What a watch should have shown is computed from the store's account; what it showed must be that, up to where it
//! ended. So filter, order, uniqueness, atomicity, reliability, resumption and the right event types are one comparison.
//!
//! Upstream: none

use std::collections::{BTreeMap, HashMap};

use super::{Event, Item, Record, Replay, Violation, WatchOpened};

/// What is wrong with the watches of a run.
pub fn check(records: &[Record], replay: &Replay) -> Vec<Violation> {
    let mut shown: BTreeMap<u32, Vec<(u64, &Event)>> = BTreeMap::new();
    let mut opened = Vec::new();
    let mut compactions = Vec::new();
    for record in records {
        match record {
            Record::WatchOpened(watch) => opened.push(watch),
            Record::Shown { watch, at_ns, event } => shown.entry(*watch).or_default().push((*at_ns, event)),
            Record::Compacted { revision, at_ns } => compactions.push((*at_ns, *revision)),
            _ => {}
        }
    }
    let mut violations = Vec::new();
    for watch in opened {
        let events = shown.remove(&watch.watch).unwrap_or_default();
        if let Some(what) = wrong(watch, &events, &compactions, replay) {
            violations.push(what);
        }
    }
    violations
}

/// The first thing that a watch did wrong.
fn wrong(
    watch: &WatchOpened,
    events: &[(u64, &Event)],
    compactions: &[(u64, u64)],
    replay: &Replay,
) -> Option<Violation> {
    let violation = |invariant, what: String| {
        Some(Violation { invariant, what: format!("watch {} of {:?} {what}", watch.watch, watch.prefix) })
    };
    let expected = expected(watch, replay);
    let mut next = 0;
    let mut seen = watch.after;
    for (at_ns, event) in events {
        match event {
            Event::Bookmark { revision } => {
                if let Some(missed) = expected.get(next).filter(|missed| revision_of(missed) <= *revision) {
                    return violation("I05", format!("has a bookmark at {revision} before it showed {missed:?}"));
                }
                if *revision < seen {
                    return violation("I05", format!("has a bookmark at {revision} after showing {seen}"));
                }
                seen = *revision;
            }
            Event::Gone => {
                // Also the next event must be gone from history: with it the watch could have gone on.
                let compacted = compactions.iter().filter(|(called, _)| called <= at_ns).map(|(_, point)| *point).max();
                if compacted.is_none_or(|point| point <= seen) {
                    return violation("I07", format!("was told 410 after {seen}, which is not compacted"));
                }
                return None;
            }
            event => match expected.get(next) {
                Some(due) if due == *event => {
                    next += 1;
                    seen = revision_of(event);
                }
                due => return violation("I05", format!("showed {event:?}, due was {due:?}")),
            },
        }
    }
    // Events of one revision come together: a watch does not end, nor goes by a bookmark, between them.
    let torn = next
        .checked_sub(1)
        .and_then(|last| expected.get(next).filter(|due| revision_of(due) == revision_of(&expected[last])));
    torn.and_then(|due| violation("I05", format!("ended in the middle of a revision, before {due:?}")))
}

/// The events that a watch shows of the account, with those of its selection's borders.
pub fn expected(watch: &WatchOpened, replay: &Replay) -> Vec<Event> {
    let selected = |label: &str| watch.label.as_ref().is_none_or(|wanted| wanted == label);
    let mut before: HashMap<&str, &str> = HashMap::new();
    let mut events = Vec::new();
    for change in replay.changes().iter().filter(|change| change.key.starts_with(&watch.prefix)) {
        let item = |tag: &str| Item { key: change.key.clone(), revision: change.revision, tag: tag.to_owned() };
        let after = change.tag.as_deref().filter(|_| selected(&change.label));
        let earlier = match after {
            Some(tag) => before.insert(&change.key, tag),
            None => before.remove(change.key.as_str()),
        };
        if change.revision <= watch.after {
            continue;
        }
        match (earlier, after) {
            (None, Some(tag)) => events.push(Event::Added(item(tag))),
            (Some(_), Some(tag)) => events.push(Event::Modified(item(tag))),
            // The last state that matched; upstream shows the object as it was before it left.
            (Some(last), None) => events.push(Event::Deleted(item(last))),
            (None, None) => {}
        }
    }
    events
}

fn revision_of(event: &Event) -> u64 {
    match event {
        Event::Added(item) | Event::Modified(item) | Event::Deleted(item) => item.revision,
        Event::Bookmark { revision } => *revision,
        Event::Gone => 0,
    }
}
