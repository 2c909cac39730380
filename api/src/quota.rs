//! What an object uses of a namespace's quotas, and which quotas it falls under: read by the API server, which charges
//! new objects, and by the controller, which counts those that there are.
//!
//! Upstream: pkg/quota/v1/evaluator/core, apiserver/pkg/quota/v1/generic
//! Left out: resource claims and device classes of dynamic resource allocation.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::object::Object as _;
use crate::quantity::{Format, Quantity};
use crate::resources::{self, Bound, Resources};
use crate::selector::{Operator, Requirement};

const STORAGE_CLASS_INFIX: &str = ".storageclass.storage.k8s.io/";
const POD_RESOURCES: [&str; 11] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "count/pods",
];
/// What each container must state when a quota limits it.
const MUST_BE_STATED: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
/// Resources that had a name of their own before `count/` came.
const COUNTED_BY_NAME: [&str; 4] = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];

/// A resource as quotas see it: a group and a plural.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<'a> {
    pub group: &'a str,
    pub resource: &'a str,
}

impl Counted<'_> {
    /// `count/deployments.apps`.
    pub fn count_name(&self) -> String {
        format!("count/{}", crate::status::qualified(self.group, self.resource))
    }

    fn is_core(&self, resource: &str) -> bool {
        self.group.is_empty() && self.resource == resource
    }

    /// Whether objects of this resource use the quota's resource `name`.
    pub fn uses(&self, name: &str) -> bool {
        if name == self.count_name() {
            return true;
        }
        if !self.group.is_empty() {
            return false;
        }
        match self.resource {
            "pods" => {
                POD_RESOURCES.contains(&name)
                    || name.starts_with("hugepages-")
                    || name.starts_with("requests.hugepages-")
                    || (name.starts_with("requests.") && !is_native(name))
            }
            "services" => matches!(name, "services" | "services.nodeports" | "services.loadbalancers"),
            "persistentvolumeclaims" => {
                let of_class = name.split_once(STORAGE_CLASS_INFIX).map_or(name, |(_, resource)| resource);
                matches!(of_class, "persistentvolumeclaims" | "requests.storage")
            }
            resource => COUNTED_BY_NAME.contains(&resource) && name == resource,
        }
    }

    /// What `object` uses. A pod that has ended, or should have by `now`, only counts as an object.
    pub fn usage(&self, object: &Value, now: Timestamp) -> Resources {
        let one = || Quantity::new(1, Format::Decimal);
        let mut used = Resources::from([(self.count_name(), one())]);
        if self.is_core("pods") {
            if holds_resources(object, now) {
                used.extend(compute(
                    &resources::of_pod(&object["spec"], Bound::Requests),
                    &resources::of_pod(&object["spec"], Bound::Limits),
                ));
            }
        } else if self.is_core("services") {
            used.extend(service(object));
        } else if self.is_core("persistentvolumeclaims") {
            used.extend(claim(object));
        } else if self.group.is_empty() && COUNTED_BY_NAME.contains(&self.resource) {
            used.insert(self.resource.to_owned(), one());
        }
        used
    }

    /// Whether `object` is within all scopes of the quota; one without scopes takes everything.
    pub fn in_scope(&self, quota: &Value, object: &Value) -> bool {
        let spec = &quota["spec"];
        let scopes = spec["scopes"].as_array().into_iter().flatten();
        let expressions = spec["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten();
        scopes.filter_map(Value::as_str).all(|scope| self.in_one_scope(object, scope, "Exists", &[]))
            && expressions.into_iter().all(|each| {
                let values: Vec<String> = each["values"].as_array().into_iter().flatten().map(text).collect();
                let operator = each["operator"].as_str().unwrap_or_default();
                self.in_one_scope(object, each["scopeName"].as_str().unwrap_or_default(), operator, &values)
            })
    }

    fn in_one_scope(&self, object: &Value, scope: &str, operator: &str, values: &[String]) -> bool {
        if self.is_core("persistentvolumeclaims") && scope == "VolumeAttributesClass" {
            let classes = attributes_classes(object);
            return match operator {
                "Exists" => !classes.is_empty(),
                _ if classes.is_empty() => matches(None, scope, operator, values),
                _ => classes.iter().any(|class| matches(Some(class), scope, operator, values)),
            };
        }
        if !self.is_core("pods") {
            return false;
        }
        let best_effort = || object["status"]["qosClass"].as_str().unwrap_or("BestEffort") == "BestEffort";
        match scope {
            "Terminating" => has_deadline(object),
            "NotTerminating" => !has_deadline(object),
            "BestEffort" => best_effort(),
            "NotBestEffort" => !best_effort(),
            "PriorityClass" => {
                let class = object["spec"]["priorityClassName"].as_str().filter(|class| !class.is_empty());
                matches(class, scope, operator, values)
            }
            "CrossNamespacePodAffinity" => looks_across_namespaces(&object["spec"]["affinity"]),
            _ => false,
        }
    }
}

