//! Whether a write fits the cluster: the third answer, after who and whether they may.
//!
//! Upstream: apiserver/pkg/admission, pkg/kubeapiserver/options/plugins.go
//! Left out: webhooks, policies in CEL, PodSecurity; most plugins that upstream leaves off.
//!
//! Every write passes `admit`, which may change the object, and then, validated, `validate`, which may not. Plugins run
//! in upstream's order, and are named as upstream's in `--enable-admission-plugins`. What ResourceQuota allows is charged
//! in the object's own transaction: crate::quota does that, the name here only turns it on and off.

use std::fmt;

use api::status::Status;
use serde_json::Value;

use crate::{
    attributes::{RequestInfo, UserInfo},
    authorization::{Authorizer, escalation, parameters},
    objects::Objects,
};

mod certificates;
mod claim_resize;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod extended_resource_toleration;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod owner_references;
mod plain;
mod pod_topology_labels;
mod priority;
mod runtime_class;
mod service_account;
mod storage_object_in_use;
mod taint_nodes_by_condition;

/// What a request does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// exec, attach, port-forward, proxy.
    Connect,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        })
    }
}

/// A write on its way.
pub struct Request<'a> {
    pub info: &'a RequestInfo,
    pub user: &'a UserInfo,
    pub operation: Operation,
    /// The object as it shall be stored; none for deletes.
    pub object: Option<Value>,
    /// The object as it is; none for creates.
    pub old: Option<&'a Value>,
    pub dry_run: bool,
    pub objects: &'a dyn Objects,
    pub authorizer: &'a Authorizer,
}

impl Request<'_> {
    /// Whether the request is for this resource, and for which subresource; "" is the object itself.
    fn subresource_of(&self, group: &str, resource: &str) -> Option<&str> {
        (self.info.group == group && self.info.resource == resource).then_some(&self.info.subresource)
    }

    /// The object sent, when the request writes objects of this resource themselves by this operation.
    fn object_of(&mut self, operation: Operation, group: &str, resource: &str) -> Option<&mut Value> {
        let fits = self.operation == operation && self.subresource_of(group, resource) == Some("");
        if fits { self.object.as_mut() } else { None }
    }

    /// The namespace that the request writes to; "" for objects that are in none, namespaces too.
    pub fn namespace(&self) -> &str {
        if self.info.group.is_empty() && self.info.resource == "namespaces" { "" } else { &self.info.namespace }
    }

    /// The name of the object: from the path, else from the object, else what its name shall begin with.
    pub fn name(&self) -> &str {
        if !self.info.name.is_empty() {
            return &self.info.name;
        }
        let object = self.object.as_ref().or(self.old);
        let text = |field: &str| {
            let text = object.and_then(|object| object["metadata"][field].as_str());
            text.filter(|text| !text.is_empty())
        };
        text("name").or_else(|| text("generateName")).unwrap_or("Unknown!")
    }

    /// 403 in the words of admission: `pods "x" is forbidden: ...`.
    pub fn forbidden(&self, why: impl fmt::Display) -> Status {
        Status::forbidden(&self.info.group, &self.info.resource, self.name(), &why.to_string())
    }
}

/// One plugin.
pub trait Admission: Send + Sync {
    /// May change the object, or refuse it.
    fn admit(&self, _request: &mut Request<'_>) -> Result<(), Status> {
        Ok(())
    }

    /// May refuse the object as it will be stored.
    fn validate(&self, _request: &Request<'_>) -> Result<(), Status> {
        Ok(())
    }
}

/// How a plugin is listed.
struct Listed {
    name: &'static str,
    default: Default,
    /// None for plugins of upstream's that skiff does not have.
    make: Option<fn() -> Box<dyn Admission>>,
}

#[derive(PartialEq)]
enum Default {
    On,
    Off,
}

const fn ours(name: &'static str, make: fn() -> Box<dyn Admission>) -> Listed {
    Listed { name, default: Default::On, make: Some(make) }
}

const fn optional(name: &'static str, make: fn() -> Box<dyn Admission>) -> Listed {
    Listed { name, default: Default::Off, make: Some(make) }
}

const fn missing(name: &'static str) -> Listed {
    Listed { name, default: Default::Off, make: None }
}

const RESOURCE_QUOTA: &str = "ResourceQuota";

