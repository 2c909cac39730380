//! Counts what a namespace uses of each ResourceQuota. The API server charges what is made; what goes, ends or changes is
//! only seen here.
//!
//! Caches tell when to count; what is counted is read from the API server itself, first the quota, then the objects: a
//! cache of quotas that is behind one of pods (or before it) would make two wrongs look right. The count is written only
//! onto the quota as it was read, and every create changes the quota it is charged to, so that no create in between can
//! be missed.
//!
//! Upstream: pkg/controller/resourcequota/resource_quota_controller.go, apiserver/pkg/quota/v1/resources.go
//! Left out: a queue of their own for quotas that have never been counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::quota::{self, Counted};
use api::resources::{self, Resources};
use client::{Cache, Controller, Informers, ObjectKey, Patch, Watches};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Error, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::actions::{self, Action, Plan};
use crate::kinds::{Kind, Kinds};
use crate::live;

/// A quota is counted again after this long though nothing seems to have changed: an API server that died between a
/// charge and its write leaves one too many. Upstream's --resource-quota-sync-period.
const RESYNC: Duration = Duration::from_secs(300);

/// What is decided from: a quota, and what there is in its namespace of what it limits.
pub struct Input {
    pub quota: Arc<ResourceQuota>,
    /// Objects that cost what they say, by resource: pods, services, persistentvolumeclaims.
    pub objects: BTreeMap<&'static str, Vec<Value>>,
    /// How many there are of everything else, by the quota's name for it.
    pub counts: BTreeMap<String, usize>,
}

/// Writes the quota's limits and what is used of them into its status, if they aren't there.
pub fn plan(input: &Input, now: Timestamp) -> Plan {
    let quota = to_value(input.quota.as_ref());
    let hard = resources::read(&quota["spec"]["hard"]);
    let mut used = resources::read(&quota["status"]["used"]);
    used.retain(|name, _| hard.contains_key(name));
    used.extend(count(input, &quota, &hard, now));
    let is_right = resources::read(&quota["status"]["hard"]) == hard
        && resources::read(&quota["status"]["used"]) == used
        && quota["status"]["used"].is_object();
    let after = json!({"hard": resources::write(&hard), "used": resources::write(&used)});
    let before = json!({"hard": &quota["status"]["hard"], "used": &quota["status"]["used"]});
    let patch = actions::merge_difference(&before, &after).filter(|_| !is_right);
    let action = patch.map(|status| {
        let version = input.quota.metadata.resource_version.as_deref().unwrap_or_default();
        let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
        Action::patch_status(input.quota.as_ref(), Patch::Merge(patch))
    });
    Plan { actions: action.into_iter().collect(), requeue_after: Some(next_look(input, now)) }
}

/// What is used of each limit that anything here can use.
fn count(input: &Input, quota: &Value, hard: &Resources, now: Timestamp) -> Resources {
    let mut used = Resources::new();
    for (resource, objects) in &input.objects {
        let counted = Counted { group: "", resource };
        for name in hard.keys().filter(|name| counted.uses(name)) {
            used.entry(name.clone()).or_default();
        }
        for object in objects.iter().filter(|object| counted.in_scope(quota, object)) {
            let mut usage = counted.usage(object, now);
            usage.retain(|name, _| hard.contains_key(name));
            resources::add(&mut used, &usage);
        }
    }
    for (name, count) in &input.counts {
        let counts = if has_scopes(quota) { 0 } else { i64::try_from(*count).unwrap_or(i64::MAX) };
        used.insert(name.clone(), api::quantity::Quantity::new(counts, api::quantity::Format::Decimal));
    }
    used
}

/// Scopes choose pods and claims; nothing else is ever within one.
fn has_scopes(quota: &Value) -> bool {
    let Value::Object(spec) = &quota["spec"] else { return false };
    ["scopes", "scopeSelector"].iter().any(|field| spec.contains_key(*field))
}

/// When a pod stops counting by itself, or else the next resync.
fn next_look(input: &Input, now: Timestamp) -> Duration {
    let pods = input.objects.get("pods").into_iter().flatten();
    let releases = pods.filter_map(quota::release_time).filter(|time| *time > now);
    let next = releases.min().and_then(|time| Duration::try_from(time.duration_since(now)).ok());
    // A pod counts up to its last second.
    next.map_or(RESYNC, |wait| (wait + Duration::from_secs(1)).min(RESYNC))
}

fn to_value<T: Serialize>(object: &T) -> Value {
    serde_json::to_value(object).expect("an object's fields are plain JSON")
}

pub struct ResourceQuotas {
    quotas: Cache<ResourceQuota>,
    pods: Cache<Pod>,
    services: Cache<Service>,
    claims: Cache<PersistentVolumeClaim>,
    kinds: Kinds,
}

impl ResourceQuotas {
    pub fn new(informers: &Informers, kinds: Kinds) -> Self {
        let (quotas, pods, services, claims) = (informers.of(), informers.of(), informers.of(), informers.of());
        Self { quotas, pods, services, claims, kinds }
    }

