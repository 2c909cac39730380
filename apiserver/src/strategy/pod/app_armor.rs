//! AppArmor profiles that a pod's author named in annotations, as before 1.30: they become fields.
//!
//! Upstream: pkg/registry/core/pod/strategy.go (applyAppArmorVersionSkew)
//! Left out: the warning that the annotations are deprecated.

use serde_json::{Value, json};

use crate::strategy::{filling::object_or_empty, validation::pod_annotations::APP_ARMOR};

/// Gives every container that an annotation names a profile for, and that has none of its own, that profile; unless
/// the whole pod has it already.
pub(super) fn fields_from_annotations(pod: &mut Value) {
    let annotations = pod["metadata"]["annotations"].as_object();
    if !annotations.is_some_and(|all| all.keys().any(|key| key.starts_with(APP_ARMOR)))
        || pod["spec"]["os"]["name"] == "windows"
    {
        return;
    }
    let annotations = annotations.cloned().unwrap_or_default();
    let of_pod = pod["spec"]["securityContext"]["appArmorProfile"].clone();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let key = format!("{APP_ARMOR}{}", container["name"].as_str().unwrap_or_default());
            let profile = annotations.get(&key).and_then(Value::as_str).and_then(profile);
            if let (Some(profile), Some(container)) = (profile, container.as_object_mut())
                && profile != of_pod
            {
                let context = object_or_empty(container, "securityContext");
                if context.get("appArmorProfile").is_none_or(Value::is_null) {
                    context.insert("appArmorProfile".to_owned(), profile);
                }
            }
        }
    }
}

/// The field for an annotation; none for one that says nothing valid.
fn profile(annotation: &str) -> Option<Value> {
    const MAX_LENGTH: usize = 4095;
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        _ => {
            let name = annotation.strip_prefix("localhost/")?;
            let is_valid = !name.is_empty() && name.trim() == name && name.len() <= MAX_LENGTH;
            is_valid.then(|| json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(annotation: &str, of_pod: Value, own: Value, expected: Value) {
        let mut pod = json!({
            "metadata": {"annotations": {format!("{APP_ARMOR}c"): annotation}},
            "spec": {
                "securityContext": {"appArmorProfile": of_pod},
                "containers": [{"name": "c", "securityContext": {"appArmorProfile": own}}, {"name": "d"}],
            },
        });
        fields_from_annotations(&mut pod);
        assert_eq!(pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"], expected, "{annotation}");
        assert_eq!(pod["spec"]["containers"][1], json!({"name": "d"}));
    }

    #[test]
    fn a_container_gets_the_profile_that_its_annotation_names() {
        let unconfined = json!({"type": "Unconfined"});
        check("unconfined", Value::Null, Value::Null, unconfined.clone());
        check("runtime/default", unconfined.clone(), Value::Null, json!({"type": "RuntimeDefault"}));
        check("localhost/p", Value::Null, Value::Null, json!({"type": "Localhost", "localhostProfile": "p"}));
        check("runtime/default", Value::Null, unconfined.clone(), unconfined.clone());
        check("unconfined", unconfined, Value::Null, Value::Null);
        check("localhost/", Value::Null, Value::Null, Value::Null);
        check("else", Value::Null, Value::Null, Value::Null);
    }
}
