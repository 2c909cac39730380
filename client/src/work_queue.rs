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

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::{Load, QueueMetrics};

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
    /// Keys to be worked on, since when: those in `ready`, and those in hand that were added again.
    wanted: FxHashMap<T, Instant>,
    /// Keys that are worked on, since when.
    in_hand: FxHashMap<T, Instant>,
    /// Keys with the time at which they become ready; the number keeps equal times apart.
    later: BTreeMap<(Instant, u64), T>,
    due: FxHashMap<T, (Instant, u64)>,
    failures: FxHashMap<T, u32>,
    sequence: u64,
    metrics: QueueMetrics,
}

impl<T: Clone + Eq + Hash> Default for WorkQueue<T> {
    fn default() -> Self {
        WorkQueue::new()
    }
}

impl<T: Clone + Eq + Hash> WorkQueue<T> {
    pub fn new() -> WorkQueue<T> {
        WorkQueue::counted(QueueMetrics::default())
    }

    /// A queue that counts what passes through it.
    pub(crate) fn counted(metrics: QueueMetrics) -> WorkQueue<T> {
        let state = State {
            ready: VecDeque::new(),
            wanted: FxHashMap::default(),
            in_hand: FxHashMap::default(),
            later: BTreeMap::new(),
            due: FxHashMap::default(),
            failures: FxHashMap::default(),
            sequence: 0,
            metrics,
        };
        WorkQueue { shared: Arc::new(Shared { state: Mutex::new(state), wake: Notify::new() }) }
    }

    /// Wants `key` to be worked on.
    pub fn add(&self, key: T) {
        self.lock().add(key, Instant::now());
        self.shared.wake.notify_one();
    }

    /// Wants `key` to be worked on in a while. Of several times for one key the earliest holds.
    pub fn add_after(&self, key: T, delay: Duration) {
        let mut state = self.lock();
        state.metrics.retries.inc();
        state.add_at(key, Instant::now() + delay);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Wants `key` again after its back-off, which doubles with each call until [`WorkQueue::forget`].
    pub fn retry(&self, key: T) {
        let mut state = self.lock();
        state.metrics.retries.inc();
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
                let now = Instant::now();
                state.ripen(now);
                if let Some(key) = state.take(now) {
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
        if let Some(since) = state.in_hand.remove(key) {
            state.metrics.work.observe(since.elapsed().as_secs_f64());
        }
        if state.wanted.contains_key(key) {
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

    /// Tells how busy the queue is, for as long as it lives.
    pub(crate) fn load_when_asked(&self) -> impl Fn() -> Option<Load> + Send + Sync + use<T>
    where
        T: Send + Sync,
    {
        let shared = Arc::downgrade(&self.shared);
        move || {
            let queue = WorkQueue { shared: shared.upgrade()? };
            Some(queue.lock().load(Instant::now()))
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    fn add(&mut self, key: T, now: Instant) {
        if self.wanted.contains_key(&key) {
            return;
        }
        self.metrics.adds.inc();
        self.wanted.insert(key.clone(), now);
        if !self.in_hand.contains_key(&key) {
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
            self.add(key, now);
        }
    }

    fn take(&mut self, now: Instant) -> Option<T> {
        let key = self.ready.pop_front()?;
        if let Some(since) = self.wanted.remove(&key) {
            self.metrics.waits.observe((now - since).as_secs_f64());
        }
        self.in_hand.insert(key.clone(), now);
        Some(key)
    }

    fn load(&self, now: Instant) -> Load {
        let in_hand = self.in_hand.values().map(|since| now - *since);
        Load { depth: self.wanted.len(), unfinished: in_hand.clone().sum(), longest: in_hand.max().unwrap_or_default() }
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

    #[test]
    fn the_load_is_what_waits_and_how_long_keys_are_in_hand() {
        let queue = WorkQueue::new();
        let now = Instant::now();
        for key in ["a", "b", "c"] {
            queue.add(key);
        }
        queue.lock().take(now);
        queue.lock().take(now + Duration::from_secs(1));
        queue.add("a");
        let load = queue.lock().load(now + Duration::from_secs(3));
        let expected = Load { depth: 2, unfinished: Duration::from_secs(5), longest: Duration::from_secs(3) };
        assert_eq!(load, expected);
    }
}
