//! What a namespace's LimitRanges say: defaults for containers that leave their resources out, and the least, the most
//! and the ratio of limit to request that containers, pods and claims may have.
//!
//! Upstream: plugin/pkg/admission/limitranger/admission.go
//! Left out: nothing. Amounts that are wrong in several ways are named in the order of their resources' names.

use api::{
    object::Object as _,
    quantity::Quantity,
    resources::{self, Bound, Resources},
    status::Status,
};
use serde_json::Value;

use super::{Admission, Operation, Request};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(super) struct LimitRanger;

impl Admission for LimitRanger {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        if limited(request) != Some(Kind::Pod) {
            return Ok(());
        }
        for range in ranges(request) {
            if let Some(pod) = &mut request.object {
                fill_in(pod, &range);
            }
        }
        Ok(())
    }

    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let (Some(kind), Some(object)) = (limited(request), &request.object) else { return Ok(()) };
        for range in ranges(request) {
            let mut mistakes = Vec::new();
            for limit in range["spec"]["limits"].as_array().into_iter().flatten() {
                match (kind, limit["type"].as_str().unwrap_or_default()) {
                    (Kind::Pod, "Container") => check_containers(object, limit, &mut mistakes),
                    (Kind::Pod, "Pod") => {
                        let of = |bound| resources::of_containers(&object["spec"], bound);
                        check("Pod", limit, &of(Bound::Requests), &of(Bound::Limits), &mut mistakes);
                    }
                    (Kind::Claim, "PersistentVolumeClaim") => check_claim(object, limit, &mut mistakes),
                    _ => {}
                }
            }
            if let Some(why) = together(mistakes) {
                return Err(request.forbidden(why));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pod,
    Claim,
}

/// What the request writes, if LimitRanges have a say in it. An object that is being deleted may be anything.
fn limited(request: &Request<'_>) -> Option<Kind> {
    let writes = matches!(request.operation, Operation::Create | Operation::Update);
    if !writes || request.object.as_ref().is_none_or(|object| object.is_terminating()) {
        return None;
    }
    match (request.info.resource.as_str(), request.info.subresource.as_str(), request.operation) {
        _ if !request.info.group.is_empty() => None,
        // The containers of a pod that exists change by a resize only.
        ("pods", "", Operation::Create) | ("pods", "resize", Operation::Update) => Some(Kind::Pod),
        ("persistentvolumeclaims", "", _) => Some(Kind::Claim),
        _ => None,
    }
}

fn ranges(request: &Request<'_>) -> Vec<Value> {
    let ranges = request.objects.list("", "limitranges", &request.info.namespace);
    ranges.iter().map(|range| range.value()).collect()
}

/// Gives every container what it left out, and notes that in an annotation.
fn fill_in(pod: &mut Value, range: &Value) {
    let (mut requests, mut limits) = (Resources::new(), Resources::new());
    for limit in range["spec"]["limits"].as_array().into_iter().flatten().filter(|limit| limit["type"] == "Container") {
        requests.extend(resources::read(&limit["defaultRequest"]));
        limits.extend(resources::read(&limit["default"]));
    }
    let mut notes = Vec::new();
    for (list, kind) in [("containers", "container"), ("initContainers", "init container")] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            for (bound, defaults, word) in [(Bound::Requests, &requests, "request"), (Bound::Limits, &limits, "limit")]
            {
                let set = fill_in_list(container, bound, defaults);
                if !set.is_empty() {
                    notes.push(format!("{} {word} for {kind} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        pod["metadata"]["annotations"][ANNOTATION] = format!("LimitRanger plugin set: {}", notes.join("; ")).into();
    }
}

/// The names of what was set, in order.
fn fill_in_list<'a>(container: &mut Value, bound: Bound, defaults: &'a Resources) -> Vec<&'a str> {
    let list = &container["resources"][bound.name()];
    let missing: Vec<(&str, &Quantity)> =
        defaults.iter().filter(|(name, _)| list.get(name).is_none()).map(|(name, amount)| (&**name, amount)).collect();
    for (name, amount) in &missing {
        container["resources"][bound.name()][*name] = amount.to_string().into();
    }
    missing.into_iter().map(|(name, _)| name).collect()
}

fn check_containers(pod: &Value, limit: &Value, mistakes: &mut Vec<String>) {
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            let of = |bound: Bound| resources::read(&container["resources"][bound.name()]);
            check("Container", limit, &of(Bound::Requests), &of(Bound::Limits), mistakes);
        }
    }
}

