//! What every component shows of itself on upstream's port, as `skiff up` starts it: its health, and the numbers that
//! monitoring.rs reads of each alone.
//!
//! Upstream: test/e2e/instrumentation/monitoring/metrics_grabber.go
//! Left out: who may read them: monitoring.rs.

use anyhow::{Context, ensure};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::{List, api::core::v1::ComponentStatus};
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use skiff::settings::Shape;
use tests::{application::cluster::Cluster, metrics::names};
use tokio::{runtime::Handle, task::block_in_place};

/// A component, where its health is, at whose /metrics its numbers are, and which ones.
const COMPONENTS: [(&str, &str, &str, &str); 6] = [
    (
        "apiserver",
        "https://127.0.0.1:6443/healthz",
        "https://127.0.0.1:6443",
        include_str!("../monitoring/apiserver.txt"),
    ),
    (
        "controller-manager",
        "https://127.0.0.1:10257/healthz",
        "https://127.0.0.1:10257",
        include_str!("../monitoring/controller-manager.txt"),
    ),
    (
        "scheduler",
        "https://127.0.0.1:10259/healthz",
        "https://127.0.0.1:10259",
        include_str!("../monitoring/scheduler.txt"),
    ),
    ("kubelet", "http://127.0.0.1:10248/healthz", "https://127.0.0.1:10250", include_str!("../monitoring/kubelet.txt")),
    ("proxy", "http://127.0.0.1:10256/healthz", "http://127.0.0.1:10249", include_str!("../monitoring/proxy.txt")),
    ("dns", "http://127.0.0.1:9153/health", "http://127.0.0.1:9153", include_str!("../monitoring/dns.txt")),
];

/// Reads the health and /metrics of each component as the cluster's first user.
///
/// # Errors
/// The first that is not as it should be.
pub fn check(cluster: &Cluster) -> anyhow::Result<()> {
    let all = async {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.accept_invalid_certs = true; // some make their own
        for (component, health, numbers, expected) in COMPONENTS {
            let ended = async {
                let (server, path) = health.rsplit_once('/').context("a path")?;
                let health = read(&config, server, &format!("/{path}")).await?;
                ensure!(
                    health.eq_ignore_ascii_case("ok") || health.contains("\"nodeEligible\":true"),
                    "its health is {health}"
                );
                let shown = names(&read(&config, numbers, "/metrics").await?);
                // In one process nobody is elected.
                let is_shown = |name: &&str| cluster.shape == Shape::Separate || !name.starts_with("leader_election_");
                let expected: String = expected.split_inclusive('\n').filter(is_shown).collect();
                ensure!(shown == expected, "its numbers are\n{shown}");
                Ok(())
            };
            ended.await.with_context(|| component)?;
        }
        all_are_healthy(&read(&config, COMPONENTS[0].2, "/api/v1/componentstatuses").await?)
    };
    block_in_place(|| Handle::current().block_on(all))
}

/// What the API server finds when it asks the others, and its store, be that etcd or its own.
fn all_are_healthy(component_statuses: &str) -> anyhow::Result<()> {
    let list: List<ComponentStatus> = serde_json::from_str(component_statuses)?;
    let told = |one: ComponentStatus| {
        let conditions = one.conditions.into_iter().flatten();
        let conditions: Vec<String> = conditions.map(|each| format!("{} {}", each.type_, each.status)).collect();
        format!("{}: {}", one.metadata.name.unwrap_or_default(), conditions.join(", "))
    };
    let told: Vec<String> = list.items.into_iter().map(told).collect();
    let expected = ["controller-manager: Healthy True", "etcd-0: Healthy True", "scheduler: Healthy True"];
    ensure!(told == expected, "component statuses are {told:?}");
    Ok(())
}

async fn read(config: &Config, server: &str, path: &str) -> anyhow::Result<String> {
    let mut config = config.clone();
    config.cluster_url = server.parse()?;
    let answer = Client::try_from(config)?
        .send(Request::get(path).body(Body::empty())?)
        .await
        .with_context(|| server.to_owned())?;
    let (status, body) = (answer.status(), answer.into_body().collect().await?.to_bytes());
    let text = String::from_utf8(body.to_vec())?;
    ensure!(status == StatusCode::OK, "{server}{path}: {status} {text}");
    Ok(text)
}
