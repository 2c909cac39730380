//! Measures skiff. Each command prints one JSON line: rates, and beside them the server's CPU per operation.
//!
//! A command starts the release build of what it measures in a network namespace of its own, with TLS, authentication,
//! RBAC, admission and fsync on, and takes everything away again. docs/performance.md says what the figures mean.
//!
//! Upstream: test/integration/scheduler_perf, perf-tests/clusterloader2
//! Left out: a run against another server; scheduling, which has no command yet.

mod cluster;
mod connection;
mod latency;
mod load;
mod memory;
mod mixed;
mod pods;
mod proxy;
mod reads;
mod rollout;
mod running;
mod server;
mod start;
mod usage;
mod watches;
mod writes;

use std::io::Write;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use connection::Encoding;
use serde_json::Value;
use tests::rig::Namespace;

/// Measures skiff; run it from a release build, on an otherwise idle machine.
#[derive(Debug, Parser)]
#[command(
    name = "skiff-bench",
    after_help = "Examples:\n  skiff-bench create --count 5000\n  skiff-bench list --pods 10000\n  \
                  skiff-bench cluster --separate\n  skiff-bench all | tee figures.jsonl"
)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pods created per second.
    Create(Load),
    /// Pods patched per second.
    Patch(Load),
    /// Pods read per second.
    Get(Load),
    /// How long a list of all pods takes.
    List(List),
    /// How long a list of one node's pods takes among many.
    ListNode(ListNode),
    /// How long writes take while lists and compaction run.
    Mixed(Mixed),
    /// Watch events delivered per second.
    Watch(Watch),
    /// How soon watchers see a write, and what watchers of other pods cost it.
    Latency(Latency),
    /// From a Deployment's POST until all its pods exist; nothing runs them.
    Rollout(Rollout),
    /// From the start of the API server until it is ready: empty, and with pods in its store.
    Start(Start),
    /// Memory of the API server: idle, per pod, per idle watch.
    Memory(Memory),
    /// From `skiff up` to a Ready node; memory and CPU of an idle cluster.
    Cluster(Cluster),
    /// The proxy's rules for many Services: the first, and a change of one endpoint.
    Proxy(Proxy),
    /// From the create of a pod until it is Running.
    Running(Running),
    /// Every command with its usual size.
    All,
}

#[derive(Debug, Args)]
struct Load {
    #[arg(long, default_value_t = 5000)]
    count: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// HTTP/2 connections that they share.
    #[arg(long, default_value_t = 4)]
    connections: usize,
}

#[derive(Debug, Args)]
struct List {
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Lists under way at once.
    #[arg(long, default_value_t = 1)]
    parallel: usize,
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    encoding: Encoding,
}

#[derive(Debug, Args)]
struct ListNode {
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// That they are on, evenly.
    #[arg(long, default_value_t = 500)]
    nodes: usize,
    #[arg(long, default_value_t = 2000)]
    times: usize,
}

#[derive(Debug, Args)]
struct Mixed {
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// Patches.
    #[arg(long, default_value_t = 3000)]
    count: usize,
    /// Writers.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Lists under way at once.
    #[arg(long, default_value_t = 2)]
    lists: usize,
}

#[derive(Debug, Args)]
struct Latency {
    #[arg(long, default_value_t = 1000)]
    watchers: usize,
    /// Watchers of pods that nobody writes.
    #[arg(long, default_value_t = 10_000)]
    uninterested: usize,
    #[arg(long, default_value_t = 50)]
    connections: usize,
    #[arg(long, default_value_t = 100)]
    events: usize,
}

#[derive(Debug, Args)]
struct Rollout {
    #[arg(long, default_value_t = 1000)]
    replicas: usize,
}

#[derive(Debug, Args)]
struct Watch {
    #[arg(long, default_value_t = 1000)]
    watchers: usize,
    #[arg(long, default_value_t = 50)]
    connections: usize,
    #[arg(long, default_value_t = 500)]
    events: usize,
    /// Writers of the events.
    #[arg(long, default_value_t = 4)]
    writers: usize,
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    encoding: Encoding,
}

