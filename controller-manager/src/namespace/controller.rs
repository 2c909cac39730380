//! What wakes a namespace, and how its content is found.
//!
//! Upstream: pkg/controller/namespace/deletion/namespaced_resources_deleter.go

use client::{Cache, Controller, Informers, ObjectKey, Plan, Watches};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::Error;
use kube::api::ApiResource;
use kube::core::ObjectMeta;

use super::{Input, Remaining, is_terminating, plan};
use crate::kinds::Kinds;
use crate::live;

pub struct Namespaces {
    namespaces: Cache<Namespace>,
    kinds: Kinds,
}

impl Namespaces {
    pub fn new(informers: &Informers, kinds: Kinds) -> Self {
        Self { namespaces: informers.of(), kinds }
    }

    /// What the caches know to be in the namespace.
    fn known(&self, namespace: &str) -> Vec<Remaining> {
        let namespaced = self.kinds.all().into_iter().filter(|kind| kind.namespaced);
        namespaced
            .flat_map(|kind| {
                let objects = kind.cache.in_namespace(namespace);
                objects.into_iter().map(move |object| remaining(&kind.resource, object.metadata.clone()))
            })
            .collect()
    }

    /// What the API server itself says: the last look before the namespace goes. Events are only seen here.
    async fn live(&self, namespace: &str) -> Result<Vec<Remaining>, Error> {
        let kinds = self.kinds.all();
        let namespaced = kinds.iter().filter(|kind| kind.namespaced).map(|kind| kind.resource.clone());
        let mut remaining_objects = Vec::new();
        for resource in namespaced.chain([ApiResource::erase::<Event>(&())]) {
            let objects = live::in_namespace(self.kinds.client(), &resource, namespace).await?;
            remaining_objects.extend(objects.into_iter().map(|meta| remaining(&resource, meta)));
        }
        Ok(remaining_objects)
    }
}

fn remaining(resource: &ApiResource, meta: ObjectMeta) -> Remaining {
    Remaining {
        resource: resource.clone(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid,
        is_terminating: meta.deletion_timestamp.is_some(),
        finalizers: meta.finalizers.unwrap_or_default(),
    }
}

impl Controller for Namespaces {
    const NAME: &'static str = "namespace";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        let namespaces = self.namespaces.clone();
        // Whatever changes in a namespace that is going brings it nearer to its end.
        let content = self.kinds.changes().filter_map(move |(_, change)| {
            let namespace = change.object().metadata.namespace.as_ref().map(ObjectKey::cluster);
            let leaving = namespace.filter(|key| namespaces.get(key).is_some_and(|it| is_terminating(&it)));
            std::future::ready(leaving.map(|key| (key, change.revision)))
        });
        Watches::new().objects(&self.namespaces).stream(content)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, Error> {
        let Some(namespace) = self.namespaces.get(key) else { return Ok(None) };
        if namespace.metadata.deletion_timestamp.is_none() {
            return Ok(None);
        }
        self.kinds.ready().await;
        let mut remaining = self.known(&key.name);
        if remaining.is_empty() {
            remaining = self.live(&key.name).await?;
        }
        Ok(Some(Input { namespace, remaining, discovery_failures: self.kinds.failures() }))
    }

    fn plan(input: &Input, now: Timestamp) -> Plan {
        plan(input, now)
    }
}
