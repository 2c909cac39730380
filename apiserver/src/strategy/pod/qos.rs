//! The quality of service class of a pod.
//!
//! Upstream: pkg/apis/core/helper/qos/qos.go
//! Left out: nothing.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use serde_json::Value;

/// `Guaranteed` when every container limits cpu and memory and requests just that, `BestEffort` when none asks for
/// anything, `Burstable` otherwise. Pod-level resources, where the field is there, count instead of the containers',
/// even if nothing stands in it.
pub(super) fn class(spec: &Value) -> &'static str {
    let pod_level = spec.get("resources").filter(|resources| !resources.is_null());
    let sources: Vec<&Value> = match pod_level {
        Some(resources) => vec![resources],
        None => ["containers", "initContainers"]
            .iter()
            .flat_map(|name| spec[*name].as_array().into_iter().flatten())
            .map(|container| &container["resources"])
            .collect(),
    };
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let mut all_limited = true;
    for resources in sources {
        add(&mut requests, &resources["requests"]);
        all_limited &= add(&mut limits, &resources["limits"]) == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds what `list` says of cpu and memory, zeros aside; answers how many of the two it names.
fn add<'a>(sums: &mut BTreeMap<&'a str, Quantity>, list: &'a Value) -> usize {
    let mut named = 0;
    for (name, amount) in list.as_object().into_iter().flatten() {
        let Some(quantity) = amount.as_str().and_then(|text| Quantity::parse(text).ok()) else { continue };
        if matches!(name.as_str(), "cpu" | "memory") && !quantity.is_zero() {
            *sums.entry(name).or_default() += quantity;
            named += 1;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_guaranteed_only_when_requests_equal_limits_in_both_resources() {
        let full = json!({"cpu": "1", "memory": "1Gi"});
        let spec = |resources: Value| json!({"containers": [{"name": "c", "resources": resources}]});
        assert_eq!(class(&spec(json!({}))), "BestEffort");
        assert_eq!(class(&spec(json!({"limits": full, "requests": full}))), "Guaranteed");
        assert_eq!(class(&spec(json!({"limits": full, "requests": {"cpu": "500m", "memory": "1Gi"}}))), "Burstable");
        assert_eq!(class(&spec(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}))), "Burstable");
    }

    #[test]
    fn what_is_said_for_the_whole_pod_counts_instead_of_its_containers() {
        let full = json!({"cpu": "1", "memory": "1Gi"});
        let of = |resources: Value| {
            let own = json!({"limits": full, "requests": full});
            class(&json!({"containers": [{"name": "c", "resources": own}, {"name": "d"}], "resources": resources}))
        };
        assert_eq!(of(Value::Null), "Burstable");
        assert_eq!(of(json!({})), "BestEffort");
        assert_eq!(of(json!({"limits": full, "requests": full})), "Guaranteed");
        assert_eq!(of(json!({"requests": full})), "Burstable");
        assert_eq!(of(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})), "Burstable");
        assert_eq!(of(json!({"limits": {"hugepages-2Mi": "2Mi"}, "requests": {"hugepages-2Mi": "2Mi"}})), "BestEffort");
    }
}
