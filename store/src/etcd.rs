//! The store in etcd: what a cluster of separate processes, or of several API servers, shares.
//!
//! Upstream: apiserver/pkg/storage/etcd3
//! Left out: progress requests (servers before 3.4.31 and 3.5.13 answer them wrongly); encryption of values; learning
//! of new members (the endpoints are as configured).
//!
//! Revisions are etcd's own. All keys lie under one prefix that is ours alone; other users of the same etcd only make
//! revisions jump.

mod lease;
mod rounds;
mod transact;
mod watch;

use std::time::Duration;

use etcd_client::{
    Certificate, Client, CompactionOptions, ConnectOptions, GetOptions, Identity, TlsOptions, WatchOptions,
};
use futures::{FutureExt, future::BoxFuture};

use crate::{Key, KeyValue, Range, Revision, Snapshot, Store, StoreError, Txn, Watch};

/// How long a request may take before its outcome counts as unknown.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent connection is found dead within the sum of the two. The server refuses pings closer than 5 s.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(4));
/// The default of 4 MiB is less than a full history of large objects (servers send up to 2 GiB).
const DECODE_LIMIT: usize = i32::MAX as usize;
/// How many keys one answer of the server brings; a longer range is read in pages of one revision.
const PAGE: usize = 1000;

/// Where etcd is and how to prove who we are.
#[derive(Debug, Clone)]
pub struct Config {
    /// `https://127.0.0.1:2379` and the like, one per member.
    pub endpoints: Vec<String>,
    /// Put before every key as it is, so it should end with what no other prefix goes on with.
    pub prefix: String,
    pub tls: Option<Tls>,
}

impl Config {
    /// Endpoints with the default prefix, without TLS.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Config {
        let endpoints = endpoints.into_iter().map(Into::into).collect();
        Config { endpoints, prefix: "skiff:".into(), tls: None }
    }
}

/// Certificates and key, as PEM.
#[derive(Clone)]
pub struct Tls {
    /// Who may be the server.
    pub ca: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// A store in etcd.
pub struct Etcd {
    connection: Connection,
    rounds: rounds::Rounds,
    ledgers: transact::Ledgers,
    leases: lease::Leases,
}

/// The connection to etcd and the part of its key space that is ours.
#[derive(Clone)]
struct Connection {
    client: Client,
    prefix: Key,
}

impl Etcd {
    /// Connects and checks with one read that etcd answers.
    ///
    /// # Errors
    /// `Invalid` for a configuration that can't work, `Unavailable` when etcd does not answer.
    pub async fn connect(config: Config) -> Result<Etcd, StoreError> {
        if config.prefix.is_empty() {
            return Err(StoreError::Invalid("etcd needs a prefix that is ours alone".into()));
        }
        let mut options = ConnectOptions::new()
            .with_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1)
            .with_keep_alive_while_idle(true)
            .with_connect_timeout(Duration::from_secs(5))
            .with_require_leader(true);
        if let Some(tls) = &config.tls {
            let identity = Identity::from_pem(&tls.certificate, &tls.key);
            options =
                options.with_tls(TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.ca)).identity(identity));
        }
        let client = Client::connect(&config.endpoints, Some(options))
            .await
            .map_err(|error| StoreError::Invalid(format!("etcd at {}: {error}", config.endpoints.join(", "))))?;
        let connection = Connection { client, prefix: config.prefix.into() };
        connection.current().await?;
        Ok(Etcd {
            rounds: rounds::Rounds::new(connection.clone()),
            ledgers: transact::Ledgers::default(),
            leases: lease::Leases::default(),
            connection,
        })
    }
}

impl Store for Etcd {
    fn range(
        &self,
        range: Range,
        at: Option<Revision>,
        limit: Option<usize>,
    ) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        async move { self.connection.range(&range, at, limit).await }.boxed()
    }

    fn transact(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { transact::transact(&self.connection, &self.ledgers, &self.leases, txn).await }.boxed()
    }

    fn watch(&self, range: Range, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        async move {
            let current = self.rounds.current().await?;
            if after > current {
                return Err(StoreError::Future { requested: after, current });
            }
            watch::watch(self.connection.clone(), range, after).await
        }
        .boxed()
    }

    fn current(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.rounds.current().boxed()
    }

    fn compact(&self, oldest: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut kv = self.connection.client.kv_client();
            let options = CompactionOptions::new().with_physical();
            match in_time(kv.compact(number(oldest), Some(options))).await {
                Ok(_) | Err(Failure::Compacted) => Ok(()),
                Err(Failure::Future) => {
                    Err(StoreError::Future { requested: oldest, current: self.rounds.current().await? })
                }
                Err(failure) => Err(failure.of_a_read()),
            }
        }
        .boxed()
    }
}

impl Connection {
    /// The key as etcd has it.
    fn full(&self, key: &Key) -> Vec<u8> {
        [&self.prefix[..], key].concat()
    }

    /// Our key from etcd's.
    fn own(&self, full: &[u8]) -> Key {
        Key::copy_from_slice(full.strip_prefix(&self.prefix[..]).unwrap_or(full))
    }

    /// Start and end of the range as etcd has it.
    fn full_range(&self, range: &Range) -> (Vec<u8>, Vec<u8>) {
        let whole = Range::prefix(self.prefix.clone());
        let end = match &range.end {
            Some(end) => self.full(end),
            // The prefix is not empty, but it might end with 0xff: then its range ends where the key space does.
            None => whole.end.map_or(vec![0], |end| end.to_vec()),
        };
        (self.full(&range.start), end)
    }

