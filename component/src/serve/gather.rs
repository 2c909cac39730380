//! Lets a connection wait for others: what many tasks give it in one round of the runtime it sends in one piece.
//!
//! Upstream: none; Go's HTTP/2 server has one goroutine that writes all frames that wait for it
//! Left out: HTTP/1, where one answer is all there is to send.
//!
//! The runtime polls the task first that was woken last. A connection with many answers under way would be polled after
//! each of them; and HTTP/2 flushes after each frame of data. Every answer, every event of a watch would be a record of
//! TLS and a system call of its own. So a connection that is woken goes to the end of the queue first, and what it has
//! to send leaves when it has nothing more. With nothing else to do that costs next to nothing; under load answers, and
//! requests, are handled by the dozen.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// The most that one TLS record holds.
const RECORD_BYTES: usize = 16 << 10;

/// Serves a stream: `serve` makes the future of the connection, over a stream that flushes when that future waits.
pub fn gathered<S: AsyncWrite + Unpin, F: Future>(stream: S, serve: impl FnOnce(Stream<S>) -> F) -> Gathered<S, F> {
    let stream = Stream(Arc::new(Mutex::new(State {
        stream: BufWriter::with_capacity(RECORD_BYTES, stream),
        unflushed: false,
        failed: None,
    })));
    Gathered { inner: Box::pin(serve(stream.clone())), stream, has_waited: false }
}

/// A connection that is polled only after the tasks that were ready when it was woken.
pub struct Gathered<S, F> {
    inner: Pin<Box<F>>,
    stream: Stream<S>,
    has_waited: bool,
}

impl<S: AsyncWrite + Unpin, F: Future> Future for Gathered<S, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.has_waited = !self.has_waited;
        if self.has_waited {
            // A task that wakes itself is put at the end of the queue.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.inner.as_mut().poll(context);
        self.stream.state().flush(context);
        polled
    }
}

/// The two ends of a connection's stream: the connection writes, and its [`Gathered`] flushes.
pub struct Stream<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    stream: BufWriter<S>,
    unflushed: bool,
    /// Why flushing failed; the connection is told when it next reads or writes.
    failed: Option<io::Error>,
}

impl<S> Clone for Stream<S> {
    fn clone(&self) -> Stream<S> {
        Stream(self.0.clone())
    }
}

impl<S> Stream<S> {
    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> State<S> {
    fn flush(&mut self, context: &mut Context<'_>) {
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(context)
        {
            self.unflushed = false;
            if let Err(error) = flushed {
                self.failed = Some(error);
                context.waker().wake_by_ref();
            }
        }
    }

    /// The stream, unless it has failed.
    fn sound(&mut self) -> io::Result<Pin<&mut BufWriter<S>>> {
        self.failed.take().map_or_else(|| Ok(Pin::new(&mut self.stream)), Err)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.state().sound()?.poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.unflushed = true;
        state.sound()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.unflushed = true;
        state.sound()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Not yet: when the connection waits.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().sound().map(drop).into()
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let ended = ready!(state.sound()?.poll_shutdown(context));
        state.unflushed = false;
        ended.into()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc,
    };

    use super::*;

    /// Counts how often what was written leaves.
    struct Counted<S>(S, Arc<Mutex<usize>>);

    impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            *self.1.lock().unwrap() += 1;
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    /// Writes and flushes each answer as it comes.
    async fn send(mut stream: impl AsyncWrite + Unpin, mut answers: mpsc::Receiver<&'static str>) {
        while let Some(answer) = answers.recv().await {
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream.shutdown().await.unwrap();
    }

    /// How often a connection writes when three tasks answer in one round, and three in the next.
    async fn writes(is_gathered: bool) -> usize {
        let ((near, mut far), count) = (tokio::io::duplex(64), Arc::new(Mutex::new(0)));
        let (answer, answers) = mpsc::channel(8);
        let stream = Counted(near, count.clone());
        match is_gathered {
            true => drop(tokio::spawn(gathered(stream, |stream| send(stream, answers)))),
            false => drop(tokio::spawn(send(stream, answers))),
        }
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
        let mut sent = String::new();
        far.read_to_string(&mut sent).await.unwrap();
        assert_eq!(sent.len(), 6);
        *count.lock().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_many_tasks_give_in_one_round_is_sent_in_one_piece() {
        // On the worker, where the task that was woken last is polled first.
        assert_eq!(tokio::spawn(writes(true)).await.unwrap(), 2);
        assert_eq!(tokio::spawn(writes(false)).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn a_stream_that_takes_little_gets_everything_and_one_that_fails_ends_its_connection() {
        let (near, mut far) = tokio::io::duplex(16);
        let connection = |mut stream: Stream<_>| async move {
            stream.write_all(&[7; 100_000]).await?;
            stream.flush().await?;
            stream.read_u8().await
        };
        let serving = tokio::spawn(gathered(near, connection));
        let mut received = vec![0; 100_000];
        far.read_exact(&mut received).await.unwrap();
        assert!(received.iter().all(|byte| *byte == 7));
        far.write_u8(8).await.unwrap();
        assert_eq!(serving.await.unwrap().unwrap(), 8);

        let (near, far) = tokio::io::duplex(16);
        drop(far);
        let connection = |mut stream: Stream<_>| async move {
            stream.write_all(&[7; 100]).await?;
            stream.flush().await?;
            // HTTP/2 reads as long as the connection lives.
            std::future::poll_fn(|context| {
                let mut byte = [0];
                let mut byte = ReadBuf::new(&mut byte);
                match Pin::new(&mut stream).poll_read(context, &mut byte) {
                    Poll::Ready(Err(error)) => Poll::Ready(io::Result::<()>::Err(error)),
                    _ => Poll::Pending,
                }
            })
            .await
        };
        let failure = tokio::spawn(gathered(near, connection)).await.unwrap().unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::BrokenPipe);
    }
}
