//! What wakes a ReplicaSet, and what is gathered for its plan.
//!
//! Upstream: pkg/controller/replicaset/replica_set.go

use std::sync::{Mutex, PoisonError};

use client::{Action, Cache, Controller, Informers, ObjectKey, Plan, Watches};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, Error};
use rustc_hash::FxHashMap;

use super::{Failure, FailureKind, Input, plan};
use crate::{live, owner, waking};

pub struct ReplicaSets {
    client: Client,
    replica_sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
    /// What the server refused in the last round of a key.
    failures: Mutex<FxHashMap<ObjectKey, Failure>>,
}

impl ReplicaSets {
    pub fn new(informers: &Informers) -> Self {
        let client = informers.client().clone();
        Self { client, replica_sets: informers.of(), pods: informers.of(), failures: Mutex::default() }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, FxHashMap<ObjectKey, Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller for ReplicaSets {
    const NAME: &'static str = "replicaset";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        let replica_sets = self.replica_sets.clone();
        let selecting = move |pod: &Pod| {
            let all = replica_sets.in_namespace(pod.metadata.namespace.as_deref().unwrap_or(""));
            let selects = all
                .into_iter()
                .filter(|it| owner::selects(it.spec.as_ref().map(|spec| &spec.selector), pod.metadata.labels.as_ref()));
            selects.map(|it| ObjectKey::of(it.as_ref())).collect()
        };
        Watches::new()
            .objects(&self.replica_sets)
            .owners(&self.pods, "ReplicaSet")
            .map(&self.pods, waking::orphans(selecting))
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, Error> {
        let failure = self.failures().remove(key);
        let Some(replica_set) = self.replica_sets.get(key) else { return Ok(None) };
        let uid = replica_set.metadata.uid.clone().unwrap_or_default();
        let mut pods = self.pods.by_owner(&uid);
        pods.extend(waking::orphans_in(&self.pods, &key.namespace));
        let selector = replica_set.spec.as_ref().map(|spec| &spec.selector);
        live::keep_adoptable(&self.client, replica_set.as_ref(), selector, &mut pods).await?;
        let deployment = owner::controller_of(&replica_set.metadata).map(|owner| owner.uid.clone());
        let siblings = deployment.map_or(vec![uid.clone()], |deployment| {
            let siblings = self.replica_sets.by_owner(&deployment);
            siblings.iter().filter_map(|it| it.metadata.uid.clone()).collect()
        });
        let related = siblings.iter().flat_map(|uid| self.pods.by_owner(uid)).collect();
        Ok(Some(Input { replica_set, pods, related, failure }))
    }

    fn refused(&self, key: &ObjectKey, action: &Action, error: &Error) {
        let (kind, verb) = match action {
            Action::Create { .. } => (FailureKind::Create, "creating"),
            Action::Delete { .. } => (FailureKind::Delete, "deleting"),
            _ => return,
        };
        let Error::Api(status) = error else { return };
        // A pod of that name is there already: the cache will show it.
        if status.code == 409 {
            return;
        }
        let message = format!("Error {verb}: {}", status.message);
        self.failures().insert(key.clone(), Failure { kind, message });
    }

    fn plan(input: &Input, now: Timestamp) -> Plan {
        plan(input, now)
    }
}
