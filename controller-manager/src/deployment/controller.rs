//! What wakes a Deployment, and what is gathered for its plan.
//!
//! Upstream: pkg/controller/deployment/deployment_controller.go

use client::{Cache, Controller, Informers, ObjectKey, Plan, Watches};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, Error};

use super::{Input, plan};
use crate::{live, owner, waking};

pub struct Deployments {
    client: Client,
    deployments: Cache<Deployment>,
    replica_sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
}

impl Deployments {
    pub fn new(informers: &Informers) -> Self {
        let client = informers.client().clone();
        Self { client, deployments: informers.of(), replica_sets: informers.of(), pods: informers.of() }
    }
}

impl Controller for Deployments {
    const NAME: &'static str = "deployment";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        let deployments = self.deployments.clone();
        let selecting = move |replica_set: &ReplicaSet| {
            let all = deployments.in_namespace(replica_set.metadata.namespace.as_deref().unwrap_or(""));
            let selects = all.into_iter().filter(|it| {
                owner::selects(it.spec.as_ref().map(|spec| &spec.selector), replica_set.metadata.labels.as_ref())
            });
            selects.map(|it| ObjectKey::of(it.as_ref())).collect()
        };
        // The end of a pod matters to one that recreates: only then may the new ones start.
        let replica_sets = self.replica_sets.clone();
        let of_ended_pod = move |pod: &Pod| {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or("");
            let replica_set = owner::controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet");
            let replica_set = replica_set.and_then(|owner| replica_sets.get(&ObjectKey::new(namespace, &owner.name)));
            let deployment = replica_set.and_then(|it| owner::controller_of(&it.metadata).cloned());
            deployment.map(|owner| ObjectKey::new(namespace, owner.name))
        };
        Watches::new()
            .objects(&self.deployments)
            .owners(&self.replica_sets, "Deployment")
            .map(&self.replica_sets, waking::orphans(selecting))
            .map(&self.pods, move |change| {
                let ended = change.after.as_ref().is_none_or(|pod| crate::pods::is_finished(pod));
                if ended { of_ended_pod(change.object()) } else { None }
            })
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, Error> {
        let Some(deployment) = self.deployments.get(key) else { return Ok(None) };
        let uid = deployment.metadata.uid.clone().unwrap_or_default();
        let (mut replica_sets, mut taken_names) = (Vec::new(), std::collections::BTreeSet::new());
        for replica_set in self.replica_sets.in_namespace(&key.namespace) {
            if owner::controller_of(&replica_set.metadata).is_none_or(|owner| owner.uid == uid) {
                replica_sets.push(replica_set.clone());
            }
            taken_names.extend(replica_set.metadata.name.clone());
        }
        let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
        live::keep_adoptable(&self.client, deployment.as_ref(), selector, &mut replica_sets).await?;
        let pods =
            replica_sets.iter().filter_map(|it| it.metadata.uid.as_ref()).flat_map(|uid| self.pods.by_owner(uid));
        let pods = pods.collect();
        Ok(Some(Input { deployment, replica_sets, pods, taken_names }))
    }

    fn plan(input: &Input, now: Timestamp) -> Plan {
        plan(input, now)
    }
}
