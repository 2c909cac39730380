//! Rolls a Deployment's pods from one template to the next, by sizing one ReplicaSet per template.
//!
//! Upstream: pkg/controller/deployment/{deployment_controller.go,sync.go,rolling.go,recreate.go}
//! Left out: the rollback annotation of the removed extensions/v1beta1; `kubectl rollout undo` writes the old template.

mod annotations;
mod controller;
mod progress;
mod size;
mod template_hash;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::Patch;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

pub use controller::Deployments;

use self::progress::Conditions;
use self::size::Bounds;
use crate::actions::{self, Action, Plan};
use crate::owner::{self, Claim};
use crate::{nonzero, pods};

/// What is decided from.
pub struct Input {
    pub deployment: Arc<Deployment>,
    /// The ReplicaSets that it controls, and those that nobody controls and its selector matches.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The pods of those ReplicaSets. Only the Recreate strategy asks for them.
    pub pods: Vec<Arc<Pod>>,
    /// Names of all ReplicaSets in the namespace that a new one must not have.
    pub taken_names: BTreeSet<String>,
}

/// One round: what there is, brought as far towards what is wanted as the strategy allows now.
pub fn plan(input: &Input, now: Timestamp) -> Plan {
    let deployment = input.deployment.as_ref();
    let Some(spec) = deployment.spec.as_ref() else { return Plan::default() };
    if selects_everything(deployment) {
        return refuse_selecting_everything(deployment);
    }
    let mut rollout = Rollout::begin(input, now);
    if deployment.metadata.deletion_timestamp.is_some() {
        return rollout.end(Progress::Unjudged);
    }
    let paused = spec.paused == Some(true);
    if progress::progress_deadline(deployment).is_some() {
        rollout.conditions.note_pause(paused);
    }
    if paused || rollout.was_scaled() {
        rollout.renew_newest();
        rollout.scale();
        if paused {
            rollout.clean_up();
        }
        return rollout.end(Progress::Unjudged);
    }
    match spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) {
        Some("Recreate") => rollout.recreate(),
        _ => rollout.roll(),
    }
    rollout.end(Progress::Judged)
}

/// Whether a round may change the `Progressing` condition: one that only scales may not.
#[derive(PartialEq)]
enum Progress {
    Judged,
    Unjudged,
}

/// A round in the making: the ReplicaSets with the sizes decided so far, and the actions that give them these sizes.
struct Rollout<'a> {
    input: &'a Input,
    deployment: &'a Deployment,
    bounds: Bounds,
    /// The ReplicaSet that has the Deployment's template.
    newest: Option<ReplicaSet>,
    /// All others, oldest first.
    older: Vec<ReplicaSet>,
    conditions: Conditions,
    collisions: Option<i32>,
    actions: Vec<Action>,
}

impl<'a> Rollout<'a> {
    fn begin(input: &'a Input, now: Timestamp) -> Self {
        let deployment = input.deployment.as_ref();
        let spec = deployment.spec.as_ref();
        let (mut older, mut actions) = (Vec::new(), Vec::new());
        for replica_set in &input.replica_sets {
            match owner::claim(&deployment.metadata, spec.map(|spec| &spec.selector), &replica_set.metadata) {
                Claim::Ignore => continue,
                Claim::Release => {
                    let uid = deployment.metadata.uid.as_deref().unwrap_or("");
                    actions.push(owner::release(uid, replica_set.as_ref()));
                    continue;
                }
                Claim::Adopt => actions.push(owner::adopt(deployment, replica_set.as_ref())),
                Claim::Keep => {}
            }
            older.push(replica_set.as_ref().clone());
        }
        older.sort_by(|a, b| age(a).cmp(&age(b)));
        let newest = older.iter().position(|replica_set| has_template_of(deployment, replica_set));
        let newest = newest.map(|index| older.remove(index));
        let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
        let conditions = Conditions::of(deployment, now);
        Self { input, deployment, bounds: Bounds::of(deployment), newest, older, conditions, collisions, actions }
    }

    fn all(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.older.iter().chain(&self.newest)
    }

    /// The total of the sizes decided so far.
    fn total(&self) -> i32 {
        self.all().map(size::wanted).sum()
    }

    /// Has the user changed `replicas` since the ReplicaSets were last sized?
    fn was_scaled(&self) -> bool {
        self.all().filter(|replica_set| size::wanted(replica_set) > 0).any(|replica_set| {
            annotations::number(replica_set, annotations::DESIRED_REPLICAS)
                .is_some_and(|desired| desired != self.bounds.replicas)
        })
    }

    fn next_revision(&self) -> i64 {
        let highest = self.older.iter().map(|old| annotations::revision(old.metadata.annotations.as_ref())).max();
        highest.unwrap_or(0).saturating_add(1)
    }

