//! Jobs: how their work is counted, what their failures mean, and what may be said of them.

use api::field::Field;
use serde_json::{Value, json};

use super::{check, check_update, made, row, texts};
use crate::row::Subresource;

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

/// An indexed Job with so many completions.
fn indexed(completions: i64, more: Value) -> Value {
    let mut part = json!({"completionMode": "Indexed", "completions": completions});
    json_patch::merge(&mut part, &more);
    spec(part)
}

#[test]
fn a_job_selects_the_labels_that_the_server_gave() {
    let shown = r#"{"a":"b","batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"x","controller-uid":"w","job-name":"x"}"#;
    check(
        "Job",
        spec(json!({"template": {"metadata": {"labels": {"controller-uid": "w"}}}})),
        &[&format!("spec.template.metadata.labels[controller-uid]: Invalid value: {shown}: must be 'u'")],
    );
    check(
        "Job",
        spec(json!({"selector": {"matchLabels": {"a": "b"}}})),
        &[
            "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"u\"}}: \
           `selector` not auto-generated",
        ],
    );
    check("Job", spec(json!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}})), &[]);
    let unlabelled = json!({"metadata": {"labels": null}});
    check(
        "Job",
        spec(json!({"manualSelector": true, "template": unlabelled})),
        &[
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
        ],
    );
}

#[test]
fn a_job_made_before_there_were_prefixed_labels_needs_none() {
    let row = row("Job");
    let mut job = made(&row, &json!({}));
    let labels = json!({"controller-uid": "u", "job-name": "x"});
    job["spec"]["template"]["metadata"]["labels"] = labels;
    job["spec"]["selector"] = json!({"matchLabels": {"controller-uid": "u"}});
    assert_eq!(texts(row.strategy.validate_update(&Field::root(&job), &job)), Vec::<String>::new());
    assert_eq!(row.strategy.validate(&Field::root(&job)).len(), 2, "a new one needs them");
}

#[test]
fn indexes_bound_what_is_counted_by_them() {
    check(
        "Job",
        spec(json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 2})),
        &[
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            "spec.maxFailedIndexes: Invalid value: 2: requires indexed completion mode",
        ],
    );
    check(
        "Job",
        indexed(2, json!({"maxFailedIndexes": 3})),
        &[
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            "spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions",
        ],
    );
    check(
        "Job",
        indexed(100_001, json!({"parallelism": 100_001, "backoffLimitPerIndex": 1})),
        &[
            "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
            "spec.parallelism: Invalid value: 100001: must be less than or equal to 10000 when completions are above \
             100000 and used with backoff limit per index",
        ],
    );
    check(
        "Job",
        indexed(100_001, json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 100_001})),
        &[
            "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000",
            "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 10000 when completions are \
             above 100000 and used with backoff limit per index",
        ],
    );
    check(
        "Job",
        spec(json!({"completionMode": "Other", "managedBy": "me"})),
        &[
            "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            "spec.completionMode: Unsupported value: \"Other\": supported values: \"Indexed\", \"NonIndexed\"",
        ],
    );
    let long = format!("a.example/{}", "x".repeat(60));
    check("Job", spec(json!({"managedBy": long})), &["spec.managedBy: Too long: may not be more than 63 bytes"]);
    check(
        "Job",
        spec(json!({"managedBy": "a.example/x y"})),
        &["spec.managedBy: Invalid value: \"x y\": Invalid path (regex used for validation is \
           '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"],
    );
    let name = "n".repeat(62);
    let mut part = indexed(1, json!({}));
    part["metadata"] = json!({"name": name});
    check(
        "Job",
        part,
        &[&format!(
            "metadata.name: Invalid value: \"{name}\": will not able to create pod with invalid DNS label: {name}-0"
        )],
    );
}

