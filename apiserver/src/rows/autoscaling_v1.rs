//! HorizontalPodAutoscalers in autoscaling/v1: one target, the CPU's utilization. The rest of autoscaling/v2, in which
//! they are stored, stands in annotations.
//!
//! Upstream: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go
//! Left out: nothing.

use serde_json::{Map, Value, json};

use crate::row::StoredAs;

pub(super) const STORED_AS: StoredAs = StoredAs {
    group: "autoscaling",
    version: "v2",
    plural: "horizontalpodautoscalers",
    to_stored,
    from_stored,
    stored_label: |_| None,
};

/// Annotations for what v1 has no fields for, each a JSON text: metrics and their present values in a form of their
/// own, conditions and behavior as they are.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

type Fields = Map<String, Value>;

fn to_stored(object: &mut Value) {
    let mut from_annotation = |name: &str| {
        let annotations = object.pointer_mut("/metadata/annotations")?.as_object_mut()?;
        let text = annotations.remove(name)?;
        if annotations.is_empty() {
            object["metadata"].as_object_mut()?.remove("annotations");
        }
        serde_json::from_str::<Value>(text.as_str()?).ok()
    };
    let metrics = from_annotation(METRICS);
    let current_metrics = from_annotation(CURRENT_METRICS);
    let conditions = from_annotation(CONDITIONS);
    let behavior = from_annotation(BEHAVIOR);
    let Some(fields) = object.as_object_mut() else { return };
    fields.insert("apiVersion".to_owned(), "autoscaling/v2".into());
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
        let mut all = listed(metrics, metric_to_v2);
        if let Some(percent) = spec.remove("targetCPUUtilizationPercentage") {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            all.insert(0, json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        put_list(spec, "metrics", all);
        if let Some(behavior) = behavior {
            spec.insert("behavior".to_owned(), behavior);
        }
    }
    if let Some(status) = fields.get_mut("status").and_then(Value::as_object_mut) {
        let mut all = listed(current_metrics, current_to_v2);
        if let Some(percent) = status.remove("currentCPUUtilizationPercentage")
            && !all.iter().any(is_cpu)
        {
            let current = json!({"averageUtilization": percent});
            all.insert(0, json!({"type": "Resource", "resource": {"name": "cpu", "current": current}}));
        }
        put_list(status, "currentMetrics", all);
        if let Some(conditions) = conditions {
            status.insert("conditions".to_owned(), conditions);
        }
    }
}

fn from_stored(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.insert("apiVersion".to_owned(), "autoscaling/v1".into());
    let mut annotations: Vec<(&str, Value)> = Vec::new();
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
        let mut metrics = listed(spec.remove("metrics"), Some);
        let cpu = metrics.iter().position(|metric| is_cpu(metric) && !cpu_target(metric).is_null());
        if let Some(at) = cpu {
            let percent = cpu_target(&metrics.remove(at)).clone();
            spec.insert("targetCPUUtilizationPercentage".to_owned(), percent);
        }
        if !metrics.is_empty() {
            annotations.push((METRICS, metrics.iter().map(metric_to_v1).collect()));
        }
        if let Some(behavior) = spec.remove("behavior") {
            annotations.push((BEHAVIOR, behavior));
        }
    }
    if let Some(status) = fields.get_mut("status").and_then(Value::as_object_mut) {
        let metrics = listed(status.remove("currentMetrics"), Some);
        let percent = metrics.iter().filter(|metric| is_cpu(metric));
        let percent =
            percent.map(|metric| &metric["resource"]["current"]["averageUtilization"]).find(|it| !it.is_null());
        if let Some(percent) = percent {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percent.clone());
        }
        if !metrics.is_empty() {
            annotations.push((CURRENT_METRICS, metrics.iter().map(current_to_v1).collect()));
        }
        if let Some(conditions) =
            status.remove("conditions").filter(|each| each.as_array().is_some_and(|all| !all.is_empty()))
        {
            annotations.push((CONDITIONS, conditions));
        }
        status.entry("currentReplicas").or_insert_with(|| 0.into());
        status.entry("desiredReplicas").or_insert_with(|| 0.into());
    }
    for (name, value) in annotations {
        object["metadata"]["annotations"][name] = value.to_string().into();
    }
}

fn listed(list: Option<Value>, each: fn(Value) -> Option<Value>) -> Vec<Value> {
    match list {
        Some(Value::Array(items)) => items.into_iter().filter_map(each).collect(),
        _ => Vec::new(),
    }
}

fn put_list(fields: &mut Fields, name: &str, list: Vec<Value>) {
    if list.is_empty() {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), list.into());
    }
}

fn is_cpu(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

fn cpu_target(metric: &Value) -> &Value {
    &metric["resource"]["target"]["averageUtilization"]
}

/// The field of a metric of each type.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("External", "external"),
];

