//! A kind is a row: everything the API server knows about a group-resource, in one struct.
//!
//! Upstream: apiserver/pkg/registry/generic/registry/store.go (Store), pkg/registry/*/storage, pkg/printers/internalversion
//! Left out: nothing.
//!
//! Routing, discovery, OpenAPI, tables, RBAC names, admission and garbage collection all read the same row. A custom
//! resource definition makes the same struct at run time, hence the owned strings.

use std::{borrow::Cow, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{object::Object, strategy::Strategy};

/// One group-resource.
pub struct Row {
    /// "" is the core group.
    pub group: Cow<'static, str>,
    /// Served versions, the preferred (and stored) one first. A version with a form of its own is a row of its own.
    pub versions: Vec<Cow<'static, str>>,
    pub kind: Cow<'static, str>,
    /// The plural name: what stands in paths and RBAC rules.
    pub plural: Cow<'static, str>,
    pub singular: Cow<'static, str>,
    pub scope: Scope,
    pub short_names: Vec<Cow<'static, str>>,
    pub categories: Vec<Cow<'static, str>>,
    /// What the main resource can do, in discovery's words: `create delete deletecollection get list patch update watch`.
    pub verbs: Verbs,
    pub subresources: Vec<Subresource>,
    /// What `kubectl get` shows.
    pub columns: Vec<Column>,
    /// The cells of `columns` for one object, in the same order. `now` is seconds since 1970.
    pub cells: fn(&Value, i64) -> Vec<Value>,
    /// Field selectors beside metadata.name and metadata.namespace: label, and where its value stands.
    pub selectable_fields: Vec<SelectableField>,
    pub delete_answer: DeleteAnswer,
    /// Whether DELETE leaves the object with a deletionTimestamp for a grace period: pods only.
    pub graceful_deletion: bool,
    /// Whether DELETE leaves the dependents when the client does not say (v1 controllers and Jobs, as ever).
    pub orphans_by_default: bool,
    /// Whether PUT creates a missing object (endpoints, events, leases, limit ranges, runtime classes, RBAC kinds).
    pub create_on_update: bool,
    /// Whether PUT without a resourceVersion is accepted.
    pub unconditional_update: bool,
    /// Set when the objects are another row's, shown in another form: events.k8s.io/v1 Events are core v1 Events. Such
    /// a row has no keys, rings or watches of its own; every request goes to the other row through the conversion.
    pub stored_as: Option<StoredAs>,
    /// Since when the kind is deprecated, and what takes its place: `v1.19+`. Whoever asks for it is told so.
    pub deprecated: Option<&'static str>,
    /// Nothing of ours acts on the objects yet; whoever creates one is told so.
    pub lies_idle: bool,
    /// Of a row that is stored as another, only what it says of what may be counts: it sees the stored form.
    pub strategy: Arc<dyn Strategy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// The verbs of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbs {
    /// create delete deletecollection get list patch update watch.
    All,
    /// All but deletecollection: namespaces.
    NoDeleteCollection,
    /// create only: bindings and the reviews, which are never stored.
    CreateOnly,
    /// get list: component statuses.
    ReadOnly,
}

/// A resource below an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    Status,
    /// autoscaling/v1 Scale, with the paths of upstream's for the kind.
    Scale,
    Binding,
    Eviction,
    Log,
    Exec,
    Attach,
    PortForward,
    Proxy,
    Token,
    Finalize,
    EphemeralContainers,
    Resize,
    Approval,
}

/// A column of a Table.
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `date` ...
    pub kind: &'static str,
    /// "" or `name`.
    pub format: &'static str,
    pub description: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
}

/// A field that field selectors may name.
pub struct SelectableField {
    /// As in the selector: `spec.nodeName`.
    pub label: &'static str,
    /// Reads it; absent is "".
    pub read: fn(&Value) -> Cow<'_, str>,
}

/// Where a row's objects really are, and how they are turned: under another group (Events) or in another version
/// (autoscaling/v1).
#[derive(Clone, Copy)]
pub struct StoredAs {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    /// What a client sent to what is stored; sets apiVersion and kind too.
    pub to_stored: fn(&mut Value),
    /// What is stored to what a client of this row sees; sets apiVersion and kind too.
    pub from_stored: fn(&mut Value),
    /// The stored row's label of a selectable field of this row.
    pub stored_label: fn(&str) -> Option<&'static str>,
}

/// What DELETE answers once the object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteAnswer {
    Status,
    Object,
}

impl Row {
    /// `deployments.apps`: the name that messages and RBAC use.
    pub fn qualified(&self) -> String {
        api::status::qualified(&self.group, &self.plural)
    }

    /// The value of one of the row's selectable fields.
    pub fn field<'a>(&self, object: &'a Object, label: &str) -> Option<&'a str> {
        object.meta.field(self.selectable_fields.iter().position(|field| field.label == label)?)
    }

    /// The stored and preferred version.
    pub fn version(&self) -> &str {
        &self.versions[0]
    }

    /// What discovery calls the form in which objects are stored: the same for the same group, version and kind,
    /// different for any other. None for what is never stored.
    pub fn storage_version_hash(&self) -> Option<String> {
        if matches!(self.verbs, Verbs::CreateOnly | Verbs::ReadOnly) {
            return None;
        }
        let (group, version) = match &self.stored_as {
            Some(other) => (other.group, other.version),
            None => (&*self.group, self.version()),
        };
        let digest = digest(&SHA256, format!("{group}/{version}/{}", self.kind).as_bytes());
        Some(BASE64_STANDARD.encode(&digest.as_ref()[..8]))
    }

    /// What the creator of an object is told when nothing acts on it.
    pub fn idle_warning(&self) -> Option<String> {
        let name = self.qualified();
        self.lies_idle
            .then(|| format!("skiff has no controller for {name} yet: the object is kept, nothing acts on it"))
    }

    /// What everybody is told who asks for a kind that is deprecated.
    pub fn deprecation(&self) -> Option<String> {
        self.deprecated.map(|since| format!("{} {} is deprecated in {since}", self.api_version(), self.kind))
    }

    /// The apiVersion of objects in the preferred version: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version().to_owned() } else { format!("{}/{}", self.group, self.version()) }
    }
}

impl Subresource {
    /// The segment of the path.
    pub fn name(self) -> &'static str {
        match self {
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Binding => "binding",
            Subresource::Eviction => "eviction",
            Subresource::Log => "log",
            Subresource::Exec => "exec",
            Subresource::Attach => "attach",
            Subresource::PortForward => "portforward",
            Subresource::Proxy => "proxy",
            Subresource::Token => "token",
            Subresource::Finalize => "finalize",
            Subresource::EphemeralContainers => "ephemeralcontainers",
            Subresource::Resize => "resize",
            Subresource::Approval => "approval",
        }
    }

    /// Whether somebody else answers it, in a form of its own.
    pub fn is_answered_elsewhere(self) -> bool {
        self.is_answered_by_kubelet() || self == Subresource::Proxy
    }

    /// Whether the kubelet of the pod's node answers it, not the object that is stored.
    pub fn is_answered_by_kubelet(self) -> bool {
        matches!(self, Subresource::Log | Subresource::Exec | Subresource::Attach | Subresource::PortForward)
    }
}
