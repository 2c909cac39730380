//! Expressions of policies, webhooks and selectors of devices.

use serde_json::{Value, json};

use super::{check, check_update};

/// What is said of `expression` at `at`: its mistake is at a character of its only line.
fn mistake(at: &str, expression: &str, column: usize, why: &str) -> String {
    let dots = ".".repeat(column - 1);
    format!(
        "{at}: Invalid value: {expression:?}: compilation failed: ERROR: <input>:1:{column}: {why}\n | {expression}\n | \
         {dots}^"
    )
}

fn policy(spec: Value) -> Value {
    json!({"spec": spec})
}

fn validation(expression: &str) -> Value {
    policy(json!({"validations": [{"expression": expression}]}))
}

#[test]
fn an_expression_of_a_policy_compiles_and_is_true_or_false() {
    let at = "spec.validations[0].expression";
    for fine in [
        "object.spec.replicas <= 5",
        " \n object.metadata.name.startsWith(request.namespace) ",
        "oldObject == null || oldObject.spec.a == object.spec.a",
        "namespaceObject.metadata.labels['a'] == 'b' && namespaceObject.status.phase == 'Active'",
        "namespaceObject.metadata.creationTimestamp < timestamp('2026-01-01T00:00:00Z')",
        "request.userInfo.groups.exists(group, group == 'admins') && !request.dryRun",
        "request.kind.group == 'apps' && request.requestResource.resource == 'deployments'",
        "request.options.fieldManager == 'a' && request.userInfo.extra['a'].size() > 0",
        "authorizer.group('apps').resource('deployments').namespace('a').check('create').allowed()",
        "authorizer.requestResource.subresource('scale').check('update').reason() == ''",
        "authorizer.serviceAccount('a', 'b').path('/healthz').check('get').allowed()",
        "has(object.spec.a) && object.spec.?a.orValue(1) == quantity('1k').asInteger()",
    ] {
        check("ValidatingAdmissionPolicy", validation(fine), &[]);
    }
    let why = "Syntax error: missing ']' at '<EOF>'";
    let cut = "object.x in [1, 2, ";
    check("ValidatingAdmissionPolicy", validation(cut), &[&mistake(at, cut, 20, why)]);
    let typed = "request.userInfo.nme == 'a'";
    check("ValidatingAdmissionPolicy", validation(typed), &[&mistake(at, typed, 17, "undefined field 'nme'")]);
    for (expression, found) in [
        ("object.spec.paused", "dyn"),
        ("1", "int"),
        ("null", "null_type"),
        ("[timestamp('2026-01-01T00:00:00Z')]", "list(google.protobuf.Timestamp)"),
        ("{'a': duration('1s')}", "map(string, google.protobuf.Duration)"),
        ("type(1)", "type(int)"),
        ("optional.of(1)", "optional_type(int)"),
        ("namespaceObject.spec", "kubernetes.NamespaceSpec"),
        ("authorizer.requestResource", "kubernetes.authorization.ResourceCheck"),
    ] {
        let cause = format!("{at}: Invalid value: {expression:?}: must evaluate to bool but got {found}");
        check("ValidatingAdmissionPolicy", validation(expression), &[&cause]);
    }
}

#[test]
fn an_expression_that_can_never_be_evaluated_is_told() {
    let never = "int('abc') == 1";
    let why = "Internal error: program instantiation failed: type conversion error from 'string' to 'int'";
    check("ValidatingAdmissionPolicy", validation(never), &[&format!("spec.validations[0].expression: {why}")]);
    let variables = policy(json!({"variables": [{"name": "v", "expression": "int('abc')"}],
        "validations": [{"expression": "variables.v == 1"}]}));
    check("ValidatingAdmissionPolicy", variables, &[&format!("spec.variables[0].expression: {why}")]);
    let selector = json!({"spec": {"selectors": [{"cel": {"expression": never}}]}});
    check("DeviceClass", selector, &[&format!("spec.selectors[0].cel.expression: {why}")]);
}

