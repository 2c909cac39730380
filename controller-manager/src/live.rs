//! Questions to the API server itself, where a cache that is behind would do harm.
//!
//! Upstream: the live GETs of the garbage collector and of the pod garbage collector
//! Left out: GET. The controller manager may list and watch everything, and get little: a list of one name says the same.

use client::ObjectKey;
use kube::api::{ApiResource, ListParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client, Error};

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
