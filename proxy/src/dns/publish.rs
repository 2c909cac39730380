//! Makes the Service `kube-dns` lead to the DNS of each node: one Service for all, one EndpointSlice per node.
//!
//! Upstream: kubeadm's CoreDNS addon (cmd/kubeadm/app/phases/addons/dns)
//! Left out: a Deployment; who wants CoreDNS gives the Service a selector, and these endpoints go.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use client::ObjectKey;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Error, ResourceExt};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::endpoint::SERVICE_NAME;
use crate::observed::Observed;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-dns";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const OURS: &str = "dns.skiff.dev";
/// How long to wait after the API server refused.
const RETRY: Duration = Duration::from_secs(1);

/// Where this node's DNS is.
pub struct Place<'a> {
    pub node: &'a Node,
    pub address: SocketAddrV4,
    pub cluster_ip: Ipv4Addr,
}

/// One thing to do in the API.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    CreateService(Value),
    CreateSlice(Value),
    PatchSlice(Value),
    DeleteSlice,
}

/// Keeps the Service and this node's slice as they should be, for ever.
pub async fn keep(client: &Client, observed: &Observed, place: Place<'_>) {
    let service_key = ObjectKey::new(NAMESPACE, NAME);
    let slice_key = ObjectKey::new(NAMESPACE, slice_name(place.node));
    let services = observed.services.changes().map(|change| ObjectKey::of(&**change.object()));
    let slices = observed.slices.changes().map(|change| ObjectKey::of(&**change.object()));
    let mut changes = Box::pin(futures::stream::select(services, slices));
    loop {
        let (service, slice) = (observed.services.get(&service_key), observed.slices.get(&slice_key));
        let step = plan(service.as_deref(), slice.as_deref(), &place);
        if let Some(step) = step {
            match act(client, &slice_key.name, &step).await {
                Ok(()) => info!(?step, "published the cluster's DNS"),
                // Another node was quicker.
                Err(Error::Api(status)) if status.code == 409 => {}
                Err(error) => {
                    warn!(%error, ?step, "the cluster's DNS is not published, will retry");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
        }
        while changes.next().await.is_some_and(|key| key != service_key && key != slice_key) {}
    }
}

/// The next thing to do, if any.
fn plan(service: Option<&Service>, slice: Option<&EndpointSlice>, place: &Place) -> Option<Step> {
    let Some(service) = service else { return Some(Step::CreateService(wanted_service(place.cluster_ip))) };
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    if selector.is_some_and(|selector| !selector.is_empty()) {
        return slice.map(|_| Step::DeleteSlice);
    }
    let wanted = wanted_slice(place);
    let Some(slice) = slice else { return Some(Step::CreateSlice(wanted)) };
    let current = json!(slice);
    let same = |path: &str| current.pointer(path) == wanted.pointer(path);
    if same("/endpoints") && same("/ports") && same("/metadata/labels") && same("/metadata/ownerReferences") {
        return None;
    }
    let metadata =
        json!({"labels": wanted["metadata"]["labels"], "ownerReferences": wanted["metadata"]["ownerReferences"]});
    let patch = json!({"metadata": metadata, "endpoints": wanted["endpoints"], "ports": wanted["ports"]});
    Some(Step::PatchSlice(patch))
}

fn slice_name(node: &Node) -> String {
    format!("{NAME}-{}", node.name_any())
}

/// Local: each node's pods ask their own node, so that no other node's end takes their DNS away.
fn wanted_service(cluster_ip: Ipv4Addr) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "namespace": NAMESPACE,
            "name": NAME,
            "labels": {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip.to_string(),
            "internalTrafficPolicy": "Local",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    })
}

fn wanted_slice(place: &Place) -> Value {
    let (node, port) = (place.node.name_any(), place.address.port());
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": NAMESPACE,
            "name": slice_name(place.node),
            "labels": {SERVICE_NAME: NAME, MANAGED_BY: OURS},
            // The garbage collector takes the slice with the node.
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": place.node.uid()}],
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [place.address.ip().to_string()],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": node,
        }],
        "ports": [
            {"name": "dns", "port": port, "protocol": "UDP"},
            {"name": "dns-tcp", "port": port, "protocol": "TCP"},
        ],
    })
}

async fn act(client: &Client, slice: &str, step: &Step) -> Result<(), Error> {
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    let own = || PostParams::default();
    match step {
        Step::CreateService(wanted) => drop(services.create(&own(), &decoded(wanted)?).await?),
        Step::CreateSlice(wanted) => drop(slices.create(&own(), &decoded(wanted)?).await?),
        Step::PatchSlice(patch) => drop(slices.patch(slice, &PatchParams::default(), &Patch::Merge(patch)).await?),
        Step::DeleteSlice => drop(slices.delete(slice, &DeleteParams::default()).await?),
    }
    Ok(())
}

fn decoded<K: serde::de::DeserializeOwned>(wanted: &Value) -> Result<K, Error> {
    serde_json::from_value(wanted.clone()).map_err(Error::SerdeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n1", "uid": "u1"}})).unwrap()
    }

    fn check(service: Option<Value>, slice: Option<Value>, expected: &str) {
        let node = node();
        let place = Place {
            node: &node,
            address: "192.168.0.1:10053".parse().unwrap(),
            cluster_ip: Ipv4Addr::new(10, 96, 0, 10),
        };
        let service: Option<Service> = service.map(|service| serde_json::from_value(service).unwrap());
        let slice: Option<EndpointSlice> = slice.map(|slice| serde_json::from_value(slice).unwrap());
        let words = match plan(service.as_ref(), slice.as_ref(), &place) {
            None => "nothing".to_owned(),
            Some(step) => format!("{step:?}").split('(').next().unwrap().to_owned(),
        };
        assert_eq!(words, expected);
    }

    #[test]
    fn the_service_comes_first_and_then_the_slice() {
        let (node, service) = (node(), wanted_service(Ipv4Addr::new(10, 96, 0, 10)));
        let place = |address: &str| Place {
            node: &node,
            address: address.parse().unwrap(),
            cluster_ip: Ipv4Addr::new(10, 96, 0, 10),
        };
        check(None, None, "CreateService");
        check(Some(service.clone()), None, "CreateSlice");
        check(Some(service.clone()), Some(wanted_slice(&place("192.168.0.1:10053"))), "nothing");
        check(Some(service), Some(wanted_slice(&place("192.168.0.1:40000"))), "PatchSlice");
    }

    #[test]
    fn who_brings_another_dns_gets_the_service() {
        let mut service = wanted_service(Ipv4Addr::new(10, 96, 0, 10));
        service["spec"]["selector"] = json!({"k8s-app": "kube-dns"});
        check(Some(service.clone()), None, "nothing");
        let node = node();
        let place = Place { node: &node, address: "192.168.0.1:1".parse().unwrap(), cluster_ip: Ipv4Addr::LOCALHOST };
        check(Some(service), Some(wanted_slice(&place)), "DeleteSlice");
    }
}
