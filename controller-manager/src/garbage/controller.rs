//! What wakes the collector for an object, and how its owners and dependents are found.
//!
//! Upstream: pkg/controller/garbagecollector/graph_builder.go
//! Left out: the graph of all objects: owners are looked up when they matter

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use client::{Change, Controller, Metadata, ObjectKey, Plan, Target, Watches};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Error;

use super::{Input, Item, OwnerState, plan};
use crate::kinds::{Kind, Kinds};
use crate::live;

/// How many uids of deleted objects are remembered; upstream's number.
const REMEMBERED: usize = 500;

/// One object of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId {
    pub group: String,
    pub kind: String,
    pub key: ObjectKey,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

pub struct GarbageCollector {
    kinds: Kinds,
    /// Uids that were seen to go: an owner of one of them needs no question.
    gone: Arc<Mutex<VecDeque<String>>>,
}

impl GarbageCollector {
    pub fn new(kinds: Kinds) -> Self {
        Self { kinds, gone: Arc::default() }
    }

    async fn owner_state(&self, item: &Item, owner: &OwnerReference) -> Result<OwnerState, Error> {
        if self.gone.lock().unwrap_or_else(PoisonError::into_inner).contains(&owner.uid) {
            return Ok(OwnerState::Gone);
        }
        // A kind that nobody serves now may be served again: its dependents stay.
        let Some(kind) = self.kinds.find(&owner.api_version, &owner.kind) else { return Ok(OwnerState::Alive) };
        let namespace = &item.target.key.namespace;
        if kind.namespaced && namespace.is_empty() {
            return Ok(OwnerState::OutOfScope);
        }
        let key = ObjectKey::new(if kind.namespaced { namespace } else { "" }, &owner.name);
        let known = kind.cache.get(&key).filter(|known| known.metadata.uid.as_ref() == Some(&owner.uid));
        let found = match known {
            Some(known) => Some(item_of(&kind, &known)),
            None => self.read(&kind, &key).await?.filter(|found| found.meta.uid.as_ref() == Some(&owner.uid)),
        };
        Ok(match found {
            None => OwnerState::Gone,
            Some(found) if found.waits_for_dependents() => OwnerState::WaitsForDependents,
            Some(_) => OwnerState::Alive,
        })
    }

    /// The object as the API server has it: a cache that has not heard of it yet does not count.
    async fn read(&self, kind: &Kind, key: &ObjectKey) -> Result<Option<Item>, Error> {
        let found = live::metadata(self.kinds.client(), &kind.resource, key).await?;
        Ok(found.map(|meta| Item { target: target(kind, key.clone()), meta }))
    }
}

fn target(kind: &Kind, key: ObjectKey) -> Target {
    Target { resource: kind.resource.clone(), key }
}

fn item_of(kind: &Kind, object: &Metadata) -> Item {
    let key = ObjectKey::new(
        object.metadata.namespace.as_deref().unwrap_or(""),
        object.metadata.name.as_deref().unwrap_or(""),
    );
    Item { target: target(kind, key), meta: object.metadata.clone() }
}

fn id_of(kind: &Kind, object: &Metadata) -> ObjectId {
    let item = item_of(kind, object);
    ObjectId { group: kind.resource.group.clone(), kind: kind.resource.kind.clone(), key: item.target.key }
}

/// All objects that name `uid` as their owner.
fn dependents(kinds: &Kinds, uid: &str) -> Vec<(Arc<Kind>, Arc<Metadata>)> {
    let of_kind = |kind: Arc<Kind>| kind.cache.by_owner(uid).into_iter().map(move |it| (kind.clone(), it));
    kinds.all().into_iter().flat_map(of_kind).collect()
}

/// The owners that an object names, as ids.
fn owner_ids(kinds: &Kinds, object: &Metadata) -> Vec<ObjectId> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or("");
    let owners = object.metadata.owner_references.iter().flatten();
    owners
        .filter_map(|owner| {
            let kind = kinds.find(&owner.api_version, &owner.kind)?;
            let key = ObjectKey::new(if kind.namespaced { namespace } else { "" }, &owner.name);
            Some(ObjectId { group: kind.resource.group.clone(), kind: kind.resource.kind.clone(), key })
        })
        .collect()
}

/// Whom a change concerns: the object itself when its owners or its end are at issue, its dependents when it goes,
/// its owners when they may be waiting for it.
fn concerned(kinds: &Kinds, kind: &Kind, change: &Change<Metadata>) -> Vec<ObjectId> {
    let object = change.object();
    let owners = |object: &Metadata| object.metadata.owner_references.clone().unwrap_or_default();
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    let released = before.is_some_and(|before| after.is_none_or(|after| owners(before) != owners(after)));
    let mut ids = Vec::new();
    if let Some(after) = after {
        let changed = before.is_none_or(|before| {
            owners(before) != owners(after)
                || before.metadata.deletion_timestamp != after.metadata.deletion_timestamp
                || before.metadata.finalizers != after.metadata.finalizers
        });
        if changed && (!owners(after).is_empty() || after.metadata.deletion_timestamp.is_some()) {
            ids.push(id_of(kind, object));
        }
        let began_to_wait = item_of(kind, after).waits_for_dependents()
            && !before.is_some_and(|before| item_of(kind, before).waits_for_dependents());
        if began_to_wait {
            ids.extend(ids_of_dependents(kinds, after));
        }
    } else {
        ids.extend(ids_of_dependents(kinds, object));
    }
    if released {
        ids.extend(before.iter().flat_map(|before| owner_ids(kinds, before)));
    }
    ids
}

fn ids_of_dependents(kinds: &Kinds, object: &Metadata) -> Vec<ObjectId> {
    let uid = object.metadata.uid.as_deref().unwrap_or("");
    dependents(kinds, uid).iter().map(|(kind, dependent)| id_of(kind, dependent)).collect()
}

impl Controller for GarbageCollector {
    const NAME: &'static str = "garbage-collector";
    type Key = ObjectId;
    type Input = Input;

    fn service_account() -> String {
        "generic-garbage-collector".into()
    }

    fn concurrency() -> usize {
        20
    }

    fn watches(&self) -> Watches<ObjectId> {
        let (kinds, gone) = (self.kinds.clone(), self.gone.clone());
        let wakes = self.kinds.changes().flat_map(move |(kind, change)| {
            if change.after.is_none() {
                let mut gone = gone.lock().unwrap_or_else(PoisonError::into_inner);
                gone.extend(change.object().metadata.uid.clone());
                if gone.len() > REMEMBERED {
                    gone.pop_front();
                }
            }
            let ids = concerned(&kinds, &kind, &change);
            futures::stream::iter(ids.into_iter().map(move |id| (id, change.revision)))
        });
        Watches::new().stream(wakes)
    }

    async fn gather(&self, id: &ObjectId) -> Result<Option<Input>, Error> {
        self.kinds.ready().await;
        let api_version = if id.group.is_empty() { "v1".to_owned() } else { format!("{}/", id.group) };
        let Some(kind) = self.kinds.find(&api_version, &id.kind) else { return Ok(None) };
        let Some(object) = kind.cache.get(&id.key) else { return Ok(None) };
        let item = item_of(&kind, &object);
        let mut owners = Vec::new();
        for owner in object.metadata.owner_references.iter().flatten() {
            owners.push((owner.clone(), self.owner_state(&item, owner).await?));
        }
        let uid = object.metadata.uid.as_deref().unwrap_or("");
        let dependents = dependents(&self.kinds, uid).iter().map(|(kind, it)| item_of(kind, it)).collect();
        Ok(Some(Input { item, owners, dependents }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}
