//! Progress for people: one line a step, with the time that it took.
//!
//! Upstream: none
//! Left out: progress within a step.

use std::{
    future::Future,
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Runs a step, and prints its name and how long it took when it is done.
///
/// # Errors
/// The step's.
pub async fn step<T>(name: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let started = Instant::now();
    let spinner = spinner(name);
    let outcome = work.await;
    spinner.finish_and_clear();
    let mark = if outcome.is_ok() { "✓" } else { "✗" };
    print_line(mark, name, started.elapsed());
    outcome
}

fn spinner(name: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed}").expect("a valid template");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn print_line(mark: &str, name: &str, took: Duration) {
    let seconds = took.as_secs_f64();
    // Nobody is there to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "  {mark} {name:<52} {seconds:>6.1} s");
}
