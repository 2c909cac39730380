//! Owner references: which object another one belongs to, and which controller manages it.
//!
//! Upstream: apimachinery/pkg/apis/meta/v1/controller_ref.go
//! Left out: nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};

/// The reference to the controller that manages the object, if one does.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// As [`controller_of`], in an object's JSON.
pub fn controller_in(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("ownerReferences")?.as_array()?.iter().find(|owner| owner["controller"] == true)
}

/// Whether the controller with this uid manages the object.
pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controller_of(metadata).is_some_and(|owner| owner.uid == uid)
}

/// The reference that makes `name` the managing controller of another object, and blocks its own foreground deletion
/// until that object is gone.
pub fn controller_reference(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// As [`controller_reference`], as JSON.
pub fn controller_reference_json(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_owners_only_one_controls() {
        let owner = controller_reference("apps/v1", "ReplicaSet", "web", "u1");
        let other = OwnerReference { controller: None, uid: "u2".into(), ..owner.clone() };
        let metadata = ObjectMeta { owner_references: Some(vec![other, owner]), ..ObjectMeta::default() };
        assert!(is_controlled_by(&metadata, "u1") && !is_controlled_by(&metadata, "u2"));
        let object = json!({"metadata": {"ownerReferences": metadata.owner_references}});
        assert_eq!(controller_in(&object).unwrap()["uid"], "u1");
    }
}
