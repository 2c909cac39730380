//! The runtime of the processes that serve the API.
//!
//! Upstream: none; Go's runtime looks at the network at least every 10 ms (sysmon in runtime/proc.go)
//! Left out: a runtime of its own for what is long, such as lists: they are given way to, not kept apart.

use std::io;

/// After how many tasks a worker that is never idle looks at its sockets. With tokio's own number, 61, a write beside
/// two lists of 10,000 pods took 70 to 96 ms (the 99th percentile), with this one 46 to 50: a task that sends a list is
/// busy for about a millisecond.
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