/// The quota's resources that every container of the pod must state and that some don't: `cpu for: a,b; memory for: a`.
/// None when nothing is missing.
pub fn unstated<'a>(pod: &Value, limited: impl Iterator<Item = &'a str>) -> Option<String> {
    let spec = &pod["spec"];
    let for_the_whole = |list: &str| spec["resources"][list].as_object().is_some_and(|list| !list.is_empty());
    if for_the_whole("requests") || for_the_whole("limits") {
        return None;
    }
    let containers = ["containers", "initContainers"].into_iter();
    let containers: Vec<&Value> = containers.flat_map(|list| spec[list].as_array().into_iter().flatten()).collect();
    let mut limited: Vec<&str> = limited.filter(|name| MUST_BE_STATED.contains(name)).collect();
    limited.sort_unstable();
    let missing = limited.into_iter().filter_map(|resource| {
        let lacks = |container: &&&Value| {
            let lists = &container["resources"];
            !compute(&resources::read(&lists["requests"]), &resources::read(&lists["limits"])).contains_key(resource)
        };
        let mut names: Vec<&str> = containers.iter().filter(lacks).filter_map(|each| each["name"].as_str()).collect();
        names.sort_unstable();
        (!names.is_empty()).then(|| format!("{resource} for: {}", names.join(",")))
    });
    let missing: Vec<String> = missing.collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Whether the pod has a deadline: upstream calls such pods terminating.
pub fn has_deadline(pod: &Value) -> bool {
    pod["spec"]["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0)
}

/// When the pod stops holding resources though nothing changes: its grace period is over and nobody has said so.
pub fn release_time(pod: &Value) -> Option<Timestamp> {
    let deleted = crate::time::parse(pod.meta_str("deletionTimestamp"))?;
    let grace_seconds = pod.metadata().get("deletionGracePeriodSeconds")?.as_i64()?;
    deleted.checked_add(SignedDuration::from_secs(grace_seconds)).ok()
}

fn holds_resources(pod: &Value, now: Timestamp) -> bool {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    !ended && release_time(pod).is_none_or(|time| now <= time)
}

/// The quota's names for what a pod, or one container, requests and is limited to.
fn compute(requests: &Resources, limits: &Resources) -> Resources {
    let mut used = Resources::from([("pods".to_owned(), Quantity::new(1, Format::Decimal))]);
    for (name, amount) in requests {
        let standard =
            matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
        if standard {
            used.insert(name.clone(), *amount);
        }
        if standard || (!is_native(name) && !name.starts_with("requests.")) {
            used.insert(format!("requests.{name}"), *amount);
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            used.insert(format!("limits.{name}"), *amount);
        }
    }
    used
}

/// Whether Kubernetes itself knows the resource: those of vendors have a domain.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn service(service: &Value) -> Resources {
    let spec = &service["spec"];
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let explicit = ports.iter().filter(|port| port["nodePort"].as_i64().unwrap_or_default() != 0).count();
    let (node_ports, balancers) = match spec["type"].as_str() {
        Some("NodePort") => (ports.len(), 0),
        Some("LoadBalancer") if spec["allocateLoadBalancerNodePorts"] == false => (explicit, 1),
        Some("LoadBalancer") => (ports.len(), 1),
        _ => (0, 0),
    };
    let count = |count: usize| Quantity::new(i64::try_from(count).unwrap_or(i64::MAX), Format::Decimal);
    Resources::from([
        ("services".to_owned(), count(1)),
        ("services.nodeports".to_owned(), count(node_ports)),
        ("services.loadbalancers".to_owned(), count(balancers)),
    ])
}

fn claim(claim: &Value) -> Resources {
    let one = Quantity::new(1, Format::Decimal);
    let class = claim.annotation("volume.beta.kubernetes.io/storage-class");
    let class = class.or(claim["spec"]["storageClassName"].as_str()).unwrap_or_default();
    let mut used = Resources::from([("persistentvolumeclaims".to_owned(), one)]);
    let asked = resources::read(&claim["spec"]["resources"]["requests"]).remove("storage");
    if let Some(asked) = asked {
        let allocated = resources::read(&claim["status"]["allocatedResources"]).remove("storage");
        let storage = allocated.map_or(asked, |allocated| asked.max(allocated));
        // Whole bytes, as the validation of a quota's status wants them.
        let whole = Quantity::new(storage.value(), storage.format());
        used.insert("requests.storage".to_owned(), if storage.is_whole() { storage } else { whole });
    }
    if !class.is_empty() {
        let of_class = used.iter().map(|(name, amount)| (format!("{class}{STORAGE_CLASS_INFIX}{name}"), *amount));
        let of_class: Resources = of_class.collect();
        used.extend(of_class);
    }
    used
}

/// The attributes classes that a claim has, wants, or is being given.
fn attributes_classes(claim: &Value) -> Vec<&str> {
    let status = &claim["status"];
    let classes = [
        &claim["spec"]["volumeAttributesClassName"],
        &status["currentVolumeAttributesClassName"],
        &status["modifyVolumeStatus"]["targetVolumeAttributesClassName"],
    ];
    classes.into_iter().filter_map(Value::as_str).filter(|class| !class.is_empty()).collect()
}

fn matches(value: Option<&str>, scope: &str, operator: &str, values: &[String]) -> bool {
    let operator = match operator {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return false,
    };
    Requirement::new(scope, operator, values.to_vec()).is_ok_and(|requirement| requirement.matches(value))
}

fn looks_across_namespaces(affinity: &Value) -> bool {
    let across = |term: &Value| {
        term["namespaces"].as_array().is_some_and(|names| !names.is_empty()) || term["namespaceSelector"].is_object()
    };
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let required = affinity[kind]["requiredDuringSchedulingIgnoredDuringExecution"].as_array();
        let preferred = affinity[kind]["preferredDuringSchedulingIgnoredDuringExecution"].as_array();
        required.into_iter().flatten().any(across)
            || preferred.into_iter().flatten().any(|weighted| across(&weighted["podAffinityTerm"]))
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
