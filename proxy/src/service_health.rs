//! Tells load balancers whether this node has an endpoint: the health check node ports of Services whose external
//! traffic must stay on its node.
//!
//! Upstream: pkg/proxy/healthcheck/service_health.go
//! Left out: the Event when a port is taken (it is logged, and tried again at the next run); the addresses of node ports
//! (it answers on all).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use client::ObjectKey;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::ruleset::ServiceWithEndpoints;
use crate::serve::Progress;

/// What is answered for one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub service: ObjectKey,
    /// How many endpoints on this node are ready, each counted once though it has several ports.
    pub local_endpoints: usize,
}

/// What must be answered on which port. Of Services that claim the same port the first by name has it.
pub fn wanted<'a>(services: impl IntoIterator<Item = &'a ServiceWithEndpoints>) -> BTreeMap<u16, Check> {
    let mut ready: BTreeMap<(u16, &ObjectKey), BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for ServiceWithEndpoints { port, endpoints } in services {
        let Some(number) = port.health_check_node_port else { continue };
        let local = endpoints.iter().filter(|endpoint| endpoint.is_local && endpoint.ready);
        ready.entry((number, &port.service)).or_default().extend(local.map(|endpoint| endpoint.ip()));
    }
    let mut wanted = BTreeMap::new();
    for ((number, service), ready) in ready {
        let check = Check { service: service.clone(), local_endpoints: ready.len() };
        wanted.entry(number).or_insert(check);
    }
    wanted
}

impl Check {
    fn answer(&self, proxy_is_healthy: bool) -> Response {
        let ok = self.local_endpoints > 0 && proxy_is_healthy;
        let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("x-load-balancing-endpoint-weight", self.local_endpoints.to_string()),
        ];
        let body = serde_json::json!({
            "service": {"namespace": self.service.namespace, "name": self.service.name},
            "localEndpoints": self.local_endpoints,
            "serviceProxyHealthy": proxy_is_healthy,
        });
        (status, headers, body.to_string()).into_response()
    }
}

/// The ports that are open now. They close with it.
#[derive(Debug)]
pub struct HealthChecks {
    progress: Arc<Progress>,
    open: BTreeMap<u16, Open>,
}

#[derive(Debug)]
struct Open {
    check: watch::Sender<Check>,
    server: JoinHandle<io::Result<()>>,
    /// Ends the connections, when it goes.
    connections: DropGuard,
}

impl Open {
    /// Closes the port: when this returns, nobody listens.
    async fn close(self) {
        drop(self.connections);
        self.server.abort();
        let _ = self.server.await;
    }
}

impl HealthChecks {
    pub fn new(progress: Arc<Progress>) -> HealthChecks {
        HealthChecks { progress, open: BTreeMap::new() }
    }

    /// Makes `wanted` what is answered, and nothing else. A port that is taken is tried again at the next call.
    pub async fn set(&mut self, wanted: BTreeMap<u16, Check>) {
        let gone: Vec<_> = self.open.extract_if(.., |port, _| !wanted.contains_key(port)).collect();
        for (port, open) in gone {
            info!(port, "no longer answering health checks");
            open.close().await;
        }
        for (port, check) in wanted {
            if let Some(open) = self.open.get(&port) {
                open.check.send_replace(check);
                continue;
            }
            let service = check.service.clone();
            match open(port, check, self.progress.clone()).await {
                Ok(open) => {
                    info!(%service, port, "answering health checks");
                    self.open.insert(port, open);
                }
                Err(error) => warn!(%service, port, %error, "cannot answer health checks, will retry"),
            }
        }
    }
}

