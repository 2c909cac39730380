//! Lists of resources, `{cpu: 500m, memory: 1Gi}`, and what a pod as a whole requests and is limited to.
//!
//! Upstream: component-helpers/resource/helpers.go (PodRequests, PodLimits), pkg/quota/v1/resources.go
//! Left out: what a resize in progress still holds (status.containerStatuses[].resources).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::quantity::Quantity;

/// Amounts by the name of the resource.
pub type Resources = BTreeMap<String, Quantity>;

/// Which of the two lists of a container's `resources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Requests,
    Limits,
}

impl Bound {
    /// The field's name.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Requests => "requests",
            Bound::Limits => "limits",
        }
    }
}

/// Reads a list; what is no quantity counts as zero.
pub fn read(list: &Value) -> Resources {
    let entries = list.as_object().into_iter().flatten();
    entries.map(|(name, amount)| (name.clone(), quantity(amount))).collect()
}

/// Writes a list.
pub fn write(list: &Resources) -> Value {
    Value::Object(list.iter().map(|(name, amount)| (name.clone(), amount.to_string().into())).collect::<Map<_, _>>())
}

fn quantity(amount: &Value) -> Quantity {
    match amount {
        Value::String(text) => Quantity::parse(text).unwrap_or_default(),
        Value::Number(number) => Quantity::parse(&number.to_string()).unwrap_or_default(),
        _ => Quantity::default(),
    }
}

/// Adds `more` to `total`.
pub fn add(total: &mut Resources, more: &Resources) {
    for (name, amount) in more {
        *total.entry(name.clone()).or_default() += *amount;
    }
}

/// Takes `less` from `total`.
pub fn subtract(total: &mut Resources, less: &Resources) {
    for (name, amount) in less {
        *total.entry(name.clone()).or_default() -= *amount;
    }
}

/// Raises `total` to at least `least`.
pub fn raise(total: &mut Resources, least: &Resources) {
    for (name, amount) in least {
        let entry = total.entry(name.clone()).or_default();
        if *amount > *entry || entry.is_zero() {
            *entry = *amount;
        }
    }
}

/// Whether a pod as a whole can ask for the resource: cpu, memory and huge pages.
pub fn is_for_whole_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// What a pod's containers say they need together: containers and sidecars, or the greediest init container beside the
/// sidecars that were started before it.
pub fn aggregate(spec: &Value, bound: Bound) -> Resources {
    let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut total, mut sidecars, mut peak) = (Resources::new(), Resources::new(), Resources::new());
    for container in list("containers") {
        add(&mut total, &read(&container["resources"][bound.name()]));
    }
    for container in list("initContainers") {
        let mut asked = read(&container["resources"][bound.name()]);
        if container["restartPolicy"] == "Always" {
            add(&mut total, &asked);
            add(&mut sidecars, &asked);
            raise(&mut peak, &sidecars);
        } else {
            add(&mut asked, &sidecars);
            raise(&mut peak, &asked);
        }
    }
    raise(&mut total, &peak);
    total
}

/// What a pod's containers need together, without the pod's overhead; what is said for the pod as a whole stands in
/// place of their sum.
pub fn of_containers(spec: &Value, bound: Bound) -> Resources {
    let mut total = aggregate(spec, bound);
    total.extend(read(&spec["resources"][bound.name()]));
    total
}

/// What a pod requests or is limited to, its overhead included; a limit that there isn't is not made by overhead.
pub fn of_pod(spec: &Value, bound: Bound) -> Resources {
    let mut total = of_containers(spec, bound);
    let mut overhead = read(&spec["overhead"]);
    if bound == Bound::Limits {
        overhead.retain(|name, _| total.get(name).is_some_and(|amount| !amount.is_zero()));
    }
    add(&mut total, &overhead);
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value, bound: Bound, expected: Value) {
        assert_eq!(write(&of_pod(&spec, bound)), expected);
    }

    fn container(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}})
    }

    #[test]
    fn a_pod_needs_its_containers_or_its_greediest_init_container() {
        let mut sidecar = container("1");
        sidecar["restartPolicy"] = "Always".into();
        let spec =
            |inits: Value| json!({"containers": [container("600m"), container("600m")], "initContainers": inits});
        check(spec(json!([])), Bound::Requests, json!({"cpu": "1200m"}));
        check(spec(json!([container("3")])), Bound::Requests, json!({"cpu": "3"}));
        check(spec(json!([sidecar])), Bound::Limits, json!({"cpu": "2200m"}));
        check(spec(json!([sidecar, container("3")])), Bound::Limits, json!({"cpu": "4"}));
    }

    #[test]
    fn overhead_adds_to_requests_and_to_limits_that_there_are() {
        let spec = json!({"containers": [container("1")], "overhead": {"cpu": "250m", "memory": "10Mi"}});
        check(spec.clone(), Bound::Requests, json!({"cpu": "1250m", "memory": "10Mi"}));
        check(spec, Bound::Limits, json!({"cpu": "1250m"}));
    }

    #[test]
    fn what_is_said_for_the_whole_pod_counts() {
        let spec = json!({"containers": [container("1")], "resources": {"requests": {"cpu": "3"}}});
        check(spec, Bound::Requests, json!({"cpu": "3"}));
    }
}
