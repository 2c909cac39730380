//! What the node says of a pod.
//!
//! Upstream: pkg/registry/core/pod/strategy.go (preserveOldObservedGeneration),
//!   pkg/apis/core/validation/validation.go (ValidatePodStatusUpdate)
//! Left out: claims for extended resources, and the health of devices, whose gates are off at 1.35.

use std::collections::BTreeSet;

use api::{
    field::{Field, FieldError},
    names,
};
use serde_json::Value;

use super::validation::annotation_update;
use crate::strategy::validation::{Errors, IMMUTABLE, addresses, in_range, looks_like, same};

/// A client that does not say which generation of the pod it has seen has seen what was seen before: in the status, and
/// in each condition as in the one of its type.
pub(super) fn keep_observed_generations(status: &mut Value, current: &Value) {
    const NAME: &str = "observedGeneration";
    let says = |value: &Value| value[NAME].as_i64().unwrap_or_default() != 0;
    if says(current) && !says(status) {
        status[NAME] = current[NAME].clone();
    }
    let conditions = current["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !conditions.iter().any(says) {
        return;
    }
    let mut before: Vec<&Value> = conditions.iter().collect();
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = before.iter().position(|before| before["type"] == condition["type"]).map(|at| before.remove(at));
        if let Some(same) = same.filter(|same| says(same) && !says(condition)) {
            condition[NAME] = same[NAME].clone();
        }
    }
}

/// The mistakes in a change of a pod's status.
pub(super) fn validate(pod: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    annotation_update(pod, current, &mut errors);
    let metadata = pod.child("metadata");
    let status = pod.child("status");
    for (index, condition) in status.child("conditions").items().enumerate() {
        let kind = condition.child("type");
        let place = metadata.child("conditions");
        let place = place.index(index);
        not_before_the_first(&place.alias("observedGeneration", &condition.value["observedGeneration"]), &mut errors);
        let reported = place.alias("Type", kind.value);
        if !matches!(kind.str(), "PodScheduled" | "Ready" | "Initialized") {
            looks_like(&reported, names::is_qualified_name, &mut errors);
        }
    }
    if pod.value["spec"]["nodeName"] != current["spec"]["nodeName"] {
        errors.push(status.child("nodeName").forbidden("may not be changed directly"));
    }
    let nominated = status.child("nominatedNodeName");
    if nominated.value != &current["status"]["nominatedNodeName"] && !nominated.is_empty() {
        looks_like(&nominated, names::is_dns1123_subdomain, &mut errors);
    }
    not_before_the_first(&status.child("observedGeneration"), &mut errors);
    let class = status.child("qosClass");
    if !same(class.value, &current["status"]["qosClass"]) {
        errors.push(class.invalid(IMMUTABLE));
    }
    let lists = [
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", "ephemeralContainers"),
    ];
    for (list, specs) in lists {
        state_transitions(&status.child(list), &current["status"][list], &current["spec"], specs, &mut errors);
    }
    claims(&status, &pod.value["spec"]["resourceClaims"], &mut errors);
    addresses_of(&status, &mut errors);
    let os = pod.value["spec"]["os"]["name"].as_str().unwrap_or("linux");
    for (list, _) in lists {
        users(&status.child(list), os, &mut errors);
    }
    errors
}

/// A container that has ended for good does not come back. `specs` is the list of `spec` that its own is in.
fn state_transitions(statuses: &Field<'_>, current: &Value, spec: &Value, specs: &str, errors: &mut Errors) {
    for (index, before) in current.as_array().into_iter().flatten().enumerate() {
        let Some(ended) = before["state"]["terminated"].as_object() else { continue };
        let exit_code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
        let mut containers = spec[specs].as_array().into_iter().flatten();
        let own = containers.find(|each| each["name"] == before["name"]).filter(|_| specs != "ephemeralContainers");
        if own.is_some_and(|own| restarts(own, spec, exit_code)) {
            continue;
        }
        let mut now = statuses.value.as_array().into_iter().flatten();
        if now.any(|each| each["name"] == before["name"] && each["state"]["terminated"].is_null()) {
            let place = statuses.index(index);
            errors.push(place.child("state").forbidden("may not be transitioned to non-terminated state"));
        }
    }
}

/// Whether a container that ended with this code is started again: the first of its rules that knows the code says
/// so, then its own policy, then the pod's.
fn restarts(container: &Value, spec: &Value, exit_code: i64) -> bool {
    let own = container["restartPolicy"].as_str();
    let mut rules = container["restartPolicyRules"].as_array().into_iter().flatten().filter(|_| own.is_some());
    let knows = |rule: &&Value| {
        let codes = &rule["exitCodes"];
        let listed = codes["values"].as_array().into_iter().flatten().any(|code| code.as_i64() == Some(exit_code));
        matches!((codes["operator"].as_str(), listed), (Some("In"), true) | (Some("NotIn"), false))
    };
    if rules.find(knows).is_some_and(|rule| rule["action"] == "Restart") {
        return true;
    }
    match own.or(spec["restartPolicy"].as_str()) {
        Some("Never") => false,
        Some("OnFailure") => exit_code != 0,
        _ => true,
    }
}

