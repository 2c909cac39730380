//! The tables of the kinds that make pods, and of those that watch over them.
//!
//! Upstream: pkg/printers/internalversion/printers.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{
    NONE, Table, UNKNOWN, UNSET, ages, boolean, containers, first_of, integer, items, labels, name, name_of, number,
    selector, text, text_or, wide,
};

const TEMPLATE: &str = "/spec/template/spec/containers";

pub const DEPLOYMENTS: Table = Table {
    headings: &[
        name(),
        text("Ready"),
        text("Up-to-date"),
        text("Available"),
        text("Age"),
        wide(text("Containers")),
        wide(text("Images")),
        wide(text("Selector")),
    ],
    cells: |object, now| {
        let ready = format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas"));
        let (names, images) = containers(object, TEMPLATE);
        vec![
            name_of(object),
            json!(ready),
            json!(number(object, "/status/updatedReplicas")),
            json!(number(object, "/status/availableReplicas")),
            ages::age(object, now),
            json!(names),
            json!(images),
            json!(selector(object.pointer("/spec/selector"))),
        ]
    },
};

/// How many copies there shall be, and are: of everything that has a Scale.
pub const SCALES: Table = Table {
    headings: &[text("Name"), integer("Desired"), integer("Available"), text("Age")],
    cells: |scale, now| {
        let (desired, available) = (number(scale, "/spec/replicas"), number(scale, "/status/replicas"));
        vec![name_of(scale), json!(desired), json!(available), ages::age(scale, now)]
    },
};

pub const REPLICA_SETS: Table = Table {
    headings: &[
        name(),
        integer("Desired"),
        integer("Current"),
        integer("Ready"),
        text("Age"),
        wide(text("Containers")),
        wide(text("Images")),
        wide(text("Selector")),
    ],
    cells: |object, now| replicas(object, now, selector(object.pointer("/spec/selector"))),
};

pub const REPLICATION_CONTROLLERS: Table = Table {
    headings: REPLICA_SETS.headings,
    cells: |object, now| replicas(object, now, labels(object.pointer("/spec/selector"))),
};

fn replicas(object: &Value, now: i64, selector: String) -> Vec<Value> {
    let (names, images) = containers(object, TEMPLATE);
    vec![
        name_of(object),
        json!(number(object, "/spec/replicas")),
        json!(number(object, "/status/replicas")),
        json!(number(object, "/status/readyReplicas")),
        ages::age(object, now),
        json!(names),
        json!(images),
        json!(selector),
    ]
}

pub const STATEFUL_SETS: Table = Table {
    headings: &[name(), text("Ready"), text("Age"), wide(text("Containers")), wide(text("Images"))],
    cells: |object, now| {
        let ready = format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas"));
        let (names, images) = containers(object, TEMPLATE);
        vec![name_of(object), json!(ready), ages::age(object, now), json!(names), json!(images)]
    },
};

pub const DAEMON_SETS: Table = Table {
    headings: &[
        name(),
        integer("Desired"),
        integer("Current"),
        integer("Ready"),
        integer("Up-to-date"),
        integer("Available"),
        text("Node Selector"),
        text("Age"),
        wide(text("Containers")),
        wide(text("Images")),
        wide(text("Selector")),
    ],
    cells: |object, now| {
        let (names, images) = containers(object, TEMPLATE);
        vec![
            name_of(object),
            json!(number(object, "/status/desiredNumberScheduled")),
            json!(number(object, "/status/currentNumberScheduled")),
            json!(number(object, "/status/numberReady")),
            json!(number(object, "/status/updatedNumberScheduled")),
            json!(number(object, "/status/numberAvailable")),
            json!(labels(object.pointer("/spec/template/spec/nodeSelector"))),
            ages::age(object, now),
            json!(names),
            json!(images),
            json!(selector(object.pointer("/spec/selector"))),
        ]
    },
};

pub const JOBS: Table = Table {
    headings: &[
        name(),
        text("Status"),
        text("Completions"),
        text("Duration"),
        text("Age"),
        wide(text("Containers")),
        wide(text("Images")),
        wide(text("Selector")),
    ],
    cells: |object, now| {
        let (names, images) = containers(object, TEMPLATE);
        vec![
            name_of(object),
            json!(job_status(object)),
            json!(job_completions(object)),
            json!(job_duration(object, now)),
            ages::age(object, now),
            json!(names),
            json!(images),
            json!(selector(object.pointer("/spec/selector"))),
        ]
    },
};

fn job_status(job: &Value) -> &'static str {
    let has = |kind: &str| {
        items(job, "/status/conditions").iter().any(|each| each["type"] == kind && each["status"] == "True")
    };
    let deleting = job.pointer("/metadata/deletionTimestamp").is_some();
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if deleting => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn job_completions(job: &Value) -> String {
    let succeeded = number(job, "/status/succeeded");
    match (job.pointer("/spec/completions").and_then(Value::as_i64), number(job, "/spec/parallelism")) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(job: &Value, now: i64) -> String {
    let at = |pointer: &str| job.pointer(pointer).and_then(ages::seconds);
    match (at("/status/startTime"), at("/status/completionTime")) {
        (None, _) => String::new(),
        (Some(start), end) => ages::human_duration(end.unwrap_or(now) - start),
    }
}

pub const CRON_JOBS: Table = Table {
    headings: &[
        name(),
        text("Schedule"),
        text("Timezone"),
        boolean("Suspend"),
        integer("Active"),
        text("Last Schedule"),
        text("Age"),
        wide(text("Containers")),
        wide(text("Images")),
        wide(text("Selector")),
    ],
    cells: |object, now| {
        let (names, images) = containers(object, "/spec/jobTemplate/spec/template/spec/containers");
        let last = match object.pointer("/status/lastScheduleTime") {
            None | Some(Value::Null) => json!(NONE),
            Some(time) => ages::since(time, now),
        };
        vec![
            name_of(object),
            json!(text_or(object, "/spec/schedule", "")),
            json!(text_or(object, "/spec/timeZone", NONE)),
            json!(if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) { "True" } else { "False" }),
            json!(items(object, "/status/active").len()),
            last,
            ages::age(object, now),
            json!(names),
            json!(images),
            json!(selector(object.pointer("/spec/jobTemplate/spec/selector"))),
        ]
    },
};

