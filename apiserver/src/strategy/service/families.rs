//! Which families of addresses a Service has, in a cluster whose Services have addresses of IPv4 alone.
//!
//! Upstream: pkg/registry/core/service/storage/alloc.go (initIPFamilyFields)
//! Left out: clusters with ranges of both families.

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::validation::cluster_ips;
use crate::strategy::{
    filling::{fill, lacks},
    validation::addresses,
};

const CLUSTERS: &str = "IPv4";
const OTHER: &str = "IPv6";
const NOT_CONFIGURED: &str = "not configured on this cluster";

/// Fills in policy and families, and answers why they can't be as they were asked for; then nobody looks further.
///
/// A headless Service without a selector may be given endpoints of any family, so it may have both in every cluster.
pub(crate) fn initialise(object: &mut Value, current: Option<&Value>) -> Vec<FieldError> {
    // A change of the status comes by here too.
    let is_same = current.is_some_and(|current| current["spec"] == object["spec"]);
    if object["spec"]["type"] == "ExternalName" || is_same {
        return Vec::new();
    }
    fill_policy(&mut object["spec"], current);
    let mistakes = cluster_ips(&Field::root(object).child("spec"));
    if !mistakes.is_empty() {
        return mistakes;
    }
    let mut mistakes = current.map(|current| release(object, current)).unwrap_or_default();
    mistakes.extend(more_than_policy_allows(object));
    mistakes.extend(infer_families(object));
    if !mistakes.is_empty() {
        return mistakes;
    }
    let any_family = is_for_any_family(&object["spec"]);
    if !any_family {
        mistakes = not_in_this_cluster(object);
    }
    if mistakes.is_empty() {
        fill_families(&mut object["spec"], any_family);
    }
    mistakes
}

/// A policy is kept by a client that does not know of it.
fn fill_policy(spec: &mut Value, current: Option<&Value>) {
    let before = current.map_or(&Value::Null, |current| &current["spec"]["ipFamilyPolicy"]);
    let policy = match before.as_str() {
        Some(policy) => policy,
        None if is_for_any_family(spec) => "RequireDualStack",
        None => "SingleStack",
    };
    if let Some(spec) = spec.as_object_mut() {
        fill(spec, "ipFamilyPolicy", policy);
    }
}

fn is_for_any_family(spec: &Value) -> bool {
    spec["clusterIP"] == "None" && spec["selector"].as_object().is_none_or(serde_json::Map::is_empty)
}

fn count(spec: &Value, list: &str) -> usize {
    spec[list].as_array().map_or(0, Vec::len)
}

/// The second address and family go when the policy says so, and not before.
fn release(object: &mut Value, current: &Value) -> Vec<FieldError> {
    let (spec, before) = (&mut object["spec"], &current["spec"]);
    let single = spec["ipFamilyPolicy"] == "SingleStack";
    let mut mistakes = Vec::new();
    for (list, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        if single && spec[list] == before[list] {
            if let Some(both) = spec[list].as_array_mut() {
                both.truncate(1);
            }
        } else if !single && (1..count(before, list)).contains(&count(spec, list)) {
            mistakes.push(format!("must be 'SingleStack' to release the secondary {what}"));
        }
    }
    of_policy(object, mistakes)
}

fn more_than_policy_allows(object: &Value) -> Vec<FieldError> {
    if object["spec"]["ipFamilyPolicy"] != "SingleStack" {
        return Vec::new();
    }
    let both = [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")];
    let both = both.into_iter().filter(|(list, _)| count(&object["spec"], list) == 2);
    let detail =
        |(_, what)| format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
    of_policy(object, both.map(detail).collect())
}

fn of_policy(object: &Value, details: Vec<String>) -> Vec<FieldError> {
    let root = Field::root(object);
    let spec = root.child("spec");
    let policy = spec.child("ipFamilyPolicy");
    details.into_iter().map(|detail| policy.invalid(detail)).collect()
}

/// An address that was asked for says its family.
fn infer_families(object: &mut Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let known = count(spec, "ipFamilies");
    let mut families: Vec<Value> = spec["ipFamilies"].as_array().cloned().unwrap_or_default();
    let mut mistakes = Vec::new();
    let root = Field::root(object);
    let spec = root.child("spec");
    let list = spec.child("clusterIPs");
    for (index, ip) in list.items().enumerate().skip(known) {
        match addresses::parse_ip(ip.str()) {
            None => {}
            Some(address) if address.is_ipv4() => families.push(CLUSTERS.into()),
            Some(_) => {
                let detail = format!("{OTHER} is {NOT_CONFIGURED}");
                mistakes.push(list.index(index).invalid_value(list.value.clone(), detail));
            }
        }
    }
    if families.len() > known {
        object["spec"]["ipFamilies"] = families.into();
    }
    mistakes
}

fn not_in_this_cluster(object: &Value) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    if object["spec"]["ipFamilyPolicy"] == "RequireDualStack" {
        mistakes.push("this cluster is not configured for dual-stack services".to_owned());
    }
    let mut mistakes = of_policy(object, mistakes);
    let root = Field::root(object);
    let spec = root.child("spec");
    let families = spec.child("ipFamilies");
    mistakes.extend(
        families.items().filter(|family| family.str() != CLUSTERS).map(|family| family.invalid(NOT_CONFIGURED)),
    );
    mistakes
}