fn addresses_of(status: &Field<'_>, errors: &mut Errors) {
    for (list, first) in [("podIPs", ""), ("hostIPs", "hostIP")] {
        let ips = status.child(list);
        for entry in ips.items() {
            let reported = FieldError { field: entry.path(), ..entry.child("ip").invalid("") };
            let mut mistakes = Errors::new();
            addresses::ip(&entry.child("ip"), &mut mistakes);
            errors.extend(mistakes.into_iter().map(|error| FieldError { field: reported.field.clone(), ..error }));
        }
        if !first.is_empty() && !ips.is_empty() {
            let head = ips.index(0);
            if head.child("ip").value != &status.value[first] {
                errors.push(head.child("ip").invalid("must be equal to `hostIP`"));
            }
        }
        let texts: Vec<&str> =
            ips.value.as_array().into_iter().flatten().filter_map(|each| each["ip"].as_str()).collect();
        errors.extend(addresses::one_of_each_family(&ips, &texts));
    }
}

fn not_before_the_first(generation: &Field<'_>, errors: &mut Errors) {
    if generation.i64().is_some_and(|number| number < 0) {
        errors.push(generation.invalid("must be a non-negative integer"));
    }
}

/// Which claims were made for the pod's; each once.
fn claims(status: &Field<'_>, of_spec: &Value, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for claim in status.child("resourceClaimStatuses").items() {
        let (name, made) = (claim.child("name"), claim.child("resourceClaimName"));
        if !of_spec.as_array().into_iter().flatten().any(|each| each["name"] == name.str()) {
            errors.push(name.invalid("must match the name of an entry in `spec.resourceClaims`"));
        }
        if !seen.insert(name.str().to_owned()) {
            errors.push(name.duplicate());
        }
        if !made.is_absent() {
            looks_like(&made, names::is_dns1123_subdomain, errors);
        }
    }
}

/// Whom the first process of each container runs as.
fn users(statuses: &Field<'_>, os: &str, errors: &mut Errors) {
    const MAX_ID: i64 = i32::MAX as i64;
    for status in statuses.items() {
        let user = status.child("user");
        let linux = user.child("linux");
        match os {
            _ if linux.is_absent() => {}
            "windows" => errors.push(linux.forbidden("cannot be set for a windows pod")),
            "linux" => {
                in_range(&linux.child("uid"), 0, MAX_ID, errors);
                in_range(&linux.child("gid"), 0, MAX_ID, errors);
                linux.child("supplementalGroups").items().for_each(|group| in_range(&group, 0, MAX_ID, errors));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Writing this status to a pod of this spec is refused with these words.
    #[track_caller]
    fn check(spec: Value, status: Value, refused: &[&str]) {
        let current = json!({"metadata": {"name": "x"}, "spec": spec, "status": {}});
        let mut object = current.clone();
        object["status"] = status;
        let errors = validate(&Field::root(&object), &current);
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), refused);
    }

    #[test]
    fn claims_that_were_made_are_the_pod_s_each_once() {
        let spec = || json!({"resourceClaims": [{"name": "a"}, {"name": "b"}]});
        let made = json!([{"name": "a", "resourceClaimName": "x-a"}, {"name": "b"}]);
        check(spec(), json!({ "resourceClaimStatuses": made }), &[]);
        let at = "status.resourceClaimStatuses";
        check(
            spec(),
            json!({"resourceClaimStatuses": [{"name": "a"}, {"name": "a"}, {"name": "c"}]}),
            &[
                &format!("{at}[1].name: Duplicate value: \"a\""),
                &format!(
                    "{at}[2].name: Invalid value: \"c\": must match the name of an entry in `spec.resourceClaims`"
                ),
            ],
        );
        let form = names::is_dns1123_subdomain("A_").remove(0);
        check(
            spec(),
            json!({"resourceClaimStatuses": [{"name": "a", "resourceClaimName": "A_"}]}),
            &[&format!("{at}[0].resourceClaimName: Invalid value: \"A_\": {form}")],
        );
    }

    #[test]
    fn containers_run_as_somebody_of_their_system() {
        let status = |uid: i64| json!({"containerStatuses": [{"name": "c", "user": {"linux": {"uid": uid, "gid": 0, "supplementalGroups": [1, -1]}}}]});
        let at = "status.containerStatuses[0].user.linux";
        let range = "must be between 0 and 2147483647, inclusive";
        check(
            json!({}),
            status(-2),
            &[
                &format!("{at}.uid: Invalid value: -2: {range}"),
                &format!("{at}.supplementalGroups[1]: Invalid value: -1: {range}"),
            ],
        );
        let refused = format!("{at}: Forbidden: cannot be set for a windows pod");
        check(json!({"os": {"name": "windows"}}), status(1), &[&refused]);
    }

    #[test]
    fn a_generation_that_was_seen_stays_seen() {
        let current = json!({"observedGeneration": 3, "conditions": [
            {"type": "Ready", "observedGeneration": 2}, {"type": "Other"}]});
        let mut status =
            json!({"conditions": [{"type": "Ready"}, {"type": "Ready"}, {"type": "Other", "observedGeneration": 1}]});
        keep_observed_generations(&mut status, &current);
        let expected = json!({"observedGeneration": 3, "conditions": [
            {"type": "Ready", "observedGeneration": 2}, {"type": "Ready"}, {"type": "Other", "observedGeneration": 1}]});
        assert_eq!(status, expected);
        let mut newer = json!({"observedGeneration": 4});
        keep_observed_generations(&mut newer, &current);
        assert_eq!(newer["observedGeneration"], 4);
        let negative = "status.observedGeneration: Invalid value: -1: must be a non-negative integer";
        check(json!({}), json!({"observedGeneration": -1}), &[negative]);
    }
}
