//! Makes the Service `kube-dns` lead to the DNS of each node: one Service for all, one EndpointSlice per node.
//!
//! Upstream: kubeadm's CoreDNS addon (cmd/kubeadm/app/phases/addons/dns)
//! Left out: a Deployment; who wants CoreDNS gives the Service a selector, and these endpoints go.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use client::{Action, Controller, ObjectKey, Patch, Plan, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Error, ResourceExt, api::ApiResource};
use serde_json::{Value, json};

use crate::endpoint::SERVICE_NAME;
use crate::observed::Observed;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-dns";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const OURS: &str = "dns.skiff.dev";

/// Publishes where the DNS of one node is. Its only key is the node's slice.
pub struct Publisher {
    pub observed: Observed,
    pub node: Arc<Node>,
    /// Where the DNS listens.
    pub address: SocketAddrV4,
    pub cluster_ip: Ipv4Addr,
}

/// What a decision depends on.
pub struct Input {
    service: Option<Arc<Service>>,
    slice: Option<Arc<EndpointSlice>>,
    node: Arc<Node>,
    address: SocketAddrV4,
    cluster_ip: Ipv4Addr,
}

impl Controller for Publisher {
    const NAME: &'static str = "dns";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        let own = slice_key(&self.node);
        let (of_service, of_slice) = (own.clone(), own.clone());
        Watches::new()
            .stream(futures::stream::iter([(own, 0)]))
            .map(&self.observed.services, move |change| {
                (ObjectKey::of(&**change.object()) == service_key()).then(|| of_service.clone())
            })
            .map(&self.observed.slices, move |change| {
                (ObjectKey::of(&**change.object()) == of_slice).then(|| of_slice.clone())
            })
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, Error> {
        Ok(Some(Input {
            service: self.observed.services.get(&service_key()),
            slice: self.observed.slices.get(key),
            node: self.node.clone(),
            address: self.address,
            cluster_ip: self.cluster_ip,
        }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        let Some(service) = &input.service else {
            return Plan::from(vec![create::<Service>(wanted_service(input.cluster_ip))]);
        };
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        if selector.is_some_and(|selector| !selector.is_empty()) {
            // Somebody brought another DNS.
            return Plan::from(input.slice.iter().map(|slice| Action::delete(&**slice)).collect::<Vec<_>>());
        }
        let wanted = wanted_slice(&input.node, input.address);
        let Some(slice) = &input.slice else { return Plan::from(vec![create::<EndpointSlice>(wanted)]) };
        let current = json!(slice);
        let same = |path: &str| current.pointer(path) == wanted.pointer(path);
        if same("/endpoints") && same("/ports") && same("/metadata/labels") && same("/metadata/ownerReferences") {
            return Plan::nothing();
        }
        let metadata =
            json!({"labels": wanted["metadata"]["labels"], "ownerReferences": wanted["metadata"]["ownerReferences"]});
        let patch = json!({"metadata": metadata, "endpoints": wanted["endpoints"], "ports": wanted["ports"]});
        Plan::from(vec![Action::patch(&**slice, Patch::Merge(patch))])
    }
}

fn create<K: kube::Resource<DynamicType = ()>>(object: Value) -> Action {
    Action::Create { resource: ApiResource::erase::<K>(&()), object }
}

fn service_key() -> ObjectKey {
    ObjectKey::new(NAMESPACE, NAME)
}

fn slice_key(node: &Node) -> ObjectKey {
    ObjectKey::new(NAMESPACE, format!("{NAME}-{}", node.name_any()))
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

fn wanted_slice(node: &Node, address: SocketAddrV4) -> Value {
    let (name, port) = (node.name_any(), address.port());
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": NAMESPACE,
            "name": slice_key(node).name,
            "labels": {SERVICE_NAME: NAME, MANAGED_BY: OURS},
            // The garbage collector takes the slice with the node.
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.uid()}],
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [address.ip().to_string()],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": name,
        }],
        "ports": [
            {"name": "dns", "port": port, "protocol": "UDP"},
            {"name": "dns-tcp", "port": port, "protocol": "TCP"},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

    fn node() -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n1", "uid": "u1"}})).unwrap()
    }

    fn slice_at(address: &str) -> Value {
        wanted_slice(&node(), address.parse().unwrap())
    }

    fn check(service: Option<Value>, slice: Option<Value>, expected: &str) {
        let input = Input {
            service: service.map(|service| serde_json::from_value(service).unwrap()),
            slice: slice.map(|slice| serde_json::from_value(slice).unwrap()),
            node: Arc::new(node()),
            address: "192.168.0.1:10053".parse().unwrap(),
            cluster_ip: CLUSTER_IP,
        };
        let plan = Publisher::plan(&input, Timestamp::UNIX_EPOCH);
        let words: Vec<String> = plan.actions.iter().map(Action::to_string).collect();
        assert_eq!(words.join(", "), expected);
    }

    #[test]
    fn the_service_comes_first_and_then_the_slice() {
        let service = wanted_service(CLUSTER_IP);
        check(None, None, "create Service kube-system/kube-dns");
        check(Some(service.clone()), None, "create EndpointSlice kube-system/kube-dns-n1");
        check(Some(service.clone()), Some(slice_at("192.168.0.1:10053")), "");
        check(Some(service), Some(slice_at("192.168.0.1:40000")), "patch EndpointSlice kube-system/kube-dns-n1");
    }

    #[test]
    fn who_brings_another_dns_gets_the_service() {
        let mut service = wanted_service(CLUSTER_IP);
        service["spec"]["selector"] = json!({"k8s-app": "kube-dns"});
        check(Some(service.clone()), None, "");
        check(Some(service), Some(slice_at("192.168.0.1:1")), "delete EndpointSlice kube-system/kube-dns-n1");
    }
}
