//! Keeps asking containers whether they have started, are ready and alive.
//!
//! One task per container and probe asks; what it hears goes through pure thresholds (`threshold`) into the verdicts that
//! `plan` and `status` read.
//!
//! Upstream: pkg/kubelet/prober
//! Left out: nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as ContainerSpec, Pod, Probe};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cri::Runtime;
use crate::observed::{PodRuntime, State};
use crate::pod_spec;
use crate::recorder::PodRecorder;

pub mod ask;
pub mod threshold;

use threshold::{Threshold, Turn};

/// What the probes of a pod's running containers have come to, by container id.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(BTreeMap<String, Verdict>);

#[derive(Debug, Clone, Default)]
pub struct Verdict {
    pub started: bool,
    pub ready: bool,
    pub unhealthy: Option<Unhealthy>,
}

/// A container that failed its liveness or startup probe too often: it is to be restarted.
#[derive(Debug, Clone, PartialEq)]
pub struct Unhealthy {
    pub probe: &'static str,
    pub grace_seconds: Option<i64>,
}

impl Verdicts {
    pub fn is_started(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|verdict| verdict.started)
    }

    pub fn is_ready(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|verdict| verdict.ready)
    }

    pub fn unhealthy(&self, id: &str) -> Option<&Unhealthy> {
        self.0.get(id)?.unhealthy.as_ref()
    }

    #[cfg(test)]
    pub fn with(mut self, id: &str, verdict: Verdict) -> Self {
        self.0.insert(id.into(), verdict);
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// The probes of one pod. They stop when this is dropped.
pub struct Probes {
    runtime: Runtime,
    recorder: PodRecorder,
    wake: Arc<Notify>,
    verdicts: Arc<Mutex<Verdicts>>,
    tasks: HashMap<(String, Kind), DropGuard>,
}

impl Probes {
    pub fn new(runtime: Runtime, recorder: PodRecorder, wake: Arc<Notify>) -> Self {
        Self { runtime, recorder, wake, verdicts: Arc::default(), tasks: HashMap::new() }
    }

    pub fn verdicts(&self) -> Verdicts {
        locked(&self.verdicts).clone()
    }

    /// Begins to probe containers that run now, and stops for those that no longer do.
    pub fn follow(&mut self, pod: &Pod, runtime: &PodRuntime, ending: bool) {
        let mut running = BTreeMap::new();
        for spec in pod_spec::all_containers(pod) {
            let newest = runtime.container(&spec.name);
            if let Some((container, State::Running { started_at })) = newest.map(|found| (found, &found.state)) {
                running.insert(container.id.clone(), (spec, *started_at));
            }
        }
        locked(&self.verdicts).0.retain(|id, _| running.contains_key(id));
        self.tasks.retain(|(id, kind), _| running.contains_key(id) && !(ending && *kind != Kind::Readiness));
        for (id, (spec, started_at)) in running {
            let known = {
                let mut verdicts = locked(&self.verdicts);
                let known = verdicts.0.contains_key(&id);
                verdicts.0.entry(id.clone()).or_insert_with(|| first_verdict(pod, spec, &id));
                known
            };
            if !known && !ending {
                self.begin(pod, runtime, spec, &id, started_at);
            }
        }
    }

    fn begin(&mut self, pod: &Pod, runtime: &PodRuntime, spec: &ContainerSpec, id: &str, started_at: Timestamp) {
        let wanted = [
            (Kind::Startup, &spec.startup_probe),
            (Kind::Liveness, &spec.liveness_probe),
            (Kind::Readiness, &spec.readiness_probe),
        ];
        for (kind, probe) in wanted {
            let Some(probe) = probe.clone() else { continue };
            let stop = CancellationToken::new();
            let task = Task {
                kind,
                target: ask::Target::new(pod, runtime, spec, id, self.runtime.clone()),
                threshold: Threshold::of(&probe),
                probe,
                started_at,
                id: id.into(),
                container: spec.name.clone(),
                verdicts: self.verdicts.clone(),
                wake: self.wake.clone(),
                recorder: self.recorder.clone(),
            };
            let stopped = stop.clone();
            tokio::spawn(async move { stopped.run_until_cancelled(task.run()).await });
            self.tasks.insert((id.into(), kind), stop.drop_guard());
        }
    }
}

/// Before the first answer: not ready where a probe asks for it, unless the API server already knows better, from before
/// this kubelet was started.
fn first_verdict(pod: &Pod, spec: &ContainerSpec, id: &str) -> Verdict {
    let statuses = pod.status.as_ref();
    let named = |list: Option<&Vec<k8s_openapi::api::core::v1::ContainerStatus>>| {
        list.into_iter()
            .flatten()
            .find(|status| status.container_id.as_deref().is_some_and(|known| known.ends_with(id)))
            .cloned()
    };
    let reported = statuses.and_then(|status| {
        named(status.container_statuses.as_ref()).or(named(status.init_container_statuses.as_ref()))
    });
    let was_started = reported.as_ref().is_some_and(|status| status.started == Some(true));
    let was_ready = reported.as_ref().is_some_and(|status| status.ready);
    Verdict {
        started: spec.startup_probe.is_none() || was_started,
        ready: spec.readiness_probe.is_none() || was_ready,
        unhealthy: None,
    }
}

struct Task {
    kind: Kind,
    probe: Probe,
    threshold: Threshold,
    target: ask::Target,
    started_at: Timestamp,
    id: String,
    container: String,
    verdicts: Arc<Mutex<Verdicts>>,
    wake: Arc<Notify>,
    recorder: PodRecorder,
}

impl Task {
    async fn run(mut self) {
        let delay = i64::from(self.probe.initial_delay_seconds.unwrap_or(0));
        let running_for = Timestamp::now().duration_since(self.started_at).as_secs();
        tokio::time::sleep(std::time::Duration::from_secs((delay - running_for).max(0) as u64)).await;
        let period = self.probe.period_seconds.unwrap_or(10).max(1) as u64;
        // Probing is the one thing that nothing can announce: the container doesn't know it is being asked.
        let mut ticks = tokio::time::interval(std::time::Duration::from_secs(period));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.kind != Kind::Startup && !locked(&self.verdicts).is_started(&self.id) {
                continue;
            }
            let answer = self.target.ask(&self.probe).await;
            if let Err(failure) = &answer {
                let message = format!("{} probe failed: {failure}", self.name());
                self.recorder.warning("Unhealthy", &message, Some(&self.container));
            }
            if let Some(turn) = self.threshold.hear(answer.is_ok()) {
                self.take(turn);
                if self.kind == Kind::Startup && turn == Turn::Succeeded {
                    return;
                }
            }
        }
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        }
    }

    fn take(&self, turn: Turn) {
        if let Some(verdict) = locked(&self.verdicts).0.get_mut(&self.id) {
            let grace_seconds = self.probe.termination_grace_period_seconds;
            match (self.kind, turn) {
                (Kind::Startup, Turn::Succeeded) => verdict.started = true,
                (Kind::Startup, Turn::Failed) => {
                    verdict.unhealthy = Some(Unhealthy { probe: "startup", grace_seconds })
                }
                (Kind::Liveness, Turn::Succeeded) => {}
                (Kind::Liveness, Turn::Failed) => {
                    verdict.unhealthy = Some(Unhealthy { probe: "liveness", grace_seconds })
                }
                (Kind::Readiness, Turn::Succeeded) => verdict.ready = true,
                (Kind::Readiness, Turn::Failed) => verdict.ready = false,
            }
        }
        self.wake.notify_one();
    }
}

fn locked(verdicts: &Mutex<Verdicts>) -> MutexGuard<'_, Verdicts> {
    verdicts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
