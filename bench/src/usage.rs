//! What a process has used: processor time and memory, from /proc.
//!
//! Upstream: none
//! Left out: page faults, I/O.

use std::{fs, time::Duration};

use anyhow::Context;

/// The kernel's unit of processor time in /proc, on every architecture: USER_HZ.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time, of all its threads, that a process has used.
///
/// # Errors
/// There is no such process.
pub fn processor_time(pid: i32) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    // The name, in parentheses, may hold spaces. After it, utime and stime are the 12th and 13th fields.
    let (_, fields) = text.rsplit_once(')').context("a name in parentheses")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The memory of a process that is in RAM, in bytes.
///
/// # Errors
/// There is no such process.
pub fn resident_bytes(pid: i32) -> anyhow::Result<u64> {
    skiff::process::resident_bytes(pid).with_context(|| format!("process {pid}"))
}

/// Microseconds of processor time per operation, of a process and since `before`.
///
/// # Errors
/// There is no such process.
pub fn per_operation_us(pid: i32, before: Duration, operations: usize) -> anyhow::Result<f64> {
    let used = processor_time(pid)?.saturating_sub(before);
    Ok(rounded(used.as_secs_f64() * 1e6 / operations as f64))
}

/// Three digits say enough.
pub fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!((rounded(12_345.0), rounded(87.65), rounded(0.0)), (12_300.0, 87.7, 0.0));
    }

    #[test]
    fn this_process_has_used_memory() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        processor_time(pid).unwrap();
    }
}
