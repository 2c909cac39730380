//! Asks an HTTP server again and again, never twice for the same: every failure counts.
//!
//! Prints one JSON object: how many answers began with which first line, and each failure with its time. With
//! `--resolve` it looks a name up, with `--idle` it only waits to be told to stop: a pod to run it in.
//!
//! Upstream: none
//! Left out: TLS, redirects, retries.

use std::{
    collections::{BTreeMap, BTreeSet},
    future, io,
    net::IpAddr,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Uri,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpStream, lookup_host},
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, timeout},
};

#[derive(Debug, Parser)]
struct Flags {
    /// What to ask for.
    #[arg(required_unless_present_any = ["idle", "resolve"])]
    url: Option<Uri>,
    #[arg(long, default_value_t = 1)]
    requests: u64,
    /// Requests until the standard input ends, instead of a number of them.
    #[arg(long, conflicts_with = "requests")]
    until_eof: bool,
    /// One request begins each so many milliseconds, unless the one before is not answered yet.
    #[arg(long, default_value_t = 0)]
    every_ms: u64,
    #[arg(long, value_enum, default_value_t = Connections::New)]
    connections: Connections,
    /// How long an answer may take.
    #[arg(long, default_value_t = 5000)]
    timeout_ms: u64,
    /// Prints the addresses of a name, one a line, and asks nothing.
    #[arg(long, value_name = "NAME")]
    resolve: Option<String>,
    /// Only waits for SIGTERM.
    #[arg(long)]
    idle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Connections {
    /// One for each request.
    New,
    /// One for as long as the server keeps it.
    Kept,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    if let Some(name) = &flags.resolve {
        let addresses: BTreeSet<IpAddr> = lookup_host((name.as_str(), 0)).await?.map(|found| found.ip()).collect();
        addresses.iter().for_each(|address| println!("{address}"));
        return Ok(());
    }
    if let Some(url) = flags.url.clone().filter(|_| !flags.idle) {
        let mut client = Client::new(url, flags.connections)?;
        println!("{}", run(&mut client, &flags).await);
        return Ok(());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    terminate.recv().await;
    Ok(())
}

async fn run(client: &mut Client, flags: &Flags) -> serde_json::Value {
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut ticks = interval(Duration::from_millis(flags.every_ms.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let told = flags.until_eof.then(|| thread::spawn(|| io::copy(&mut io::stdin(), &mut io::sink())));
    let mut request = 0;
    while told.as_ref().map_or(request < flags.requests, |told| !told.is_finished()) {
        request += 1;
        if flags.every_ms > 0 {
            ticks.tick().await;
        }
        let answer = timeout(Duration::from_millis(flags.timeout_ms), client.ask()).await;
        match answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in time"))) {
            Ok(name) => *answers.entry(name).or_default() += 1,
            Err(error) => {
                client.kept = None;
                failures.push(json!({"request": request, "unix_ms": unix_ms(), "error": format!("{error:#}")}));
            }
        }
    }
    json!({"requests": request, "answers": answers, "failures": failures, "connections": client.connections})
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

struct Client {
    url: Uri,
    authority: String,
    keeps: Connections,
    kept: Option<SendRequest<Empty<Bytes>>>,
    /// How many were opened.
    connections: u64,
}

impl Client {
    fn new(url: Uri, keeps: Connections) -> anyhow::Result<Client> {
        let authority = url.authority().context("the URL has no host")?;
        let authority = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Ok(Client { url, authority, keeps, kept: None, connections: 0 })
    }

    /// One request; returns the first line of the answer.
    async fn ask(&mut self) -> anyhow::Result<String> {
        let mut sender = match self.kept.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path).header(header::HOST, &self.authority);
        if self.keeps == Connections::New {
            request = request.header(header::CONNECTION, "close");
        }
        let response = sender.send_request(request.body(Empty::new())?).await.context("request")?;
        let status = response.status();
        let closes = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        let body = response.into_body().collect().await.context("answer")?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        ensure!(status.is_success(), "{status}: {}", text.trim());
        if self.keeps == Connections::Kept && !closes {
            // It may take a moment until the connection says that it can carry the next request, or that it ended.
            let ready = future::poll_fn(|context| sender.poll_ready(context)).await;
            self.kept = ready.is_ok().then_some(sender);
        }
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    async fn connect(&mut self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        self.connections += 1;
        let stream = TcpStream::connect(&self.authority).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