    /// Brings the annotations of the newest ReplicaSet up to date, and the Deployment's revision with it.
    fn renew_newest(&mut self) {
        let next = self.next_revision();
        let Some(newest) = self.newest.as_mut() else { return };
        let current = newest.metadata.annotations.clone().unwrap_or_default();
        let changed = annotations::of_newest(self.deployment, &current, next);
        let min_ready_seconds = self.deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        let differs = newest.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0) != min_ready_seconds;
        if !changed.is_empty() || differs {
            let mut patch = json!({"metadata": {"annotations": changed}});
            if differs {
                patch["spec"] = json!({"minReadySeconds": min_ready_seconds});
            }
            self.actions.push(actions::merge_patch(newest, patch));
            newest.metadata.annotations.get_or_insert_default().extend(changed);
        }
        let revision = newest.metadata.annotations.as_ref().and_then(|map| map.get(annotations::REVISION).cloned());
        let name = newest.metadata.name.clone().unwrap_or_default();
        self.show_revision(revision);
        if self.conditions.get(progress::PROGRESSING).is_none()
            && progress::progress_deadline(self.deployment).is_some()
        {
            let message = format!("Found new replica set {name:?}");
            self.conditions.set(progress::PROGRESSING, "True", "FoundNewReplicaSet", message);
        }
    }

    fn show_revision(&mut self, revision: Option<String>) {
        let shown = self.deployment.metadata.annotations.as_ref().and_then(|map| map.get(annotations::REVISION));
        if revision.is_some() && shown != revision.as_ref() {
            let patch = json!({"metadata": {"annotations": {annotations::REVISION: revision}}});
            // By way of the status, as upstream: there a changed annotation makes no new generation.
            self.actions.push(Action::patch_status(self.deployment, Patch::Merge(patch)));
        }
    }

    /// Makes sure that there is a ReplicaSet with the Deployment's template.
    fn ensure_newest(&mut self) {
        if self.newest.is_some() {
            return self.renew_newest();
        }
        let replicas = match self.bounds {
            bounds if self.is_recreate() => bounds.replicas,
            bounds => size::newest(bounds, 0, self.total()),
        };
        let Some(replica_set) = self.new_replica_set(replicas) else { return };
        let name = replica_set.metadata.name.clone().unwrap_or_default();
        if self.input.taken_names.contains(&name) {
            // Another template has the same hash: the next round takes another name.
            self.collisions = Some(self.collisions.unwrap_or(0) + 1);
            return;
        }
        self.actions.push(Action::create(&replica_set));
        if replicas > 0 {
            self.announce_scaling("up", &name, 0, replicas);
        }
        if progress::progress_deadline(self.deployment).is_some() {
            let message = format!("Created new replica set {name:?}");
            self.conditions.set(progress::PROGRESSING, "True", "NewReplicaSetCreated", message);
        }
        let revision = replica_set.metadata.annotations.as_ref().and_then(|map| map.get(annotations::REVISION));
        self.show_revision(revision.cloned());
        self.newest = Some(replica_set);
    }

    fn new_replica_set(&self, replicas: i32) -> Option<ReplicaSet> {
        let spec = self.deployment.spec.as_ref()?;
        let hash = template_hash::template_hash(&spec.template, self.collisions);
        let hash_label = (template_hash::LABEL.to_owned(), hash.clone());
        let mut template = spec.template.clone();
        let template_labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        template_labels.extend([hash_label.clone()]);
        let labels = template_labels.clone();
        let mut selector = spec.selector.clone();
        selector.match_labels.get_or_insert_default().extend([hash_label]);
        let mut annotations = annotations::of_newest(self.deployment, &BTreeMap::new(), self.next_revision());
        annotations.extend(annotations::sizes(self.bounds.replicas, self.bounds.most()));
        Some(ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", self.deployment.metadata.name.as_deref().unwrap_or(""))),
                namespace: self.deployment.metadata.namespace.clone(),
                labels: Some(labels),
                annotations: Some(annotations),
                owner_references: Some(vec![owner::controller_reference(self.deployment)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(replicas),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            status: None,
        })
    }

    fn is_recreate(&self) -> bool {
        let strategy = self.deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    }

    /// A rolling update: the newest grows into the room there is, the older ones shrink as it becomes available.
    fn roll(&mut self) {
        self.ensure_newest();
        let Some(newest) = self.newest.clone() else { return };
        let (bounds, total) = (self.bounds, self.total());
        if self.resize_newest(size::newest(bounds, size::wanted(&newest), total)) {
            return;
        }
        let sizes = size::older(bounds, &newest, &self.older.iter().collect::<Vec<_>>());
        if self.resize_older(&sizes) {
            return;
        }
        self.clean_up_if_complete();
    }

    /// All old pods end before the first new one starts.
    fn recreate(&mut self) {
        self.renew_newest();
        let none = vec![0; self.older.len()];
        if self.resize_older(&none) || self.old_pods_run() {
            return;
        }
        self.ensure_newest();
        self.resize_newest(self.bounds.replicas);
        self.clean_up_if_complete();
    }

    fn old_pods_run(&self) -> bool {
        let newest = self.newest.as_ref().and_then(|newest| newest.metadata.uid.as_deref());
        self.input.pods.iter().any(|pod| {
            let controller = owner::controller_of(&pod.metadata).map(|reference| reference.uid.as_str());
            controller.is_some() && controller != newest && !pods::is_finished(pod)
        })
    }

    /// Follows a change of `replicas`: at once where one ReplicaSet has all pods, in proportion during a rollout.
    fn scale(&mut self) {
        let bounds = self.bounds;
        let active: Vec<usize> = (0..self.older.len()).filter(|index| size::wanted(&self.older[*index]) > 0).collect();
        let newest_active = self.newest.as_ref().is_some_and(|newest| size::wanted(newest) > 0);
        match (active.as_slice(), newest_active) {
            ([], _) if self.newest.is_some() => {
                self.resize_newest(bounds.replicas);
            }
            ([], _) => {
                if let Some(last) = self.older.len().checked_sub(1) {
                    self.resize_one_older(last, bounds.replicas);
                }
            }
            ([only], false) => {
                self.resize_one_older(*only, bounds.replicas);
            }
            _ if self.newest.as_ref().is_some_and(|newest| is_saturated(newest, bounds)) => {
                let none = vec![0; self.older.len()];
                self.resize_older(&none);
            }
            _ if !self.is_recreate() => self.scale_in_proportion(active),
            _ => {}
        }
    }

    fn scale_in_proportion(&mut self, mut active: Vec<usize>) {
        // The newest stands behind the older ones: its index is one past theirs.
        let newest_index = self.older.len();
        if self.newest.as_ref().is_some_and(|newest| size::wanted(newest) > 0) {
            active.push(newest_index);
        }
        let all: Vec<&ReplicaSet> = self.all().collect();
        let total: i32 = active.iter().map(|index| size::wanted(all[*index])).sum();
        let grows = if self.bounds.replicas > 0 { self.bounds.most() > total } else { false };
        active.sort_by(|a, b| {
            let by_size = size::wanted(all[*b]).cmp(&size::wanted(all[*a]));
            let by_age = age(all[*a]).cmp(&age(all[*b]));
            by_size.then(if grows { by_age.reverse() } else { by_age })
        });
        let in_order: Vec<&ReplicaSet> = active.iter().map(|index| all[*index]).collect();
        let replicas = self.deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        let sizes = size::proportional(self.bounds, &in_order, replicas);
        for (index, size) in active.into_iter().zip(sizes) {
            if index == newest_index {
                self.resize_newest(size);
            } else {
                self.resize_one_older(index, size);
            }
        }
    }

    fn resize_newest(&mut self, replicas: i32) -> bool {
        let Some(mut newest) = self.newest.take() else { return false };
        let changed = self.resize(&mut newest, replicas);
        self.newest = Some(newest);
        changed
    }

    fn resize_older(&mut self, sizes: &[i32]) -> bool {
        let mut changed = false;
        for (index, size) in sizes.iter().enumerate() {
            changed |= size::wanted(&self.older[index]) != *size && self.resize_one_older(index, *size);
        }
        changed
    }

    fn resize_one_older(&mut self, index: usize, replicas: i32) -> bool {
        let mut replica_set = self.older[index].clone();
        let changed = self.resize(&mut replica_set, replicas);
        self.older[index] = replica_set;
        changed
    }

    /// Gives a ReplicaSet its size and notes the Deployment's beside it. Says whether the size changed.
    fn resize(&mut self, replica_set: &mut ReplicaSet, replicas: i32) -> bool {
        let before = size::wanted(replica_set);
        let sizes = annotations::sizes(self.bounds.replicas, self.bounds.most());
        let noted = replica_set.metadata.annotations.as_ref();
        let noted = sizes.iter().all(|(key, value)| noted.and_then(|map| map.get(key)) == Some(value));
        if before == replicas && noted {
            return false;
        }
        let patch = json!({"metadata": {"annotations": sizes}, "spec": {"replicas": replicas}});
        self.actions.push(actions::merge_patch_at_version(replica_set, patch));
        replica_set.metadata.annotations.get_or_insert_default().extend(sizes);
        replica_set.spec.get_or_insert_default().replicas = Some(replicas);
        if before != replicas {
            let direction = if replicas > before { "up" } else { "down" };
            self.announce_scaling(direction, replica_set.metadata.name.as_deref().unwrap_or(""), before, replicas);
        }
        before != replicas
    }

    fn announce_scaling(&mut self, direction: &str, name: &str, from: i32, to: i32) {
        let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
        self.actions.push(actions::normal(self.deployment, "ScalingReplicaSet", message));
    }

    fn clean_up_if_complete(&mut self) {
        if progress::is_complete(self.deployment, &self.numbers()) {
            self.clean_up();
        }
    }

    /// Deletes the oldest empty ReplicaSets beyond `revisionHistoryLimit`.
    fn clean_up(&mut self) {
        let limit = self.deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return };
        let mut kept: Vec<&ReplicaSet> =
            self.older.iter().filter(|old| old.metadata.deletion_timestamp.is_none()).collect();
        kept.sort_by_key(|old| annotations::revision(old.metadata.annotations.as_ref()));
        let beyond = kept.len().saturating_sub(limit.max(0) as usize);
        let empty = |old: &&&ReplicaSet| {
            let status = old.status.clone().unwrap_or_default();
            status.replicas == 0 && size::wanted(old) == 0 && status.observed_generation >= old.metadata.generation
        };
        self.actions.extend(kept[..beyond].iter().filter(empty).map(|old| Action::delete(*old)));
    }

    /// The status but for its conditions.
    fn numbers(&self) -> DeploymentStatus {
        let sum = |field: fn(&ReplicaSetStatus) -> Option<i32>| -> i32 {
            self.all().filter_map(|replica_set| replica_set.status.as_ref().and_then(field)).sum()
        };
        let replicas = sum(|status| Some(status.replicas));
        let available = sum(|status| status.available_replicas);
        let updated =
            self.newest.as_ref().and_then(|newest| newest.status.as_ref()).map_or(0, |status| status.replicas);
        let desired: i32 = self.total();
        DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: nonzero(replicas),
            updated_replicas: nonzero(updated),
            ready_replicas: nonzero(sum(|status| status.ready_replicas)),
            available_replicas: nonzero(available),
            unavailable_replicas: nonzero((desired - available).max(0)),
            terminating_replicas: Some(sum(|status| status.terminating_replicas)),
            collision_count: self.collisions,
            conditions: None,
        }
    }

    fn end(mut self, progress: Progress) -> Plan {
        let mut status = self.numbers();
        self.conditions.note_availability(status.available_replicas.unwrap_or(0), self.bounds.fewest());
        if progress == Progress::Judged {
            self.conditions.note_progress(self.deployment, &status, self.newest.as_ref());
            self.conditions.note_failures(self.newest.as_ref(), &self.older);
        }
        let deadline = progress::progress_deadline(self.deployment).filter(|_| progress == Progress::Judged);
        let requeue_after = deadline
            .filter(|_| !self.conditions.deadline_exceeded() && !progress::is_complete(self.deployment, &status))
            .and_then(|deadline| self.conditions.time_left(deadline));
        status.conditions = self.conditions.into_list();
        self.actions.extend(actions::patch_status(self.deployment, self.deployment.status.as_ref(), &status));
        Plan { actions: self.actions, requeue_after }
    }
}

