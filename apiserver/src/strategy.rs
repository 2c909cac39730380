//! What a kind has of its own to say about its objects: pure hooks, called by the one path of every write.
//!
//! Upstream: apiserver/pkg/registry/rest (create.go, update.go), pkg/registry/*/strategy.go, pkg/apis/*/defaults.go,
//!   pkg/apis/*/validation
//! Left out: what the schema table answers for every kind (types, unknown fields) and what all objects share
//!   (metadata rules, generateName, managed fields, generation).
//!
//! A write passes, in order: `defaults` on what the client sent → `prepare_for_create` or `prepare_for_update` →
//! mutating admission → `defaults` again → `validate` or `validate_update` → validating admission → the store.
//! No hook reads a clock, draws randomness or does I/O; what must be allocated (a cluster IP, a node port) is taken
//! between admission and validation by the row's allocator.

pub(crate) mod admission_policy;
pub(crate) mod api_service;
pub(crate) mod autoscaler;
pub(crate) mod certificate_request;
pub(crate) mod classes;
pub(crate) mod config_map;
pub(crate) mod cron_job;
pub(crate) mod custom_resource;
pub(crate) mod daemon_set;
pub(crate) mod deployment;
pub(crate) mod devices;
pub(crate) mod disruption_budget;
pub(crate) mod endpoints;
pub(crate) mod events;
mod filling;
pub(crate) mod flow_control;
pub(crate) mod ingress;
pub(crate) mod job;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod namespace;
pub(crate) mod network_policy;
pub(crate) mod node;
pub(crate) mod persistent_volume;
pub(crate) mod persistent_volume_claim;
pub(crate) mod pod;
mod pod_template;
pub(crate) mod rbac;
pub(crate) mod replica_set;
pub(crate) mod replication_controller;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod service_account;
pub(crate) mod service_addresses;
pub(crate) mod stateful_set;
pub(crate) mod storage;
pub(crate) mod validation;
pub(crate) mod webhooks;

use api::field::{Field, FieldError};
use jiff::Timestamp;
use serde_json::Value;

use crate::{attributes::UserInfo, row::Subresource};

/// The pure hooks of one kind. Every hook sees the object as JSON, its types already checked against the schema; an
/// absent optional field is absent.
pub trait Strategy: Send + Sync {
    /// Fills in what the client left out, as upstream's defaulting does. Must be idempotent.
    fn defaults(&self, _object: &mut Value) {}

    /// Fills in what preparation and admission left out of what they added; nothing, where all of that is complete.
    fn complete(&self, object: &mut Value) {
        self.defaults(object);
    }

    /// Resets what a client may not set on create (status, for most kinds).
    fn prepare_for_create(&self, _object: &mut Value) {}

    /// Writes into a new object who makes it, for the kinds that say so (certificate requests).
    fn sign(&self, _object: &mut Value, _user: &UserInfo) {}

    /// Puts back what a client may not change through the main resource: status, for most kinds.
    /// The path itself keeps metadata and bumps `metadata.generation` as [`Strategy::generation`] says.
    fn prepare_for_update(&self, _object: &mut Value, _current: &Value) {}

    /// Puts back what a client may not change through a subresource that takes the whole object (status, finalize,
    /// approval, ephemeralcontainers, resize): for most kinds everything but status, and of metadata what upstream
    /// keeps.
    fn prepare_for_subresource(&self, _subresource: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
    }

    /// Writes the times into a changed object that the server gives.
    fn stamp(&self, _object: &mut Value, _current: &Value, _now: Timestamp) {}

    /// The mistakes of a new object, in upstream's order. `metadata` is checked by the path.
    fn validate(&self, _object: &Field<'_>) -> Vec<FieldError> {
        Vec::new()
    }

    /// The mistakes of a change, beside those of [`Strategy::validate`], which upstream calls (or not) per kind: an
    /// implementation does what upstream's ValidateXUpdate does.
    fn validate_update(&self, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        self.validate(object)
    }

    /// As `validate_update`, for a write through a subresource that takes the whole object.
    fn validate_subresource(
        &self,
        _subresource: Subresource,
        _object: &Field<'_>,
        _current: &Value,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    /// Why an object of this name must not be deleted by its name.
    fn forbids_delete(&self, _name: &str) -> Option<&'static str> {
        None
    }

    /// Texts for the `Warning` header: deprecated fields and the like.
    fn warnings(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// As `warnings`, for a change.
    fn warnings_of_change(&self, object: &Value, _current: &Value) -> Vec<String> {
        self.warnings(object)
    }

    /// How the kind counts `metadata.generation`: upstream sets 1 on create and adds 1 when the spec changes, but not
    /// for every kind.
    fn generation(&self) -> Generation {
        Generation::None
    }

    /// Whether an object without a name is given its uid as one: limit ranges.
    fn is_named_by_server(&self) -> bool {
        false
    }

    /// How an object's name must look: DNS subdomain for most kinds, DNS label for some, path segment for RBAC.
    fn name_rule(&self) -> NameRule {
        NameRule::DnsSubdomain
    }
}

/// Whether and how a kind counts generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The kind has none (config maps, secrets, nodes ...).
    None,
    /// 1 on create, and so it stays.
    Once,
    /// 1 on create, +1 whenever anything but `metadata` and `status` changes.
    OnSpecChange,
    /// As [`Generation::OnSpecChange`], and +1 when annotations change: Deployments.
    OnSpecOrAnnotationChange,
}

/// What `metadata.name` must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    DnsSubdomain,
    DnsLabel,
    /// RFC 1035: a label that begins with a letter (Services).
    Dns1035Label,
    /// Anything that can stand in a path (RBAC).
    PathSegment,
}

/// Takes status from an object that is being created.
pub fn drop_status(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
}

/// Gives an object that is being changed the status it has.
pub fn keep_status(object: &mut Value, current: &Value) {
    keep(object, current, "status");
}

/// Gives an object whose status is written the metadata it has: labels, annotations, owners and finalizers.
pub fn keep_metadata(object: &mut Value, current: &Value) {
    for name in ["annotations", "finalizers", "labels", "ownerReferences"] {
        keep(&mut object["metadata"], &current["metadata"], name);
    }
}

/// Gives `object` the top-level field `name` of `current`: its value, or its absence.
pub fn keep(object: &mut Value, current: &Value, name: &str) {
    let Some(fields) = object.as_object_mut() else { return };
    match current.get(name) {
        Some(value) => fields.insert(name.to_owned(), value.clone()),
        None => fields.remove(name),
    };
}

/// Gives `object` every top-level field of `current` but those named.
pub fn keep_all_but(object: &mut Value, current: &Value, names: &[&str]) {
    let (Some(fields), Some(current)) = (object.as_object_mut(), current.as_object()) else { return };
    fields.retain(|name, _| names.contains(&name.as_str()));
    for (name, value) in current.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
        fields.insert(name.clone(), value.clone());
    }
}

/// A kind without rules of its own.
pub struct Plain;

impl Strategy for Plain {}