#[test]
fn parameters_are_there_if_their_kind_is_named() {
    let expression = "params.foo == 'okay'";
    let conditions = json!([{"name": "a", "expression": "  params.foo == 'okay'\n"}]);
    let why = "undeclared reference to 'params' (in container '')";
    let spec = json!({"matchConditions": conditions, "variables": [{"name": "v", "expression": expression}],
        "validations": [{"expression": expression, "messageExpression": "string(params.foo)"}],
        "auditAnnotations": [{"key": "a", "valueExpression": "string(params.foo)"}]});
    check(
        "ValidatingAdmissionPolicy",
        policy(spec.clone()),
        &[
            &mistake("spec.matchConditions[0].expression", expression, 1, why),
            &mistake("spec.variables[0].expression", expression, 1, why),
            &mistake("spec.validations[0].expression", expression, 1, why),
            &mistake("spec.validations[0].messageExpression", "string(params.foo)", 8, why),
            &mistake("spec.auditAnnotations[0].valueExpression", "string(params.foo)", 8, why),
        ],
    );
    let mut with_kind = spec;
    with_kind["paramKind"] = json!({"apiVersion": "a.example/v1", "kind": "Foo"});
    check("ValidatingAdmissionPolicy", policy(with_kind.clone()), &[]);
    with_kind["matchConditions"][0]["expression"] = "authorizer.path(params.path).check('get').allowed()".into();
    check("ValidatingAdmissionPolicy", policy(with_kind), &[]);
}

#[test]
fn a_message_is_a_string_and_an_annotation_may_be_none() {
    let explained =
        |message: &str| policy(json!({"validations": [{"expression": "true", "messageExpression": message}]}));
    let at = "spec.validations[0].messageExpression";
    check("ValidatingAdmissionPolicy", explained("'at most ' + string(object.spec.max)"), &[]);
    check(
        "ValidatingAdmissionPolicy",
        explained(" "),
        &[&format!("{at}: Invalid value: \" \": must be non-empty if specified")],
    );
    check(
        "ValidatingAdmissionPolicy",
        explained("0 == 0"),
        &[&format!("{at}: Invalid value: \"0 == 0\": must evaluate to string but got bool")],
    );
    // What a message says is no question of what the user may do.
    let asks = "string(authorizer.path('/a').check('get').allowed())";
    let undeclared = "undeclared reference to 'authorizer' (in container '')";
    check("ValidatingAdmissionPolicy", explained(asks), &[&mistake(at, asks, 8, undeclared)]);
    let audited = |value: &str| policy(json!({"auditAnnotations": [{"key": "a", "valueExpression": value}]}));
    let at = "spec.auditAnnotations[0].valueExpression";
    for fine in ["'a' + object.b", " null ", "authorizer.path('/a').check('get').reason()"] {
        check("ValidatingAdmissionPolicy", audited(fine), &[]);
    }
    check(
        "ValidatingAdmissionPolicy",
        audited(" true "),
        &[&format!("{at}: Invalid value: \" true \": must evaluate to one of [string null_type] but got bool")],
    );
}

#[test]
fn a_variable_is_known_below_where_it_stands() {
    let spec = |variables: Value, expression: &str| {
        policy(json!({"variables": variables, "validations": [{"expression": expression, "messageExpression":
            "string(variables.first)"}]}))
    };
    let first = json!({"name": "first", "expression": "1 + 1"});
    let at = "spec.validations[0].expression";
    for (expression, fine) in [
        ("variables.first + 1", "variables.v > 1"),
        ("[variables.first]", "variables.v[0] > 1"),
        ("{'a': [1]}", "variables.v['a'].all(each, each > 0)"),
        ("object.spec", "variables.v.a.b == 'c'"),
        // Of an object nothing is known any longer.
        ("namespaceObject.metadata", "variables.v.nonsense"),
        ("authorizer.requestResource", "variables.v.check('get').allowed()"),
    ] {
        let variables = json!([first, {"name": "v", "expression": expression}]);
        let wrong = if fine.ends_with("nonsense") {
            vec![format!("{at}: Invalid value: {fine:?}: must evaluate to bool but got dyn")]
        } else {
            Vec::new()
        };
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        check("ValidatingAdmissionPolicy", spec(variables, fine), &wrong);
    }
    let variables =
        json!([first, {"name": "bar", "expression": "variables.foo + 1"}, {"name": "foo", "expression": "1"}]);
    check(
        "ValidatingAdmissionPolicy",
        spec(variables, "variables.foo > 1 && variables.bar == 'what it is was not found out'"),
        &[&mistake("spec.variables[1].expression", "variables.foo + 1", 10, "undefined field 'foo'")],
    );
    let adds = "variables.first + 'a' == variables.gone";
    check(
        "ValidatingAdmissionPolicy",
        spec(json!([first]), adds),
        &[&format!(
            "{at}: Invalid value: {adds:?}: compilation failed: ERROR: <input>:1:17: found no matching overload for \
             '_+_' applied to '(int, string)'\n | {adds}\n | ................^\nERROR: <input>:1:35: undefined field \
             'gone'\n | {adds}\n | ..................................^"
        )],
    );
    let conditions = json!([{"name": "a", "expression": "variables.first > 1"}]);
    let undeclared = "undeclared reference to 'variables' (in container '')";
    check(
        "ValidatingAdmissionPolicy",
        policy(json!({"variables": [first], "matchConditions": conditions})),
        &[&mistake("spec.matchConditions[0].expression", "variables.first > 1", 1, undeclared)],
    );
    check("ValidatingAdmissionPolicy", validation("variables == 1"), &[&mistake(at, "variables == 1", 1, undeclared)]);
}

