//! What a kubelet may do: reach its own node, and of the objects of the cluster only what its pods refer to.
//!
//! Upstream: plugin/pkg/auth/authorizer/node (node_authorizer.go, graph.go, graph_populator.go),
//!   pkg/auth/nodeidentifier/default.go
//! Left out: resource claims and slices, volume attachments, cluster trust bundles.
//!
//! What a node writes about itself and its pods is let through here by verb; the NodeRestriction admission plugin looks
//! at the objects.

use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock},
};

use api::local_path;
use bytes::Bytes;
use serde_json::Value;

use super::{Attributes, bootstrap, rule::Rule};
use crate::{
    attributes::{Decision, UserInfo},
    memory::Observer,
    object::{Object, ObjectKey},
    pod_references::{self, Kind},
    row::Row,
};

/// The name of the node that a user is; none when the user is not a node, "" when it is one without a name.
pub fn node_name(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:")?;
    user.in_group("system:nodes").then_some(name)
}

/// Which nodes may see what.
#[derive(Default)]
pub struct NodeAuthorizer {
    graph: RwLock<Graph>,
    rules: NodeRules,
}

/// The rules that hold for all nodes alike.
struct NodeRules(Vec<Rule>);

impl Default for NodeRules {
    fn default() -> NodeRules {
        NodeRules(bootstrap::node_rules())
    }
}

/// What pods refer to, by node.
#[derive(Default)]
struct Graph {
    pods: HashMap<ObjectKey, PodEdges>,
    /// The pods of a node, as they are stored, that nobody has looked into yet: most changes of pods come between two
    /// questions of their node.
    unread: HashMap<Box<str>, HashMap<ObjectKey, Bytes>>,
    /// How many pods of a node refer to an object.
    referrers: HashMap<Vertex, HashMap<String, usize>>,
    /// The volume that a claim is bound to, and the Secrets that a volume's driver needs.
    volumes: HashMap<String, VolumeEdges>,
}

struct PodEdges {
    node: String,
    vertices: HashSet<Vertex>,
}

struct VolumeEdges {
    claim: (String, String),
    secrets: HashSet<(String, String)>,
}

/// An object that a node may reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Vertex {
    kind: Kind,
    namespace: String,
    name: String,
}

const NO_RELATION: &str = "no relationship found between node";

impl NodeAuthorizer {
    /// Whether a node may do what is asked; no opinion on users that are no nodes.
    pub fn decide(&self, user: &UserInfo, asked: &Attributes<'_>) -> Decision {
        let no_opinion = |reason: String| Decision::NoOpinion { reason };
        let Some(node) = node_name(user) else { return no_opinion(String::new()) };
        if node.is_empty() {
            return no_opinion(format!("unknown node for user {:?}", user.name));
        }
        match self.judge(node, asked) {
            Ok(()) => Decision::Allow { reason: String::new() },
            Err(reason) => no_opinion(reason),
        }
    }

    fn judge(&self, node: &str, asked: &Attributes<'_>) -> Result<(), String> {
        if asked.is_resource {
            match (asked.group, asked.resource) {
                ("", "secrets") => return self.judge_read(Kind::Secret, node, asked),
                ("", "configmaps") => return self.judge_read(Kind::ConfigMap, node, asked),
                ("", "persistentvolumeclaims") if asked.subresource == "status" => {
                    return match asked.verb {
                        "update" | "patch" => self.related(Kind::Claim, node, asked),
                        _ => Err("can only get/update/patch this type".to_owned()),
                    };
                }
                ("", "persistentvolumeclaims") => return self.judge_get(Kind::Claim, node, asked),
                ("", "persistentvolumes") => return self.judge_volume(node, asked),
                ("", "serviceaccounts") => return self.judge_token(node, asked),
                ("", "nodes") => return judge_node(node, asked),
                ("", "pods") => return self.judge_pod(node, asked),
                ("coordination.k8s.io", "leases") => return judge_lease(node, asked),
                ("storage.k8s.io", "csinodes") => return judge_csi_node(node, asked),
                _ => {}
            }
        }
        if self.rules.0.iter().any(|rule| rule.allows(asked)) { Ok(()) } else { Err(String::new()) }
    }

    /// Secrets and config maps: single objects that pods of the node refer to may be read and watched.
    fn judge_read(&self, kind: Kind, node: &str, asked: &Attributes<'_>) -> Result<(), String> {
        if !matches!(asked.verb, "get" | "list" | "watch") {
            return Err("can only read resources of this type".to_owned());
        }
        if !asked.subresource.is_empty() {
            return Err("cannot read subresource".to_owned());
        }
        if asked.namespace.is_empty() {
            return Err("can only read namespaced object of this type".to_owned());
        }
        self.related(kind, node, asked)
    }

