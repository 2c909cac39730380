//! The world as a decision sees it: nodes with what is on them, claims and volumes.
//!
//! It follows the caches change by change and includes pods that we placed but whose binding has not come back yet.
//!
//! Upstream: pkg/scheduler/backend/cache/{cache,snapshot}.go, pkg/scheduler/framework/types.go (NodeInfo)
//! Left out: counters for affinity terms; interned labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::quantity::Quantity as Amount;
use client::ObjectKey;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use rustc_hash::FxHashMap;

use crate::resources::{self, Resources};

/// A pod with what is asked of it again and again.
#[derive(Debug, Clone)]
pub struct PodInfo {
    pub pod: Arc<Pod>,
    pub requests: Resources,
    pub ranked_requests: Resources,
}

impl PodInfo {
    pub fn new(pod: Arc<Pod>) -> PodInfo {
        let requests = resources::requests_of(&pod);
        let ranked_requests = resources::ranked_requests_of(&pod);
        PodInfo { pod, requests, ranked_requests }
    }
}

/// A node and the pods on it.
#[derive(Debug, Default)]
pub struct NodeState {
    /// None while only its pods are known.
    pub node: Option<Arc<Node>>,
    pub allocatable: Resources,
    pub max_pods: i64,
    pub requested: Resources,
    pub ranked_requested: Resources,
    /// By uid.
    pub pods: BTreeMap<String, PodInfo>,
}

/// Nodes by name, and where each pod is.
#[derive(Debug, Default)]
pub struct Snapshot {
    nodes: BTreeMap<String, NodeState>,
    places: FxHashMap<String, String>,
    pub claims: BTreeMap<ObjectKey, Arc<PersistentVolumeClaim>>,
    pub volumes: BTreeMap<String, Arc<PersistentVolume>>,
    pub classes: BTreeMap<String, Arc<StorageClass>>,
}

impl Snapshot {
    /// The nodes that exist, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &NodeState, &Node)> {
        self.nodes.iter().filter_map(|(name, state)| Some((name.as_str(), state, state.node.as_deref()?)))
    }

    /// Takes a new or changed node.
    pub fn put_node(&mut self, node: Arc<Node>) {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.clone()).unwrap_or_default();
        let state = self.nodes.entry(node.metadata.name.clone().unwrap_or_default()).or_default();
        state.allocatable = Resources::of_list(&allocatable);
        let pods = allocatable.get("pods").and_then(|quantity| Amount::parse(&quantity.0).ok());
        state.max_pods = pods.map_or(0, |pods| pods.value());
        state.node = Some(node);
    }

    /// Forgets a node; pods that are still on it stay known until they leave.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(state) = self.nodes.get_mut(name) {
            state.node = None;
            self.drop_if_empty(name);
        }
    }

    /// Takes a pod that is on a node, or is about to be: in the watch's words or in our own (assumed).
    pub fn put_pod(&mut self, node: &str, pod: PodInfo) {
        let uid = pod.pod.metadata.uid.clone().unwrap_or_default();
        self.remove_pod(&uid);
        let state = self.nodes.entry(node.to_owned()).or_default();
        state.requested.add(&pod.requests);
        state.ranked_requested.add(&pod.ranked_requests);
        state.pods.insert(uid.clone(), pod);
        self.places.insert(uid, node.to_owned());
    }

    /// Takes a pod away from wherever it is.
    pub fn remove_pod(&mut self, uid: &str) {
        let Some(name) = self.places.remove(uid) else { return };
        let state = self.nodes.get_mut(&name).expect("a place names a known node");
        if let Some(pod) = state.pods.remove(uid) {
            state.requested.subtract(&pod.requests);
            state.ranked_requested.subtract(&pod.ranked_requests);
        }
        self.drop_if_empty(&name);
    }

    /// The node that the pod is on, or assumed to be on.
    pub fn place(&self, uid: &str) -> Option<&str> {
        self.places.get(uid).map(String::as_str)
    }

    fn drop_if_empty(&mut self, name: &str) {
        if self.nodes.get(name).is_some_and(|state| state.node.is_none() && state.pods.is_empty()) {
            self.nodes.remove(name);
        }
    }
}