/// Older first; names decide between twins.
fn age(replica_set: &ReplicaSet) -> (Option<Timestamp>, Option<&String>) {
    let created = replica_set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created, replica_set.metadata.name.as_ref())
}

fn has_template_of(deployment: &Deployment, replica_set: &ReplicaSet) -> bool {
    let wanted = deployment.spec.as_ref().map(|spec| &spec.template);
    let current = replica_set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    wanted.zip(current).is_some_and(|(wanted, current)| template_hash::same_template(wanted, current))
}

/// Has the newest ReplicaSet all the pods of the Deployment, and are they available?
fn is_saturated(newest: &ReplicaSet, bounds: Bounds) -> bool {
    let noted = annotations::number(newest, annotations::DESIRED_REPLICAS);
    [Some(size::wanted(newest)), noted, Some(size::available(newest))].iter().all(|n| *n == Some(bounds.replicas))
}

fn selects_everything(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().is_some_and(|spec| {
        spec.selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
            && spec.selector.match_expressions.as_ref().is_none_or(|expressions| expressions.is_empty())
    })
}

fn refuse_selecting_everything(deployment: &Deployment) -> Plan {
    let message = "This deployment is selecting all pods. A non-empty selector is required.".to_owned();
    let before = deployment.status.clone().unwrap_or_default();
    if before.observed_generation >= deployment.metadata.generation {
        return Plan::default();
    }
    let after = DeploymentStatus { observed_generation: deployment.metadata.generation, ..before };
    let mut actions = vec![actions::warning(deployment, "SelectingAll", message)];
    actions.extend(actions::patch_status(deployment, deployment.status.as_ref(), &after));
    Plan { actions, requeue_after: None }
}

#[cfg(test)]
mod tests;
