//! The proxy's rules for many Services: the first time, and when one endpoint changes.
//!
//! A change is measured from outside: from the write until a new connection to the cluster IP reaches the other
//! endpoint, so the API server, the watch, the decision and the kernel are all in it. One that comes while the proxy is
//! at rest, and one on the heels of another, which also waits for the end of that one's run.
//!
//! Upstream: none
//! Left out: other nodes; node ports.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use tests::rig::namespace::NODE_ADDRESS;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    Proxy,
    connection::{Connection, Connections},
    load::{self, milliseconds, quantile},
    server::Server,
    usage::{per_operation_us, processor_time, resident_bytes, rounded},
};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
/// How long until what a change asks for must be so.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than a run takes, and what the kernel has to do after it.
const REST: Duration = Duration::from_millis(100);
/// The Service that is asked, and its slice.
const ASKED: &str = "asked";

/// How long the first rules take, and a change of one endpoint.
///
/// # Errors
/// A request fails, or the rules don't come.
pub async fn rules(flags: &Proxy) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let measured = measure(flags, &server).await;
    // A failed run leaves nothing behind either.
    server.stop_part("proxy").await?;
    server.stop().await?;
    measured
}

async fn measure(flags: &Proxy, server: &Server) -> anyhow::Result<Value> {
    let connections = server.connect(4).await?;
    let (old, new) = (answering(b'a').await?, answering(b'b').await?);
    let asked = prepare(server, &connections, flags.services, old).await?;
    let began = Instant::now();
    let proxy = server.start_part("proxy").await?;
    let first = began.elapsed();
    let first_cpu = processor_time(proxy.pid)?;
    ensure!(ask(asked).await == Some(b'a'), "the first rules lead nowhere");
    let changes = async |rest| {
        let mut took = Vec::new();
        for round in 0..flags.changes {
            tokio::time::sleep(rest).await;
            let (port, answer) = if round % 2 == 0 { (new, b'b') } else { (old, b'a') };
            took.push(change(&mut connections.first(), asked, port, answer).await?);
        }
        took.sort();
        anyhow::Ok(took)
    };
    let (at_rest, on_heels) = (changes(REST).await?, changes(Duration::ZERO).await?);
    Ok(json!({
        "bench": "proxy",
        "services": flags.services,
        "endpoints": flags.services * 2,
        "first_rules_ms": milliseconds(first),
        "first_rules_cpu_ms": milliseconds(first_cpu),
        "changes": flags.changes,
        "change_p50_ms": milliseconds(quantile(&at_rest, 0.5)),
        "change_p99_ms": milliseconds(quantile(&at_rest, 0.99)),
        "change_on_heels_p50_ms": milliseconds(quantile(&on_heels, 0.5)),
        "change_on_heels_p99_ms": milliseconds(quantile(&on_heels, 0.99)),
        "cpu_us_per_change": per_operation_us(proxy.pid, first_cpu, 2 * flags.changes)?,
        "memory_mb": rounded(resident_bytes(proxy.pid)? as f64 / 1e6),
    }))
}

/// Makes the Services, and the one that is asked. Returns where it is asked.
async fn prepare(server: &Server, connections: &Connections, count: usize, port: u16) -> anyhow::Result<SocketAddr> {
    let created = load::run(server, connections, (64, count), |mut connection, number| async move {
        let name = format!("service-{number}");
        connection.send("POST", SERVICES, service(&name)).await?;
        let [_, _, high, low] = u32::try_from(number)?.to_be_bytes();
        let addresses = [Ipv4Addr::new(10, 244, high, low), Ipv4Addr::new(10, 245, high, low)];
        connection.send("POST", SLICES, slice(&name, &addresses, 8080)).await.map(drop)
    });
    created.await?;
    let mut connection = connections.first();
    let addresses = json!([{"type": "InternalIP", "address": NODE_ADDRESS}]);
    let node = json!({
        "metadata": {"name": "bench"}, "spec": {"podCIDR": "10.246.0.0/24"}, "status": {"addresses": addresses},
    });
    connection.send("POST", "/api/v1/nodes", node.to_string().into()).await?;
    let made = connection.send("POST", SERVICES, service(ASKED)).await?;
    connection.send("POST", SLICES, slice(ASKED, &[NODE_ADDRESS], port)).await?;
    let made: Value = serde_json::from_slice(&made)?;
    let address: Ipv4Addr = made["spec"]["clusterIP"].as_str().context("a cluster IP")?.parse()?;
    Ok((address, 80).into())
}

fn service(name: &str) -> Bytes {
    let ports = json!([{"port": 80, "targetPort": 8080}]);
    json!({"metadata": {"name": name}, "spec": {"ports": ports}}).to_string().into()
}

fn slice(service: &str, addresses: &[Ipv4Addr], port: u16) -> Bytes {
    let endpoints: Vec<Value> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    let metadata = json!({"name": service, "labels": {"kubernetes.io/service-name": service}});
    let slice = json!({"metadata": metadata, "addressType": "IPv4", "ports": [{"port": port}], "endpoints": endpoints});
    slice.to_string().into()
}

/// Listens on a port of its own, and answers every connection with this byte.
async fn answering(byte: u8) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((NODE_ADDRESS, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&[byte]).await;
        }
    });
    Ok(port)
}

/// Who answers there now.
async fn ask(address: SocketAddr) -> Option<u8> {
    let asked = async { TcpStream::connect(address).await?.read_u8().await };
    tokio::time::timeout(Duration::from_secs(1), asked).await.ok()?.ok()
}

/// Leads the Service to another port; returns how long until a new connection gets there.
async fn change(connection: &mut Connection, asked: SocketAddr, port: u16, answer: u8) -> anyhow::Result<Duration> {
    let body = json!({"ports": [{"port": port}]}).to_string();
    let began = Instant::now();
    connection.send("PATCH", &format!("{SLICES}/{ASKED}"), body.into()).await?;
    while ask(asked).await != Some(answer) {
        ensure!(began.elapsed() < PATIENCE, "the change is not to be seen");
        // Not so often that asking is what is measured.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(began.elapsed())
}
