//! Questions to the API server itself, where a cache that is behind would do harm.
//!
//! Upstream: the live GETs of the garbage collector and of the pod garbage collector, and RecheckDeletionTimestamp of
//! pkg/controller/controller_ref_manager.go
//! Left out: GET. The controller manager may list and watch everything, and get little: a list of one name says the same.

use std::sync::Arc;

use client::ObjectKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ApiResource, ListParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client, Error, Resource};

use crate::owner::{self, Claim};

/// The metadata of the object of that name, if the API server has it now.
pub async fn metadata(client: &Client, resource: &ApiResource, key: &ObjectKey) -> Result<Option<ObjectMeta>, Error> {
    let only = ListParams::default().fields(&format!("metadata.name={}", key.name));
    let found = list(client, resource, &key.namespace, &only).await?;
    Ok(found.into_iter().next())
}

/// The metadata of all objects of a kind in a namespace, as the API server has them now.
pub async fn in_namespace(client: &Client, resource: &ApiResource, namespace: &str) -> Result<Vec<ObjectMeta>, Error> {
    list(client, resource, namespace, &ListParams::default()).await
}

/// Takes out of `objects` those that `owner` would adopt, unless the API server says that it stays. An owner that is
/// deleted leaves its dependents alone when it is told to; a cache that hasn't heard of it yet would take them back, and
/// they would go with it.
pub async fn keep_adoptable<O, K>(
    client: &Client,
    owner: &O,
    selector: Option<&LabelSelector>,
    objects: &mut Vec<Arc<K>>,
) -> Result<(), Error>
where
    O: Resource<DynamicType = ()>,
    K: Resource<DynamicType = ()>,
{
    let is_adopted = |object: &Arc<K>| owner::claim(owner.meta(), selector, object.meta()) == Claim::Adopt;
    if !objects.iter().any(is_adopted) {
        return Ok(());
    }
    let found = metadata(client, &ApiResource::erase::<O>(&()), &ObjectKey::of(owner)).await?;
    if found.is_none_or(|found| found.uid != owner.meta().uid || found.deletion_timestamp.is_some()) {
        objects.retain(|object| !is_adopted(object));
    }
    Ok(())
}

async fn list(
    client: &Client,
    resource: &ApiResource,
    namespace: &str,
    params: &ListParams,
) -> Result<Vec<ObjectMeta>, Error> {
    let api: Api<PartialObjectMeta> = match namespace {
        "" => Api::all_with(client.clone(), resource),
        namespace => Api::namespaced_with(client.clone(), namespace, resource),
    };
    Ok(api.list(params).await?.items.into_iter().map(|object| object.metadata).collect())
}