#[test]
fn conditions_that_stay_are_not_looked_at_again() {
    let conditions = |expression: &str| json!([{"name": "a", "expression": expression}]);
    let why = "undeclared reference to 'params' (in container '')";
    let kind = json!({"apiVersion": "a.example/v1", "kind": "Foo"});
    let of = |expression: &str| policy(json!({"paramKind": kind, "matchConditions": conditions(expression)}));
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let at = "spec.matchConditions[0].expression";
    check_update("ValidatingAdmissionPolicy", of("1"), labels.clone(), &[]);
    check_update(
        "ValidatingAdmissionPolicy",
        of("1"),
        policy(json!({"matchConditions": conditions("2")})),
        &[&format!("{at}: Invalid value: \"2\": must evaluate to bool but got int")],
    );
    check_update(
        "ValidatingAdmissionPolicy",
        of("params.b"),
        policy(json!({"paramKind": null})),
        &[&mistake(at, "params.b", 1, why)],
    );
    // Of what else stays everything is looked at.
    check_update(
        "ValidatingAdmissionPolicy",
        validation("1"),
        labels.clone(),
        &["spec.validations[0].expression: Invalid value: \"1\": must evaluate to bool but got int"],
    );
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let hooks = |conditions: &[Value]| {
            let mut object = super::valid(kind);
            let hook = object["webhooks"][0].take();
            let hooks = conditions.iter().enumerate().map(|(position, conditions)| {
                let mut hook = hook.clone();
                hook["name"] = format!("a.b.example{position}").into();
                hook["matchConditions"] = conditions.clone();
                hook
            });
            json!({"webhooks": hooks.collect::<Vec<_>>()})
        };
        let (wrong, fine) = (conditions("params.a"), conditions("authorizer.path('/a').check('get').allowed()"));
        let cause =
            |hook: usize| mistake(&format!("webhooks[{hook}].matchConditions[0].expression"), "params.a", 1, why);
        check(kind, hooks(std::slice::from_ref(&fine)), &[]);
        check(kind, hooks(&[fine.clone(), wrong.clone()]), &[&cause(1)]);
        check_update(kind, hooks(&[fine.clone(), wrong.clone()]), labels.clone(), &[]);
        check_update(kind, hooks(&[fine.clone(), wrong.clone()]), hooks(&[wrong.clone(), fine.clone()]), &[&cause(0)]);
        check_update(kind, hooks(&[fine.clone(), wrong.clone()]), hooks(&[wrong]), &[&cause(0)]);
    }
}

