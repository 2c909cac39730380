//! Decides what has to happen next for one pod: the kubelet's pure core.
//!
//! The pod says what should be, the runtime what is, the progress what is being done right now. The answer is a list of
//! actions that may all start at once; whatever must wait for them is planned when the world has changed again.
//!
//! Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions)
//! Left out: in-place resize.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container as ContainerSpec, Pod};

use crate::observed::{Container, Exit, PodRuntime, State};
use crate::pod_spec;
use crate::probes::Verdicts;

/// Upstream's crash loop back-off: 10 s, doubled up to 5 min, forgotten after 10 min of running.
const FIRST_BACK_OFF: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_BACK_OFF: SignedDuration = SignedDuration::from_secs(300);
const BACK_OFF_FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_secs(600);

/// How many runs of a container are kept, the current one included.
const KEPT_RUNS: usize = 2;

/// Failures that are no container's. Neither can be the name of one.
pub const SANDBOX: &str = "/sandbox";
pub const FINISH: &str = "/finish";

/// What to do, and when to look again if nothing happens before.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub look_again_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    CreateSandbox {
        attempt: u32,
    },
    /// Pull the image, create the container, start it, run its postStart hook.
    Start {
        container: String,
        restart_count: u32,
        back_off: SignedDuration,
    },
    /// Run the preStop hook, then stop. `grace_seconds` is for both together, `why` is the event's message.
    Kill {
        container: String,
        id: String,
        why: String,
        grace_seconds: i64,
    },
    /// A container that was created but never started, because its kubelet died in between; or an old dead one.
    Remove {
        container: String,
        id: String,
    },
    /// An old sandbox with nothing left in it.
    RemoveSandbox {
        id: String,
    },
    /// Tell the user that a restart has to wait.
    TellBackOff {
        container: String,
        id: String,
    },
    /// Take the network down and give the address back. Containers stay, for their logs.
    StopSandbox {
        id: String,
    },
    /// Nothing of it runs: clean up, and let the API server forget the pod.
    Finish,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::CreateSandbox { attempt } => write!(f, "create sandbox {attempt}"),
            Action::Start { container, restart_count: 0, .. } => write!(f, "start {container}"),
            Action::Start { container, restart_count, .. } => write!(f, "start {container} again ({restart_count})"),
            Action::Kill { container, why, grace_seconds, .. } => {
                write!(f, "kill {container} in {grace_seconds}s: {why}")
            }
            Action::Remove { container, .. } => write!(f, "remove {container}"),
            Action::RemoveSandbox { id } => write!(f, "remove sandbox {id}"),
            Action::TellBackOff { container, .. } => write!(f, "tell that {container} backs off"),
            Action::StopSandbox { id } => write!(f, "stop sandbox {id}"),
            Action::Finish => write!(f, "finish"),
        }
    }
}

/// What the pod's worker is doing now, and what it has failed to do.
#[derive(Debug, Default, Clone)]
pub struct Progress {
    /// The sandbox is being created or stopped.
    pub sandbox_busy: bool,
    /// The one container that is being started.
    pub starting: Option<String>,
    /// Containers being stopped, by id, with the grace they were given.
    pub stopping: BTreeMap<String, i64>,
    /// Containers and sandboxes being removed, by id.
    pub removing: BTreeSet<String>,
    /// Containers, by id, whose back-off has been told.
    pub told: BTreeSet<String>,
    pub finishing: bool,
    /// Starts that failed, by container name; beside them `SANDBOX` and `FINISH`.
    pub failures: BTreeMap<String, Failure>,
    /// The API server has no such pod any more.
    pub forgotten: bool,
    /// The node refuses the pod, or its time is over: reason and message of the pod's status.
    pub verdict: Option<(String, String)>,
}

/// A start that failed, and when it may be tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub reason: String,
    pub message: String,
    pub retry_at: Timestamp,
    pub delay: SignedDuration,
}

/// Decides the next actions for a pod.
///
/// Containers start in the order of the spec, one at a time; kills all start at once, but sidecars wait for the others.
pub fn plan(pod: &Pod, runtime: &PodRuntime, progress: &Progress, probes: &Verdicts, now: Timestamp) -> Plan {
    let mut planner = Planner { pod, runtime, progress, probes, now, plan: Plan::default() };
    if progress.finishing {
        return planner.plan;
    }
    if progress.forgotten || pod.metadata.deletion_timestamp.is_some() {
        planner.end(true);
    } else if pod_spec::is_terminal(pod) || progress.verdict.is_some() || planner.deadline_passed() {
        planner.end(false);
    } else {
        planner.run();
    }
    planner.plan
}

struct Planner<'a> {
    pod: &'a Pod,
    runtime: &'a PodRuntime,
    progress: &'a Progress,
    probes: &'a Verdicts,
    now: Timestamp,
    plan: Plan,
}