pub const CONTROLLER_REVISIONS: Table = Table {
    headings: &[name(), text("Controller"), text("Revision"), text("Age")],
    cells: |object, now| {
        let controller = items(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true);
        let controller = controller.map_or(NONE.to_owned(), |owner| {
            let (group, _) = api::object::group_version(text_or(owner, "/apiVersion", ""));
            let kind = text_or(owner, "/kind", "").to_ascii_lowercase();
            format!("{}/{}", api::status::qualified(group, &kind), text_or(owner, "/name", ""))
        });
        vec![name_of(object), json!(controller), json!(number(object, "/revision")), ages::age(object, now)]
    },
};

pub const POD_TEMPLATES: Table = Table {
    headings: &[name(), text("Containers"), text("Images"), text("Pod Labels")],
    cells: |object, _| {
        let (names, images) = containers(object, "/template/spec/containers");
        let labels = labels(object.pointer("/template/metadata/labels"));
        vec![name_of(object), json!(names), json!(images), json!(labels)]
    },
};

pub const POD_DISRUPTION_BUDGETS: Table = Table {
    headings: &[name(), text("Min Available"), text("Max Unavailable"), integer("Allowed Disruptions"), text("Age")],
    cells: |object, now| {
        let bound = |pointer: &str| match object.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => "N/A".to_owned(),
        };
        vec![
            name_of(object),
            json!(bound("/spec/minAvailable")),
            json!(bound("/spec/maxUnavailable")),
            json!(number(object, "/status/disruptionsAllowed")),
            ages::age(object, now),
        ]
    },
};

pub const HORIZONTAL_POD_AUTOSCALERS: Table = Table {
    headings: &[
        name(),
        text("Reference"),
        text("Targets"),
        text("MinPods"),
        text("MaxPods"),
        text("Replicas"),
        text("Age"),
    ],
    cells: |object, now| {
        let target = |field: &str| text_or(object, field, "").to_owned();
        let reference = format!("{}/{}", target("/spec/scaleTargetRef/kind"), target("/spec/scaleTargetRef/name"));
        let least = object.pointer("/spec/minReplicas").and_then(Value::as_i64);
        vec![
            name_of(object),
            json!(reference),
            json!(metrics(object)),
            json!(least.map_or(UNSET.to_owned(), |least| least.to_string())),
            json!(number(object, "/spec/maxReplicas")),
            json!(number(object, "/status/currentReplicas")),
            ages::age(object, now),
        ]
    },
};

/// What each metric is and should be: `cpu: 40%/80%, queue: 3/5 (avg)`.
fn metrics(autoscaler: &Value) -> String {
    let metrics = items(autoscaler, "/spec/metrics");
    if metrics.is_empty() {
        return NONE.to_owned();
    }
    let texts: Vec<String> = metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let kind = text_or(metric, "/type", "");
            let source = match kind {
                "Resource" => "resource",
                "ContainerResource" => "containerResource",
                "Pods" => "pods",
                "Object" => "object",
                "External" => "external",
                _ => return "<unknown type>".to_owned(),
            };
            let spec = &metric[source];
            let current = &items(autoscaler, "/status/currentMetrics").get(index).unwrap_or(&Value::Null)[source];
            let amount = |of: &Value, side: &str, field: &str| match &of[side][field] {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => UNKNOWN.to_owned(),
            };
            let name = text_or(spec, "/name", "");
            let prefix = if kind.ends_with("Resource") { format!("{name}: ") } else { String::new() };
            let percent = |text: String| if text == UNKNOWN { text } else { format!("{text}%") };
            let target = &spec["target"];
            if target.get("averageUtilization").is_some() {
                let is = percent(amount(current, "current", "averageUtilization"));
                return format!("{prefix}{is}/{}", percent(amount(spec, "target", "averageUtilization")));
            }
            let averages = target.get("averageValue").is_some();
            let field = if averages { "averageValue" } else { "value" };
            let note = if averages && matches!(kind, "Object" | "External") { " (avg)" } else { "" };
            format!("{prefix}{}/{}{note}", amount(current, "current", field), amount(spec, "target", field))
        })
        .collect();
    first_of(&texts, 2).replace(',', ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_completions_shows_its_parallelism() {
        let job = json!({"spec": {"parallelism": 3}, "status": {"succeeded": 1}});
        assert_eq!(job_completions(&job), "1/1 of 3");
        assert_eq!(job_status(&job), "Running");
    }

    #[test]
    fn an_autoscaler_shows_what_is_and_what_should_be() {
        let autoscaler = json!({
            "spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu",
                     "target": {"type": "Utilization", "averageUtilization": 80}}}]},
            "status": {"currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                       "current": {"averageUtilization": 40}}}]}});
        assert_eq!(metrics(&autoscaler), "cpu: 40%/80%");
    }
}
