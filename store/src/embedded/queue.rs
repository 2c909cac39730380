//! What waits for the sequencer.
//!
//! Upstream: etcd's raft proposal channel
//! Left out: a bound; the API server bounds the requests in flight.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::checkpoint;
use crate::{Op, Revision, StoreError, Txn};

/// One batch is not made larger than this, so that its sync does not take long.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_REQUESTS: usize = 4096;

/// Something for the sequencer to do.
pub(super) enum Request {
    Transact {
        txn: Txn,
        answer: oneshot::Sender<Result<Revision, StoreError>>,
    },
    Compact {
        oldest: Revision,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    /// The checkpoint that the sequencer had asked for is done, or is not.
    Checkpointed(Result<checkpoint::Written, checkpoint::Failure>),
}

/// Requests in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    /// Whether the sequencer may take them: not while who came first still waits for others to come.
    ready: bool,
    closed: bool,
}

/// Held by who put the first request into an empty queue. Until it is dropped the sequencer lets more come.
#[must_use]
pub(super) struct First<'a>(&'a Queue);

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.0.state().ready = true;
        self.0.filled.notify_one();
    }
}

/// What became of a request that was pushed.
pub(super) enum Pushed<'a> {
    First(First<'a>),
    BehindOthers,
    /// The queue is closed: it will not be served.
    Closed,
}

impl Queue {
    /// Puts a request behind the others.
    pub(super) fn push(&self, request: Request) -> Pushed<'_> {
        let mut state = self.state();
        if state.closed {
            return Pushed::Closed;
        }
        state.requests.push_back(request);
        if state.requests.len() == 1 { Pushed::First(First(self)) } else { Pushed::BehindOthers }
    }

    /// No more requests; those that are there are still served.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    /// The next batch, empty when none came within `wait` (`None` waits for ever). `None` when the queue is closed and
    /// all was taken.
    pub(super) fn take(&self, wait: Option<Duration>) -> Option<Vec<Request>> {
        let state = self.state();
        let idle = |state: &mut State| !state.closed && (state.requests.is_empty() || !state.ready);
        let mut state = match wait {
            None => self.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(wait) => self.filled.wait_timeout_while(state, wait, idle).unwrap_or_else(PoisonError::into_inner).0,
        };
        if state.requests.is_empty() && state.closed {
            return None;
        }
        if !state.ready && !state.closed {
            return Some(Vec::new());
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_REQUESTS {
            let Some(request) = state.requests.pop_front() else { break };
            bytes += size(&request);
            batch.push(request);
        }
        state.ready = !state.requests.is_empty();
        Some(batch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(request: &Request) -> usize {
    let Request::Transact { txn, .. } = request else { return 0 };
    let value = |op: &Op| if let Op::Put { value, .. } = op { value.len() } else { 0 };
    txn.ops.iter().map(|op| op.key().len() + value(op)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transact() -> Request {
        Request::Transact { txn: Txn::default(), answer: oneshot::channel().0 }
    }

    #[test]
    fn a_batch_is_taken_when_who_came_first_lets_it_go() {
        let queue = Queue::default();
        let Pushed::First(first) = queue.push(transact()) else { panic!("the queue was empty") };
        assert!(matches!(queue.push(transact()), Pushed::BehindOthers));
        assert_eq!(queue.take(Some(Duration::ZERO)).unwrap().len(), 0, "more may come");
        // Also when it never gets that far: its request was cancelled.
        drop(first);
        assert_eq!(queue.take(None).unwrap().len(), 2);
        assert!(matches!(queue.push(transact()), Pushed::First(_)));
        assert_eq!(queue.take(None).unwrap().len(), 1);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_takes_no_more() {
        let queue = Queue::default();
        let first = queue.push(transact());
        queue.close();
        assert!(matches!(queue.push(transact()), Pushed::Closed));
        assert_eq!(queue.take(None).unwrap().len(), 1);
        assert!(queue.take(None).is_none());
        drop(first);
    }
}
