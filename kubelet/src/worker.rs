//! One pod's loop: observe the runtime, plan, act, report; again whenever something about the pod has changed.
//!
//! Actions run beside the loop, so that it never waits for a slow pull or a long grace period.
//!
//! Upstream: pkg/kubelet/pod_workers.go, pkg/kubelet/kubelet.go (SyncPod)
//! Left out: attach-only containers' stdin of a worker that has been restarted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::acts::{Acts, StartError};
use crate::metrics::Turn;
use crate::observed::{self, PodRuntime};
use crate::plan::{self, Action, Failure, Progress};
use crate::pod_spec;
use crate::probes::Probes;
use crate::recorder::PodRecorder;
use crate::status::{self, HostAddresses};

/// Upstream's back-off for pulls and starts: 10 s doubling to 5 min; sandboxes are tried again after a second.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(10);
const LAST_RETRY: SignedDuration = SignedDuration::from_secs(300);
const SANDBOX_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// Upstream's back-off for volumes: half a second, doubled up to two minutes.
const FIRST_MOUNT_RETRY: SignedDuration = SignedDuration::from_millis(500);
const LAST_MOUNT_RETRY: SignedDuration = SignedDuration::from_secs(122);
/// A container's waiting reason while its volumes are missing, and while what it refers to is.
const MOUNTING: &str = "ContainerCreating";
const MISCONFIGURED: &str = "CreateContainerConfigError";
/// Look again by the clock, in case an event was lost; and soon, if the runtime doesn't answer.
const RESYNC: SignedDuration = SignedDuration::from_secs(60);
const RUNTIME_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// A report that failed is repeated; one that hangs is given up, so that containers are still looked after.
const REPORT_RETRY: SignedDuration = SignedDuration::from_secs(1);
const REPORT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// containerd publishes an exit a moment before its CRI lists show it, and says nothing when they do.
const LAG: SignedDuration = SignedDuration::from_millis(10);

/// What the API server last said of the pod.
#[derive(Debug, Clone)]
pub enum Wanted {
    Pod(Arc<Pod>),
    /// It has no such pod any more; this was its last state.
    Gone(Arc<Pod>),
}

impl Wanted {
    fn pod(&self) -> &Arc<Pod> {
        match self {
            Wanted::Pod(pod) | Wanted::Gone(pod) => pod,
        }
    }
}

/// What an action came to.
enum Done {
    Sandbox(Result<(), String>),
    Started(String, Result<(), StartError>),
    Killed(String),
    Removed(String),
    Finished(Result<(), String>),
}

/// Works for one pod until it is gone.
pub struct Worker {
    acts: Arc<Acts>,
    wanted: watch::Receiver<Wanted>,
    wake: Arc<Notify>,
    recorder: PodRecorder,
    probes: Probes,
    progress: Progress,
    tasks: JoinSet<Done>,
    reported: Option<PodStatus>,
    /// When the pod was seen first; none once its start has been counted.
    seen: Option<Instant>,
    /// What of the pod its owner may have changed.
    edition: Edition,
}

/// What changes when somebody edits a pod, and not when its status does.
type Edition = (Option<i64>, Option<BTreeMap<String, String>>, Option<BTreeMap<String, String>>);

