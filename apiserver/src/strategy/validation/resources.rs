//! Names and amounts of resources: requests and limits, capacity, overhead.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validateResourceRequirements and around),
//!   pkg/apis/core/helper/helpers.go
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{
    field::{Field, FieldError},
    names,
    quantity::Quantity,
    resources::is_for_whole_pods,
};

use super::{Errors, NOT_NEGATIVE, looks_like};

const STANDARD: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
];

/// What has no prefix and is known, beside huge pages.
fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name)
        || name == "services.loadbalancers"
        || is_huge_pages(name)
        || name.starts_with("requests.hugepages-")
}

/// `hugepages-2Mi`: pages of that size.
pub(crate) fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether the name belongs to Kubernetes itself: without a prefix, or with one of kubernetes.io.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether the resource is one that somebody else advertises: `example.com/gpu`.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::is_qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether requests may add up to more than there is: not for extended resources and huge pages.
pub(crate) fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

/// Whether only whole numbers of the resource make sense.
fn is_counted(name: &str) -> bool {
    const COUNTED: [&str; 9] = [
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    COUNTED.contains(&name) || is_extended(name)
}

/// Checks the name of any resource. `at` is where it stands; the name is reported as the value.
pub(crate) fn resource_name(at: &Field<'_>, name: &str, errors: &mut Errors) -> bool {
    let mistakes = names::is_qualified_name(name);
    let mut fine = mistakes.is_empty();
    errors.extend(mistakes.into_iter().map(|wrong| at.invalid_value(name, wrong)));
    if fine && !name.contains('/') && !is_standard(name) {
        errors.push(at.invalid_value(name, "must be a standard resource type or fully qualified"));
        fine = false;
    }
    fine
}

/// As [`resource_name`], for what a container can ask for.
pub(crate) fn container_resource_name(at: &Field<'_>, name: &str, errors: &mut Errors) {
    resource_name(at, name, errors);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_pages(name) {
            errors.push(at.invalid_value(name, "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(at.invalid_value(name, "doesn't follow extended resource name standard"));
    }
}

/// As [`resource_name`], for what a whole pod can ask for.
fn pod_resource_name(at: &Field<'_>, name: &str, errors: &mut Errors) {
    if resource_name(at, name, errors) && !is_for_whole_pods(name) {
        errors.push(FieldError { value: name.into(), ..at.not_supported(&["cpu", "hugepages-", "memory"]) });
    }
}

/// As [`resource_name`], for what a quota can limit.
pub(crate) fn quota_resource_name(at: &Field<'_>, name: &str, errors: &mut Errors) {
    resource_name(at, name, errors);
    let for_quota = is_standard(name);
    if !name.contains('/') && !for_quota {
        errors.push(at.invalid_value(name, "must be a standard resource for quota"));
    }
}

/// The quantity at `field`; what is none counts as zero.
pub(crate) fn quantity(field: &Field<'_>) -> Quantity {
    match field.value {
        serde_json::Value::String(text) => Quantity::parse(text).unwrap_or_default(),
        serde_json::Value::Number(number) => Quantity::parse(&number.to_string()).unwrap_or_default(),
        _ => Quantity::default(),
    }
}

/// An amount of a resource: not negative, and whole where only whole ones make sense.
pub(crate) fn amount(field: &Field<'_>, name: &str, errors: &mut Errors) {
    let amount = quantity(field);
    if amount.milli_value() < 0 {
        errors.push(field.invalid_value(amount.to_string(), NOT_NEGATIVE));
    }
    if is_counted(name) && amount.milli_value() % 1000 != 0 {
        errors.push(field.invalid_value(amount.to_string(), "must be an integer"));
    }
}

/// An amount that must be more than zero.
pub(crate) fn positive_amount(field: &Field<'_>, errors: &mut Errors) -> bool {
    let amount = quantity(field);
    let fine = amount > Quantity::default();
    if !fine {
        errors.push(field.invalid_value(amount.to_string(), "must be greater than zero"));
    }
    fine
}

/// Whose requests and limits are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    Container,
    Pod,
}

/// Checks requests, limits and claims. `claims` are the names that the pod has for its resource claims.
pub(crate) fn requirements(resources: &Field<'_>, asker: Asker, claims: &BTreeSet<&str>, errors: &mut Errors) {
    let (limits, requests) = (resources.child("limits"), resources.child("requests"));
    let mut computes = false;
    let mut huge = false;
    for (name, limit) in limits.entries() {
        requirement(&limit, name, asker, errors);
        computes |= matches!(name, "cpu" | "memory");
        huge |= is_huge_pages(name);
    }
    for (name, request) in requests.entries() {
        requirement(&request, name, asker, errors);
        computes |= matches!(name, "cpu" | "memory");
        huge |= is_huge_pages(name);
        let limit = limits.key(name);
        let (asked, most) = (quantity(&request), quantity(&limit));
        if limit.is_absent() {
            if !may_be_overcommitted(name) {
                errors.push(limits.required("Limit must be set for non overcommitable resources"));
            }
        } else if asked != most && !may_be_overcommitted(name) {
            let detail = format!("must be equal to {name} limit of {most}");
            errors.push(requests.invalid_value(asked.to_string(), detail));
        } else if asked > most {
            let detail = format!("must be less than or equal to {name} limit of {most}");
            errors.push(requests.invalid_value(asked.to_string(), detail));
        }
    }
    if huge && !computes {
        errors.push(resources.forbidden("HugePages require cpu or memory"));
    }
    claim_names(&resources.child("claims"), claims, errors);
}

fn requirement(field: &Field<'_>, name: &str, asker: Asker, errors: &mut Errors) {
    match asker {
        Asker::Container => container_resource_name(field, name, errors),
        Asker::Pod => pod_resource_name(field, name, errors),
    }
    amount(field, name, errors);
    let Some(size) = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok()) else { return };
    let amount = quantity(field);
    if size.value() <= 0 || amount.value() < 0 || amount.value() % size.value() != 0 {
        errors.push(
            field.invalid_value(amount.to_string(), format!("{amount} is not positive integer multiple of {name}")),
        );
    }
}

fn claim_names(claims: &Field<'_>, known: &BTreeSet<&str>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let (name, request) = (claim.child("name"), claim.child("request"));
        if name.is_empty() {
            errors.push(claim.required(""));
            continue;
        }
        super::optional_like(&request, names::is_dns1123_label, errors);
        let pair = |request: &str| (name.str().to_owned(), request.to_owned());
        let clash = seen.contains(&pair(""))
            || seen.contains(&pair(request.str()))
            || (request.is_empty() && seen.iter().any(|(each, _): &(String, String)| each == name.str()));
        if clash {
            let key =
                if request.is_empty() { name.str().to_owned() } else { format!("{}/{}", name.str(), request.str()) };
            errors.push(claim.duplicate_value(key));
        }
        seen.insert(pair(request.str()));
        if !known.contains(name.str()) {
            let mut error = FieldError { value: name.str().into(), ..claim.not_found() };
            error.detail = "must be one of the names in pod.spec.resourceClaims".into();
            if known.is_empty() {
                error.detail.push_str(" which is empty");
            } else {
                let list: Vec<&str> = known.iter().copied().collect();
                error.detail.push_str(&format!(": {}", list.join(", ")));
            }
            errors.push(error);
        }
    }
}

/// Checks what a pod costs beside its containers. Upstream reports it as if it were a container's limits.
pub(crate) fn overhead(overhead: &Field<'_>, errors: &mut Errors) {
    let limits = overhead.alias("limits", overhead.value);
    for (name, field) in limits.entries() {
        container_resource_name(&field, name, errors);
        amount(&field, name, errors);
    }
}

/// Checks a label selector's key and amount pairs of a node's capacity: `status.capacity.cpu`.
pub(crate) fn node_amounts(list: &Field<'_>, errors: &mut Errors) {
    for (name, _) in list.entries() {
        amount(&list.child(name), name, errors);
    }
}

/// The name of a class: of storage, of volume attributes.
pub(crate) fn class_name(field: &Field<'_>, errors: &mut Errors) {
    if !field.is_empty() {
        looks_like(field, names::is_dns1123_subdomain, errors);
    }
}
