//! Lets a connection wait for the others: what many tasks give it in one round of the runtime it sends in one piece.
//!
//! Upstream: none; Go's HTTP/2 server has one goroutine that writes all frames that wait for it
//! Left out: nothing.
//!
//! The runtime polls the task first that was woken last. A connection with many answers under way would be polled after
//! each of them, and encrypt and send each alone. So a connection that is woken goes to the end of the queue first. With
//! nothing else to do that costs next to nothing; under load answers, and requests, are handled by the dozen.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// A future that is polled only after the tasks that were ready when it was woken.
pub struct Gathered<F> {
    inner: F,
    has_waited: bool,
}

impl<F> Gathered<F> {
    pub fn new(inner: F) -> Gathered<F> {
        Gathered { inner, has_waited: false }
    }
}

impl<F: Future + Unpin> Future for Gathered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.has_waited = !self.has_waited;
        if self.has_waited {
            // A task that wakes itself is put at the end of the queue.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// The pieces that a connection sends when three tasks answer in one round, and three in the next.
    async fn pieces(gathered: bool) -> Vec<String> {
        let (answer, mut answers) = mpsc::channel(8);
        let connection = Box::pin(async move {
            let mut pieces = Vec::new();
            while let Some(first) = answers.recv().await {
                let mut piece: Vec<&str> = vec![first];
                while let Ok(next) = answers.try_recv() {
                    piece.push(next);
                }
                pieces.push(piece.concat());
            }
            pieces
        });
        let connection = match gathered {
            true => tokio::spawn(Gathered::new(connection)),
            false => tokio::spawn(connection),
        };
        for _ in 0..2 {
            // The connection waits, and after the answers it has both its turns.
            tokio::task::yield_now().await;
            for text in ["a", "b", "c"] {
                let answer = answer.clone();
                tokio::spawn(async move { answer.send(text).await });
            }
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        drop(answer);
        connection.await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_many_tasks_give_in_one_round_is_sent_in_one_piece() {
        // On the worker, where the task that was woken last is polled first.
        let gathered = tokio::spawn(pieces(true)).await.unwrap();
        assert_eq!(gathered.iter().map(String::len).collect::<Vec<_>>(), [3, 3], "{gathered:?}");
        let alone = tokio::spawn(pieces(false)).await.unwrap();
        assert!(alone.len() > 2 && alone.concat().len() == 6, "{alone:?}");
    }
}