/// How v1 names the values of a metric's `place` (target, current): v2's word, v1's word.
fn values(place: &str, source: &str) -> [(&'static str, String); 3] {
    // An object's average stands under a name without a place in both of them.
    let average = if source == "object" { "averageValue".to_owned() } else { format!("{place}AverageValue") };
    [
        ("averageUtilization", format!("{place}AverageUtilization")),
        ("averageValue", average),
        ("value", format!("{place}Value")),
    ]
}

fn metric_to_v1(metric: &Value) -> Value {
    to_v1(metric, "target")
}

fn current_to_v1(metric: &Value) -> Value {
    let mut metric = to_v1(metric, "current");
    for source in ["resource", "containerResource"] {
        // v1 has no pointer here: what is not known is 0.
        if let Some(fields) = metric.get_mut(source).and_then(Value::as_object_mut) {
            fields.entry("currentAverageValue").or_insert_with(|| "0".into());
        }
    }
    metric
}

fn to_v1(metric: &Value, place: &str) -> Value {
    let Some((kind, source)) = SOURCES.iter().find(|(kind, _)| metric["type"] == **kind) else { return metric.clone() };
    let from = &metric[*source];
    let mut out = Fields::new();
    for name in ["name", "container"] {
        copy(from, name, &mut out, name);
    }
    copy(from, "describedObject", &mut out, "target");
    copy(&from["metric"], "name", &mut out, "metricName");
    let selector = if *source == "external" { "metricSelector" } else { "selector" };
    copy(&from["metric"], "selector", &mut out, selector);
    for (v2, v1) in values(place, source) {
        copy(&from[place], v2, &mut out, &v1);
    }
    json!({"type": kind, *source: out})
}

fn metric_to_v2(metric: Value) -> Option<Value> {
    to_v2(&metric, "target")
}

fn current_to_v2(mut metric: Value) -> Option<Value> {
    for source in ["resource", "containerResource"] {
        if let Some(value) =
            metric.pointer_mut(&format!("/{source}/currentAverageValue")).filter(|value| **value == "0")
        {
            *value = Value::Null;
        }
    }
    to_v2(&metric, "current")
}

fn to_v2(metric: &Value, place: &str) -> Option<Value> {
    let (kind, source) = SOURCES.iter().find(|(kind, _)| metric["type"] == **kind)?;
    let from = &metric[*source];
    let mut out = Fields::new();
    for name in ["name", "container"] {
        copy(from, name, &mut out, name);
    }
    copy(from, "target", &mut out, "describedObject");
    let mut identity = Fields::new();
    copy(from, "metricName", &mut identity, "name");
    for selector in ["selector", "metricSelector"] {
        copy(from, selector, &mut identity, "selector");
    }
    if !identity.is_empty() {
        out.insert("metric".to_owned(), identity.into());
    }
    let mut amount = Fields::new();
    for (v2, v1) in values(place, source) {
        copy(from, &v1, &mut amount, v2);
    }
    if place == "target" {
        let types = [("averageUtilization", "Utilization"), ("averageValue", "AverageValue"), ("value", "Value")];
        let kind = types.iter().find(|(name, _)| amount.contains_key(*name)).map(|(_, kind)| *kind);
        if let Some(kind) = kind {
            amount.insert("type".to_owned(), kind.into());
        }
    }
    out.insert(place.to_owned(), amount.into());
    Some(json!({"type": kind, *source: out}))
}

fn copy(from: &Value, name: &str, to: &mut Fields, as_name: &str) {
    if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
        to.insert(as_name.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autoscaler() -> Value {
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"},
            "spec": {
                "maxReplicas": 3,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                    {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1k"}}},
                    {"type": "Object", "object": {
                        "describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "o"},
                        "target": {"type": "Value", "value": "5"}}},
                ],
                "behavior": {"scaleUp": {"selectPolicy": "Max"}},
            },
            "status": {
                "currentReplicas": 1, "desiredReplicas": 2, "conditions": [{"type": "AbleToScale", "status": "True"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7}}}],
            },
        })
    }

    #[test]
    fn the_older_version_shows_the_cpu_and_keeps_the_rest_in_annotations() {
        let mut object = autoscaler();
        from_stored(&mut object);
        assert_eq!(object["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}));
        let status = json!({"currentReplicas": 1, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 7});
        assert_eq!(object["status"], status);
        let metrics: Value =
            serde_json::from_str(object["metadata"]["annotations"][METRICS].as_str().unwrap()).unwrap();
        let pods = json!({"type": "Pods", "pods": {"metricName": "m", "targetAverageValue": "1k"}});
        assert_eq!(metrics[0], pods);
    }

    #[test]
    fn an_autoscaler_survives_the_way_to_the_older_version_and_back() {
        let mut object = autoscaler();
        from_stored(&mut object);
        to_stored(&mut object);
        assert_eq!(object, autoscaler());
    }
}
