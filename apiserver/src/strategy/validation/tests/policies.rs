//! Admission policies and their bindings, beside their expressions.

use api::field::Field;
use serde_json::{Value, json};

use super::{check, made, row, texts};
use crate::row::Subresource;

/// What is said of what is no label.
const LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn an_admission_policy_has_something_to_check() {
    check(
        "ValidatingAdmissionPolicy",
        json!({"spec": {"validations": [], "matchConstraints": {"resourceRules": []}}}),
        &[
            "spec.matchConstraints.resourceRules: Required value",
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ],
    );
    check(
        "ValidatingAdmissionPolicyBinding",
        json!({"spec": {"policyName": "", "validationActions": []}}),
        &[
            "spec.policyName: Required value",
            "spec.validationActions: Required value: at least one validation action is required",
        ],
    );
}

#[test]
fn the_kind_of_a_policys_parameters_has_a_version() {
    let check = |version: &str, kind: &str, causes: &[&str]| {
        let part = json!({"spec": {"paramKind": {"apiVersion": version, "kind": kind}}});
        let causes: Vec<String> = causes.iter().map(|cause| format!("spec.paramKind.{cause}")).collect();
        check("ValidatingAdmissionPolicy", part, &causes.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check("v1", "ConfigMap", &[]);
    check("a.example/v1", "A", &[]);
    check("", "", &["apiVersion: Required value", "kind: Required value"]);
    check("a/b/c", "A", &["apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c"]);
    check("a.example/", "A", &["apiVersion: Invalid value: \"a.example/\": version must be specified"]);
    let version = format!("apiVersion: Invalid value: \"1\": {LABEL}");
    let kind = format!("kind: Invalid value: \"A b\": may have mixed case, but should otherwise match: {LABEL}");
    check("a.example/1", "A b", &[&version, &kind]);
}

#[test]
fn what_a_policy_says_is_one_line_with_a_known_reason() {
    let check = |part: Value, causes: &[&str]| {
        let mut validation = json!({"expression": "true"});
        json_patch::merge(&mut validation, &part);
        let causes: Vec<String> = causes.iter().map(|cause| format!("spec.validations[0].{cause}")).collect();
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        super::check("ValidatingAdmissionPolicy", json!({"spec": {"validations": [validation]}}), &causes);
    };
    check(json!({"message": "", "reason": "Invalid"}), &[]);
    check(json!({"message": " "}), &["message: Invalid value: \" \": message must be non-empty if specified"]);
    check(json!({"message": "a\rb"}), &["message: Invalid value: \"a\\rb\": message must not contain line breaks"]);
    check(
        json!({"reason": "Unauthorized"}),
        &["reason: Unsupported value: \"Unauthorized\": supported values: \"Forbidden\", \"Invalid\", \
           \"RequestEntityTooLarge\""],
    );
}

#[test]
fn the_variables_of_a_policy_have_names() {
    let variable = |name: &str| json!({"spec": {"variables": [{"name": name, "expression": "1"}]}});
    check("ValidatingAdmissionPolicy", variable("_a1"), &[]);
    check(
        "ValidatingAdmissionPolicy",
        variable(" "),
        &["spec.variables[0].name: Required value: name is not specified"],
    );
    for name in ["a-b", "1a", "namespace", "true"] {
        let why = format!("spec.variables[0].name: Invalid value: {name:?}: name is not a valid CEL identifier");
        check("ValidatingAdmissionPolicy", variable(name), &[&why]);
    }
    let twice = json!([{"name": "a", "expression": "1"}, {"name": "a", "expression": "variables.a + 1"}]);
    check("ValidatingAdmissionPolicy", json!({"spec": {"variables": twice}}), &[]);
}

#[test]
fn the_annotations_of_a_policy_are_few_and_have_keys_of_their_own() {
    let check = |annotations: Value, causes: &[&str]| {
        let part = json!({"metadata": {"name": "p.example"}, "spec": {"auditAnnotations": annotations}});
        let causes: Vec<String> = causes.iter().map(|cause| format!("spec.auditAnnotations{cause}")).collect();
        super::check("ValidatingAdmissionPolicy", part, &causes.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let one = |key: &str, value: &str| json!({"key": key, "valueExpression": value});
    check(json!([one("a", "'x'"), one("b", "null")]), &[]);
    check(json!([one("a", "'x'"), one("a", "'y'")]), &["[1].key: Duplicate value: \"a\""]);
    check(json!([one("a", " ")]), &["[0].valueExpression: Required value: valueExpression is not specified"]);
    let long = format!("'{}'", "x".repeat(5 << 10));
    check(json!([one("a", &long)]), &["[0].valueExpression: Required value: must not exceed 5120 bytes in length"]);
    let name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    check(json!([one("a b", "'x'")]), &[&format!("[0].key: Invalid value: \"p.example/a b\": {name}")]);
    let many: Vec<Value> = (0..21).map(|at| one(&format!("k{at}"), "'x'")).collect();
    let shown = Value::from(many.clone());
    check(many.into(), &[&format!(": Invalid value: {shown}: must not have more than 20 auditAnnotations")]);
}

#[test]
fn the_status_of_a_policy_says_what_is_wrong_and_where() {
    let row = row("ValidatingAdmissionPolicy");
    let current = made(&row, &json!({}));
    let mut object = current.clone();
    object["status"] = json!({"typeChecking": {"expressionWarnings": [
        {"fieldRef": "spec.validations[0].expression", "warning": "w"}, {"fieldRef": " ", "warning": ""}]},
        "conditions": [{"type": "A", "status": "True", "reason": "B", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}, {"type": "A"}]});
    assert_eq!(
        texts(row.strategy.validate_subresource(Subresource::Status, &Field::root(&object), &current)),
        [
            "status.typeChecking.expressionWarnings[1].warning: Required value",
            "status.typeChecking.expressionWarnings[1].fieldRef: Required value",
            "status.conditions[1].type: Duplicate value: \"A\"",
            "status.conditions[1].status: Unsupported value: \"\": supported values: \"False\", \"True\", \"Unknown\"",
            "status.conditions[1].lastTransitionTime: Required value: must be set",
            "status.conditions[1].reason: Required value: must be set",
        ]
    );
}

#[test]
fn a_binding_names_its_parameters_and_what_to_do() {
    let check = |part: Value, causes: &[&str]| {
        let causes: Vec<String> = causes.iter().map(|cause| format!("spec.{cause}")).collect();
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        super::check("ValidatingAdmissionPolicyBinding", json!({"spec": part}), &causes);
    };
    let named = |name: &str| json!({"name": name, "parameterNotFoundAction": "Deny"});
    check(json!({"paramRef": named("p")}), &[]);
    check(json!({"paramRef": named("a/b")}), &["paramRef.name: Invalid value: \"a/b\": may not contain '/'"]);
    check(
        json!({"paramRef": {"parameterNotFoundAction": "Perhaps"}}),
        &[
            "paramRef: Required value: one of name or selector must be specified",
            "paramRef.parameterNotFoundAction: Unsupported value: \"Perhaps\": supported values: \"Deny\", \"Allow\"",
        ],
    );
    check(
        json!({"paramRef": {"name": "p", "selector": {}}}),
        &[
            "paramRef.name: Forbidden: name and selector are mutually exclusive",
            "paramRef.selector: Forbidden: name and selector are mutually exclusive",
            "paramRef.parameterNotFoundAction: Required value",
        ],
    );
    check(
        json!({"validationActions": ["Perhaps", "Perhaps"]}),
        &[
            "validationActions[0]: Unsupported value: \"Perhaps\": supported values: \"Audit\", \"Deny\", \"Warn\"",
            "validationActions[1]: Unsupported value: \"Perhaps\": supported values: \"Audit\", \"Deny\", \"Warn\"",
            "validationActions[1]: Duplicate value: \"Perhaps\"",
        ],
    );
    let rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                      "resourceNames": ["a", "..", "a"]});
    check(
        json!({"matchResources": {"resourceRules": [rule]}}),
        &[
            "matchResources.resourceRules[0].resourceNames[1]: Invalid value: \"..\": may not be '..'",
            "matchResources.resourceRules[0].resourceNames[2]: Duplicate value: \"a\"",
        ],
    );
}
