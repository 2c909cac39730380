//! The clock of TTLs: the wall clock as it was at the start, then a steady one.
//!
//! Upstream: etcd's server/lease, which counts from its own start and writes what is left to its log
//! Left out: following the wall clock while running; a jump would end TTLs too early.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, never going back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started_ms: u64,
    started: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { started_ms: milliseconds(since), started: Instant::now() }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.started_ms.saturating_add(milliseconds(self.started.elapsed()))
    }
}

/// When a TTL of `ttl_ms` that was written at `written_ms` ends. A clock that has gone back since then does not make
/// it longer.
pub(super) fn deadline_ms(written_ms: u64, ttl_ms: u64, now_ms: u64) -> u64 {
    written_ms.saturating_add(ttl_ms).min(now_ms.saturating_add(ttl_ms))
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_ends_when_it_was_to_whatever_the_clock_has_done() {
        assert_eq!(deadline_ms(1000, 500, 1200), 1500, "the time when nobody ran counts");
        assert_eq!(deadline_ms(1000, 500, 9000), 1500, "it may be over at once");
        assert_eq!(deadline_ms(1000, 500, 100), 600, "a clock that went back adds nothing");
    }
}