impl Planner<'_> {
    /// The pod is over: stop what runs, then its sandboxes; then, if the API server wants it gone, finish.
    fn end(&mut self, gone: bool) {
        let grace = pod_spec::grace_seconds(self.pod, self.progress.forgotten);
        let is_sidecar = |container: &Container| pod_spec::is_sidecar(self.pod, &container.name);
        let (sidecars, others): (Vec<_>, Vec<_>) = self.runtime.running().partition(|container| is_sidecar(container));
        let wave = if others.is_empty() { sidecars } else { others };
        for container in &wave {
            self.kill(container, &stopping(&container.name), grace);
        }
        let busy = self.progress.sandbox_busy || self.progress.starting.is_some() || !self.progress.stopping.is_empty();
        if !wave.is_empty() || busy {
            return;
        }
        let ready: Vec<_> = self.runtime.sandboxes.iter().filter(|sandbox| sandbox.ready).collect();
        if let Some(sandbox) = ready.first() {
            self.plan.actions.push(Action::StopSandbox { id: sandbox.id.clone() });
        } else if gone && !self.backing_off(FINISH) {
            self.plan.actions.push(Action::Finish);
        }
    }

    fn run(&mut self) {
        let Some(sandbox) = self.runtime.sandbox().filter(|sandbox| sandbox.ready) else {
            return self.want_sandbox();
        };
        for stale in self.runtime.sandboxes.iter().skip(1).filter(|sandbox| sandbox.ready) {
            self.plan.actions.push(Action::StopSandbox { id: stale.id.clone() });
        }
        let sandbox_id = sandbox.id.clone();
        self.collect();
        // Who looks into a pod wants to do so also while it is being initialized.
        for spec in pod_spec::ephemeral_containers(self.pod) {
            self.keep(&spec);
        }
        if !self.initialized(&sandbox_id) {
            return;
        }
        let containers = pod_spec::containers(self.pod);
        for spec in containers {
            self.keep(spec);
        }
        if self.is_over() {
            self.end(false);
        }
    }

    /// Removes what is dead and no longer asked about: of each container all runs but the last two (`logs --previous`
    /// reads the older one), and old sandboxes that are empty.
    fn collect(&mut self) {
        let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
        for container in &self.runtime.containers {
            let newer = runs.entry(&container.name).or_default();
            *newer += 1;
            if *newer > KEPT_RUNS && container.exit().is_some() && !self.progress.removing.contains(&container.id) {
                let (container, id) = (container.name.clone(), container.id.clone());
                self.plan.actions.push(Action::Remove { container, id });
            }
        }
        for old in self.runtime.sandboxes.iter().skip(1) {
            let is_empty = !self.runtime.containers.iter().any(|container| container.sandbox_id == old.id);
            if !old.ready && is_empty && !self.progress.removing.contains(&old.id) {
                self.plan.actions.push(Action::RemoveSandbox { id: old.id.clone() });
            }
        }
    }

    /// Makes a sandbox, unless the pod has ended or its last sandbox still has running containers.
    fn want_sandbox(&mut self) {
        if !self.runtime.sandboxes.is_empty() && self.is_over() {
            return;
        }
        let survivors: Vec<_> = self.runtime.running().collect();
        for container in &survivors {
            self.kill(container, &stopping(&container.name), container.grace_seconds);
        }
        if !survivors.is_empty() || self.progress.sandbox_busy || self.backing_off(SANDBOX) {
            return;
        }
        let attempt = self.runtime.sandbox().map_or(0, |sandbox| sandbox.attempt + 1);
        self.plan.actions.push(Action::CreateSandbox { attempt });
    }

    /// Brings the init containers forward. True when the containers of the pod may run.
    fn initialized(&mut self, sandbox_id: &str) -> bool {
        let begun = |spec: &ContainerSpec| {
            self.runtime.container(&spec.name).is_some_and(|container| container.sandbox_id == sandbox_id)
        };
        // Init containers may have been collected since; what comes after them proves that they succeeded.
        let past_init = pod_spec::containers(self.pod).iter().any(begun);
        for spec in pod_spec::init_containers(self.pod) {
            if pod_spec::restarts_always(spec) {
                self.keep(spec);
                let id = self.runtime.container(&spec.name).filter(|found| found.is_running()).map(|found| &found.id);
                if !past_init && !id.is_some_and(|id| self.probes.is_started(id)) {
                    return false;
                }
            } else if !past_init {
                let current = self.runtime.container(&spec.name).filter(|found| found.sandbox_id == sandbox_id);
                match current.and_then(Container::exit) {
                    Some(exit) if exit.code == 0 => continue,
                    Some(exit) if !pod_spec::restarts(self.pod, spec, exit.code) => {
                        self.end(false);
                        return false;
                    }
                    _ if current.is_none() => self.start(spec),
                    _ => self.keep(spec),
                }
                return false;
            }
        }
        true
    }

    /// Keeps one container as its spec and the restart policies want it.
    fn keep(&mut self, spec: &ContainerSpec) {
        let Some(container) = self.runtime.container(&spec.name) else {
            return self.start(spec);
        };
        match &container.state {
            State::Created if self.progress.removing.contains(&container.id) => {}
            State::Created if self.progress.starting.as_deref() != Some(&spec.name) => {
                let (container, id) = (container.name.clone(), container.id.clone());
                self.plan.actions.push(Action::Remove { container, id });
            }
            State::Created => {}
            State::Running { .. } | State::Unknown => {
                if container.hash != pod_spec::hash(spec) {
                    let why = format!("Container {} definition changed, will be restarted", spec.name);
                    self.kill(container, &why, pod_spec::grace_seconds(self.pod, false));
                } else if let Some(unhealthy) = self.probes.unhealthy(&container.id) {
                    let grace = unhealthy.grace_seconds.unwrap_or(pod_spec::grace_seconds(self.pod, false));
                    let why = format!("Container {} failed {} probe, will be restarted", spec.name, unhealthy.probe);
                    self.kill(container, &why, grace);
                }
            }
            State::Exited(exit) if pod_spec::restarts(self.pod, spec, exit.code) => self.restart(spec, container, exit),
            State::Exited(_) => {}
        }
    }

    fn restart(&mut self, spec: &ContainerSpec, container: &Container, exit: &Exit) {
        let back_off = back_off_of(container, exit);
        let earliest = add(exit.finished_at, back_off);
        if self.now < earliest {
            self.look_again(earliest);
            if !self.progress.told.contains(&container.id) {
                let (container, id) = (spec.name.clone(), container.id.clone());
                self.plan.actions.push(Action::TellBackOff { container, id });
            }
            return;
        }
        let next = if back_off.is_zero() { FIRST_BACK_OFF } else { (back_off * 2).min(LONGEST_BACK_OFF) };
        self.start_as(spec, container.restart_count + 1, next);
    }

    fn start(&mut self, spec: &ContainerSpec) {
        self.start_as(spec, 0, SignedDuration::ZERO);
    }

    fn start_as(&mut self, spec: &ContainerSpec, restart_count: u32, back_off: SignedDuration) {
        let planned = self.plan.actions.iter().any(|action| matches!(action, Action::Start { .. }));
        if planned || self.progress.starting.is_some() || self.backing_off(&spec.name) {
            return;
        }
        self.plan.actions.push(Action::Start { container: spec.name.clone(), restart_count, back_off });
    }

    /// Stops a container, unless that is under way with no more grace than this.
    fn kill(&mut self, container: &Container, why: &str, grace_seconds: i64) {
        if self.progress.stopping.get(&container.id).is_some_and(|given| *given <= grace_seconds) {
            return;
        }
        self.plan.actions.push(Action::Kill {
            container: container.name.clone(),
            id: container.id.clone(),
            why: why.into(),
            grace_seconds,
        });
    }

    fn backing_off(&mut self, name: &str) -> bool {
        match self.progress.failures.get(name) {
            Some(failure) if self.now < failure.retry_at => {
                self.look_again(failure.retry_at);
                true
            }
            _ => false,
        }
    }

    fn deadline_passed(&mut self) -> bool {
        let Some(deadline) = pod_spec::deadline(self.pod) else { return false };
        if self.now < deadline {
            self.look_again(deadline);
        }
        self.now >= deadline
    }

    /// Every container has ended, and none is to be started again.
    fn is_over(&self) -> bool {
        pod_spec::containers(self.pod).iter().all(|spec| {
            let exit = self.runtime.container(&spec.name).and_then(Container::exit);
            exit.is_some_and(|exit| !pod_spec::restarts(self.pod, spec, exit.code))
        })
    }

    fn look_again(&mut self, at: Timestamp) {
        self.plan.look_again_at = Some(self.plan.look_again_at.map_or(at, |planned| planned.min(at)));
    }
}

/// What the `Killing` event says when nothing is wrong with the container.
fn stopping(container: &str) -> String {
    format!("Stopping container {container}")
}

/// How long to wait after this exit: what was set when the container was made, or nothing after a long run.
pub fn back_off_of(container: &Container, exit: &Exit) -> SignedDuration {
    let ran = exit.finished_at.duration_since(container.created_at);
    if ran > BACK_OFF_FORGOTTEN_AFTER { SignedDuration::ZERO } else { container.back_off }
}

fn add(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