/// All plugins in the order in which they run.
const PLUGINS: &[Listed] = &[
    optional("AlwaysAdmit", || Box::new(plain::AlwaysAdmit)),
    missing("NamespaceAutoProvision"),
    ours("NamespaceLifecycle", || Box::new(namespace_lifecycle::NamespaceLifecycle)),
    optional("NamespaceExists", || Box::new(plain::AlwaysAdmit)),
    missing("LimitPodHardAntiAffinityTopology"),
    ours("LimitRanger", || Box::new(limit_ranger::LimitRanger)),
    ours("ServiceAccount", || Box::new(service_account::ServiceAccount)),
    ours("NodeRestriction", || Box::new(node_restriction::NodeRestriction)),
    ours("TaintNodesByCondition", || Box::new(taint_nodes_by_condition::TaintNodesByCondition)),
    optional("AlwaysPullImages", || Box::new(plain::AlwaysPullImages)),
    missing("ImagePolicyWebhook"),
    missing("PodSecurity"),
    missing("PodNodeSelector"),
    ours("Priority", || Box::new(priority::Priority)),
    ours("DefaultTolerationSeconds", || Box::new(default_toleration_seconds::DefaultTolerationSeconds)),
    missing("PodTolerationRestriction"),
    missing("EventRateLimit"),
    optional("ExtendedResourceToleration", || Box::new(extended_resource_toleration::ExtendedResourceToleration)),
    ours("DefaultStorageClass", || Box::new(default_storage_class::DefaultStorageClass)),
    ours("StorageObjectInUseProtection", || Box::new(storage_object_in_use::StorageObjectInUseProtection)),
    ours("OwnerReferencesPermissionEnforcement", || Box::new(owner_references::OwnerReferencesPermissionEnforcement)),
    ours("PersistentVolumeClaimResize", || Box::new(claim_resize::PersistentVolumeClaimResize)),
    ours("RuntimeClass", || Box::new(runtime_class::RuntimeClass)),
    ours("CertificateApproval", || Box::new(certificates::CertificateApproval)),
    ours("CertificateSigning", || Box::new(certificates::CertificateSigning)),
    missing("ClusterTrustBundleAttest"),
    ours("CertificateSubjectRestriction", || Box::new(certificates::CertificateSubjectRestriction)),
    ours("DefaultIngressClass", || Box::new(default_ingress_class::DefaultIngressClass)),
    optional("DenyServiceExternalIPs", || Box::new(plain::DenyServiceExternalIps)),
    ours("PodTopologyLabels", || Box::new(pod_topology_labels::PodTopologyLabels)),
    missing("MutatingAdmissionPolicy"),
    missing("MutatingAdmissionWebhook"),
    missing("ValidatingAdmissionPolicy"),
    missing("ValidatingAdmissionWebhook"),
    ours(RESOURCE_QUOTA, || Box::new(plain::AlwaysAdmit)),
    optional("AlwaysDeny", || Box::new(plain::AlwaysDeny)),
];

/// The plugins of one server, in order.
pub struct Chain {
    plugins: Vec<Box<dyn Admission>>,
    /// What the administrator should know: plugins asked for that skiff does not have.
    pub warnings: Vec<String>,
    /// Whether writes are charged to the quotas of their namespaces.
    pub charges_quotas: bool,
}

impl Chain {
    /// The default plugins and `enabled`, without `disabled`: the values of `--enable-admission-plugins` and
    /// `--disable-admission-plugins`.
    ///
    /// # Errors
    /// A name that is no plugin of upstream's, or stands in both lists.
    pub fn new(enabled: &[String], disabled: &[String]) -> Result<Chain, String> {
        for name in enabled.iter().chain(disabled) {
            if !PLUGINS.iter().any(|listed| listed.name == name) {
                return Err(format!("admission plugin {name:?} is unknown"));
            }
        }
        if let Some(name) = enabled.iter().find(|name| disabled.contains(name)) {
            return Err(format!("admission plugin {name:?} is both enabled and disabled"));
        }
        let (mut plugins, mut warnings) = (Vec::new(), Vec::new());
        for listed in PLUGINS {
            let asked_for = enabled.iter().any(|name| name == listed.name);
            let left_out = disabled.iter().any(|name| name == listed.name);
            match listed.make {
                Some(make) if !left_out && (asked_for || listed.default == Default::On) => plugins.push(make()),
                None if asked_for => warnings.push(format!("admission plugin {} is not in skiff", listed.name)),
                _ => {}
            }
        }
        let charges_quotas = !disabled.iter().any(|name| name == RESOURCE_QUOTA);
        Ok(Chain { plugins, warnings, charges_quotas })
    }

    /// Runs the changing half of every plugin.
    ///
    /// # Errors
    /// The first refusal.
    pub fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.admit(request)?;
        }
        // Not a plugin, because nobody may turn it off: who writes a role must hold its rights.
        match (&request.object, request.operation) {
            (Some(object), Operation::Create | Operation::Update) => {
                escalation::check(request.authorizer, request.user, request.info, object, request.old)
            }
            _ => Ok(()),
        }
    }

    /// Runs the checking half of every plugin.
    ///
    /// # Errors
    /// The first refusal.
    pub fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        // Not a plugin either: who writes a policy must be allowed to read its parameters.
        if let (Some(object), Operation::Create | Operation::Update) = (&request.object, request.operation) {
            let Request { authorizer, objects, user, info, old, .. } = *request;
            parameters::check(authorizer, objects, user, info, object, old)?;
        }
        self.plugins.iter().try_for_each(|plugin| plugin.validate(request))
    }
}

#[cfg(test)]
mod tests;
