//! The loop: when something changed, decide the rules anew and give the kernel the difference.
//!
//! Upstream: pkg/proxy/iptables/proxier.go, pkg/proxy/runner/bounded_frequency_runner.go
//! Left out: a least time between runs: what arrives during a run is one next run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Change, ObjectKey};
use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::catalog::Catalog;
use crate::config::Config;
use crate::conntrack::{self, Fronts};
use crate::endpoint;
use crate::iptables::{Iptables, IptablesError};
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::restore;
use crate::routes::{self, Route};
use crate::ruleset::{Rulebook, Ruleset, Settings};
use crate::saved;
use crate::serve::Progress;
use crate::service_health::{self, HealthChecks};
use crate::sysctl;

/// How long to wait after a failure before the next try.
const RETRY: Duration = Duration::from_secs(1);
/// Changes come in groups (a rollout, a new Service with its slices); a moment's wait makes one run of a group.
const GATHERING: Duration = Duration::from_millis(1);

/// Why a run is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Service(ObjectKey),
    /// Endpoints were written because of a change at this time.
    Triggered(Timestamp),
    Nodes,
    Timer,
}

/// Keeps the kernel's rules and routes equal to what the cluster asks for, until `shutdown`. Rules stay when it ends.
pub async fn run(
    config: &Config,
    observed: Observed,
    progress: Arc<Progress>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    if shutdown.run_until_cancelled(observed.synced()).await.is_none() {
        return;
    }
    sysctl::prepare(config);
    let iptables = Iptables::detect().await;
    info!(?iptables, "synced with the API server");
    let mut syncer = Syncer {
        config,
        book: Rulebook::new(observed.settings(config)),
        services: Catalog::default(),
        observed: observed.clone(),
        iptables,
        known: None,
        routes: None,
        fronts: None,
        health_checks: HealthChecks::new(progress.clone()),
        started: Timestamp::now(),
        progress: progress.clone(),
        metrics,
    };
    // Changes are also seen while a run is under way, or waits for more of them.
    let seen = changes(&observed).for_each(async |_| progress.queued(Timestamp::now()));
    tokio::select! {
        biased;
        () = seen => {}
        () = follow(&mut syncer, &observed, &shutdown) => {}
    }
}

/// One run after the other, until `shutdown`.
async fn follow(syncer: &mut Syncer<'_>, observed: &Observed, shutdown: &CancellationToken) {
    let mut changes = Box::pin(changes(observed));
    let mut resync = tokio::time::interval(syncer.config.sync_period);
    resync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = async {
            tokio::select! {
                cause = changes.next() => cause.unwrap_or(Cause::Timer),
                _ = resync.tick() => Cause::Timer,
            }
        };
        let Some(cause) = shutdown.run_until_cancelled(next).await else { return };
        tokio::time::sleep(GATHERING).await;
        let mut causes = BTreeSet::from([cause]);
        // All that is there, however much: the first run is to know every Service.
        while let Some(Some(more)) = unconstrained(changes.next()).now_or_never() {
            causes.insert(more);
        }
        // A tick that is due, as the first one is, asks for nothing more than this run does.
        if unconstrained(resync.tick()).now_or_never().is_some() {
            causes.insert(Cause::Timer);
        }
        let synced = syncer.sync(&causes).instrument(info_span!("sync_proxy")).await;
        if let Err(error) = synced {
            warn!(%error, "the rules are not what they should be, will retry");
            syncer.metrics.restore_failures.inc();
            syncer.known = None;
            resync.reset_after(RETRY);
        }
    }
}

fn changes(observed: &Observed) -> impl Stream<Item = Cause> + Send + use<> {
    let services = observed.services.changes().map(|change| Cause::Service(ObjectKey::of(&**change.object())));
    let slices = observed.slices.changes().flat_map(|change| futures::stream::iter(causes_of(&change)));
    let nodes = observed.nodes.changes().map(|_| Cause::Nodes);
    futures::stream::select(nodes, futures::stream::select(services, slices))
}

/// What a change of a slice asks for: a look at the Service that it belongs to, or belonged to.
fn causes_of(change: &Change<EndpointSlice>) -> Vec<Cause> {
    let slices = change.before.iter().chain(&change.after);
    let services = slices.filter_map(|slice| endpoint::service_of(slice)).map(Cause::Service);
    let [before, after] =
        [&change.before, &change.after].map(|slice| slice.as_ref().and_then(|it| endpoint::trigger_time(it)));
    services.chain(after.filter(|_| after != before).map(Cause::Triggered)).collect()
}