impl Worker {
    pub fn new(acts: Arc<Acts>, wanted: watch::Receiver<Wanted>, wake: Arc<Notify>) -> Self {
        let recorder = PodRecorder::new(acts.recorder.clone(), wanted.borrow().pod());
        let probes = Probes::new(acts.runtime.clone(), recorder.clone(), wake.clone());
        let (progress, tasks) = (Progress::default(), JoinSet::new());
        let edition = edition(wanted.borrow().pod());
        Self {
            acts,
            wanted,
            wake,
            recorder,
            probes,
            progress,
            tasks,
            reported: None,
            seen: Some(Instant::now()),
            edition,
        }
    }

    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut turn = Turn::Create;
        loop {
            let began = Instant::now();
            let wanted = self.wanted.borrow_and_update().clone();
            let pod = wanted.pod().clone();
            self.progress.forgotten = matches!(wanted, Wanted::Gone(_));
            let now = Timestamp::now();
            self.notice_edit(&pod, now);
            let look_again = match observed::observe(&self.acts.runtime, pod_spec::uid(&pod)).await {
                Ok(runtime) => self.turn(&pod, &runtime, now).await,
                Err(error) => {
                    warn!(%error, pod = pod_spec::name(&pod), "the runtime doesn't say what it has of a pod");
                    now + RUNTIME_RETRY
                }
            };
            let ends = self.progress.forgotten || pod.metadata.deletion_timestamp.is_some();
            self.acts.metrics.looked(if ends { Turn::Kill } else { turn }, began.elapsed());
            turn = Turn::Sync;
            let wait = look_again.duration_since(Timestamp::now()).max(SignedDuration::ZERO);
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.wanted.changed() => match changed {
                    Ok(()) => turn = Turn::Update,
                    Err(_) => return,
                },
                () = self.wake.notified() => {}
                Some(done) = self.tasks.join_next() => if let Ok(done) = done && self.take(done) { return },
                () = tokio::time::sleep(wait.unsigned_abs()) => {}
            }
        }
    }

    /// Plans and begins to act on one observation, and reports it. Says when to look again at the latest.
    async fn turn(&mut self, pod: &Arc<Pod>, runtime: &PodRuntime, now: Timestamp) -> Timestamp {
        self.acts.know(pod_spec::uid(pod), runtime);
        let ending = self.progress.forgotten || pod.metadata.deletion_timestamp.is_some();
        self.probes.follow(pod, runtime, ending);
        let past_deadline = pod_spec::deadline(pod).is_some_and(|deadline| now >= deadline);
        if past_deadline && !pod_spec::is_terminal(pod) && !ending {
            let message = "Pod was active on the node longer than the specified deadline";
            self.progress.verdict = Some(("DeadlineExceeded".into(), message.into()));
        }
        let verdicts = self.probes.verdicts();
        let plan = plan::plan(pod, runtime, &self.progress, &verdicts, now);
        for action in plan.actions {
            self.begin(pod, runtime, action);
        }
        let mut reported = true;
        if !self.progress.forgotten {
            let host = HostAddresses { ips: self.acts.host_ips() };
            let status = status::pod_status(pod, runtime, &self.progress, &verdicts, &host, now);
            self.count_start(pod, &status);
            reported = self.report(pod, status).await;
        }
        let backs_off = reported && self.tell_image_back_off(pod);
        let latest = now
            + match (self.acts.lags(runtime), reported) {
                _ if backs_off => SignedDuration::ZERO,
                (true, _) => LAG,
                (false, false) => REPORT_RETRY,
                (false, true) => RESYNC,
            };
        plan.look_again_at.unwrap_or(latest).min(latest)
    }

    /// A pod that is Running now and was not before has started; one that a kubelet before this one started has not.
    fn count_start(&mut self, pod: &Pod, status: &PodStatus) {
        let before = self.reported.as_ref().or(pod.status.as_ref()).and_then(|before| before.phase.as_deref());
        match (before, status.phase.as_deref()) {
            (None | Some("Pending"), Some("Running")) => {
                if let Some(seen) = self.seen.take() {
                    self.acts.metrics.started(seen.elapsed());
                }
            }
            (Some("Running" | "Succeeded" | "Failed"), _) => self.seen = None,
            _ => {}
        }
    }

    /// Whoever edits a pod may have repaired it: what failed for want of something is tried again at once.
    fn notice_edit(&mut self, pod: &Pod, now: Timestamp) {
        let edition = edition(pod);
        if edition == self.edition {
            return;
        }
        self.edition = edition;
        for failure in self.progress.failures.values_mut() {
            if [MOUNTING, MISCONFIGURED].contains(&failure.reason.as_str()) {
                failure.retry_at = now;
            }
        }
    }

    /// A failed pull has been reported; from now on it is a back-off. True when there is one more thing to report.
    fn tell_image_back_off(&mut self, pod: &Pod) -> bool {
        let mut told = false;
        for (name, failure) in &mut self.progress.failures {
            if failure.reason != "ErrImagePull" {
                continue;
            }
            let image = pod_spec::any_container(pod, name).and_then(|spec| spec.image.clone()).unwrap_or_default();
            let back_off = format!("Back-off pulling image \"{image}\"");
            self.recorder.normal("BackOff", &back_off, Some(name));
            self.recorder.warning("Failed", "Error: ImagePullBackOff", Some(name));
            failure.message = format!("{back_off}: ErrImagePull: {}", failure.message);
            failure.reason = "ImagePullBackOff".into();
            told = true;
        }
        told
    }

    fn begin(&mut self, pod: &Arc<Pod>, runtime: &PodRuntime, action: Action) {
        info!(pod = pod_spec::name(pod), namespace = pod_spec::namespace(pod), "{action}");
        let (acts, pod, recorder) = (self.acts.clone(), pod.clone(), self.recorder.clone());
        match action {
            Action::CreateSandbox { attempt } => {
                self.progress.sandbox_busy = true;
                if attempt > 0 {
                    recorder.normal("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", None);
                }
                self.tasks.spawn(async move { Done::Sandbox(acts.create_sandbox(&pod, attempt).await) });
            }
            Action::StopSandbox { id } => {
                self.progress.sandbox_busy = true;
                self.tasks.spawn(async move { Done::Sandbox(acts.stop_sandbox(&id).await) });
            }
            Action::Start { container, restart_count, back_off } => {
                self.progress.starting = Some(container.clone());
                let sandbox = runtime.sandbox().cloned().unwrap_or_default();
                self.tasks.spawn(async move {
                    let started = acts.start(&pod, &container, &sandbox, restart_count, back_off, &recorder).await;
                    Done::Started(container, started)
                });
            }
            Action::Kill { container, id, why, grace_seconds } => {
                self.progress.stopping.insert(id.clone(), grace_seconds);
                recorder.normal("Killing", &why, Some(&container));
                self.tasks.spawn(async move {
                    acts.kill(&pod, &container, &id, grace_seconds, &recorder).await;
                    Done::Killed(id)
                });
            }
            Action::Remove { id, .. } => {
                self.progress.removing.insert(id.clone());
                let log = runtime.containers.iter().find(|container| container.id == id);
                let log = log.map(|container| container.log_path.clone()).unwrap_or_default();
                self.tasks.spawn(async move {
                    acts.remove_container(&id, Path::new(&log)).await;
                    Done::Removed(id)
                });
            }
            Action::RemoveSandbox { id } => {
                self.progress.removing.insert(id.clone());
                self.tasks.spawn(async move {
                    acts.remove_sandbox(&id).await;
                    Done::Removed(id)
                });
            }
            Action::TellBackOff { container, id } => {
                self.progress.told.insert(id);
                let of = format!("{}_{}({})", pod_spec::name(&pod), pod_spec::namespace(&pod), pod_spec::uid(&pod));
                let message = format!("Back-off restarting failed container {container} in pod {of}");
                recorder.warning("BackOff", &message, Some(&container));
            }
            Action::Finish => {
                self.progress.finishing = true;
                let forgotten = self.progress.forgotten;
                self.tasks.spawn(async move {
                    let cleaned = acts.clean(&pod).await;
                    if cleaned.is_ok() && !forgotten {
                        return Done::Finished(forget(&acts.client, &pod).await);
                    }
                    Done::Finished(cleaned)
                });
            }
        }
    }

    /// Takes in what an action came to. True when the pod is gone.
    fn take(&mut self, done: Done) -> bool {
        match done {
            Done::Sandbox(result) => {
                self.progress.sandbox_busy = false;
                match result {
                    Ok(()) => drop(self.progress.failures.remove(plan::SANDBOX)),
                    Err(message) => {
                        self.recorder.warning("FailedCreatePodSandBox", &message, None);
                        self.fail(plan::SANDBOX, StartError { reason: "FailedCreatePodSandBox".into(), message });
                    }
                }
            }
            Done::Started(container, result) => {
                self.progress.starting = None;
                match result {
                    Ok(()) => drop(self.progress.failures.remove(&container)),
                    Err(error) => self.fail(&container, error),
                }
            }
            Done::Killed(id) => drop(self.progress.stopping.remove(&id)),
            Done::Removed(id) => {
                self.progress.removing.remove(&id);
                self.progress.told.remove(&id);
            }
            Done::Finished(Ok(())) => return true,
            Done::Finished(Err(message)) => {
                self.progress.finishing = false;
                self.fail(plan::FINISH, StartError { reason: "FailedCleanUp".into(), message });
            }
        }
        false
    }

    fn fail(&mut self, name: &str, error: StartError) {
        warn!(container = name, reason = error.reason, message = error.message, "failed, will be tried again");
        let before = self.progress.failures.get(name).map(|failure| failure.delay);
        let doubled = |first: SignedDuration, last: SignedDuration| before.map_or(first, |delay| (delay * 2).min(last));
        let delay = match error.reason.as_str() {
            _ if name == plan::SANDBOX || name == plan::FINISH => SANDBOX_RETRY,
            MOUNTING => doubled(FIRST_MOUNT_RETRY, LAST_MOUNT_RETRY),
            MISCONFIGURED => FIRST_RETRY,
            _ => doubled(FIRST_RETRY, LAST_RETRY),
        };
        let retry_at = Timestamp::now() + delay;
        let failure = Failure { reason: error.reason, message: error.message, retry_at, delay };
        self.progress.failures.insert(name.into(), failure);
    }

    /// Tells the API server, if there is something new to tell. False when it has to be told again.
    async fn report(&mut self, pod: &Pod, mut status: PodStatus) -> bool {
        if let Some(reported) = &self.reported {
            keep_times(&mut status, reported);
        }
        if self.reported.as_ref().or(pod.status.as_ref()) == Some(&status) {
            return true;
        }
        let api: Api<Pod> = Api::namespaced(self.acts.client.clone(), pod_spec::namespace(pod));
        let patch = Patch::Strategic(json!({ "metadata": { "uid": pod_spec::uid(pod) }, "status": patch(&status) }));
        let (name, parameters) = (pod_spec::name(pod), PatchParams::default());
        let written = tokio::time::timeout(REPORT_PATIENCE, api.patch_status(name, &parameters, &patch));
        match written.await {
            Ok(Ok(_)) => self.reported = Some(status),
            // It has no such pod any more, or another one of this name: its cache will say so.
            Ok(Err(kube::Error::Api(answer))) if answer.code == 404 || answer.code == 409 => {}
            Ok(Err(error)) => {
                warn!(%error, pod = name, "the pod's status is not written");
                return false;
            }
            Err(_) => {
                warn!(pod = name, "the API server doesn't answer; the pod's status is not written");
                return false;
            }
        }
        true
    }
}

