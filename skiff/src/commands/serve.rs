//! `skiff serve`: the whole cluster in this process, which `skiff up` starts.
//!
//! Every component has a client that is mounted on the API server's service, as the user that it is when it runs alone:
//! there is no socket and no TLS between them, but authorization and admission are the same.
//!
//! Upstream: none
//! Left out: leader election: the embedded store lets no second process in.

use std::ffi::OsString;

use anyhow::Context;
use apiserver::{attributes::UserInfo, flags::Flags as ApiServerFlags, service::ApiServer};
use client::{ClientSource, Metrics, Numbers};
use component::monitoring::{self, Monitoring, gate::Gate};
use http::{HeaderValue, Request, header::USER_AGENT};
use kube::client::Body;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt};

use crate::{layout::Layout, parts, settings::Settings};

#[derive(Debug, clap::Args)]
pub struct Flags {}

pub async fn run(layout: &Layout) -> anyhow::Result<()> {
    let settings = Settings::read(&layout.settings())?.context("`skiff up` has not made this cluster")?;
    let shutdown = component::shutdown::on_signal()?;
    let flags = api_server_flags(layout, &settings)?;
    // The components stop before the API server, which their last writes need.
    let (components, api) = (CancellationToken::new(), CancellationToken::new());
    let opened = flags.open(&api).await?;
    let mut running = JoinSet::new();
    let server = opened.server.clone();
    running.spawn(named("API server", opened.serve(api.clone())));
    start_components(&mut running, layout, &settings, &server, &components).await?;
    component::notify::ready();
    let outcome = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        Some(ended) = running.join_next() => ended?.and_then(|name| anyhow::bail!("{name} ended")),
    };
    components.cancel();
    while running.len() > 1 && running.join_next().await.is_some() {}
    api.cancel();
    while running.join_next().await.is_some() {}
    outcome
}

/// The flags that the API server would be started with, parsed as it would parse them.
///
/// # Errors
/// None in practice: they are ours.
pub fn api_server_flags(layout: &Layout, settings: &Settings) -> anyhow::Result<ApiServerFlags> {
    let program = std::iter::once(OsString::from("skiff-apiserver"));
    let arguments = program.chain(parts::api_server_arguments(layout, settings));
    Ok(<ApiServerFlags as clap::Parser>::try_parse_from(arguments)?)
}

async fn start_components(
    running: &mut JoinSet<anyhow::Result<&'static str>>,
    layout: &Layout,
    settings: &Settings,
    server: &ApiServer,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mount = Mount { server: server.clone(), metrics: Metrics::default() };
    let mut start = |name, work: futures::future::BoxFuture<'static, anyhow::Result<()>>| {
        running.spawn(named(name, work));
    };

    let authority = layout.pki().join("ca.crt");
    let mut controllers = controller_manager::Config::in_process(Some(authority.clone()));
    controllers.local_path_directory = layout.volumes().display().to_string();
    controllers.cluster_cidr = vec![settings.cluster_cidr.into()];
    controllers.service_cluster_ip_range = vec![settings.service_cidr.into()];
    let Numbers { registry, metrics } = Numbers::default();
    let counted = mount.counted(&metrics);
    let client = counted.client(UserInfo::new("system:kube-controller-manager", &[]), "kube-controller-manager");
    let monitoring =
        Monitoring { registry, gate: Gate::new(client.clone()), client_authority: Some(authority.clone()) };
    let accounts = ClientSource::new(move |name| {
        counted.client(UserInfo::service_account("kube-system", name), "kube-controller-manager")
    });
    let work = controller_manager::run(controllers, client, accounts, metrics, shutdown.clone());
    start("controllers", Box::pin(work));
    let listener = monitoring::bind(([0, 0, 0, 0], 10257).into()).await?;
    start("controllers' health", Box::pin(monitoring.serve(listener, shutdown.clone())));

    let mut configuration = scheduler::configuration::Configuration::default();
    configuration.leader_election.leader_elect = false;
    let mut numbers = Numbers::default();
    let metrics = scheduler::metrics::Metrics::new(&mut numbers, configuration.scheduler_name());
    let user = UserInfo::new("system:kube-scheduler", &[]);
    let client = mount.counted(&numbers.metrics).client(user, "kube-scheduler");
    let gate = Gate::new(client.clone());
    let monitoring = Monitoring { registry: numbers.registry, gate, client_authority: Some(authority) };
    start("scheduler", Box::pin(scheduler::run(configuration, client, metrics, shutdown.clone())));
    let listener = monitoring::bind(([0, 0, 0, 0], 10259).into()).await?;
    start("scheduler's health", Box::pin(monitoring.serve(listener, shutdown.clone())));

    let mut config = kubelet::Config::new(&settings.node_name);
    config.read_file(&parts::write_kubelet_configuration(layout, settings)?)?;
    config.node_ips = vec![settings.node_address];
    config.root_dir = layout.kubelet_root();
    config.local_path_directory = layout.volumes();
    config.cni_conf_dir = layout.state.join("cni/net.d");
    let user = UserInfo::new(format!("system:node:{}", settings.node_name), &["system:nodes"]);
    let Numbers { registry, metrics } = Numbers::default();
    let client = mount.counted(&metrics).client(user, "kubelet");
    start("kubelet", Box::pin(kubelet::run(config, client, registry, || (), shutdown.clone())));

    let mut config = proxy::Config::new(&settings.node_name);
    config.cluster_cidr = settings.cluster_cidr;
    config.service_cidr = settings.service_cidr;
    let Numbers { registry, metrics } = Numbers::default();
    let client = mount.counted(&metrics).client(UserInfo::new("system:kube-proxy", &[]), "kube-proxy");
    start("proxy", Box::pin(proxy::run(config, client, registry, || (), shutdown.clone())));

    let mut config = proxy::dns::Config::new(&settings.node_name);
    config.cluster_cidr = settings.cluster_cidr;
    config.service_cidr = settings.service_cidr;
    config.cluster_ip = settings.dns_address();
    let Numbers { registry, metrics } = Numbers::default();
    let client = mount.counted(&metrics).client(UserInfo::new("skiff:dns", &[]), "skiff-dns");
    start("dns", Box::pin(proxy::dns::run(config, client, registry, || (), shutdown.clone())));
    Ok(())
}

async fn named(name: &'static str, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<&'static str> {
    work.await.with_context(|| name)?;
    Ok(name)
}

/// Makes clients of the API server in this process.
#[derive(Clone)]
struct Mount {
    server: ApiServer,
    metrics: Metrics,
}

impl Mount {
    /// The clients that it makes then count in `metrics`.
    fn counted(&self, metrics: &Metrics) -> Mount {
        Mount { server: self.server.clone(), metrics: metrics.clone() }
    }

    fn client(&self, user: UserInfo, component: &str) -> kube::Client {
        let agent = HeaderValue::try_from(format!("{component}/{}", component::version::GIT_VERSION));
        let agent = agent.expect("names and versions are plain text");
        let service = self.server.service_as(user).map_request(move |mut request: Request<Body>| {
            request.headers_mut().insert(USER_AGENT, agent.clone());
            request
        });
        kube::Client::new(self.metrics.count_requests("in-process").layer(service), "default")
    }
}
