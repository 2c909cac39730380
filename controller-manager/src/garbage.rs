//! Deletes objects whose owners are gone, and carries out what a deletion said about its dependents.
//!
//! Upstream: pkg/controller/garbagecollector/garbagecollector.go
//! Left out: the graph that upstream builds beside its caches: here the caches' own index by owner is the graph.

mod controller;

use client::{Action, EventType, Patch, Plan, Preconditions, Propagation, Target};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};

pub use controller::{GarbageCollector, ObjectId};

/// The finalizers by which the API server passes on what a DELETE asked for.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// One object as the collector sees it: its name and its metadata.
#[derive(Debug, Clone)]
pub struct Item {
    pub target: Target,
    pub meta: ObjectMeta,
}

/// What became of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// It lives; or nobody can tell, and then the dependent stays.
    Alive,
    /// It is being deleted and waits for its dependents to go first.
    WaitsForDependents,
    /// No object of that uid exists.
    Gone,
    /// An owner can't be in a namespace when its dependent is in none, nor in another one.
    OutOfScope,
}

/// What is decided from.
pub struct Input {
    pub item: Item,
    /// Its owners, in the order of its references.
    pub owners: Vec<(OwnerReference, OwnerState)>,
    /// The objects that name it as their owner.
    pub dependents: Vec<Item>,
}

impl Item {
    fn has_finalizer(&self, name: &str) -> bool {
        self.meta.finalizers.iter().flatten().any(|finalizer| finalizer == name)
    }

    fn is_terminating(&self) -> bool {
        self.meta.deletion_timestamp.is_some()
    }

    /// Is it being deleted only after its dependents?
    pub fn waits_for_dependents(&self) -> bool {
        self.is_terminating() && self.has_finalizer(FOREGROUND)
    }

    /// Is it being deleted, its dependents to be left alone?
    pub fn orphans_dependents(&self) -> bool {
        self.is_terminating() && self.has_finalizer(ORPHAN)
    }

    fn uid(&self) -> &str {
        self.meta.uid.as_deref().unwrap_or("")
    }

    fn owners(&self) -> &[OwnerReference] {
        self.meta.owner_references.as_deref().unwrap_or_default()
    }

    fn blocks(&self, owner_uid: &str) -> bool {
        self.owners().iter().any(|owner| owner.uid == owner_uid && owner.block_owner_deletion == Some(true))
    }

    /// A change of the metadata that holds only for the version that was seen.
    fn patch(&self, mut metadata: Value) -> Action {
        metadata["resourceVersion"] = json!(self.meta.resource_version);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        Action::Patch { target: self.target.clone(), subresource: "", patch }
    }

    fn without_finalizer(&self, name: &str) -> Action {
        let kept: Vec<&String> = self.meta.finalizers.iter().flatten().filter(|finalizer| *finalizer != name).collect();
        self.patch(json!({"finalizers": kept}))
    }

    fn without_owners(&self, gone: impl Fn(&OwnerReference) -> bool) -> Action {
        let kept: Vec<&OwnerReference> = self.owners().iter().filter(|owner| !gone(owner)).collect();
        self.patch(json!({"ownerReferences": kept}))
    }

    fn delete(&self, propagation: Propagation) -> Action {
        Action::Delete {
            target: self.target.clone(),
            preconditions: Preconditions {
                uid: self.meta.uid.clone(),
                resource_version: self.meta.resource_version.clone(),
            },
            propagation: Some(propagation),
            grace_period_seconds: None,
        }
    }
}

/// Decides about one object: as an owner that is being deleted, or as a dependent of owners that are gone.
pub fn plan(input: &Input) -> Plan {
    let item = &input.item;
    if item.orphans_dependents() {
        let dependents = input.dependents.iter().map(|dependent| {
            let uid = item.uid().to_owned();
            dependent.without_owners(move |owner| owner.uid == uid)
        });
        return dependents.chain([item.without_finalizer(ORPHAN)]).collect::<Vec<_>>().into();
    }
    if item.waits_for_dependents() {
        let blocked = input.dependents.iter().any(|dependent| dependent.blocks(item.uid()));
        return if blocked { Plan::nothing() } else { vec![item.without_finalizer(FOREGROUND)].into() };
    }
    if item.is_terminating() || input.owners.is_empty() {
        return Plan::nothing();
    }
    plan_dependent(input)
}

/// An object stays while one owner lives. It loses the references to those that are gone or wait for it, so that it
/// holds up nobody.
fn plan_dependent(input: &Input) -> Plan {
    let item = &input.item;
    let in_state = |state: OwnerState| input.owners.iter().filter(move |(_, it)| *it == state);
    if let Some((owner, _)) = in_state(OwnerState::OutOfScope).next() {
        return vec![out_of_scope(item, owner)].into();
    }
    let waiting = in_state(OwnerState::WaitsForDependents).count();
    if in_state(OwnerState::Alive).next().is_some() {
        if in_state(OwnerState::Gone).next().is_none() && waiting == 0 {
            return Plan::nothing();
        }
        let is_alive = |uid: &str| in_state(OwnerState::Alive).any(|(owner, _)| owner.uid == uid);
        return vec![item.without_owners(|owner| !is_alive(&owner.uid))].into();
    }
    if waiting > 0 && !input.dependents.is_empty() {
        let mut actions = Vec::new();
        if input.dependents.iter().any(Item::waits_for_dependents) {
            // A dependent of ours that waits for us, while we are to wait for our owner: a circle. We let go.
            actions.push(unblock(item));
            let mut delete = item.delete(Propagation::Foreground);
            if let Action::Delete { preconditions, .. } = &mut delete {
                preconditions.resource_version = None;
            }
            actions.push(delete);
        } else {
            actions.push(item.delete(Propagation::Foreground));
        }
        return actions.into();
    }
    let propagation = match () {
        () if item.has_finalizer(ORPHAN) => Propagation::Orphan,
        () if item.has_finalizer(FOREGROUND) => Propagation::Foreground,
        () => Propagation::Background,
    };
    vec![item.delete(propagation)].into()
}

/// No owner's deletion waits for the object any more.
fn unblock(item: &Item) -> Action {
    let mut owners = item.owners().to_vec();
    owners.iter_mut().for_each(|owner| owner.block_owner_deletion = Some(false));
    item.patch(json!({"ownerReferences": owners}))
}

fn out_of_scope(item: &Item, owner: &OwnerReference) -> Action {
    let namespace = &item.target.key.namespace;
    Action::Event {
        regarding: Box::new(ObjectReference {
            api_version: Some(item.target.resource.api_version.clone()),
            kind: Some(item.target.resource.kind.clone()),
            namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: Some(item.target.key.name.clone()),
            uid: item.meta.uid.clone(),
            ..ObjectReference::default()
        }),
        event_type: EventType::Warning,
        reason: "OwnerRefInvalidNamespace".into(),
        message: format!(
            "ownerRef [{}/{}, namespace: {namespace}, name: {}, uid: {}] does not exist in namespace {namespace:?}",
            owner.api_version, owner.kind, owner.name, owner.uid
        ),
    }
}

#[cfg(test)]
mod tests;
