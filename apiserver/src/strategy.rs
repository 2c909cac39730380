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

use api::field::{Field, FieldError};
use serde_json::Value;

/// The pure hooks of one kind. Every hook sees the object as JSON, its types already checked against the schema; an
/// absent optional field is absent.
pub trait Strategy: Send + Sync {
    /// Fills in what the client left out, as upstream's defaulting does. Must be idempotent.
    fn defaults(&self, _object: &mut Value) {}

    /// Resets what a client may not set on create (status, for most kinds).
    fn prepare_for_create(&self, _object: &mut Value) {}

    /// Puts back what a client may not change by this request (status on the main resource, spec on `status`).
    /// The path itself keeps metadata and bumps `metadata.generation` when [`Strategy::generation_changes`].
    fn prepare_for_update(&self, _object: &mut Value, _current: &Value) {}

    /// The mistakes of a new object, in upstream's order. `metadata` is checked by the path.
    fn validate(&self, _object: &Field<'_>) -> Vec<FieldError> {
        Vec::new()
    }

    /// The mistakes of a change, beside those of [`Strategy::validate`], which upstream calls (or not) per kind: an
    /// implementation does what upstream's ValidateXUpdate does.
    fn validate_update(&self, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        self.validate(object)
    }

    /// As `validate_update`, for a write through the `status` subresource.
    fn validate_status_update(&self, _object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Texts for the `Warning` header: deprecated fields and the like.
    fn warnings(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// How the kind counts `metadata.generation`: upstream sets 1 on create and adds 1 when the spec changes, but not
    /// for every kind.
    fn generation(&self) -> Generation {
        Generation::None
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
    /// 1 on create, +1 whenever anything but `metadata` and `status` changes.
    OnSpecChange,
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

/// A kind without rules of its own.
pub struct Plain;

impl Strategy for Plain {}
