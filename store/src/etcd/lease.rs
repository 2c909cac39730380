//! Leases for keys with a TTL, shared by keys that were written close to each other.
//!
//! Upstream: apiserver/pkg/storage/etcd3/lease_manager.go
//! Left out: nothing.
//!
//! A lease costs etcd a write, and every renewal of leadership visits all leases; so one serves the keys of a sixtieth
//! of the TTL (a minute, of an hour), and they go a little late and together.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{Connection, Failure, in_time};

/// The most keys on one lease, since all of them are deleted in one transaction (upstream's number).
const KEYS_PER_LEASE: u32 = 1000;

#[derive(Default)]
pub(super) struct Leases {
    /// By TTL. The lock is held while a lease is granted, so that those who come meanwhile share it.
    open: Mutex<HashMap<Duration, Lease>>,
}

struct Lease {
    id: i64,
    /// Until then a key that is put on the lease lives at least its TTL.
    open_until: Instant,
    keys: u32,
}

impl Leases {
    /// A lease that lasts at least `ttl` from now.
    pub(super) async fn lease(&self, connection: &Connection, ttl: Duration) -> Result<i64, Failure> {
        let mut open = self.open.lock().await;
        let now = Instant::now();
        open.retain(|_, lease| lease.open_until > now && lease.keys < KEYS_PER_LEASE);
        if let Some(lease) = open.get_mut(&ttl) {
            lease.keys += 1;
            return Ok(lease.id);
        }
        let width = (ttl / 60).min(Duration::from_secs(60));
        let open_until = now + width;
        // A second more: the write itself takes time.
        let seconds = (ttl + width).as_secs() + 2;
        let mut client = connection.client.lease_client();
        let granted = in_time(client.grant(i64::try_from(seconds).unwrap_or(i64::MAX), None)).await?;
        open.insert(ttl, Lease { id: granted.id(), open_until, keys: 1 });
        Ok(granted.id())
    }

    /// Gives up leases that etcd no longer knows.
    pub(super) async fn forget(&self) {
        self.open.lock().await.clear();
    }
}