    fn judge_get(&self, kind: Kind, node: &str, asked: &Attributes<'_>) -> Result<(), String> {
        if asked.verb != "get" {
            return Err("can only get individual resources of this type".to_owned());
        }
        if !asked.subresource.is_empty() {
            return Err("cannot get subresource".to_owned());
        }
        self.related(kind, node, asked)
    }

    /// A node reads the volumes of its pods, and sees and releases (NodeRestriction looks at what it changes) the
    /// local ones that carry its name.
    fn judge_volume(&self, node: &str, asked: &Attributes<'_>) -> Result<(), String> {
        match (asked.subresource, asked.verb) {
            ("", "list" | "watch") if asked.label_selector == format!("{}={node}", local_path::VOLUME_LABEL) => Ok(()),
            ("", "patch") if !asked.name.is_empty() => Ok(()),
            _ => self.judge_get(Kind::Volume, node, asked),
        }
    }

    fn judge_token(&self, node: &str, asked: &Attributes<'_>) -> Result<(), String> {
        if asked.verb != "create" || asked.name.is_empty() {
            return Err("can only create tokens for individual service accounts".to_owned());
        }
        if asked.subresource != "token" {
            return Err("can only create token subresource of serviceaccount".to_owned());
        }
        self.related(Kind::ServiceAccount, node, asked)
    }

    fn judge_pod(&self, node: &str, asked: &Attributes<'_>) -> Result<(), String> {
        match (asked.subresource, asked.verb) {
            ("", "get") => self.related(Kind::Pod, node, asked),
            ("", "list" | "watch") if selects(asked.field_selector, "spec.nodeName", node) => Ok(()),
            ("", "list" | "watch") if !asked.name.is_empty() => self.related(Kind::Pod, node, asked),
            ("", "list" | "watch") => Err("can only list/watch pods with spec.nodeName field selector".to_owned()),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => Err(String::new()),
        }
    }

    fn related(&self, kind: Kind, node: &str, asked: &Attributes<'_>) -> Result<(), String> {
        if asked.name.is_empty() {
            return Err("No Object name found".to_owned());
        }
        let mut graph = self.graph.read().unwrap_or_else(PoisonError::into_inner);
        if graph.unread.contains_key(node) {
            drop(graph);
            self.graph.write().unwrap_or_else(PoisonError::into_inner).read_pods(node);
            graph = self.graph.read().unwrap_or_else(PoisonError::into_inner);
        }
        let vertex = Vertex { kind, namespace: asked.namespace.to_owned(), name: asked.name.to_owned() };
        if graph.reaches(&vertex, node) { Ok(()) } else { Err(format!("{NO_RELATION} '{node}' and this object")) }
    }
}

fn judge_node(node: &str, asked: &Attributes<'_>) -> Result<(), String> {
    match (asked.subresource, asked.verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") => match asked.name {
            name if name == node => Ok(()),
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
            other => Err(format!("node '{node}' cannot read '{other}', only its own Node object")),
        },
        _ => Err(String::new()),
    }
}

const OWN_OBJECT_VERBS: [&str; 5] = ["get", "create", "update", "patch", "delete"];

fn judge_lease(node: &str, asked: &Attributes<'_>) -> Result<(), String> {
    if !OWN_OBJECT_VERBS.contains(&asked.verb) {
        return Err("can only get, create, update, patch, or delete a node lease".to_owned());
    }
    if asked.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    // A create does not name the object yet; admission compares it.
    if asked.verb != "create" && asked.name != node {
        return Err("can only access node lease with the same name as the requesting node".to_owned());
    }
    Ok(())
}

fn judge_csi_node(node: &str, asked: &Attributes<'_>) -> Result<(), String> {
    if !OWN_OBJECT_VERBS.contains(&asked.verb) {
        return Err("can only get, create, update, patch, or delete a CSINode".to_owned());
    }
    if !asked.subresource.is_empty() {
        return Err("cannot authorize CSINode subresources".to_owned());
    }
    if asked.verb != "create" && asked.name != node {
        return Err("can only access CSINode with the same name as the requesting node".to_owned());
    }
    Ok(())
}

/// Whether a field selector demands `field=value`.
fn selects(field_selector: &str, field: &str, value: &str) -> bool {
    field_selector.split(',').any(|requirement| {
        let Some((key, wanted)) = requirement.split_once('=') else { return false };
        key == field && wanted.strip_prefix('=').unwrap_or(wanted) == value
    })
}