/// Answers on a port of all addresses, whatever path is asked for, until what is returned goes.
async fn open(port: u16, check: Check, progress: Arc<Progress>) -> io::Result<Open> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let (check, latest) = watch::channel(check);
    let answer = move || {
        let answer = latest.borrow().answer(progress.is_healthy(Timestamp::now()));
        async { answer }
    };
    let closing = CancellationToken::new();
    let serve = axum::serve(listener, Router::new().fallback(answer));
    let server = tokio::spawn(serve.with_graceful_shutdown(closing.clone().cancelled_owned()).into_future());
    Ok(Open { check, server, connections: closing.drop_guard() })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::*;
    use crate::endpoint::Endpoint;

    /// A Service of two ports whose health check node port is 32000; an endpoint is an address and words about it.
    fn web(name: &str, spec: Value, endpoints: &[&str]) -> Vec<ServiceWithEndpoints> {
        let mut service = json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"type": "LoadBalancer",
            "clusterIP": "10.96.0.7", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
            "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]}});
        let spec = spec.as_object().unwrap().clone();
        service["spec"].as_object_mut().unwrap().extend(spec);
        let endpoint = |words: &&str| {
            let ready = !words.contains("draining");
            Endpoint {
                address: words.split(' ').next().unwrap().parse().unwrap(),
                ready,
                serving: true,
                terminating: !ready,
                is_local: words.contains("local"),
                for_zones: Vec::new(),
                for_nodes: Vec::new(),
            }
        };
        let endpoints: Vec<Endpoint> = endpoints.iter().map(endpoint).collect();
        let with_endpoints = |port| ServiceWithEndpoints { port, endpoints: endpoints.clone() };
        crate::service::ports(&serde_json::from_value(service).unwrap()).into_iter().map(with_endpoints).collect()
    }

    fn check(services: &[ServiceWithEndpoints], expected: Expect) {
        let words = |(port, check): (u16, Check)| format!("{port}: {} has {}", check.service, check.local_endpoints);
        expected.assert_eq(&wanted(services).into_iter().map(words).collect::<Vec<_>>().join(", "));
    }

    #[test]
    fn endpoints_that_are_here_and_ready_are_counted_once_for_all_ports() {
        let endpoints = ["10.244.0.5:80 local", "10.244.0.6:80 local", "10.244.0.7:80 local draining", "10.244.1.5:80"];
        check(&web("web", json!({}), &endpoints), expect!["32000: shop/web has 2"]);
        check(&web("web", json!({}), &["10.244.1.5:80"]), expect!["32000: shop/web has 0"]);
    }

    #[test]
    fn only_load_balancers_with_a_local_policy_are_checked() {
        let endpoints = ["10.244.0.5:80 local"];
        check(&web("web", json!({"externalTrafficPolicy": "Cluster"}), &endpoints), expect![[""]]);
        check(&web("web", json!({"type": "NodePort"}), &endpoints), expect![[""]]);
        check(&web("web", json!({"healthCheckNodePort": 0}), &endpoints), expect![[""]]);
    }

    #[test]
    fn a_port_that_two_services_claim_is_the_firsts() {
        let services = [web("web", json!({}), &[]), web("mail", json!({}), &["10.244.0.5:25 local"])].concat();
        check(&services, expect!["32000: shop/mail has 1"]);
    }

    #[tokio::test]
    async fn a_node_is_chosen_for_its_ready_endpoints_while_its_proxy_is_healthy() {
        let answer = async |local_endpoints, proxy_is_healthy| {
            let answer = Check { service: ObjectKey::new("shop", "web"), local_endpoints }.answer(proxy_is_healthy);
            let weight = answer.headers()["x-load-balancing-endpoint-weight"].to_str().unwrap().to_owned();
            let status = answer.status().as_u16();
            let body = axum::body::to_bytes(answer.into_body(), 1024).await.unwrap();
            format!("{status} {weight} {}", String::from_utf8_lossy(&body))
        };
        expect![[
            r#"200 2 {"localEndpoints":2,"service":{"name":"web","namespace":"shop"},"serviceProxyHealthy":true}"#
        ]]
        .assert_eq(&answer(2, true).await);
        expect![[
            r#"503 0 {"localEndpoints":0,"service":{"name":"web","namespace":"shop"},"serviceProxyHealthy":true}"#
        ]]
        .assert_eq(&answer(0, true).await);
        expect![[
            r#"503 2 {"localEndpoints":2,"service":{"name":"web","namespace":"shop"},"serviceProxyHealthy":false}"#
        ]]
        .assert_eq(&answer(2, false).await);
    }
}
