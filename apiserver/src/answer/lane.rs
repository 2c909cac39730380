//! Lets long answers leave one after the other, so that short ones never wait for all of them.
//!
//! Upstream: apiserver/pkg/util/flowcontrol (a list takes seats by its size; who finds none waits in a queue)
//! Left out: widths, queues per user.
//!
//! To encrypt and send a long list keeps a core busy for tens of milliseconds, and as many lists as there are cores keep
//! all of them busy: each step of a write then waits until the kernel takes a core from a list. Two lists that share the
//! cores are no sooner complete than two that take turns. So one core is left to the others, long answers leave on the
//! rest, one on each, and who comes later waits in the order of coming. A client that reads slowly loses its turn to
//! whoever waits.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// How much of an answer leaves at once; what is longer takes turns with others.
const FREE_BYTES: usize = 1 << 20;

/// After how long without a piece an answer gives way, because its client does not read.
const IDLE: Duration = Duration::from_millis(25);

/// After how long an answer gives way in any case. A list of 10,000 pods takes less.
const TURN: Duration = Duration::from_millis(100);

/// The lanes of this process, which has one machine's cores.
static LANES: LazyLock<Arc<Mutex<Queue>>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Mutex::new(Queue::new(cores.saturating_sub(1).max(1))))
});

/// Who is in a lane, and who waits for one, first come first. An answer is known by what wakes it.
struct Queue {
    lanes: usize,
    inside: Vec<Inside>,
    waiting: VecDeque<Arc<Notify>>,
}

struct Inside {
    turn: Arc<Notify>,
    entered: Instant,
    last_piece: Instant,
}

impl Inside {
    /// When it has to give way to whoever waits.
    fn until(&self) -> Instant {
        (self.last_piece + IDLE).min(self.entered + TURN)
    }
}

/// What an answer that asks for its turn is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Go,
    /// Others are before it.
    Wait,
    /// It is the next one: at this time at the latest a place is free, if it asks again.
    WaitUntil(Instant),
}

impl Queue {
    fn new(lanes: usize) -> Queue {
        Queue { lanes, inside: Vec::new(), waiting: VecDeque::new() }
    }

    /// Asks for the next piece of an answer. `turn` is woken when it is the next one, or a lane is free.
    fn ask(&mut self, turn: &Arc<Notify>, now: Instant) -> Told {
        if let Some(inside) = self.inside.iter_mut().find(|inside| Arc::ptr_eq(&inside.turn, turn)) {
            if self.waiting.is_empty() || inside.until() > now {
                inside.last_piece = now;
                return Told::Go;
            }
            // What came after it is first now; it is the last to come again.
            self.leave(turn);
        }
        if !self.waiting.iter().any(|waiting| Arc::ptr_eq(waiting, turn)) {
            self.waiting.push_back(turn.clone());
        }
        if self.waiting.front().is_some_and(|first| !Arc::ptr_eq(first, turn)) {
            return Told::Wait;
        }
        self.inside.sort_by_key(Inside::until);
        if let Some(slowest) = self.inside.first().filter(|_| self.inside.len() >= self.lanes) {
            if slowest.until() > now {
                return Told::WaitUntil(slowest.until());
            }
            self.inside.remove(0);
        }
        self.waiting.pop_front();
        self.inside.push(Inside { turn: turn.clone(), entered: now, last_piece: now });
        self.wake_next();
        Told::Go
    }

    /// An answer is complete, or its client is gone.
    fn leave(&mut self, turn: &Arc<Notify>) {
        self.inside.retain(|inside| !Arc::ptr_eq(&inside.turn, turn));
        self.waiting.retain(|waiting| !Arc::ptr_eq(waiting, turn));
        self.wake_next();
    }

    fn wake_next(&self) {
        if let Some(turn) = self.waiting.front() {
            turn.notify_one();
        }
    }
}

/// One answer on its way.
pub struct Place {
    queue: Arc<Mutex<Queue>>,
    turn: Arc<Notify>,
    sent: usize,
}

impl Place {
    /// A place among this process's answers.
    pub fn new() -> Place {
        Place::among(&LANES)
    }