fn fill_families(spec: &mut Value, any_family: bool) {
    let both = any_family && spec["ipFamilyPolicy"] != "SingleStack";
    let Some(spec) = spec.as_object_mut() else { return };
    if lacks(spec, "ipFamilies") {
        spec.insert("ipFamilies".to_owned(), json!([CLUSTERS]));
    }
    if both
        && let Some(Value::Array(families)) = spec.get_mut("ipFamilies")
        && families.len() == 1
    {
        let second = if families[0] == CLUSTERS { OTHER } else { CLUSTERS };
        families.push(second.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Service of this spec gets the policy and families, or is refused with these words.
    #[track_caller]
    fn check(spec: Value, policy: &str, families: &[&str], refused: &[&str]) {
        changed(None, spec, policy, families, refused);
    }

    #[track_caller]
    fn changed(before: Option<Value>, spec: Value, policy: &str, families: &[&str], refused: &[&str]) {
        let current = before.map(|spec| json!({ "spec": spec }));
        let mut object = json!({ "spec": spec });
        let mistakes = initialise(&mut object, current.as_ref());
        assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), refused);
        if refused.is_empty() {
            assert_eq!(object["spec"]["ipFamilyPolicy"], policy);
            assert_eq!(object["spec"]["ipFamilies"], json!(families));
        }
    }

    #[test]
    fn a_service_has_the_family_of_the_cluster() {
        check(json!({"type": "ClusterIP"}), "SingleStack", &["IPv4"], &[]);
        check(json!({"ipFamilyPolicy": "PreferDualStack"}), "PreferDualStack", &["IPv4"], &[]);
        check(
            json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}, "ipFamilyPolicy": "PreferDualStack"}),
            "PreferDualStack",
            &["IPv4"],
            &[],
        );
        check(json!({"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"]}), "SingleStack", &["IPv4"], &[]);
        let mut external = json!({"spec": {"type": "ExternalName"}});
        assert!(initialise(&mut external, None).is_empty());
        assert_eq!(external, json!({"spec": {"type": "ExternalName"}}));
    }

    #[test]
    fn a_headless_service_without_a_selector_has_both_families() {
        let headless = |fields: Value| {
            let mut spec = json!({"clusterIP": "None", "clusterIPs": ["None"]});
            json_patch::merge(&mut spec, &fields);
            spec
        };
        check(headless(json!({})), "RequireDualStack", &["IPv4", "IPv6"], &[]);
        check(headless(json!({"ipFamilies": ["IPv6"]})), "RequireDualStack", &["IPv6", "IPv4"], &[]);
        check(headless(json!({"ipFamilyPolicy": "SingleStack"})), "SingleStack", &["IPv4"], &[]);
        let six = headless(json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}));
        check(six, "SingleStack", &["IPv6"], &[]);
    }

    #[test]
    fn what_the_cluster_has_not_is_refused() {
        let dual = "this cluster is not configured for dual-stack services";
        check(
            json!({"ipFamilyPolicy": "RequireDualStack"}),
            "",
            &[],
            &[&format!("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": {dual}")],
        );
        check(
            json!({"ipFamilies": ["IPv6"]}),
            "",
            &[],
            &["spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"],
        );
        check(
            json!({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]}),
            "",
            &[],
            &["spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster"],
        );
        check(
            json!({"ipFamilyPolicy": "PreferDualStack", "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9", "fd00::9"]}),
            "",
            &[],
            &[r#"spec.clusterIPs[1]: Invalid value: ["10.0.0.9","fd00::9"]: IPv6 is not configured on this cluster"#],
        );
        check(
            json!({"ipFamilies": ["IPv4", "IPv6"], "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9", "fd00::9"]}),
            "",
            &[],
            &["cluster IPs", "IP families"]
                .map(|what| {
                    let must = "must be 'RequireDualStack' or 'PreferDualStack'";
                    format!(
                        "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": {must} when multiple {what} are specified"
                    )
                })
                .each_ref()
                .map(String::as_str),
        );
        check(
            json!({"ipFamilyPolicy": "Both", "clusterIPs": ["10.0.0.9"]}),
            "",
            &[],
            &[
                r#"spec.clusterIPs: Invalid value: ["10.0.0.9"]: must be empty when `clusterIP` is not specified"#,
                r#"spec.ipFamilyPolicy: Unsupported value: "Both": supported values: "PreferDualStack", "RequireDualStack", "SingleStack""#,
            ],
        );
    }

    #[test]
    fn a_second_family_goes_with_the_policy_only() {
        let both = || json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]});
        let with = |fields: Value| {
            let mut spec = both();
            json_patch::merge(&mut spec, &fields);
            spec
        };
        changed(Some(both()), with(json!({"ipFamilyPolicy": "SingleStack"})), "SingleStack", &["IPv4"], &[]);
        changed(Some(both()), with(json!({"ipFamilyPolicy": null})), "RequireDualStack", &["IPv4", "IPv6"], &[]);
        changed(
            Some(both()),
            with(json!({"ipFamilies": ["IPv4"]})),
            "",
            &[],
            &[
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to release the secondary IP family",
            ],
        );
        let one = json!({"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"], "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4"]});
        let mut later = one.clone();
        later["ipFamilyPolicy"] = Value::Null;
        changed(Some(one), later, "PreferDualStack", &["IPv4"], &[]);
    }
}
