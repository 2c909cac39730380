//! Deployments and the other kinds that make pods.

use serde_json::{Value, json};

use super::{check, check_update};

#[test]
fn a_selector_matches_its_own_template() {
    for (kind, named) in [
        ("Deployment", "deployment"),
        ("ReplicaSet", "deployment"),
        ("DaemonSet", "daemonset"),
        ("StatefulSet", "statefulset"),
    ] {
        check(
            kind,
            json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}}),
            &[
                "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            ],
        );
        check(
            kind,
            json!({"spec": {"selector": {"matchLabels": null}}}),
            &[&format!("spec.selector: Invalid value: {{}}: empty selector is invalid for {named}")],
        );
    }
    check(
        "ReplicationController",
        json!({"spec": {"selector": {"a": "c"}}}),
        &["spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"],
    );
}

#[test]
fn pods_of_a_workload_restart_forever() {
    let never = json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "activeDeadlineSeconds": 5}}}});
    for (kind, named) in [
        ("Deployment", "ReplicaSet"),
        ("ReplicaSet", "ReplicaSet"),
        ("DaemonSet", "DaemonSet"),
        ("StatefulSet", "StatefulSet"),
        ("ReplicationController", "ReplicationController"),
    ] {
        check(
            kind,
            never.clone(),
            &[
                r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#,
                &format!(
                    "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in {named} is not Supported"
                ),
            ],
        );
    }
}

#[test]
fn a_deployment_can_move() {
    let rolling = |rolling: Value| json!({"spec": {"strategy": {"rollingUpdate": rolling}}});
    check(
        "Deployment",
        rolling(json!({"maxUnavailable": 0, "maxSurge": 0})),
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
    );
    check(
        "Deployment",
        json!({"spec": {"progressDeadlineSeconds": 5, "minReadySeconds": 5}}),
        &["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
    );
    check_update(
        "Deployment",
        json!({}),
        json!({"spec": {"selector": {"matchLabels": {"c": "d"}}, "template": {"metadata": {"labels": {"c": "d"}}}}}),
        &["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"c\":\"d\"}}: field is immutable"],
    );
}

#[test]
fn a_stateful_set_keeps_what_names_its_pods() {
    check_update("StatefulSet", json!({}), json!({"spec": {"replicas": 3, "minReadySeconds": 5}}), &[]);
    check_update(
        "StatefulSet",
        json!({}),
        json!({"spec": {"serviceName": "other"}}),
        &["spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
           'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are \
           forbidden"],
    );
}

#[test]
fn a_cron_job_has_a_schedule() {
    let schedule = |schedule: &str| json!({"spec": {"schedule": schedule}});
    check("CronJob", schedule(""), &["spec.schedule: Required value"]);
    check(
        "CronJob",
        schedule("99 * * * *"),
        &["spec.schedule: Invalid value: \"99 * * * *\": end of range (99) above maximum (59): 99"],
    );
    check("CronJob", schedule("*/5 0-6 1,15 jan mon-fri"), &[]);
    check("CronJob", schedule("@hourly"), &[]);
    check(
        "CronJob",
        json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Always"}}}}}}),
        &["spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
    );
}

#[test]
fn a_deployment_may_recreate_its_pods_but_then_has_no_rolling_update() {
    let strategy = |strategy: Value| json!({"spec": {"strategy": strategy}});
    check("Deployment", strategy(json!({"type": "Recreate", "rollingUpdate": null})), &[]);
    check(
        "Deployment",
        strategy(json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}})),
        &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    );
}