fn edition(pod: &Pod) -> Edition {
    let metadata = &pod.metadata;
    (metadata.generation, metadata.labels.clone(), metadata.annotations.clone())
}

/// The cache may not have our last report yet: what hasn't changed since then keeps its time.
fn keep_times(status: &mut PodStatus, reported: &PodStatus) {
    status.start_time = reported.start_time.clone();
    for condition in status.conditions.iter_mut().flatten() {
        let known = reported.conditions.iter().flatten().find(|known| known.type_ == condition.type_);
        if let Some(known) = known.filter(|known| known.status == condition.status) {
            condition.last_transition_time = known.last_transition_time.clone();
        }
    }
}

/// The status as a patch: what is absent now is removed, from conditions too, and the list of addresses is replaced as
/// a whole.
fn patch(status: &PodStatus) -> serde_json::Value {
    let mut patch = serde_json::to_value(status).unwrap_or_default();
    remove_what_is_absent(&mut patch);
    for condition in patch["conditions"].as_array_mut().into_iter().flatten() {
        remove_what_is_absent(condition);
    }
    for field in ["podIPs", "hostIPs"] {
        if let Some(list) = patch.get_mut(field).and_then(|list| list.as_array_mut()) {
            list.insert(0, json!({ "$patch": "replace" }));
        }
    }
    patch
}

fn remove_what_is_absent(patch: &mut serde_json::Value) {
    for field in ["reason", "message"] {
        if patch.get(field).is_none() {
            patch[field] = serde_json::Value::Null;
        }
    }
}

/// The last word: nothing of this pod is left on the node.
async fn forget(client: &kube::Client, pod: &Pod) -> Result<(), String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), pod_spec::namespace(pod));
    let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let parameters =
        DeleteParams { grace_period_seconds: Some(0), preconditions: Some(preconditions), ..Default::default() };
    match api.delete(pod_spec::name(pod), &parameters).await {
        Ok(_) => Ok(()),
        // Gone already, or another pod of this name is there.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodCondition;

    use super::*;

    #[test]
    fn a_condition_that_came_true_gives_no_reason_any_more() {
        let ready = PodCondition { type_: "Ready".into(), status: "True".into(), ..Default::default() };
        let patch = patch(&PodStatus { conditions: Some(vec![ready]), ..Default::default() });
        let condition = json!({ "type": "Ready", "status": "True", "reason": null, "message": null });
        assert_eq!(patch["conditions"], json!([condition]));
    }
}
