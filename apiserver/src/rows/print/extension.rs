//! The tables of webhooks, admission policies, API services and flow control.
//!
//! Upstream: pkg/printers/internalversion/printers.go, kube-aggregator/pkg/registry/apiservice/etcd/etcd.go
//! Left out: lists of flow schemas in the order in which they match: they stand by name, as all lists do.

use serde_json::{Value, json};

use super::{NONE, Table, UNSET, ages, count, integer, items, name, name_of, number, text, text_or};

/// Mutating and validating webhook configurations.
pub const WEBHOOK_CONFIGURATIONS: Table = Table {
    headings: &[name(), integer("Webhooks"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(count(object, "/webhooks")), ages::age(object, now)],
};

pub const ADMISSION_POLICIES: Table = Table {
    headings: &[name(), integer("Validations"), text("ParamKind"), text("Age")],
    cells: |object, now| {
        let kind = object.pointer("/spec/paramKind").filter(|kind| kind.is_object());
        let kind = kind.map_or(UNSET.to_owned(), |kind| {
            format!("{}/{}", text_or(kind, "/apiVersion", ""), text_or(kind, "/kind", ""))
        });
        vec![name_of(object), json!(count(object, "/spec/validations")), json!(kind), ages::age(object, now)]
    },
};

pub const ADMISSION_POLICY_BINDINGS: Table = Table {
    headings: &[name(), text("PolicyName"), text("ParamRef"), text("Age")],
    cells: |object, now| {
        vec![
            name_of(object),
            json!(text_or(object, "/spec/policyName", "")),
            json!(parameter(object)),
            ages::age(object, now),
        ]
    },
};

/// What a binding's policy is given: `NAMESPACE/NAME`, any namespace being `*`, or a selector.
fn parameter(binding: &Value) -> String {
    let Some(reference) = binding.pointer("/spec/paramRef") else { return UNSET.to_owned() };
    match text_or(reference, "/name", "") {
        "" if reference["selector"].is_object() => go_selector(&reference["selector"]),
        "" => UNSET.to_owned(),
        name => format!("{}/{name}", text_or(reference, "/namespace", "*")),
    }
}

/// A label selector as Go's generated code prints the struct.
fn go_selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels: String = labels.map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default())).collect();
    let expressions = items(selector, "/matchExpressions").iter().map(|each| {
        let (key, operator) = (text_or(each, "/key", ""), text_or(each, "/operator", ""));
        let values: Vec<&str> = items(each, "/values").iter().filter_map(Value::as_str).collect();
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    });
    let expressions: String = expressions.collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

pub const API_SERVICES: Table = Table {
    headings: &[name(), text("Service"), text("Available"), text("Age")],
    cells: |object, now| {
        let service = object.pointer("/spec/service").filter(|service| service.is_object());
        let service = service.map_or("Local".to_owned(), |service| {
            format!("{}/{}", text_or(service, "/namespace", ""), text_or(service, "/name", ""))
        });
        let conditions = items(object, "/status/conditions");
        let available = conditions.iter().find(|condition| condition["type"] == "Available");
        let available = available.map_or("Unknown".to_owned(), |condition| match text_or(condition, "/status", "") {
            "True" => "True".to_owned(),
            status => format!("{status} ({})", text_or(condition, "/reason", "")),
        });
        vec![name_of(object), json!(service), json!(available), ages::age(object, now)]
    },
};

pub const FLOW_SCHEMAS: Table = Table {
    headings: &[
        name(),
        text("PriorityLevel"),
        text("MatchingPrecedence"),
        text("DistinguisherMethod"),
        text("Age"),
        text("MissingPL"),
    ],
    cells: |object, now| {
        let dangling = items(object, "/status/conditions").iter().find(|condition| condition["type"] == "Dangling");
        vec![
            name_of(object),
            json!(text_or(object, "/spec/priorityLevelConfiguration/name", "")),
            json!(number(object, "/spec/matchingPrecedence")),
            json!(text_or(object, "/spec/distinguisherMethod/type", NONE)),
            ages::age(object, now),
            json!(dangling.map_or("?", |condition| text_or(condition, "/status", ""))),
        ]
    },
};

pub const PRIORITY_LEVELS: Table = Table {
    headings: &[
        name(),
        text("Type"),
        text("NominalConcurrencyShares"),
        text("Queues"),
        text("HandSize"),
        text("QueueLengthLimit"),
        text("Age"),
    ],
    cells: |object, now| {
        let number_or_none = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_else(|| json!(NONE));
        let queuing = "/spec/limited/limitResponse/queuing";
        vec![
            name_of(object),
            json!(text_or(object, "/spec/type", "")),
            number_or_none("/spec/limited/nominalConcurrencyShares"),
            number_or_none(&format!("{queuing}/queues")),
            number_or_none(&format!("{queuing}/handSize")),
            number_or_none(&format!("{queuing}/queueLengthLimit")),
            ages::age(object, now),
        ]
    },
};
