//! The priority levels and flow schemas that every cluster has, as two tables.
//!
//! Upstream: apiserver/pkg/apis/flowcontrol/bootstrap/default.go
//! Left out: nothing. Nothing queues by them yet.

use serde_json::{Value, json};

/// How requests of a level that may take no more seats are treated.
enum Response {
    Reject,
    /// Queues, hand size.
    Queue(i64, i64),
}

/// A limited level: name, shares, per cent that other levels may borrow, response.
const LEVELS: [(&str, i64, i64, Response); 7] = [
    ("catch-all", 5, 0, Response::Reject),
    ("global-default", 20, 50, Response::Queue(128, 6)),
    ("leader-election", 10, 0, Response::Queue(16, 4)),
    ("node-high", 40, 25, Response::Queue(64, 6)),
    ("system", 30, 33, Response::Queue(64, 6)),
    ("workload-high", 40, 50, Response::Queue(128, 6)),
    ("workload-low", 100, 90, Response::Queue(128, 6)),
];

/// All priority levels.
pub(super) fn priority_levels() -> Vec<Value> {
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let limited = LEVELS.iter().map(|(name, shares, lendable, response)| {
        let response = match response {
            Response::Reject => json!({"type": "Reject"}),
            Response::Queue(queues, hand) => {
                let queuing = json!({"queues": queues, "handSize": hand, "queueLengthLimit": 50});
                json!({"type": "Queue", "queuing": queuing})
            }
        };
        let limited =
            json!({"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response});
        (*name, json!({"type": "Limited", "limited": limited}))
    });
    std::iter::once(("exempt", exempt))
        .chain(limited)
        .map(|(name, spec)| object("PriorityLevelConfiguration", name, spec))
        .collect()
}

/// What the spec of an object that is mandatory is fixed to: of both kinds `catch-all` and `exempt`.
pub(crate) fn mandatory_spec(kind: &str, name: &str) -> Option<Value> {
    if !["catch-all", "exempt"].contains(&name) {
        return None;
    }
    let mut all = flow_schemas().into_iter().chain(priority_levels());
    let found = all.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.map(|mut object| object["spec"].take())
}

/// What tells the flows of a schema apart.
enum Flows {
    One,
    ByUser,
    ByNamespace,
}

/// Who a schema is about.
enum Subject {
    Group(&'static str),
    User(&'static str),
    /// A service account of kube-system.
    Account(&'static str),
}

/// What a schema is about.
enum Requests {
    All,
    /// GETs of these paths.
    Paths(&'static [&'static str]),
    /// Verbs, group, resources, and whether of the whole cluster too.
    Resources(&'static [(&'static [&'static str], &'static str, &'static [&'static str], bool)]),
}

struct Schema {
    name: &'static str,
    level: &'static str,
    precedence: i64,
    flows: Flows,
    subjects: &'static [Subject],
    requests: Requests,
}

const EVERYBODY: &[Subject] = &[Subject::Group("system:unauthenticated"), Subject::Group("system:authenticated")];
const HOLD: &[&str] = &["get", "create", "update"];
const LEASES: &[(&[&str], &str, &[&str], bool)] = &[(HOLD, "coordination.k8s.io", &["leases"], false)];

const SCHEMAS: [Schema; 13] = [
    schema("exempt", "exempt", 1, Flows::One, &[Subject::Group("system:masters")], Requests::All),
    schema("probes", "exempt", 2, Flows::One, EVERYBODY, Requests::Paths(&["/healthz", "/readyz", "/livez"])),
    schema(
        "system-leader-election",
        "leader-election",
        100,
        Flows::ByUser,
        &[
            Subject::User("system:kube-controller-manager"),
            Subject::User("system:kube-scheduler"),
            Subject::Account("*"),
        ],
        Requests::Resources(LEASES),
    ),
    schema(
        "endpoint-controller",
        "workload-high",
        150,
        Flows::ByUser,
        &[
            Subject::User("system:kube-controller-manager"),
            Subject::Account("endpoint-controller"),
            Subject::Account("endpointslicemirroring-controller"),
        ],
        Requests::Resources(&[(HOLD, "", &["endpoints"], false)]),
    ),
    schema(
        "workload-leader-election",
        "leader-election",
        200,
        Flows::ByUser,
        &[Subject::Account("*")],
        Requests::Resources(LEASES),
    ),
    schema(
        "system-node-high",
        "node-high",
        400,
        Flows::ByUser,
        &[Subject::Group("system:nodes")],
        Requests::Resources(&[
            (&["*"], "", &["nodes", "nodes/status"], true),
            (&["*"], "coordination.k8s.io", &["leases"], false),
        ]),
    ),
    schema("system-nodes", "system", 500, Flows::ByUser, &[Subject::Group("system:nodes")], Requests::All),
    schema(
        "kube-controller-manager",
        "workload-high",
        800,
        Flows::ByNamespace,
        &[Subject::User("system:kube-controller-manager")],
        Requests::All,
    ),
    schema(
        "kube-scheduler",
        "workload-high",
        800,
        Flows::ByNamespace,
        &[Subject::User("system:kube-scheduler")],
        Requests::All,
    ),
    schema(
        "kube-system-service-accounts",
        "workload-high",
        900,
        Flows::ByNamespace,
        &[Subject::Account("*")],
        Requests::All,
    ),
    schema(
        "service-accounts",
        "workload-low",
        9000,
        Flows::ByUser,
        &[Subject::Group("system:serviceaccounts")],
        Requests::All,
    ),
    schema("global-default", "global-default", 9900, Flows::ByUser, EVERYBODY, Requests::All),
    schema("catch-all", "catch-all", 10_000, Flows::ByUser, EVERYBODY, Requests::All),
];

const fn schema(
    name: &'static str,
    level: &'static str,
    precedence: i64,
    flows: Flows,
    subjects: &'static [Subject],
    requests: Requests,
) -> Schema {
    Schema { name, level, precedence, flows, subjects, requests }
}

/// All flow schemas.
pub(super) fn flow_schemas() -> Vec<Value> {
    SCHEMAS.iter().map(Schema::object).collect()
}

impl Schema {
    fn object(&self) -> Value {
        let subjects: Value = self.subjects.iter().map(Subject::value).collect();
        let all_paths = json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]);
        let mut rule = json!({"subjects": subjects});
        match self.requests {
            Requests::All => {
                rule["resourceRules"] = json!([resource_rule(&["*"], "*", &["*"], true)]);
                rule["nonResourceRules"] = all_paths;
            }
            Requests::Paths(paths) => {
                rule["nonResourceRules"] = json!([{"verbs": ["get"], "nonResourceURLs": paths}]);
            }
            Requests::Resources(rules) => {
                let rules = rules.iter().map(|(verbs, group, names, whole)| resource_rule(verbs, group, names, *whole));
                rule["resourceRules"] = rules.collect();
            }
        }
        let mut spec = json!({
            "priorityLevelConfiguration": {"name": self.level}, "matchingPrecedence": self.precedence, "rules": [rule],
        });
        match self.flows {
            Flows::One => {}
            Flows::ByUser => spec["distinguisherMethod"] = json!({"type": "ByUser"}),
            Flows::ByNamespace => spec["distinguisherMethod"] = json!({"type": "ByNamespace"}),
        }
        object("FlowSchema", self.name, spec)
    }
}