#[derive(Debug, Args)]
struct Start {
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    #[arg(long, default_value_t = 5)]
    times: usize,
}

#[derive(Debug, Args)]
struct Memory {
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    #[arg(long, default_value_t = 10_000)]
    watches: usize,
}

#[derive(Debug, Args)]
struct Cluster {
    /// A process for each component and etcd.
    #[arg(long)]
    separate: bool,
    /// How long the idle cluster is looked at.
    #[arg(long, default_value_t = 30)]
    idle_seconds: u64,
}

#[derive(Debug, Args)]
struct Proxy {
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    #[arg(long, default_value_t = 50)]
    changes: usize,
}

#[derive(Debug, Args)]
struct Running {
    #[arg(long, default_value_t = 30)]
    one_by_one: usize,
    #[arg(long, default_value_t = 100)]
    at_once: usize,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    Namespace::new().run(async |_| run(flags.command).await)
}

async fn run(command: Command) -> anyhow::Result<()> {
    let figures = match command {
        Command::Create(load) => writes::create(&load).await,
        Command::Patch(load) => writes::patch(&load).await,
        Command::Get(load) => reads::get(&load).await,
        Command::List(list) => reads::list(&list).await,
        Command::ListNode(list) => reads::list_of_a_node(&list).await,
        Command::Mixed(mixed) => mixed::writes_under_lists(&mixed).await,
        Command::Latency(latency) => latency::latency(&latency).await,
        Command::Rollout(rollout) => rollout::pods_of_a_deployment(&rollout).await,
        Command::Watch(watch) => watches::fan_out(&watch).await,
        Command::Start(start) => start::ready(&start).await,
        Command::Memory(memory) => memory::resident(&memory).await,
        Command::Cluster(cluster) => cluster::up(&cluster).await,
        Command::Proxy(proxy) => proxy::rules(&proxy).await,
        Command::Running(running) => running::pods(&running).await,
        Command::All => return all().await,
    };
    print(figures?)
}

/// Every command with its usual size.
async fn all() -> anyhow::Result<()> {
    let usual = |count| Load { count, clients: 64, connections: 4 };
    print(start::ready(&Start { pods: 10_000, times: 5 }).await?)?;
    print(writes::create(&usual(5000)).await?)?;
    print(writes::create(&Load { count: 300, clients: 1, connections: 1 }).await?)?;
    print(writes::patch(&usual(5000)).await?)?;
    print(reads::get(&usual(20_000)).await?)?;
    let list = |times, parallel, encoding| List { pods: 10_000, times, parallel, encoding };
    print(reads::list(&list(10, 1, Encoding::Json)).await?)?;
    print(reads::list(&list(10, 1, Encoding::Protobuf)).await?)?;
    print(reads::list(&list(4, 8, Encoding::Json)).await?)?;
    print(reads::list_of_a_node(&ListNode { pods: 10_000, nodes: 500, times: 2000 }).await?)?;
    print(mixed::writes_under_lists(&Mixed { pods: 10_000, count: 3000, clients: 4, lists: 2 }).await?)?;
    let latency = Latency { watchers: 1000, uninterested: 10_000, connections: 50, events: 100 };
    print(latency::latency(&latency).await?)?;
    print(rollout::pods_of_a_deployment(&Rollout { replicas: 1000 }).await?)?;
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let watch = Watch { watchers: 1000, connections: 50, events: 500, writers: 4, encoding };
        print(watches::fan_out(&watch).await?)?;
    }
    print(memory::resident(&Memory { pods: 10_000, watches: 10_000 }).await?)?;
    print(proxy::rules(&Proxy { services: 10_000, changes: 50 }).await?)?;
    print(running::pods(&Running { one_by_one: 30, at_once: 100 }).await?)?;
    print(cluster::up(&Cluster { separate: false, idle_seconds: 30 }).await?)?;
    print(cluster::up(&Cluster { separate: true, idle_seconds: 30 }).await?)?;
    Ok(())
}

/// Fails when nobody reads any more.
fn print(figures: Value) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{figures}").context("print the figures")
}
