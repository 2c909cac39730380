//! Writes to an embedded store until it is killed, and tells its history on standard output.
//!
//! Upstream: etcd's tests/robustness/traffic
//! Left out: transactions of several keys; a tag finds one change.
//!
//! `store_writer DIRECTORY SEED FIRST_CLIENT BASE_NS COMPACT_TO`: `BASE_NS` is what the starter's clock showed just
//! before. Each line is one system call, so what was said is complete up to the moment of death.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use store::{Compare, Embedded, Op, Range, Revision, Store, StoreError, Txn, embedded::Options};
use tests::{
    history::{Answer, Called, Record, Request},
    tagged,
};

const CLIENTS: u32 = 12;
const KEYS: u32 = 30;

struct Writer {
    store: Arc<Embedded>,
    started: Instant,
    base_ns: u64,
    client: u32,
    random: fastrand::Rng,
    /// The revision of each key that this client last heard of.
    known: Vec<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seed, first_client, base_ns, compact_to] = &arguments[..] else {
        anyhow::bail!("usage: store_writer DIRECTORY SEED FIRST_CLIENT BASE_NS COMPACT_TO");
    };
    let options = Options { segment_bytes: 256 << 10, held_bytes: 64 << 10, tap: None };
    let store = Arc::new(Embedded::open_with(directory, options)?);
    store.compact(Revision(compact_to.parse()?)).await?;
    let (seed, first, base_ns): (u64, u32, u64) = (seed.parse()?, first_client.parse()?, base_ns.parse()?);
    let mut clients = Vec::new();
    for client in first..first + CLIENTS {
        let random = fastrand::Rng::with_seed(seed ^ u64::from(client));
        let known = vec![0; KEYS as usize];
        let mut writer = Writer { store: store.clone(), started, base_ns, client, random, known };
        clients.push(tokio::spawn(async move {
            for id in 0.. {
                writer.operate(id).await?;
            }
            anyhow::Ok(())
        }));
    }
    for client in clients {
        client.await.context("a client panicked")??;
    }
    Ok(())
}

impl Writer {
    async fn operate(&mut self, id: u64) -> anyhow::Result<()> {
        let index = self.random.usize(..self.known.len());
        let request = self.request(id, index);
        let (client, at_ns) = (self.client, self.now_ns());
        say(&Record::Called(Called { client, id, at_ns, request: request.clone() }))?;
        let answer = self.ask(&request, index).await?;
        say(&Record::Returned { client, id, at_ns: self.now_ns(), answer })
    }

    fn now_ns(&self) -> u64 {
        self.base_ns + self.started.elapsed().as_nanos() as u64
    }

    fn request(&mut self, id: u64, index: usize) -> Request {
        let key = format!("/k/{index:02}");
        let tag = format!("c{}-{id}", self.client);
        match (self.random.u32(..20), self.known[index]) {
            (0, _) => Request::List { prefix: "/k/".into(), at: None },
            (_, 0) => Request::Create { key, tag },
            (1..3, known) => Request::Delete { key, expected: Some(known) },
            (_, known) => Request::Update { key, tag, expected: Some(known) },
        }
    }

    async fn ask(&mut self, request: &Request, index: usize) -> anyhow::Result<Answer> {
        let (key, expected, tag) = match request {
            Request::List { prefix, .. } => {
                let snapshot = self.store.range(Range::prefix(prefix.clone()), None, None).await?;
                return Ok(Answer::Listed { revision: snapshot.revision.0, items: tagged::items(&snapshot)? });
            }
            Request::Create { key, tag } => (key, 0, Some(tag)),
            Request::Update { key, tag, expected } => (key, expected.unwrap_or_default(), Some(tag)),
            Request::Delete { key, expected } => (key, expected.unwrap_or_default(), None),
        };
        let key = store::Key::from(key.clone());
        let compare = match expected {
            0 => Compare::Absent(key.clone()),
            expected => Compare::Modified(key.clone(), Revision(expected)),
        };
        let op = match tag {
            Some(tag) => Op::Put { key, value: tagged::value(tag, self.random.usize(..3000)).into(), ttl: None },
            None => Op::Delete { key },
        };
        match self.store.transact(Txn { compares: vec![compare], ops: vec![op] }).await {
            Ok(revision) => {
                self.known[index] = if tag.is_some() { revision.0 } else { 0 };
                Ok(Answer::Written { revision: revision.0 })
            }
            Err(StoreError::Conflict { actual, .. }) => {
                self.known[index] = actual.0;
                Ok(Answer::Refused)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn say(record: &Record) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(io::stdout().lock().write_all(&line).and_then(|()| io::stdout().flush())?)
}
