//! The runtime of the processes that serve the API.
//!
//! Upstream: none; Go's runtime looks at the network at least every 10 ms (sysmon in runtime/proc.go)
//! Left out: a runtime of its own for what is long, such as lists: they take turns (apiserver/src/answer/lane.rs).

use std::io;

/// After how many tasks a worker that is never idle looks at its sockets. One that sends a list may be the only one that
/// looks, for a worker without work sleeps where no socket wakes it. With tokio's own number, 61, a write beside two
/// lists of 10,000 pods took twice as long as with 13 (the 99th percentile, before lists took turns). With 5 it is no
/// sooner done, and a create costs more: what comes is handled in smaller parts.
const EVENT_INTERVAL: u32 = 13;

/// Runs a program's main task, and what it starts, until it ends.
///
/// # Errors
/// The kernel gives no threads or no epoll.
pub fn block_on<F: Future>(main: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(EVENT_INTERVAL).build()?;
    Ok(runtime.block_on(main))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_main_task_and_its_children_run_to_the_end() {
        let sum = super::block_on(async { tokio::spawn(async { 20 }).await.map(|twenty| twenty + 1) });
        assert_eq!(sum.expect("a runtime").expect("no panic"), 21);
    }
}