#[test]
fn a_selector_tells_of_a_device_whether_it_fits() {
    let selectors = |expression: &str| json!([{"cel": {"expression": expression}}]);
    let class = |expression: &str| json!({"spec": {"selectors": selectors(expression)}});
    let at = "spec.selectors[0].cel.expression";
    for fine in [
        "device.driver == 'dra.example.com'",
        "'dra.example.com' in device.attributes",
        "device.attributes['dra.example.com'].model == 'a100'",
        "device.attributes['dra.example.com'].isLarge",
        "device.attributes['dra.example.com'].?isLarge.orValue(false)",
        "cel.bind(dra, device.attributes['dra.example.com'], dra.oneBool && dra.anotherBool)",
        "device.attributes['dra.example.com'].version.isGreaterThan(semver('1.2.3'))",
        "device.capacity['dra.example.com'].memory.compareTo(quantity('10Gi')) >= 0",
        "device.capacity['dra.example.com'].memory.isGreaterThan(quantity('10Gi'))",
    ] {
        check("DeviceClass", class(fine), &[]);
    }
    for (expression, found) in [
        ("1", "int"),
        ("device.attributes['dra.example.com']", "map(string, google.protobuf.Any)"),
        ("device.attributes['dra.example.com'].a.b", "dyn"),
        ("device.capacity['dra.example.com'].memory", "kubernetes.Quantity"),
    ] {
        let cause =
            format!("{at}: Invalid value: {expression:?}: must evaluate to bool or the unknown type, not {found}");
        check("DeviceClass", class(expression), &[&cause]);
    }
    let key = "device.attributes[true].someBoolean";
    let overload = "found no matching overload for '_[_]' applied to '(map(string, map(string, any)), bool)'";
    check("DeviceClass", class(key), &[&mistake(at, key, 18, overload)]);
    let over = "device.attributes['a'].ids.exists(id, id == 1)";
    let range = "expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)";
    check("DeviceClass", class(over), &[&mistake(at, over, 23, range)]);
    check(
        "DeviceClass",
        class("object.a"),
        &[&mistake(at, "object.a", 1, "undeclared reference to 'object' (in container '')")],
    );
    let expected = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, \
                    IDENTIFIER}";
    let nothing = format!("Syntax error: mismatched input '<EOF>' expecting {expected}");
    check("DeviceClass", class(""), &[&mistake(at, "", 1, &nothing)]);
    let requests = json!([
        {"name": "a", "exactly": {"deviceClassName": "c.example", "selectors": selectors("1")}},
        {"name": "b", "firstAvailable": [{"name": "c", "deviceClassName": "c.example", "selectors": selectors("2")}]},
    ]);
    let causes = |prefix: &str| {
        let found = |at: &str, value: usize| {
            let why = "must evaluate to bool or the unknown type, not int";
            format!("{prefix}.devices.requests{at}.selectors[0].cel.expression: Invalid value: \"{value}\": {why}")
        };
        [found("[0].exactly", 1), found("[1].firstAvailable[0]", 2)]
    };
    let claim = json!({"devices": {"requests": requests}});
    let expected = causes("spec");
    check("ResourceClaim", json!({"spec": claim}), &[&expected[0], &expected[1]]);
    let expected = causes("spec.spec");
    check("ResourceClaimTemplate", json!({"spec": {"spec": claim}}), &[&expected[0], &expected[1]]);
}

#[test]
fn what_a_selector_may_cost_is_limited() {
    let class = |expression: &str| json!({"spec": {"selectors": [{"cel": {"expression": expression}}]}});
    let all = |inside: String, level: &str| format!("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all({level}, {inside})");
    let nested = |levels: &[&str]| {
        let innermost = "int('1'.find('[0-9]*')) < 100".to_owned();
        levels.iter().fold(innermost, |inside, level| all(inside, level))
    };
    check("DeviceClass", class(&nested(&["a", "b", "c", "d"])), &[]);
    let costly = class(&nested(&["a", "b", "c", "d", "e", "f", "g"]));
    let why = "spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit";
    check("DeviceClass", costly.clone(), &[why]);
    check_update("DeviceClass", costly, json!({"metadata": {"labels": {"a": "b"}}}), &[why]);
}

#[test]
fn a_selector_that_is_stored_may_refer_to_what_a_feature_brings() {
    let shares = "device.allowMultipleAllocations";
    let class = |selectors: &[&str]| {
        let selectors: Vec<Value> = selectors.iter().map(|each| json!({"cel": {"expression": each}})).collect();
        json!({"spec": {"selectors": selectors}})
    };
    let cause = |at: usize| {
        mistake(
            &format!("spec.selectors[{at}].cel.expression"),
            shares,
            7,
            "undefined field 'allowMultipleAllocations'",
        )
    };
    check("DeviceClass", class(&[shares]), &[&cause(0)]);
    check_update("DeviceClass", class(&[shares, "true"]), json!({"metadata": {"labels": {"a": "b"}}}), &[]);
    check_update("DeviceClass", class(&[shares, "true"]), class(&["true", shares]), &[&cause(1)]);
}