impl Graph {
    fn reaches(&self, vertex: &Vertex, node: &str) -> bool {
        let of_node = |vertex: &Vertex| self.referrers.get(vertex).is_some_and(|nodes| nodes.contains_key(node));
        if of_node(vertex) {
            return true;
        }
        let through_claim = |volume: &VolumeEdges| {
            let (namespace, name) = volume.claim.clone();
            of_node(&Vertex { kind: Kind::Claim, namespace, name })
        };
        match vertex.kind {
            // node <- pod <- claim <- volume
            Kind::Volume => self.volumes.get(&vertex.name).is_some_and(through_claim),
            // node <- pod <- claim <- volume <- secret
            Kind::Secret => {
                let secret = (vertex.namespace.clone(), vertex.name.clone());
                self.volumes.values().any(|volume| volume.secrets.contains(&secret) && through_claim(volume))
            }
            _ => false,
        }
    }

    fn remove_pod(&mut self, key: &ObjectKey, node: &str) {
        if let Some(unread) = self.unread.get_mut(node) {
            unread.remove(key);
        }
        let Some(edges) = self.pods.remove(key) else { return };
        for vertex in edges.vertices {
            let Some(nodes) = self.referrers.get_mut(&vertex) else { continue };
            if let Some(count) = nodes.get_mut(&edges.node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&edges.node);
                }
            }
            if nodes.is_empty() {
                self.referrers.remove(&vertex);
            }
        }
    }

    /// Looks into the pods of a node.
    fn read_pods(&mut self, node: &str) {
        for (key, stored) in self.unread.remove(node).into_iter().flatten() {
            let pod: Value = serde_json::from_slice(&stored).unwrap_or_default();
            self.add_pod(&key, &pod);
        }
    }

    fn add_pod(&mut self, key: &ObjectKey, pod: &Value) {
        let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) else { return };
        let namespace = key.namespace.to_string();
        let vertex = |kind, name: &str| Vertex { kind, namespace: namespace.clone(), name: name.to_owned() };
        let mut vertices = HashSet::from([vertex(Kind::Pod, &key.name)]);
        // A mirror pod shows what runs on the node anyway. What it names, the node has not been given by anyone.
        let is_mirror = pod["metadata"]["annotations"].get(pod_references::MIRROR_ANNOTATION).is_some();
        if !is_mirror {
            pod_references::visit(pod, &mut |kind, name| {
                vertices.insert(vertex(kind, name));
            });
        }
        for vertex in &vertices {
            *self.referrers.entry(vertex.clone()).or_default().entry(node.to_owned()).or_default() += 1;
        }
        self.pods.insert(key.clone(), PodEdges { node: node.to_owned(), vertices });
    }

    fn add_volume(&mut self, name: &str, volume: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let claim = &volume["spec"]["claimRef"];
        if claim.is_null() {
            return;
        }
        let claim = (text(&claim["namespace"]), text(&claim["name"]));
        let secrets = pod_references::volume_secrets(volume, &claim.0);
        self.volumes.insert(name.to_owned(), VolumeEdges { claim, secrets });
    }
}

fn node_of<'a>(row: &Row, pod: Option<&'a Object>) -> &'a str {
    pod.and_then(|pod| row.field(pod, "spec.nodeName")).unwrap_or_default()
}

impl Observer for NodeAuthorizer {
    fn observe(&self, row: &Row, before: Option<&Object>, after: Option<&Object>) {
        if !row.group.is_empty() {
            return;
        }
        let Some(key) = after.or(before).map(|object| &object.key) else { return };
        match &*row.plural {
            "pods" => {
                let (old, new) = (node_of(row, before), node_of(row, after));
                let spec = |pod: Option<&Object>| pod.map(|pod| (pod.meta.uid().to_owned(), pod.meta.generation));
                if old == new && (new.is_empty() || spec(before) == spec(after)) {
                    return;
                }
                let mut graph = self.graph.write().unwrap_or_else(PoisonError::into_inner);
                graph.remove_pod(key, old);
                if let Some(pod) = after.filter(|_| !new.is_empty()) {
                    graph.unread.entry(new.into()).or_default().insert(key.clone(), pod.stored().clone());
                }
            }
            "persistentvolumes" => {
                let value = after.map(Object::value);
                let mut graph = self.graph.write().unwrap_or_else(PoisonError::into_inner);
                graph.volumes.remove(&*key.name);
                if let Some(volume) = value {
                    graph.add_volume(&key.name, &volume);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