#[test]
fn a_policy_of_failures_tells_by_what_it_knows_them() {
    let rules = |rules: Value| spec(json!({"podFailurePolicy": {"rules": rules}}));
    let at = "spec.podFailurePolicy.rules[0]";
    let codes = |codes: Value| rules(json!([{"action": "Ignore", "onExitCodes": codes}]));
    let fine = json!({"operator": "In", "values": [1, 3], "containerName": "c"});
    check("Job", codes(fine), &[]);
    check(
        "Job",
        rules(json!([{}, {"action": "FailIndex", "onExitCodes": {"operator": "NotIn", "values": [0]},
                     "onPodConditions": [{"type": "Bad type", "status": "Maybe"}]}])),
        &[
            &format!("{at}.action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
            &format!("{at}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"),
            "spec.podFailurePolicy.rules[1].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
            "spec.podFailurePolicy.rules[1].onPodConditions[0].type: Invalid value: \"Bad type\": name part must consist \
             of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
             'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "spec.podFailurePolicy.rules[1].onPodConditions[0].status: Unsupported value: \"Maybe\": supported values: \
             \"False\", \"True\", \"Unknown\"",
            "spec.podFailurePolicy.rules[1]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported",
        ],
    );
    check(
        "Job",
        codes(json!({"values": [], "containerName": "other"})),
        &[
            &format!("{at}.onExitCodes.operator: Required value: valid values: [\"In\" \"NotIn\"]"),
            &format!(
                "{at}.onExitCodes.containerName: Invalid value: \"other\": must be one of the container or \
                 initContainer names in the pod template"
            ),
            &format!("{at}.onExitCodes.values: Invalid value: []: at least one value is required"),
        ],
    );
    check(
        "Job",
        codes(json!({"operator": "In", "values": [2, 0, 2]})),
        &[
            &format!("{at}.onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator"),
            &format!("{at}.onExitCodes.values[2]: Duplicate value: 2"),
            &format!("{at}.onExitCodes.values: Invalid value: [2,0,2]: must be ordered"),
        ],
    );
    let many: Vec<Value> = (0..21).map(|_| json!({"action": "Ignore", "onPodConditions": [{"type": "A"}]})).collect();
    check("Job", rules(json!(many)), &["spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"]);
    let patterns: Vec<Value> = (0..21).map(|_| json!({"type": "A"})).collect();
    check(
        "Job",
        rules(json!([{"action": "Ignore", "onPodConditions": patterns}])),
        &[&format!("{at}.onPodConditions: Too many: 21: must have at most 20 items")],
    );
    let values: Vec<i64> = (1..257).collect();
    check(
        "Job",
        codes(json!({"operator": "In", "values": values})),
        &[&format!("{at}.onExitCodes.values: Too many: 256: must have at most 255 items")],
    );
    let mut part = rules(json!([]));
    part["spec"]["podReplacementPolicy"] = "TerminatingOrFailed".into();
    check(
        "Job",
        part,
        &["spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported values: \"Failed\""],
    );
}

#[test]
fn a_policy_of_success_counts_indexes_that_there_are() {
    let rule = |rule: Value| indexed(5, json!({"successPolicy": {"rules": [rule]}}));
    let at = "spec.successPolicy.rules[0]";
    check("Job", rule(json!({"succeededIndexes": "0,2-4", "succeededCount": 4})), &[]);
    check(
        "Job",
        spec(json!({"successPolicy": {"rules": []}})),
        &["spec.successPolicy: Invalid value: {\"rules\":[]}: requires indexed completion mode"],
    );
    check(
        "Job",
        indexed(5, json!({"successPolicy": {"rules": []}})),
        &[
            "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified",
        ],
    );
    check(
        "Job",
        rule(json!({})),
        &[&format!("{at}: Required value: at least one of succeededCount or succeededIndexes must be specified")],
    );
    for (list, why) in [
        ("a", "cannot convert string to integer for index: \"a\""),
        ("5", "too large index: \"5\""),
        ("1-5", "too large index: \"5\""),
        ("3-1", "non-increasing order, previous: 3, current: 1"),
        ("0-2,2", "non-increasing order, previous: 2, current: 2"),
        (
            "1-2-3",
            "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts \
             separated by '-'",
        ),
    ] {
        let cause = format!("{at}.succeededIndexes: Invalid value: \"{list}\": error parsing succeededIndexes: {why}");
        check("Job", rule(json!({"succeededIndexes": list})), &[&cause]);
    }
    check(
        "Job",
        rule(json!({"succeededIndexes": "1-2", "succeededCount": 6})),
        &[
            &format!(
                "{at}.succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified \
                 completions)"
            ),
            &format!(
                "{at}.succeededCount: Invalid value: 6: must be less than or equal to 2 (the number of indexes in the \
                 specified succeededIndexes field)"
            ),
        ],
    );
    let many: Vec<Value> = (0..21).map(|_| json!({"succeededCount": 1})).collect();
    check(
        "Job",
        indexed(5, json!({"successPolicy": {"rules": many}})),
        &["spec.successPolicy.rules: Too many: 21: must have at most 20 items"],
    );
    check(
        "Job",
        rule(json!({"succeededIndexes": "1,".repeat(32 << 10) + "1"})),
        &[
            &format!("{at}.succeededIndexes: Too long: may not be more than 65536 bytes"),
            &format!(
                "{at}.succeededIndexes: Invalid value: \"{}1\": error parsing succeededIndexes: non-increasing order, \
                 previous: 1, current: 1",
                "1,".repeat(32 << 10)
            ),
        ],
    );
}

#[test]
fn of_a_job_only_its_pace_changes() {
    check_update("Job", json!({}), spec(json!({"parallelism": 3, "suspend": true, "backoffLimit": 1})), &[]);
    check_update(
        "Job",
        json!({}),
        spec(json!({"completions": 4, "managedBy": "a.example/b"})),
        &[
            "spec.completions: Invalid value: 4: field is immutable",
            "spec.managedBy: Invalid value: \"a.example/b\": field is immutable",
        ],
    );
    let three = indexed(3, json!({"parallelism": 3}));
    check_update("Job", three.clone(), spec(json!({"completions": 4, "parallelism": 4})), &[]);
    check_update(
        "Job",
        three,
        spec(json!({"completions": 4})),
        &["spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism"],
    );
    // As upstream does, the spec is looked at twice.
    let negative = "spec.parallelism: Invalid value: -1: must be greater than or equal to 0";
    check_update("Job", json!({}), spec(json!({"parallelism": -1})), &[negative, negative]);
}

#[test]
fn a_suspended_job_that_has_never_run_may_be_placed_elsewhere() {
    let node = |key: &str| {
        let terms = json!([{"matchExpressions": [{"key": key, "operator": "Exists"}]}]);
        json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}})
    };
    let pods = json!({"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "k", "labelSelector": {"matchLabels": {"a": "b"}}}]});
    let placed = |affinity: Value| spec(json!({"template": {"spec": {"affinity": affinity}}}));
    let refused = |suspend: bool, before: Value, after: Value| {
        let row = row("Job");
        let mut current = made(&row, &placed(before));
        current["spec"]["suspend"] = suspend.into();
        let mut object = current.clone();
        json_patch::merge(&mut object, &after);
        let errors = row.strategy.validate_update(&Field::root(&object), &current);
        errors.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect::<Vec<_>>()
    };
    let fixed = ["spec.template: field is immutable"];
    let selector = spec(json!({"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}));
    assert_eq!(refused(true, Value::Null, selector.clone()), Vec::<String>::new());
    assert_eq!(refused(false, Value::Null, selector), fixed);
    assert_eq!(refused(true, Value::Null, placed(json!({"nodeAffinity": node("a")}))), Vec::<String>::new());
    assert_eq!(
        refused(true, json!({"nodeAffinity": node("a")}), placed(json!({"nodeAffinity": node("b")}))),
        Vec::<String>::new()
    );
    assert_eq!(refused(true, json!({"nodeAffinity": node("a")}), placed(Value::Null)), Vec::<String>::new());
    assert_eq!(refused(true, Value::Null, placed(json!({"podAffinity": pods}))), fixed);
    assert_eq!(refused(true, json!({"podAffinity": pods}), placed(Value::Null)), fixed);
}

const START: &str = "2026-01-01T00:00:00Z";
const END: &str = "2026-01-01T00:01:00Z";

/// A status with the conditions that are true, and more.
fn status(conditions: &[&str], more: Value) -> Value {
    let conditions: Vec<Value> = conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
    let mut status = json!({"conditions": conditions});
    json_patch::merge(&mut status, &more);
    status
}

/// The mistakes of writing the status `after` over `before` to a Job with `part` of its own.
fn written(part: Value, before: Value, after: Value) -> Vec<String> {
    let row = row("Job");
    let mut current = made(&row, &part);
    let mut object = current.clone();
    (current["status"], object["status"]) = (before, after);
    texts(row.strategy.validate_subresource(Subresource::Status, &Field::root(&object), &current))
}

#[track_caller]
fn check_status(before: Value, after: Value, causes: &[&str]) {
    assert_eq!(written(json!({}), before, after.clone()), causes, "{after}");
}

#[test]
fn a_job_ends_complete_or_failed_with_the_times_of_that() {
    let complete = ["SuccessCriteriaMet", "Complete"];
    let times = json!({"startTime": START, "completionTime": END});
    check_status(json!({"startTime": START}), status(&complete, times.clone()), &[]);
    check_status(json!({"startTime": START}), status(&["FailureTarget", "Failed"], json!({"startTime": START})), &[]);
    check_status(
        json!({}),
        status(&["Complete"], json!({})),
        &[
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            "status.startTime: Required value: startTime is required for finished job",
        ],
    );
    check_status(
        json!({"startTime": START}),
        status(&["Failed"], times.clone()),
        &[
            "status.completionTime: Invalid value: \"2026-01-01T00:01:00Z\": cannot set completionTime when there is no \
             Complete=True condition",
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
        ],
    );
    check_status(
        json!({"startTime": START}),
        status(&["SuccessCriteriaMet", "Complete", "FailureTarget", "Failed"], times.clone()),
        &[
            "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
            "status.conditions: Invalid value: cannot set Complete=True and FailureTarget=true conditions",
            "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
            "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        ],
    );
    check_status(
        json!({}),
        status(&complete, json!({"startTime": END, "completionTime": START})),
        &["status.completionTime: Invalid value: \"2026-01-01T00:00:00Z\": must be equal to or after `startTime`"],
    );
    let suspended = spec(json!({"suspend": true, "completions": 0}));
    let ended = status(&complete, json!({"completionTime": END}));
    assert_eq!(written(suspended, json!({}), ended), Vec::<String>::new());
}

#[test]
fn a_job_that_has_ended_has_no_pods_left_and_stays_ended() {
    let complete = ["SuccessCriteriaMet", "Complete"];
    let times = json!({"startTime": START, "completionTime": END});
    let ended = status(&complete, times.clone());
    let busy = status(
        &complete,
        json!({"startTime": START, "completionTime": END, "active": 1, "ready": 2, "terminating": 1,
               "uncountedTerminatedPods": {"succeeded": ["a"]}}),
    );
    let expected = [
        "status.active: Invalid value: 1: active>0 is invalid for finished job",
        "status.uncountedTerminatedPods: Invalid value: {\"succeeded\":[\"a\"]}: must be empty for finished job",
        "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
        "status.ready: Invalid value: 2: cannot set more ready pods than active",
    ];
    check_status(ended.clone(), busy.clone(), &expected);
    check_status(busy.clone(), busy, &[]);
    check_status(
        ended.clone(),
        json!({"startTime": START}),
        &[
            "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
            "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
        ],
    );
    check_status(
        status(&["FailureTarget", "Failed"], json!({"startTime": START})),
        json!({"startTime": START}),
        &[
            "status.conditions: Invalid value: cannot disable the terminal Failed=True condition",
            "status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition",
        ],
    );
    check_status(
        ended,
        status(&complete, json!({"startTime": START, "completionTime": "2026-01-01T00:02:00Z"})),
        &["status.completionTime: Invalid value: \"2026-01-01T00:02:00Z\": field is immutable"],
    );
    check_status(
        status(&["Complete"], times.clone()),
        status(&complete, times),
        &[
            "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
        ],
    );
}

#[test]
fn counts_of_pods_do_not_go_back_nor_below_zero() {
    check_status(
        json!({"failed": 2, "succeeded": 2}),
        json!({"failed": 1, "succeeded": 1, "active": -1}),
        &[
            "status.active: Invalid value: -1: must be greater than or equal to 0",
            "status.failed: Invalid value: 1: cannot decrease the failed counter",
            "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
        ],
    );
    let scaled = indexed(3, json!({"parallelism": 3}));
    assert_eq!(written(scaled, json!({"succeeded": 2}), json!({"succeeded": 1})), Vec::<String>::new());
    check_status(
        json!({}),
        json!({"uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}}),
        &[
            "status.uncountedTerminatedPods.succeeded[1]: Invalid value: \"\": must not be empty",
            "status.uncountedTerminatedPods.failed[0]: Duplicate value: \"a\"",
        ],
    );
}

#[test]
fn a_job_starts_anew_only_after_a_pause() {
    let (before, after) = (json!({"startTime": START}), json!({"startTime": END}));
    let removed = "status.startTime: Required value: startTime cannot be removed for unsuspended job";
    check_status(before.clone(), after.clone(), &[removed]);
    check_status(before.clone(), json!({}), &[removed]);
    assert_eq!(written(spec(json!({"suspend": true})), before.clone(), json!({})), Vec::<String>::new());
    let paused = status(&["Suspended"], before);
    let mut resumed = after;
    resumed["conditions"] = json!([{"type": "Suspended", "status": "False"}]);
    check_status(paused, resumed, &[]);
}

#[test]
fn indexes_in_a_status_are_those_of_the_job() {
    check_status(
        json!({}),
        json!({"completedIndexes": "0", "failedIndexes": ""}),
        &[
            "status.completedIndexes: Invalid value: \"0\": cannot set non-empty completedIndexes when non-indexed \
             completion mode",
            "status.failedIndexes: Invalid value: \"\": cannot set non-null failedIndexes when backoffLimitPerIndex is null",
        ],
    );
    let five = || indexed(5, json!({"backoffLimitPerIndex": 1}));
    assert_eq!(
        written(five(), json!({}), json!({"completedIndexes": "0,9", "failedIndexes": "x"})),
        [
            "status.completedIndexes: Invalid value: \"0,9\": error parsing completedIndexes: too large index: \"9\"",
            "status.failedIndexes: Invalid value: \"x\": error parsing failedIndexes: cannot convert string to integer \
             for index: \"x\"",
        ]
    );
    assert_eq!(
        written(five(), json!({}), json!({"completedIndexes": "0,2-4", "failedIndexes": "1,3"})),
        ["status.failedIndexes: Invalid value: \"1,3\": failedIndexes and completedIndexes overlap at index: 3"]
    );
    let fine = json!({"completedIndexes": "0,2-3", "failedIndexes": "1,4"});
    assert_eq!(written(five(), json!({}), fine), Vec::<String>::new());
    let wrong = json!({"completedIndexes": "0,9"});
    assert_eq!(written(five(), wrong.clone(), wrong), Vec::<String>::new(), "what was wrong before may stay");
    let policy = indexed(5, json!({"successPolicy": {"rules": [{"succeededCount": 1}]}}));
    let ended = status(&["Complete"], json!({"startTime": START, "completionTime": END}));
    assert_eq!(
        written(policy, ended.clone(), ended),
        [
            "status.conditions: Invalid value: cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        ]
    );
}