    fn among(queue: &Arc<Mutex<Queue>>) -> Place {
        Place { queue: queue.clone(), turn: Arc::default(), sent: 0 }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the next piece may leave.
    pub async fn turn(&mut self) {
        if self.sent < FREE_BYTES {
            return;
        }
        // The kernel would let this thread keep its core for milliseconds; each step of a write that waits for one goes
        // first. When none does, this costs a system call.
        std::thread::yield_now();
        // The worker that sends a list may be the only one that looks at the sockets, and does so when it is yielded to.
        tokio::task::yield_now().await;
        loop {
            let told = self.queue().ask(&self.turn, Instant::now());
            match told {
                Told::Go => return,
                Told::Wait => self.turn.notified().await,
                // Either way it asks again.
                Told::WaitUntil(time) => drop(timeout_at(time, self.turn.notified()).await),
            }
        }
    }

    /// Notes what left.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.sent >= FREE_BYTES {
            self.queue().leave(&self.turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// A queue of one lane, three answers, and a clock that starts at 0 ms.
    fn queue() -> (Queue, [Arc<Notify>; 3], impl Fn(u64) -> Instant) {
        let began = Instant::now();
        (Queue::new(1), [(); 3].map(|()| Arc::default()), move |ms| began + Duration::from_millis(ms))
    }

    #[test]
    fn answers_leave_in_the_order_of_coming() {
        let (mut queue, [a, b, c], at) = queue();
        assert_eq!(queue.ask(&a, at(0)), Told::Go);
        assert_eq!(queue.ask(&b, at(1)), Told::WaitUntil(at(25)));
        assert_eq!(queue.ask(&c, at(1)), Told::Wait);
        assert_eq!(queue.ask(&a, at(5)), Told::Go);
        assert_eq!(queue.ask(&b, at(10)), Told::WaitUntil(at(30)));
        queue.leave(&a);
        assert!(b.notified().now_or_never().is_some());
        assert_eq!(queue.ask(&c, at(11)), Told::Wait);
        assert_eq!(queue.ask(&b, at(11)), Told::Go);
        queue.leave(&b);
        assert_eq!(queue.ask(&c, at(12)), Told::Go);
    }

    #[test]
    fn who_does_not_read_or_takes_long_gives_way_to_who_waits() {
        let (mut queue, [a, b, _], at) = queue();
        assert_eq!(queue.ask(&a, at(0)), Told::Go);
        assert_eq!(queue.ask(&b, at(1)), Told::WaitUntil(at(25)));
        assert_eq!(queue.ask(&b, at(25)), Told::Go);
        assert_eq!(queue.ask(&a, at(26)), Told::WaitUntil(at(50)));
        for ms in (30..125).step_by(5) {
            assert_eq!(queue.ask(&b, at(ms)), Told::Go, "{ms} ms");
        }
        // It asks first, and yet its turn is over.
        assert_eq!(queue.ask(&b, at(125)), Told::Wait);
        assert_eq!(queue.ask(&a, at(125)), Told::Go);
    }

    #[test]
    fn who_is_alone_goes_on() {
        let (mut queue, [a, ..], at) = queue();
        for ms in [0, 50, 500, 5000] {
            assert_eq!(queue.ask(&a, at(ms)), Told::Go);
        }
    }

    #[tokio::test]
    async fn a_long_answer_waits_until_the_one_before_it_ends_and_a_short_one_does_not() {
        let queue = Arc::new(Mutex::new(Queue::new(1)));
        let [mut first, mut second, mut third] = [(); 3].map(|()| Place::among(&queue));
        for place in [&mut first, &mut second] {
            place.turn().await;
            place.sent(FREE_BYTES);
        }
        first.turn().await;
        let turn = second.turn.clone();
        let mut waiting = std::pin::pin!(second.turn());
        while queue.lock().unwrap().waiting.is_empty() {
            assert!(futures::poll!(&mut waiting).is_pending());
        }
        third.turn().await;
        drop(first);
        waiting.await;
        assert!(queue.lock().unwrap().inside.iter().all(|inside| Arc::ptr_eq(&inside.turn, &turn)));
        assert_eq!(queue.lock().unwrap().inside.len(), 1);
    }
}
