//! A watch that outlives its connection.
//!
//! Upstream: apiserver/pkg/storage/etcd3/watcher.go; etcd's Go client resumes by itself, the Rust one does not
//! Left out: progress notifications, fragments of one revision (the decode limit is high enough for a whole one).
//!
//! After a broken connection the watch goes on after the last revision it showed. What etcd sends again is dropped. A
//! revision that falls (an etcd restored from an older backup, a member that lags) ends the watch: the caller lists
//! again rather than trust it.

use std::{collections::VecDeque, time::Duration};

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use futures::stream;

use super::{Connection, DECODE_LIMIT, Failure, in_time, number, revision};
use crate::{Commit, Event, Range, Revision, StoreError, Watch};

/// The first pause before a new connection; it doubles up to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

struct Follower {
    connection: Connection,
    range: Range,
    /// The last revision that was shown; before the first, where the watch began.
    shown: Revision,
    stream: Option<WatchStream>,
    ready: VecDeque<Commit>,
}

/// Follows the commits after `after`.
///
/// # Errors
/// `Unavailable` when etcd does not open the watch. That history is gone may show only in the stream.
pub(super) async fn watch(connection: Connection, range: Range, after: Revision) -> Result<Watch, StoreError> {
    let shown = after.max(Revision(1));
    let mut follower = Follower { connection, range, shown, stream: None, ready: VecDeque::new() };
    follower.stream = Some(follower.open().await.map_err(Failure::of_a_read)?);
    Ok(Box::pin(stream::try_unfold(follower, |mut follower| async {
        let commit = follower.next().await?;
        Ok(Some((commit, follower)))
    })))
}

impl Follower {
    /// Opens the watch at the revision that was shown last, not the one after it: etcd then refuses when that revision
    /// was compacted past, and old servers lose deletes right at the compaction point.
    async fn open(&self) -> Result<WatchStream, Failure> {
        let (start, end) = self.connection.full_range(&self.range);
        let options = WatchOptions::new().with_range(end).with_start_revision(number(self.shown)).with_prev_key();
        let mut client = self.connection.client.watch_client().max_decoding_message_size(DECODE_LIMIT);
        in_time(client.watch(start, Some(options))).await
    }

    async fn next(&mut self) -> Result<Commit, StoreError> {
        let mut pause = PAUSE.0;
        loop {
            if let Some(commit) = self.ready.pop_front() {
                self.shown = commit.revision;
                return Ok(commit);
            }
            let Some(stream) = &mut self.stream else {
                match self.open().await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(failure) => {
                        tracing::warn!(after = %self.shown, ?failure, "etcd watch: can't resume, trying again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                }
                continue;
            };
            match stream.message().await {
                Ok(Some(response)) => self.take(&response)?,
                broken => {
                    tracing::info!(after = %self.shown, ?broken, "etcd watch: connection lost, resuming");
                    self.stream = None;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// Turns a response into commits.
    fn take(&mut self, response: &WatchResponse) -> Result<(), StoreError> {
        if response.compact_revision() > 0 {
            let oldest = revision(response.compact_revision());
            return Err(StoreError::Compacted { requested: self.shown, oldest });
        }
        if response.canceled() {
            tracing::info!(reason = response.cancel_reason(), "etcd watch: cancelled by the server, resuming");
            self.stream = None;
            return Ok(());
        }
        let server = revision(response.header().map_or(0, |header| header.revision()));
        if server < self.shown {
            let text = format!("etcd's revision fell from {} to {server}: an older state was restored", self.shown);
            return Err(StoreError::Unavailable(text));
        }
        for event in response.events() {
            let Some(item) = event.kv() else { continue };
            let at = revision(item.mod_revision());
            let newest = self.ready.back().map_or(self.shown, |commit| commit.revision);
            if at <= self.shown || at < newest {
                continue;
            }
            if at > newest || self.ready.is_empty() {
                self.ready.push_back(Commit { revision: at, events: Vec::new() });
            }
            let value = match event.event_type() {
                EventType::Put => Some(item.value().to_vec().into()),
                EventType::Delete => None,
            };
            let previous = event.prev_kv().map(|previous| previous.value().to_vec().into());
            let event = Event { key: self.connection.own(item.key()), value, previous };
            self.ready.back_mut().expect("a commit was pushed").events.push(event);
        }
        for commit in &mut self.ready {
            commit.events.sort_by(|a, b| a.key.cmp(&b.key));
        }
        Ok(())
    }
}