struct Syncer<'a> {
    config: &'a Config,
    book: Rulebook,
    services: Catalog,
    observed: Observed,
    iptables: Iptables,
    /// What the kernel has; `None` when it must be asked.
    known: Option<Ruleset>,
    /// The routes that were set last; `None` when the kernel must be asked.
    routes: Option<Vec<Route>>,
    /// Where UDP flows may go, as the kernel's flows were last compared with; `None` when they must be.
    fronts: Option<Fronts>,
    health_checks: HealthChecks,
    /// Of what was triggered before, it is not known how long the proxy took.
    started: Timestamp,
    progress: Arc<Progress>,
    metrics: Arc<Metrics>,
}

impl Syncer<'_> {
    async fn sync(&mut self, causes: &BTreeSet<Cause>) -> Result<(), IptablesError> {
        let began = Instant::now();
        self.progress.began(Timestamp::now());
        if causes.contains(&Cause::Timer) {
            self.routes = None;
        }
        for cause in causes {
            if let Cause::Service(service) = cause {
                self.look_at(service);
            }
        }
        self.write(causes);
        if causes.contains(&Cause::Nodes) || self.routes.is_none() {
            self.routes().await;
        }
        let desired = self.book.ruleset();
        let current = self.current(causes.contains(&Cause::Timer)).await?;
        if let Some(input) = restore::input(&current, &desired) {
            debug!(bytes = input.len(), ?causes, "restoring");
            self.iptables.restore(&input).await?;
        }
        self.flows(Fronts::of(self.services.special())).await;
        self.health_checks.set(service_health::wanted(self.services.special())).await;
        self.metrics.services.set(self.services.ports() as i64);
        self.metrics.programmed(&desired);
        self.known = Some(desired);
        let ended = Timestamp::now();
        self.progress.ended(ended);
        self.measure_triggered(causes, ended);
        self.metrics.sync_seconds.observe(began.elapsed().as_secs_f64());
        Ok(())
    }

    /// How long the cluster took from the changes that endpoints were written for to the kernel's rules.
    fn measure_triggered(&self, causes: &BTreeSet<Cause>, ended: Timestamp) {
        for cause in causes {
            if let Cause::Triggered(at) = cause
                && *at > self.started
            {
                self.metrics.network_programming_seconds.observe(ended.duration_since(*at).as_secs_f64());
            }
        }
    }

    /// Takes note of a Service as it is now.
    fn look_at(&mut self, service: &ObjectKey) {
        self.services.set(service, self.observed.ports_of(service, &self.config.node_name));
    }

    /// Brings the rules in line with the Services: those that changed, or all when what all depend on did.
    fn write(&mut self, causes: &BTreeSet<Cause>) {
        let settings = Settings { comments: self.services.may_comment(), ..self.observed.settings(self.config) };
        if settings != *self.book.settings() {
            self.book = Rulebook::new(settings);
            return self.services.iter().for_each(|(service, ports)| self.book.set(service, ports));
        }
        for cause in causes {
            if let Cause::Service(service) = cause {
                self.book.set(service, self.services.get(service));
            }
        }
    }

    /// What the kernel has: as far as we know, or as it says itself.
    async fn current(&mut self, ask: bool) -> Result<Ruleset, IptablesError> {
        let known = match self.known.take() {
            Some(known) if !ask => return Ok(known),
            known => known,
        };
        let current = saved::parse(&self.iptables.save().await?);
        if known.is_some_and(|known| known != current) {
            warn!("somebody else changed our rules, putting them back");
            self.metrics.resync_differences.inc();
        }
        Ok(current)
    }

    /// After the rules, so that a flow that is let go of finds the new ones.
    async fn flows(&mut self, fronts: Fronts) {
        if self.fronts.as_ref() == Some(&fronts) {
            return;
        }
        let before = self.fronts.take().unwrap_or_default();
        match conntrack::let_go(&fronts.clone().with_gone(&before)).await {
            Ok(count) => {
                if count > 0 {
                    info!(count, "let go of UDP flows whose endpoint is gone");
                }
                self.fronts = Some(fronts);
            }
            Err(error) => warn!(%error, "UDP clients may still be sent to endpoints that are gone, will retry"),
        }
    }

    /// Nodes come and go, their pods' routes with them.
    async fn routes(&mut self) {
        let wanted = routes::wanted(self.book.settings(), &self.observed.nodes.list());
        if self.routes.as_ref() == Some(&wanted) {
            return;
        }
        match routes::set(&wanted).await {
            Ok(()) => self.routes = Some(wanted),
            Err(error) => warn!(error = format!("{error:#}"), "routes are not what they should be"),
        }
    }
}
