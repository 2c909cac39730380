//! What wakes a node, and what is gathered for its plan.
//!
//! Upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go

use client::{Cache, Controller, Informers, ObjectKey, Plan, Selector, Watches};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};

use super::{ClusterHealth, Input, Silence, Turns, plan};
use crate::nodes;

const LEASE_NAMESPACE: &str = "kube-node-lease";

pub struct NodeLifecycle {
    nodes: Cache<Node>,
    leases: Cache<Lease>,
    pods: Cache<Pod>,
    silence: Silence,
    turns: Turns,
}

impl NodeLifecycle {
    pub fn new(informers: &Informers) -> Self {
        let leases = informers.selected(Selector::fields(format!("metadata.namespace={LEASE_NAMESPACE}")));
        Self {
            nodes: informers.of(),
            leases,
            pods: informers.of(),
            silence: Silence::default(),
            turns: Turns::default(),
        }
    }
}

impl Controller for NodeLifecycle {
    const NAME: &'static str = "node";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        let nodes = self.nodes.clone();
        Watches::new()
            .objects(&self.nodes)
            .map(&self.leases, |change| change.object().metadata.name.as_ref().map(ObjectKey::cluster))
            // Whether pods may be driven off one node depends on how all others are.
            .map(&self.nodes, move |change| {
                let readiness = |node: &Node| nodes::readiness(node).to_owned();
                let before = change.before.as_ref().map(|node| readiness(node));
                let same = before == change.after.as_ref().map(|node| readiness(node));
                let all = if same { Vec::new() } else { nodes.list() };
                all.iter().map(|node| ObjectKey::of(node.as_ref())).collect::<Vec<_>>()
            })
            .reads(&self.pods)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let Some(node) = self.nodes.get(key) else {
            self.silence.forget(&key.name);
            self.turns.give_back(&key.name);
            return Ok(None);
        };
        let lease = self.leases.get(&ObjectKey::new(LEASE_NAMESPACE, &key.name));
        let is_new = self.silence.is_new(&key.name);
        let silent_for = self.silence.of(&node, lease.as_deref());
        let all = self.nodes.list();
        let not_ready = all.iter().filter(|node| !nodes::is_ready(node)).count();
        let turn_in = if nodes::is_ready(&node) {
            self.turns.give_back(&key.name);
            None
        } else {
            self.turns.wait(&key.name)
        };
        Ok(Some(Input {
            node,
            is_new,
            silent_for,
            health: ClusterHealth { nodes: all.len(), not_ready },
            turn_in,
            pods: self.pods.by_node(&key.name),
        }))
    }

    fn plan(input: &Input, now: Timestamp) -> Plan {
        plan(input, now)
    }
}
