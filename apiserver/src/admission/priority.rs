//! A pod's priority is the number of its PriorityClass.
//!
//! Upstream: plugin/pkg/admission/priority/admission.go, pkg/apis/scheduling/types.go
//! Left out: nothing.

use api::status::Status;
use serde_json::Value;

use super::{Admission, Operation, Request};
use crate::objects::Objects;

const GROUP: &str = "scheduling.k8s.io";
/// The classes that every cluster has, even before their objects are made.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
const PREEMPT_LOWER: &str = "PreemptLowerPriority";

pub(super) struct Priority;

impl Admission for Priority {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        if request.subresource_of("", "pods") != Some("") {
            return Ok(());
        }
        match request.operation {
            Operation::Create => admit_new(request),
            Operation::Update => {
                keep(request);
                Ok(())
            }
            Operation::Delete | Operation::Connect => Ok(()),
        }
    }

    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        if request.subresource_of(GROUP, "priorityclasses") != Some("") {
            return Ok(());
        }
        let Some(class) = request.object.as_ref().filter(|class| class["globalDefault"] == true) else {
            return Ok(());
        };
        let name = class["metadata"]["name"].as_str().unwrap_or_default();
        match default_class(request.objects) {
            Some(other) if other.name != name => Err(request.forbidden(format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                other.name
            ))),
            _ => Ok(()),
        }
    }
}

struct Class {
    name: String,
    value: i64,
    preemption_policy: String,
}

fn read(class: &Value) -> Class {
    let policy = class["preemptionPolicy"].as_str().unwrap_or(PREEMPT_LOWER);
    Class {
        name: class["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        value: class["value"].as_i64().unwrap_or_default(),
        preemption_policy: policy.to_owned(),
    }
}

/// The class marked as default; of several, the one with the lowest number.
fn default_class(objects: &dyn Objects) -> Option<Class> {
    let classes = objects.list(GROUP, "priorityclasses", "");
    let values = classes.iter().map(|class| class.decoded());
    values.filter(|class| class["globalDefault"] == true).map(read).min_by_key(|class| class.value)
}

fn class_named(objects: &dyn Objects, name: &str) -> Option<Class> {
    if let Some(class) = objects.get(GROUP, "priorityclasses", "", name) {
        return Some(read(class.decoded()));
    }
    let (name, value) = SYSTEM_CLASSES.into_iter().find(|(system, _)| *system == name)?;
    Some(Class { name: name.to_owned(), value, preemption_policy: PREEMPT_LOWER.to_owned() })
}

fn admit_new(request: &mut Request<'_>) -> Result<(), Status> {
    let Some(pod) = &request.object else { return Ok(()) };
    let spec = &pod["spec"];
    let named = spec["priorityClassName"].as_str().filter(|name| !name.is_empty());
    let class = match named {
        Some(name) => class_named(request.objects, name)
            .ok_or_else(|| request.forbidden(format!("no PriorityClass with name {name} was found")))?,
        None => default_class(request.objects).unwrap_or_else(|| Class {
            name: String::new(),
            value: 0,
            preemption_policy: PREEMPT_LOWER.to_owned(),
        }),
    };
    if let Some(given) = spec["priority"].as_i64().filter(|given| *given != class.value) {
        return Err(request.forbidden(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
            class.value
        )));
    }
    if let Some(given) = spec["preemptionPolicy"].as_str().filter(|given| *given != class.preemption_policy) {
        return Err(request.forbidden(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
            class.preemption_policy
        )));
    }
    let spec = &mut request.object.as_mut().expect("it was there above")["spec"];
    spec["priority"] = class.value.into();
    spec["preemptionPolicy"] = class.preemption_policy.into();
    if !class.name.is_empty() {
        spec["priorityClassName"] = class.name.into();
    }
    Ok(())
}

/// What was worked out when the pod was made stays when an update leaves it out.
fn keep(request: &mut Request<'_>) {
    let (Some(pod), Some(old)) = (&mut request.object, request.old) else { return };
    for field in ["priority", "preemptionPolicy"] {
        if pod["spec"][field].is_null() && !old["spec"][field].is_null() {
            pod["spec"][field] = old["spec"][field].clone();
        }
    }
}