impl Subject {
    fn value(&self) -> Value {
        match self {
            Subject::Group(name) => json!({"kind": "Group", "group": {"name": name}}),
            Subject::User(name) => json!({"kind": "User", "user": {"name": name}}),
            Subject::Account(name) => {
                json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}})
            }
        }
    }
}

fn resource_rule(verbs: &[&str], group: &str, resources: &[&str], whole_cluster: bool) -> Value {
    let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]});
    if whole_cluster {
        rule["clusterScope"] = true.into();
    }
    rule
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "kind": kind, "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "metadata": {"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}}, "spec": spec,
    })
}

/// The status of a flow schema whose priority level exists; `now` is an RFC 3339 time.
pub(super) fn found_status(schema: &Value, now: &str) -> Value {
    let level = schema["spec"]["priorityLevelConfiguration"]["name"].as_str().unwrap_or_default();
    let message =
        format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} and it exists");
    let condition = json!({
        "type": "Dangling", "status": "False", "lastTransitionTime": now, "reason": "Found", "message": message,
    });
    json!({"conditions": [condition]})
}

#[cfg(test)]
mod tests {
    use api::field::Field;

    use super::*;

    #[test]
    fn every_bootstrap_object_is_valid_and_every_level_that_is_named_exists() {
        let rows = crate::rows::rows();
        let strategy = |plural: &str| rows.iter().find(|row| row.plural == plural).unwrap().strategy.clone();
        for (plural, objects) in [("flowschemas", flow_schemas()), ("prioritylevelconfigurations", priority_levels())] {
            for mut object in objects {
                let before = object.clone();
                strategy(plural).defaults(&mut object);
                assert_eq!(object, before, "nothing is left to be defaulted");
                assert!(strategy(plural).validate(&Field::root(&object)).is_empty(), "{object}");
            }
        }
        let levels: Vec<Value> = priority_levels().iter().map(|level| level["metadata"]["name"].clone()).collect();
        for schema in flow_schemas() {
            assert!(levels.contains(&schema["spec"]["priorityLevelConfiguration"]["name"]), "{schema}");
        }
    }

    #[test]
    fn the_mandatory_objects_stay_what_they_are() {
        let rows = crate::rows::rows();
        let changed = |plural: &str, name: &str, pointer: &str, value: Value| {
            let objects = if plural == "flowschemas" { flow_schemas() } else { priority_levels() };
            let current = objects.into_iter().find(|object| object["metadata"]["name"] == name).unwrap();
            let mut object = current.clone();
            *object.pointer_mut(pointer).unwrap() = value;
            let row = rows.iter().find(|row| row.plural == plural).unwrap();
            let errors = row.strategy.validate_update(&Field::root(&object), &current);
            errors.into_iter().map(|error| format!("{}: {}", error.field, error.detail)).collect::<Vec<_>>()
        };
        let subjects = "/spec/rules/0/subjects";
        let nobody = || json!([{"kind": "User", "user": {"name": "nobody"}}]);
        for name in ["catch-all", "exempt"] {
            let fixed = format!("spec: spec of '{name}' must equal the fixed value");
            assert_eq!(changed("flowschemas", name, subjects, nobody()), [fixed]);
        }
        assert_eq!(changed("flowschemas", "probes", subjects, nobody()), [""; 0]);
        let (levels, shares) = ("prioritylevelconfigurations", "/spec/limited/nominalConcurrencyShares");
        let fixed = "spec: spec of 'catch-all' must equal the fixed value";
        assert_eq!(changed(levels, "catch-all", shares, json!(6)), [fixed]);
        assert_eq!(changed(levels, "system", shares, json!(6)), [""; 0]);
        assert_eq!(changed(levels, "exempt", "/spec/exempt/nominalConcurrencyShares", json!(6)), [""; 0]);
        let other_type = changed(levels, "exempt", "/spec/type", json!("Limited"));
        let fixed = "spec: spec of 'exempt' except the 'spec.exempt' field must equal the fixed value";
        assert_eq!(other_type.last().unwrap(), fixed);
    }
}
