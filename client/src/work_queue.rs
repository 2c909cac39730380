//! Keys that wait to be worked on: each at most once in the queue, and never in two hands at once.
//!
//! A key that is added while it is being worked on is handed out again afterwards, so no change is missed.
//!
//! Upstream: client-go/util/workqueue/{queue,delaying_queue,default_rate_limiters}.go
//! Left out: the overall token bucket (10 keys/s) beside the back-off per key.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;
use tokio::time::Instant;

/// First and longest back-off of a key. Upstream's are 5 ms and 1,000 s; a learner does not wait a quarter of an hour.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(60));

/// The queue. Clones share it.
pub struct WorkQueue<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        WorkQueue { shared: self.shared.clone() }
    }
}

struct Shared<T> {
    state: Mutex<State<T>>,
    wake: Notify,
}

struct State<T> {
    ready: VecDeque<T>,
    /// Keys to be worked on: those in `ready`, and those in hand that were added again.
    wanted: FxHashSet<T>,
    in_hand: FxHashSet<T>,
    /// Keys with the time at which they become ready; the number keeps equal times apart.
    later: BTreeMap<(Instant, u64), T>,
    due: FxHashMap<T, (Instant, u64)>,
    failures: FxHashMap<T, u32>,
    sequence: u64,
}

impl<T: Clone + Eq + Hash> Default for WorkQueue<T> {
    fn default() -> Self {
        WorkQueue::new()
    }
}

impl<T: Clone + Eq + Hash> WorkQueue<T> {
    pub fn new() -> WorkQueue<T> {
        let state = State {
            ready: VecDeque::new(),
            wanted: FxHashSet::default(),
            in_hand: FxHashSet::default(),
            later: BTreeMap::new(),
            due: FxHashMap::default(),
            failures: FxHashMap::default(),
            sequence: 0,
        };
        WorkQueue { shared: Arc::new(Shared { state: Mutex::new(state), wake: Notify::new() }) }
    }

    /// Wants `key` to be worked on.
    pub fn add(&self, key: T) {
        self.lock().add(key);
        self.shared.wake.notify_one();
    }

    /// Wants `key` to be worked on in a while. Of several times for one key the earliest holds.
    pub fn add_after(&self, key: T, delay: Duration) {
        self.lock().add_at(key, Instant::now() + delay);
        self.shared.wake.notify_one();
    }

    /// Wants `key` again after its back-off, which doubles with each call until [`WorkQueue::forget`].
    pub fn retry(&self, key: T) {
        let mut state = self.lock();
        let failures = state.failures.entry(key.clone()).or_insert(0);
        let delay = backoff(*failures);
        *failures = failures.saturating_add(1);
        state.add_at(key, Instant::now() + delay);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Ends the back-off of `key`: it went well.
    pub fn forget(&self, key: &T) {
        self.lock().failures.remove(key);
    }

    /// How often `key` failed in a row.
    pub fn failures(&self, key: &T) -> u32 {
        self.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// The next key, when there is one. It stays in hand until [`WorkQueue::done`].
    pub async fn next(&self) -> T {
        loop {
            let woken = self.shared.wake.notified();
            let next_due = {
                let mut state = self.lock();
                state.ripen(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() {
                        self.shared.wake.notify_one();
                    }
                    return key;
                }
                state.later.keys().next().map(|(due, _)| *due)
            };
            match next_due {
                None => woken.await,
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, woken).await;
                }
            }
        }
    }

    /// Gives `key` back; if it was added meanwhile it is ready again.
    pub fn done(&self, key: &T) {
        let mut state = self.lock();
        state.in_hand.remove(key);
        if state.wanted.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.shared.wake.notify_one();
        }
    }

    /// How many keys are ready to be taken.
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// True when no key is ready to be taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    fn add(&mut self, key: T) {
        if self.wanted.insert(key.clone()) && !self.in_hand.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: T, at: Instant) {
        if let Some(due) = self.due.get(&key) {
            if due.0 <= at {
                return;
            }
            self.later.remove(due);
        }
        self.sequence += 1;
        self.due.insert(key.clone(), (at, self.sequence));
        self.later.insert((at, self.sequence), key);
    }

    /// Adds every key whose time has come.
    fn ripen(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                return;
            }
            let key = first.remove();
            self.due.remove(&key);
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<T> {
        let key = self.ready.pop_front()?;
        self.wanted.remove(&key);
        self.in_hand.insert(key.clone());
        Some(key)
    }
}

/// The wait before the next try after `failures` earlier ones.
fn backoff(failures: u32) -> Duration {
    BACKOFF.0.saturating_mul(1 << failures.min(20)).min(BACKOFF.1)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn taken(queue: &WorkQueue<&'static str>) -> Option<&'static str> {
        queue.next().now_or_never()
    }

    #[test]
    fn a_key_that_is_added_twice_is_handed_out_once() {
        let queue = WorkQueue::new();
        queue.add("a");
        queue.add("b");
        queue.add("a");
        assert_eq!((taken(&queue), taken(&queue), taken(&queue)), (Some("a"), Some("b"), None));
    }

    #[test]
    fn a_key_in_hand_is_handed_out_again_only_when_it_is_done() {
        let queue = WorkQueue::new();
        queue.add("a");
        assert_eq!(taken(&queue), Some("a"));
        queue.add("a");
        assert_eq!(taken(&queue), None);
        queue.done(&"a");
        assert_eq!(taken(&queue), Some("a"));
        queue.done(&"a");
        assert_eq!(taken(&queue), None);
    }

    #[test]
    fn back_off_doubles_up_to_a_minute() {
        assert_eq!(backoff(0), Duration::from_millis(5));
        assert_eq!(backoff(3), Duration::from_millis(40));
        assert_eq!(backoff(40), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_key_for_later_comes_when_its_time_has_come() {
        let queue = WorkQueue::new();
        let asked = Instant::now();
        queue.add_after("later", Duration::from_millis(30));
        queue.add_after("later", Duration::from_millis(10));
        queue.add("now");
        assert_eq!(queue.next().await, "now");
        assert_eq!(queue.next().await, "later");
        assert!(asked.elapsed() >= Duration::from_millis(10));
        assert_eq!(taken(&queue), None);
    }

    #[tokio::test]
    async fn a_key_that_failed_comes_back_until_it_is_forgotten() {
        let queue = WorkQueue::new();
        queue.retry("a");
        queue.retry("a");
        assert_eq!(queue.failures(&"a"), 2);
        assert_eq!(queue.next().await, "a");
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }
}