/// Only what a claim requests counts: its limits mean nothing.
fn check_claim(claim: &Value, limit: &Value, mistakes: &mut Vec<String>) {
    const KIND: &str = "PersistentVolumeClaim";
    let requests = resources::read(&claim["spec"]["resources"]["requests"]);
    for (name, least) in resources::read(&limit["min"]) {
        mistakes.extend(below(KIND, &name, least, requests.get(&name), None));
    }
    for (name, most) in resources::read(&limit["max"]) {
        mistakes.extend(match requests.get(&name) {
            None => Some(format!("maximum {name} usage per {KIND} is {most}.  No request is specified")),
            Some(asked) if *asked > most => {
                Some(format!("maximum {name} usage per {KIND} is {most}, but request is {asked}"))
            }
            Some(_) => None,
        });
    }
}

fn check(kind: &str, limit: &Value, requests: &Resources, limits: &Resources, mistakes: &mut Vec<String>) {
    for (name, least) in resources::read(&limit["min"]) {
        mistakes.extend(below(kind, &name, least, requests.get(&name), limits.get(&name)));
    }
    for (name, most) in resources::read(&limit["max"]) {
        mistakes.extend(above(kind, &name, most, requests.get(&name), limits.get(&name)));
    }
    for (name, ratio) in resources::read(&limit["maxLimitRequestRatio"]) {
        mistakes.extend(stretched(kind, &name, ratio, requests.get(&name), limits.get(&name)));
    }
}

fn below(
    kind: &str,
    name: &str,
    least: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let rule = format!("minimum {name} usage per {kind} is {least}");
    match (request, limit) {
        (None, _) => Some(format!("{rule}.  No request is specified")),
        (Some(request), _) if *request < least => Some(format!("{rule}, but request is {request}")),
        (_, Some(limit)) if *limit < least => Some(format!("{rule}, but limit is {limit}")),
        _ => None,
    }
}

fn above(
    kind: &str,
    name: &str,
    most: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let rule = format!("maximum {name} usage per {kind} is {most}");
    match (request, limit) {
        (_, None) => Some(format!("{rule}.  No limit is specified")),
        (_, Some(limit)) if *limit > most => Some(format!("{rule}, but limit is {limit}")),
        (Some(request), _) if *request > most => Some(format!("{rule}, but request is {request}")),
        _ => None,
    }
}

fn stretched(
    kind: &str,
    name: &str,
    most: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let rule = format!("{name} max limit to request ratio per {kind} is {most}");
    let Some(request) = request.filter(|request| !request.is_zero()) else {
        return Some(format!("{rule}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else {
        return Some(format!("{rule}, but no limit is specified or limit is 0"));
    };
    let milli = |amount: &Quantity| i128::from(amount.milli_value());
    let over = milli(limit) * 1000 > milli(request) * milli(&most);
    over.then(|| format!("{rule}, but provided ratio is {:.6}", limit.as_f64() / request.as_f64()))
}

/// All mistakes as one text, each once; none when there are none.
fn together(mistakes: Vec<String>) -> Option<String> {
    let mut texts: Vec<String> = Vec::new();
    for mistake in mistakes {
        if !texts.contains(&mistake) {
            texts.push(mistake);
        }
    }
    match texts.len() {
        0 => None,
        1 => texts.pop(),
        _ => Some(format!("[{}]", texts.join(", "))),
    }
}

#[cfg(test)]
mod tests;
