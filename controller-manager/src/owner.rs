//! Who owns an object: controller references, and the decision to adopt or release.
//!
//! Upstream: pkg/controller/controller_ref_manager.go, apimachinery/pkg/apis/meta/v1/controller_ref.go
//! Left out: nothing; the question to the API server before an adoption is asked in `live.rs`.

use std::collections::BTreeMap;

pub use api::owner::controller_of;
use api::selector::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;
use serde_json::json;

use crate::actions::{self, Action};

/// What an owner does with an object that its selector or a reference connects to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is ours already and still matches.
    Keep,
    /// Nobody controls it and it matches: it becomes ours.
    Adopt,
    /// It is ours but matches no longer: it becomes nobody's.
    Release,
    /// It is none of our business.
    Ignore,
}

/// The reference by which `owner` controls what it makes.
pub fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    let meta = owner.meta();
    let (name, uid) = (meta.name.as_deref().unwrap_or(""), meta.uid.as_deref().unwrap_or(""));
    api::owner::controller_reference(&K::api_version(&()), &K::kind(&()), name, uid)
}

/// A label selector as a workload's spec has it. One that is missing, empty or malformed selects nothing:
/// a workload that selects everything would adopt its neighbours' pods.
pub fn selects(selector: Option<&LabelSelector>, labels: Option<&BTreeMap<String, String>>) -> bool {
    let Some(selector) = selector else { return false };
    if selector.match_labels.as_ref().is_none_or(|map| map.is_empty())
        && selector.match_expressions.as_ref().is_none_or(|list| list.is_empty())
    {
        return false;
    }
    Selector::from_label_selector(Some(selector)).is_ok_and(|selector| selector.matches_labels(labels))
}

/// Decides what the owner does with `object`: an owner that is being deleted adopts and releases nothing, and an
/// object that is being deleted is not adopted any more.
pub fn claim(owner: &ObjectMeta, selector: Option<&LabelSelector>, object: &ObjectMeta) -> Claim {
    let matches = selects(selector, object.labels.as_ref());
    match controller_of(object) {
        Some(reference) if owner.uid.as_ref() != Some(&reference.uid) => Claim::Ignore,
        Some(_) if matches => Claim::Keep,
        Some(_) if owner.deletion_timestamp.is_some() => Claim::Ignore,
        Some(_) => Claim::Release,
        None if !matches || owner.deletion_timestamp.is_some() || object.deletion_timestamp.is_some() => Claim::Ignore,
        None => Claim::Adopt,
    }
}

/// Makes `owner` the controller of `object`. The uid in the patch refuses another object of the same name.
pub fn adopt<O, K>(owner: &O, object: &K) -> Action
where
    O: Resource<DynamicType = ()>,
    K: Resource<DynamicType = ()>,
{
    let patch = json!({"metadata": {"uid": object.meta().uid, "ownerReferences": [controller_reference(owner)]}});
    actions::strategic_patch(object, patch)
}

/// Takes the reference to the owner with `owner_uid` off `object`.
pub fn release<K: Resource<DynamicType = ()>>(owner_uid: &str, object: &K) -> Action {
    let patch = json!({"metadata": {
        "uid": object.meta().uid,
        "ownerReferences": [{"$patch": "delete", "uid": owner_uid}],
    }});
    actions::strategic_patch(object, patch)
}
