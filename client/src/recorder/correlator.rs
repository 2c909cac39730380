//! Decides whether an occurrence is a new Event, one more of an old one, or one too many.
//!
//! Upstream: client-go/tools/record/events_cache.go (EventCorrelator)
//! Left out: nothing but the configuration: the numbers below are its defaults.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use rustc_hash::FxHashMap;

use super::EventType;

/// Entries that are remembered; the oldest are forgotten beyond it.
const REMEMBERED: usize = 4096;
/// Events that one object may make at once, and the seconds after which it may make one more.
const BURST: f64 = 25.0;
const SECONDS_PER_EVENT: f64 = 300.0;
/// As many different messages of one reason about one object are told apart within the window.
const SIMILAR: usize = 10;
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// Something that happened to an object.
#[derive(Debug, Clone)]
pub(super) struct Occurrence {
    pub(super) regarding: ObjectReference,
    pub(super) event_type: EventType,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What becomes of an occurrence.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Create { name: String, message: String },
    Count { name: String, message: String, first: Timestamp, count: u32 },
    Drop,
}

/// Everything remembered about earlier Events.
#[derive(Default)]
pub(super) struct Correlator {
    buckets: Memory<Bucket>,
    similar: Memory<Similar>,
    told: Memory<Told>,
}

/// A token bucket: an object's right to be heard.
struct Bucket {
    tokens: f64,
    filled: Timestamp,
}

/// The different messages that an object had for one reason.
struct Similar {
    messages: BTreeSet<String>,
    last: Timestamp,
}

/// An Event that was written.
struct Told {
    name: String,
    first: Timestamp,
    count: u32,
}

impl Correlator {
    /// Decides about `occurrence` and remembers it.
    pub(super) fn judge(&mut self, occurrence: &Occurrence, now: Timestamp) -> Verdict {
        let object = object_of(&occurrence.regarding);
        let bucket = self.buckets.entry(object.clone(), || Bucket { tokens: BURST, filled: now });
        if !bucket.take(now) {
            return Verdict::Drop;
        }
        let kind = format!("{object} {} {}", occurrence.event_type, occurrence.reason);
        let similar = self.similar.entry(kind.clone(), || Similar { messages: BTreeSet::new(), last: now });
        let (key, message) = if similar.is_too_many(&occurrence.message, now) {
            (kind, format!("(combined from similar events): {}", occurrence.message))
        } else {
            (format!("{kind} {}", occurrence.message), occurrence.message.clone())
        };
        let new_name = || {
            let object = occurrence.regarding.name.as_deref().unwrap_or_default();
            format!("{object}.{:x}", now.as_nanosecond())
        };
        let told = self.told.entry(key, || Told { name: new_name(), first: now, count: 0 });
        told.count += 1;
        let name = told.name.clone();
        match told.count {
            1 => Verdict::Create { name, message },
            count => Verdict::Count { name, message, first: told.first, count },
        }
    }
}

impl Bucket {
    fn take(&mut self, now: Timestamp) -> bool {
        let elapsed = now.duration_since(self.filled).as_secs_f64().max(0.0);
        self.tokens = (self.tokens + elapsed / SECONDS_PER_EVENT).min(BURST);
        self.filled = now;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

impl Similar {
    fn is_too_many(&mut self, message: &str, now: Timestamp) -> bool {
        if now.duration_since(self.last) > WINDOW {
            self.messages.clear();
        }
        self.last = now;
        self.messages.insert(message.to_owned());
        if self.messages.len() < SIMILAR {
            return false;
        }
        self.messages.pop_first();
        true
    }
}

fn object_of(regarding: &ObjectReference) -> String {
    let parts = [
        &regarding.kind,
        &regarding.namespace,
        &regarding.name,
        &regarding.uid,
        &regarding.api_version,
        &regarding.field_path,
    ];
    parts.map(|part| part.as_deref().unwrap_or_default()).join("/")
}

/// A map that forgets what was added longest ago.
struct Memory<V> {
    entries: FxHashMap<String, (u64, V)>,
    added: std::collections::BTreeMap<u64, String>,
    sequence: u64,
}

impl<V> Default for Memory<V> {
    fn default() -> Self {
        Memory { entries: FxHashMap::default(), added: Default::default(), sequence: 0 }
    }
}

impl<V> Memory<V> {
    fn entry(&mut self, key: String, new: impl FnOnce() -> V) -> &mut V {
        self.sequence += 1;
        if let Some((added, _)) = self.entries.get(&key) {
            self.added.remove(added);
        } else if self.entries.len() >= REMEMBERED
            && let Some((_, oldest)) = self.added.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.added.insert(self.sequence, key.clone());
        let entry = self.entries.entry(key).or_insert_with(|| (0, new()));
        entry.0 = self.sequence;
        &mut entry.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence(pod: &str, message: &str) -> Occurrence {
        let regarding = ObjectReference { name: Some(pod.into()), ..ObjectReference::default() };
        Occurrence { regarding, event_type: EventType::Warning, reason: "BackOff".into(), message: message.into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn a_repeated_event_counts_up_under_its_first_name() {
        let mut correlator = Correlator::default();
        let first = correlator.judge(&occurrence("a", "again"), at(0));
        let name = "a.17979cfe362a0000".to_owned();
        assert_eq!(first, Verdict::Create { name: name.clone(), message: "again".into() });
        let second = correlator.judge(&occurrence("a", "again"), at(9));
        assert_eq!(second, Verdict::Count { name, message: "again".into(), first: at(0), count: 2 });
    }

    #[test]
    fn from_the_tenth_similar_message_on_they_are_drawn_together() {
        let mut correlator = Correlator::default();
        let verdicts: Vec<Verdict> =
            (0..12).map(|i| correlator.judge(&occurrence("a", &format!("try {i}")), at(i))).collect();
        assert!(verdicts[..9].iter().all(|verdict| matches!(verdict, Verdict::Create { .. })));
        let Verdict::Create { message, .. } = &verdicts[9] else { panic!("{:?}", verdicts[9]) };
        assert_eq!(message, "(combined from similar events): try 9");
        assert!(matches!(&verdicts[10], Verdict::Count { count: 2, .. }));
    }

    #[test]
    fn an_object_that_makes_too_many_events_is_no_longer_heard() {
        let mut correlator = Correlator::default();
        for _ in 0..25 {
            assert_ne!(correlator.judge(&occurrence("a", "again"), at(0)), Verdict::Drop);
        }
        assert_eq!(correlator.judge(&occurrence("a", "again"), at(0)), Verdict::Drop);
        assert_ne!(correlator.judge(&occurrence("b", "again"), at(0)), Verdict::Drop);
        assert_ne!(correlator.judge(&occurrence("a", "again"), at(301)), Verdict::Drop);
    }
}