    /// What the API server says: first the quota, then the objects.
    async fn live(&self, key: &ObjectKey) -> Result<Option<Input>, Error> {
        let client = self.kinds.client();
        let only = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), &key.namespace);
        let Some(quota) = quotas.list(&only).await?.items.pop().map(Arc::new) else { return Ok(None) };
        let limited = Limited::of(&quota);
        let mut objects = BTreeMap::new();
        if limited.limits("pods") {
            objects.insert("pods", list::<Pod>(client, &key.namespace).await?);
        }
        if limited.limits("services") {
            objects.insert("services", list::<Service>(client, &key.namespace).await?);
        }
        if limited.limits("persistentvolumeclaims") {
            objects.insert("persistentvolumeclaims", list::<PersistentVolumeClaim>(client, &key.namespace).await?);
        }
        let mut counts = BTreeMap::new();
        for (name, kind) in limited.kinds(&self.kinds) {
            counts.insert(name, live::in_namespace(client, &kind.resource, &key.namespace).await?.len());
        }
        Ok(Some(Input { quota, objects, counts }))
    }
}

async fn list<K>(client: &Client, namespace: &str) -> Result<Vec<Value>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    Ok(api.list(&ListParams::default()).await?.items.iter().map(to_value).collect())
}

/// The names of what a quota limits.
struct Limited(Vec<String>);

impl Limited {
    fn of(quota: &ResourceQuota) -> Limited {
        let hard = quota.spec.iter().flat_map(|spec| spec.hard.iter().flatten());
        Limited(hard.map(|(name, _)| name.clone()).collect())
    }

    fn limits(&self, resource: &str) -> bool {
        let counted = Counted { group: "", resource };
        self.0.iter().any(|name| counted.uses(name))
    }

    /// The kinds that are only counted, each with the quota's name for it.
    fn kinds(&self, kinds: &Kinds) -> Vec<(String, Arc<Kind>)> {
        let all = kinds.all();
        let counted = all.iter().filter(|kind| {
            let says_what_it_costs = matches!(&*kind.resource.plural, "pods" | "services" | "persistentvolumeclaims");
            kind.namespaced && !(kind.resource.group.is_empty() && says_what_it_costs)
        });
        counted
            .flat_map(|kind| {
                let counted = Counted { group: &kind.resource.group, resource: &kind.resource.plural };
                let names: Vec<&String> = self.0.iter().filter(|name| counted.uses(name)).collect();
                names.into_iter().map(|name| (name.clone(), kind.clone())).collect::<Vec<_>>()
            })
            .collect()
    }
}

impl Controller for ResourceQuotas {
    const NAME: &'static str = "resourcequota";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        let quotas = self.quotas.clone();
        let of_namespace = move |namespace: &str| -> Vec<ObjectKey> {
            quotas.in_namespace(namespace).iter().map(|quota| ObjectKey::of(&**quota)).collect()
        };
        let (of_pod, of_service, of_claim) = (of_namespace.clone(), of_namespace.clone(), of_namespace.clone());
        // What is made is charged by the API server. Only what goes or costs less is news.
        let gone = self.kinds.changes().filter_map(move |(_, change)| {
            let namespace = change.object().metadata.namespace.clone().filter(|_| change.after.is_none());
            let keys = namespace.map(|namespace| (of_namespace(&namespace), change.revision));
            std::future::ready(keys)
        });
        let gone =
            gone.flat_map(|(keys, revision)| futures::stream::iter(keys.into_iter().map(move |it| (it, revision))));
        Watches::new()
            .map(&self.quotas, |change| {
                let spec = |quota: &Arc<ResourceQuota>| quota.spec.clone();
                let same = change.before.as_ref().map(spec) == change.after.as_ref().map(spec);
                (!same).then(|| ObjectKey::of(&**change.object()))
            })
            .map(&self.pods, move |change| {
                let costs = |pod: &Arc<Pod>| {
                    let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
                    (phase, pod.metadata.deletion_timestamp.is_some(), pod.spec.as_ref().map(resources_of))
                };
                changed(change, costs, &of_pod)
            })
            .map(&self.services, move |change| changed(change, |service| service.spec.clone(), &of_service))
            .map(&self.claims, move |change| {
                let costs = |claim: &Arc<PersistentVolumeClaim>| {
                    let allocated = claim.status.as_ref().and_then(|status| status.allocated_resources.clone());
                    (claim.spec.clone(), allocated)
                };
                changed(change, costs, &of_claim)
            })
            .stream(gone)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, Error> {
        if self.quotas.get(key).is_none_or(|quota| quota.metadata.deletion_timestamp.is_some()) {
            return Ok(None);
        }
        self.kinds.ready().await;
        self.live(key).await
    }

    fn plan(input: &Input, now: Timestamp) -> Plan {
        plan(input, now)
    }
}

/// What a pod's containers ask for.
fn resources_of(
    spec: &k8s_openapi::api::core::v1::PodSpec,
) -> Vec<Option<k8s_openapi::api::core::v1::ResourceRequirements>> {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    containers.map(|container| container.resources.clone()).collect()
}

/// The quotas of the namespace of an object that was there before and costs something else now.
fn changed<K: Resource, T: PartialEq>(
    change: &client::Change<K>,
    costs: impl Fn(&Arc<K>) -> T,
    quotas: &impl Fn(&str) -> Vec<ObjectKey>,
) -> Vec<ObjectKey> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return Vec::new() };
    let namespace = after.meta().namespace.as_deref().unwrap_or_default();
    if costs(before) == costs(after) { Vec::new() } else { quotas(namespace) }
}

#[cfg(test)]
mod tests;