    /// One read that any answered write precedes.
    async fn current(&self) -> Result<Revision, StoreError> {
        let mut kv = self.client.kv_client();
        let options = GetOptions::new().with_limit(1).with_keys_only();
        let answer = in_time(kv.get(&self.prefix[..], Some(options))).await.map_err(Failure::of_a_read)?;
        Ok(revision(answer.header().map_or(0, |header| header.revision())))
    }

    async fn range(&self, range: &Range, at: Option<Revision>, limit: Option<usize>) -> Result<Snapshot, StoreError> {
        let (mut start, end) = self.full_range(range);
        let mut snapshot = Snapshot { revision: at.unwrap_or_default(), items: Vec::new(), more: true };
        if range.is_empty() {
            return Ok(Snapshot { revision: self.current().await?, more: false, ..snapshot });
        }
        let mut at = at;
        while snapshot.more && limit.is_none_or(|limit| snapshot.items.len() < limit) {
            let page = limit.map_or(PAGE, |limit| (limit - snapshot.items.len()).min(PAGE));
            let mut options = GetOptions::new().with_range(end.clone()).with_limit(page as i64);
            if let Some(at) = at {
                options = options.with_revision(number(at));
            }
            let mut kv = self.client.kv_client().max_decoding_message_size(DECODE_LIMIT);
            let mut answer = match in_time(kv.get(start, Some(options))).await {
                Ok(answer) => answer,
                Err(Failure::Compacted) => return Err(self.compacted(at.unwrap_or_default()).await),
                Err(Failure::Future) => {
                    let requested = at.unwrap_or_default();
                    return Err(StoreError::Future { requested, current: self.current().await? });
                }
                Err(failure) => return Err(failure.of_a_read()),
            };
            let read_at = *at.get_or_insert(revision(answer.header().map_or(0, |header| header.revision())));
            snapshot.revision = read_at;
            snapshot.more = answer.more();
            for item in answer.take_kvs() {
                let modified = revision(item.mod_revision());
                let (key, value) = item.into_key_value();
                snapshot.items.push(KeyValue { key: self.own(&key), value: value.into(), modified });
            }
            start = snapshot.items.last().map_or(Vec::new(), |last| [&self.full(&last.key)[..], &[0]].concat());
        }
        Ok(snapshot)
    }

    /// The error for a read at `requested`, with the compaction point, which only a watch learns.
    async fn compacted(&self, requested: Revision) -> StoreError {
        let mut oldest = Revision(requested.0 + 1);
        let options = WatchOptions::new().with_start_revision(number(requested).max(1));
        let asked = async {
            let mut watch = self.client.watch_client().watch(&self.prefix[..], Some(options)).await.ok()?;
            loop {
                let answer = watch.message().await.ok()??;
                if answer.canceled() {
                    return Some(revision(answer.compact_revision()));
                }
            }
        };
        if let Ok(Some(point)) = tokio::time::timeout(REQUEST_TIMEOUT, asked).await {
            oldest = point;
        }
        StoreError::Compacted { requested, oldest }
    }
}

/// Why a request to etcd failed.
#[derive(Debug)]
enum Failure {
    Compacted,
    Future,
    LeaseGone,
    /// The request was refused as it is.
    Refused(StoreError),
    /// It never left this process, or etcd says that it did nothing.
    NotDone(String),
    /// It may have been carried out.
    Unanswered(String),
}

impl Failure {
    fn of(error: etcd_client::Error) -> Failure {
        let etcd_client::Error::GRpcStatus(status) = &error else { return Failure::Unanswered(error.to_string()) };
        let message = status.message();
        let has = |part: &str| message.contains(part);
        if has("mvcc: required revision has been compacted") {
            Failure::Compacted
        } else if has("mvcc: required revision is a future revision") {
            Failure::Future
        } else if has("requested lease not found") {
            Failure::LeaseGone
        } else if has("database space exceeded") {
            Failure::Refused(StoreError::NoSpace(message.to_owned()))
        } else if has("request is too large") || has("too many operations") || has("larger than max") {
            Failure::Refused(StoreError::Invalid(message.to_owned()))
        } else if has("too many requests") || has("permission denied") || has("connect error") {
            Failure::NotDone(message.to_owned())
        } else {
            Failure::Unanswered(error.to_string())
        }
    }

    fn of_a_read(self) -> StoreError {
        match self {
            Failure::Refused(error) => error,
            Failure::NotDone(message) | Failure::Unanswered(message) => StoreError::Unavailable(message),
            other => StoreError::Unavailable(format!("{other:?}")),
        }
    }

    fn of_a_write(self) -> StoreError {
        match self {
            Failure::Refused(error) => error,
            Failure::NotDone(message) => StoreError::Unavailable(message),
            Failure::Unanswered(message) => StoreError::Unknown(message),
            other => StoreError::Unavailable(format!("{other:?}")),
        }
    }
}

/// Waits for a request, but not for ever.
async fn in_time<T>(request: impl Future<Output = Result<T, etcd_client::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(Failure::of),
        Err(_) => Err(Failure::Unanswered(format!("etcd did not answer within {} s", REQUEST_TIMEOUT.as_secs()))),
    }
}

fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or(0))
}

fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}
