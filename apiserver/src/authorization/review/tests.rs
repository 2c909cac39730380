//! Questions and answers as Kubernetes gave them.

use super::*;
use crate::{
    authorization::{Mode, bootstrap::bootstrap_objects},
    objects::world::World,
};

fn ask(spec: Value) -> Result<Value, String> {
    let authorizer = World::new(bootstrap_objects()).authorizer();
    let review = subject_access_review(&authorizer, &json!({"spec": spec}));
    review.map(|review| review["status"].clone()).map_err(|status| status.message)
}

#[test]
fn a_review_tells_the_decision_and_its_reason() {
    let pods = json!({"namespace": "ns", "verb": "list", "resource": "pods"});
    let check = |user: Value, question: (&str, Value), expected: Value| {
        let mut spec = user;
        spec[question.0] = question.1;
        assert_eq!(ask(spec), Ok(expected));
    };
    let resource = |value: &Value| ("resourceAttributes", value.clone());
    check(json!({"user": "nobody"}), resource(&pods), json!({"allowed": false}));
    check(json!({"user": "x", "groups": ["system:masters"]}), resource(&pods), json!({"allowed": true}));
    check(
        json!({"user": "system:kube-scheduler"}),
        resource(&pods),
        json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"system:kube-scheduler\" of ClusterRole \"system:kube-scheduler\" to User \"system:kube-scheduler\""}),
    );
    check(
        json!({"user": "system:node:n1", "groups": ["system:nodes"]}),
        resource(&json!({"namespace": "ns", "verb": "get", "resource": "secrets", "name": "s"})),
        json!({"allowed": false, "reason": "no relationship found between node 'n1' and this object"}),
    );
    check(
        json!({"user": "u", "groups": ["system:authenticated"]}),
        ("nonResourceAttributes", json!({"path": "/api", "verb": "get"})),
        json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to Group \"system:authenticated\""}),
    );
}

#[test]
fn a_review_that_asks_nothing_or_about_nobody_is_invalid() {
    let nothing = "spec.resourceAttributes: Invalid value: \"null\": exactly one of nonResourceAttributes or resourceAttributes must be specified";
    let nobody = r#"spec.user: Invalid value: "": at least one of user or group must be specified"#;
    let prefix = r#".authorization.k8s.io "" is invalid: "#;
    assert_eq!(ask(json!({"user": "a"})), Err(format!("{prefix}{nothing}")));
    assert_eq!(ask(json!({"resourceAttributes": {"verb": "get"}})), Err(format!("{prefix}{nobody}")));
    assert_eq!(ask(json!({})), Err(format!("{prefix}[{nothing}, {nobody}]")));
}

#[test]
fn a_local_review_asks_about_its_own_namespace() {
    let authorizer = Authorizer::new(vec![Mode::AlwaysAllow]);
    let ask = |namespace: &str| {
        let spec =
            json!({"user": "u", "resourceAttributes": {"namespace": namespace, "verb": "get", "resource": "pods"}});
        local_subject_access_review(&authorizer, "ns", &json!({"spec": spec})).map_err(|status| status.message)
    };
    assert_eq!(ask("ns").unwrap()["status"]["allowed"], true);
    let why = r#".authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace"#;
    assert_eq!(ask("other"), Err(why.to_owned()));
    let named = json!({"metadata": {"name": "x"}, "spec": {"user": "u", "resourceAttributes": {"namespace": "ns"}}});
    assert_eq!(local_subject_access_review(&authorizer, "ns", &named).unwrap_err().code, 422);
}

#[test]
fn everybody_learns_their_rules() {
    let authorizer = World::new(bootstrap_objects()).authorizer();
    let user = UserInfo::new("u", &[]);
    let review = json!({"spec": {"namespace": "ns"}});
    let status = self_subject_rules_review(&authorizer, &user, &review).unwrap()["status"].clone();
    assert_eq!(status["incomplete"], false);
    let rules = status["resourceRules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["resources"] == json!(["selfsubjectreviews"])));
    assert!(!status["nonResourceRules"].as_array().unwrap().is_empty());
    let none = self_subject_rules_review(&authorizer, &user, &json!({"spec": {}}));
    assert_eq!(none.unwrap_err().message, "no namespace on request");
}
