//! Pods that are to be near, or away from, those with the same value of a label: the value is taken from the pod itself
//! when it is made, and put into its selectors, so that the scheduler need not know of such keys.
//!
//! Upstream: pkg/registry/core/pod/strategy.go (mutatePodAffinity, mutateTopologySpreadConstraints)
//! Left out: nothing.

use serde_json::{Value, json};

/// Puts what the pod's labels say of `matchLabelKeys` and `mismatchLabelKeys` into the selectors beside those. A key
/// that the pod has no label of, and a term without a selector, stay as they are.
pub(super) fn merge(pod: &mut Value) {
    let spec = &pod["spec"];
    if spec.get("affinity").is_none() && spec.get("topologySpreadConstraints").is_none() {
        return;
    }
    // Taken and put back, for they stand in the pod that changes.
    let Some(labels) = pod.pointer_mut("/metadata/labels").map(Value::take) else { return };
    let spec = &mut pod["spec"];
    for name in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.get_mut("affinity").and_then(|affinity| affinity.get_mut(name)) else { continue };
        for weighted in list(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                merge_into(term, &labels);
            }
        }
        for term in list(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            merge_into(term, &labels);
        }
    }
    for constraint in list(spec, "topologySpreadConstraints") {
        merge_into(constraint, &labels);
    }
    pod["metadata"]["labels"] = labels;
}

fn list<'a>(of: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    of.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn merge_into(term: &mut Value, labels: &Value) {
    let mut added = Vec::new();
    for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in term[keys].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else { return };
    if added.is_empty() {
        return;
    }
    match selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
        Some(expressions) => expressions.extend(added),
        None => {
            selector.insert("matchExpressions".to_owned(), added.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The term, in a pod with labels a=1 and b=2, after merging.
    fn merged(term: &Value) -> Value {
        let spec = json!({
            "affinity": {
                "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]},
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
            },
            "topologySpreadConstraints": [term],
        });
        let mut pod = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": spec});
        merge(&mut pod);
        assert_eq!(pod["metadata"]["labels"], json!({"a": "1", "b": "2"}));
        let affinity = &pod["spec"]["affinity"];
        let preferred =
            &affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
        assert_eq!(&affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0], preferred);
        assert_eq!(&pod["spec"]["topologySpreadConstraints"][0], preferred);
        preferred["labelSelector"].clone()
    }

    #[test]
    fn the_pod_s_own_labels_come_into_its_selectors() {
        let written = json!({"key": "x", "operator": "Exists"});
        let a = json!({"key": "a", "operator": "In", "values": ["1"]});
        let b = json!({"key": "b", "operator": "NotIn", "values": ["2"]});
        assert_eq!(
            merged(
                &json!({"labelSelector": {"matchExpressions": [written]}, "matchLabelKeys": ["a"], "mismatchLabelKeys": ["b"]})
            ),
            json!({"matchExpressions": [written, a, b]})
        );
        assert_eq!(
            merged(&json!({"labelSelector": {"matchLabels": {"x": "y"}}, "matchLabelKeys": ["a", "absent"]})),
            json!({"matchLabels": {"x": "y"}, "matchExpressions": [a]})
        );
    }

    #[test]
    fn what_has_no_selector_or_no_such_label_stays_as_it_is() {
        assert_eq!(merged(&json!({"matchLabelKeys": ["a"]})), Value::Null);
        assert_eq!(merged(&json!({"labelSelector": {}, "matchLabelKeys": ["absent"]})), json!({}));
        assert_eq!(merged(&json!({"labelSelector": {}})), json!({}));
    }
}
