//! What a pod as a whole asks for where its author said only a part of it.
//!
//! Upstream: pkg/apis/core/v1/defaults.go (defaultHugePagePodLimits, defaultPodRequests)
//! Left out: nothing.

use api::resources::{Bound, aggregate, is_for_whole_pods};
use serde_json::Value;

use crate::strategy::{
    filling::Fields,
    validation::resources::{is_huge_pages, may_be_overcommitted},
};

/// Fills in `resources` of a pod's spec if something stands there. Its containers must be filled in already.
///
/// Limits of huge pages are those of the containers together. Beside limits, requests are those of the containers
/// together, or just the limits.
pub(super) fn of_the_whole(spec: &mut Value) {
    let list = |bound: Bound| spec["resources"][bound.name()].as_object().cloned().unwrap_or_default();
    let (mut requests, mut limits): (Fields, Fields) = (list(Bound::Requests), list(Bound::Limits));
    if requests.is_empty() && limits.is_empty() {
        return;
    }
    for (name, amount) in aggregate(spec, Bound::Limits) {
        if is_huge_pages(&name) && !requests.contains_key(&name) {
            limits.entry(name).or_insert_with(|| amount.to_string().into());
        }
    }
    if !limits.is_empty() {
        for (name, amount) in aggregate(spec, Bound::Requests) {
            if is_for_whole_pods(&name) && may_be_overcommitted(&name) {
                requests.entry(name).or_insert_with(|| amount.to_string().into());
            }
        }
        for (name, limit) in limits.iter().filter(|(name, _)| is_for_whole_pods(name)) {
            requests.entry(name.clone()).or_insert_with(|| limit.clone());
        }
    }
    let Some(whole) = spec.get_mut("resources").and_then(Value::as_object_mut) else { return };
    for (bound, list) in [(Bound::Limits, limits), (Bound::Requests, requests)] {
        if !list.is_empty() {
            whole.insert(bound.name().to_owned(), list.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A pod whose whole has these resources and whose containers have those gets `expected`.
    #[track_caller]
    fn check(whole: Value, containers: &[Value], expected: Value) {
        let containers: Vec<Value> = containers.iter().map(|each| json!({"name": "c", "resources": each})).collect();
        let mut pod = json!({"spec": {"containers": containers, "resources": whole}});
        crate::strategy::pod::defaults::pod(&mut pod);
        assert_eq!(pod["spec"]["resources"], expected);
    }

    #[test]
    fn beside_limits_a_pod_requests_what_its_containers_do_or_its_limits() {
        let whole = || json!({"limits": {"cpu": "2", "memory": "1Gi"}});
        check(
            whole(),
            &[json!({"requests": {"cpu": "500m"}}), json!({"limits": {"cpu": "1"}})],
            json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1500m", "memory": "1Gi"}}),
        );
        check(
            json!({"limits": {"cpu": "2"}}),
            &[json!({"requests": {"memory": "1Mi", "ephemeral-storage": "1Gi"}})],
            json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2", "memory": "1Mi"}}),
        );
        check(
            json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}),
            &[json!({"requests": {"cpu": "2"}})],
            json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}),
        );
    }

    #[test]
    fn without_limits_a_pod_s_requests_stay_as_they_are() {
        check(
            json!({"requests": {"cpu": "1"}}),
            &[json!({"limits": {"cpu": "1", "memory": "1Gi"}})],
            json!({"requests": {"cpu": "1"}}),
        );
        check(json!({}), &[json!({"limits": {"cpu": "1", "hugepages-2Mi": "2Mi"}})], json!({}));
    }

    #[test]
    fn huge_pages_of_containers_are_limits_and_requests_of_the_pod() {
        let pages = |count: i64| json!({"limits": {"cpu": "1", "hugepages-2Mi": format!("{count}Mi")}});
        check(
            json!({"requests": {"cpu": "2"}}),
            &[pages(2), pages(4)],
            json!({"requests": {"cpu": "2", "hugepages-2Mi": "6Mi"}, "limits": {"hugepages-2Mi": "6Mi"}}),
        );
        check(
            json!({"requests": {"cpu": "2", "hugepages-2Mi": "8Mi"}}),
            &[pages(2)],
            json!({"requests": {"cpu": "2", "hugepages-2Mi": "8Mi"}}),
        );
        check(
            json!({"limits": {"cpu": "2", "hugepages-2Mi": "8Mi"}}),
            &[pages(2)],
            json!({"limits": {"cpu": "2", "hugepages-2Mi": "8Mi"}, "requests": {"cpu": "1", "hugepages-2Mi": "8Mi"}}),
        );
    }
}
