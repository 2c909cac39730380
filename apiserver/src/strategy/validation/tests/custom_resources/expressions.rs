//! Expressions in the rules of definitions: what they see of a schema, and what they must be.

use serde_json::{Value, json};

use super::{KIND, ROOT, check, check_field, check_update, with_schema};

/// What is told of a rule: the causes, which begin at the field `a` that has the rule.
#[track_caller]
fn check_rule(mut field: Value, rule: &Value, causes: &[(&str, &str)]) {
    field["x-kubernetes-validations"] = json!([rule]);
    let causes: Vec<String> =
        causes.iter().map(|(name, why)| format!(".x-kubernetes-validations[0].{name}: {why}")).collect();
    check_field(field, &causes.iter().map(String::as_str).collect::<Vec<_>>());
}

/// An expression that compiles in the rule of a field.
#[track_caller]
fn accepted(field: Value, expression: &str) {
    check_rule(field, &json!({"rule": expression}), &[]);
}

/// An expression that does not, and why.
#[track_caller]
fn refused(field: Value, expression: &str, why: &str) {
    let rule = json!({"rule": expression});
    let why = format!("Invalid value: {rule}: {why}");
    check_rule(field, &rule, &[("rule", &why)]);
}

#[test]
fn a_rule_that_does_not_compile_is_told_with_its_place() {
    let text = json!({"type": "string", "maxLength": 5});
    refused(
        text.clone(),
        "this does not compile",
        "compilation failed: ERROR: <input>:1:6: Syntax error: mismatched input 'does' expecting <EOF>\n \
         | this does not compile\n | .....^",
    );
    refused(
        text.clone(),
        "sel == 'x'",
        "compilation failed: ERROR: <input>:1:1: undeclared reference to 'sel' (in container '')\n | sel == 'x'\n | ^",
    );
    refused(
        text.clone(),
        "self + 1 == 2",
        "compilation failed: ERROR: <input>:1:6: found no matching overload for '_+_' applied to '(string, int)'\n \
         | self + 1 == 2\n | .....^",
    );
    refused(
        text.clone(),
        "self.find(')') == ''",
        "program instantiation failed: error parsing regexp: unexpected ): `)`",
    );
    refused(text, "self", "cel expression must evaluate to a bool");
}

#[test]
fn an_expression_sees_the_types_of_the_schema() {
    let string = |format: &str| json!({"type": "string", "format": format, "maxLength": 10});
    accepted(string("byte"), "self == b'x'");
    accepted(json!({"type": "string", "format": "duration"}), "self > duration('1s')");
    accepted(json!({"type": "string", "format": "date"}), "self.getFullYear() > 2000");
    accepted(json!({"type": "string", "format": "date-time"}), "self < timestamp('2030-01-01T00:00:00Z')");
    accepted(string("ipv4"), "self.startsWith('10.')");
    accepted(json!({"type": "integer"}), "self % 2 == 0");
    accepted(json!({"type": "number"}), "self * 2.0 > 1.0");
    accepted(json!({"type": "boolean"}), "self");
    let either = json!({"x-kubernetes-int-or-string": true});
    accepted(either, "type(self) == int ? self < 5 : self == '50%'");
    let list = json!({"type": "array", "maxItems": 5, "items": {"type": "integer"}});
    accepted(list.clone(), "self.all(each, each > 0) && self[0] == 1");
    refused(
        list,
        "self.all(each, each == 'x')",
        "compilation failed: ERROR: <input>:1:21: found no matching overload for '_==_' applied to '(int, string)'\n \
         | self.all(each, each == 'x')\n | ....................^",
    );
    let map = json!({"type": "object", "maxProperties": 3, "additionalProperties": {"type": "boolean"}});
    accepted(map.clone(), "self.all(key, self[key]) || self.x");
    accepted(map, "'x' in self");
}

#[test]
fn an_expression_sees_the_fields_of_the_schema_under_their_escaped_names() {
    let object = json!({"type": "object", "properties": {
        "namespace": {"type": "string"}, "a.b-c/d__e": {"type": "integer"}, "1st": {"type": "string"},
        "inner": {"type": "object", "properties": {"x": {"type": "integer"}}},
        "unknown": {"x-kubernetes-preserve-unknown-fields": true},
        "unknowns": {"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    accepted(object.clone(), "self.__namespace__ == 'x' && self.a__dot__b__dash__c__slash__d__underscores__e == 1");
    accepted(object.clone(), "has(self.inner) && has(self.inner.x) && self.inner.x > 1 && has(self.open)");
    accepted(object.clone(), "self.inner == oldSelf.inner");
    let fields = [("unknown", 5), ("unknowns", 5), ("st", 5), ("nothing", 5)];
    for (name, at) in fields {
        let expression = format!("self.{name} == 'x'");
        refused(
            object.clone(),
            &expression,
            &format!(
                "compilation failed: ERROR: <input>:1:{at}: undefined field '{name}'\n | {expression}\n | {}^",
                ".".repeat(at - 1)
            ),
        );
    }
    refused(
        object,
        "self.inner.x.y",
        "compilation failed: ERROR: <input>:1:13: type 'int' does not support field selection\n \
         | self.inner.x.y\n | ............^",
    );
}

#[test]
fn at_a_resource_its_names_are_seen() {
    let rule = "self.kind == 'A' && self.apiVersion != '' && self.metadata.name.startsWith(self.metadata.generateName)";
    let root = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}],
                      "properties": {"metadata": {"type": "object"}}});
    check(KIND, with_schema(root), &[]);
    let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true,
                          "properties": {"spec": {"type": "string"}}});
    accepted(embedded, &format!("{rule} && has(self.spec)"));
    let labels = json!({"rule": "self.metadata.labels.size() == 0"});
    let root = json!({"type": "object", "x-kubernetes-validations": [labels]});
    check(
        KIND,
        with_schema(root),
        &[&format!(
            "{ROOT}.x-kubernetes-validations[0].rule: Invalid value: {labels}: compilation failed: ERROR: \
             <input>:1:14: undefined field 'labels'\n | self.metadata.labels.size() == 0\n | .............^"
        )],
    );
}

#[test]
fn a_message_is_a_string() {
    let field = json!({"type": "string", "maxLength": 5});
    let message = |expression: &str| json!({"rule": "true", "messageExpression": expression});
    check_rule(field.clone(), &message("'not ' + self"), &[]);
    let check_message = |expression: &str, why: &str| {
        let rule = message(expression);
        check_rule(field.clone(), &rule, &[("messageExpression", &format!("Invalid value: {rule}: {why}"))]);
    };
    check_message("1", "messageExpression must evaluate to a string");
    check_message(
        "other",
        "messageExpression compilation failed: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n \
         | other\n | ^",
    );
    // Of a rule that does not compile, only that is told.
    let rule = json!({"rule": "1", "messageExpression": "other"});
    let why = format!("Invalid value: {rule}: cel expression must evaluate to a bool");
    check_rule(field.clone(), &rule, &[("rule", &why)]);
}

#[test]
fn an_old_value_is_referred_to_where_there_can_be_one() {
    let text = |rules: Value| json!({"type": "string", "maxLength": 5, "x-kubernetes-validations": rules});
    let rule = json!([{"rule": "self == oldSelf"}]);
    check_field(text(rule.clone()), &[]);
    let list = |kind: &str, items: Value| json!({"type": "array", "maxItems": 3, "x-kubernetes-list-type": kind, "items": items});
    let why = |within: &str| {
        format!(
            "Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema \
             within {ROOT}.properties[a]{within}"
        )
    };
    let items = format!(".items.x-kubernetes-validations[0].rule: {}", why(""));
    check_field(list("set", text(rule.clone())), &[&items]);
    check_field(list("atomic", text(rule.clone())), &[&items]);
    let keyed = |items: Value| {
        let mut list = list("map", items);
        list["x-kubernetes-list-map-keys"] = json!(["k"]);
        list
    };
    let entry = |field: Value| {
        json!({"type": "object", "required": ["k"],
               "properties": {"k": {"type": "string", "maxLength": 5}, "v": field}})
    };
    check_field(keyed(entry(text(rule.clone()))), &[]);
    // The outermost list is named.
    let inner = format!(".items.items.x-kubernetes-validations[0].rule: {}", why(""));
    check_field(list("atomic", list("atomic", text(rule.clone()))), &[&inner]);
    let inner = format!(".items.properties[v].items.x-kubernetes-validations[0].rule: {}", why(".items.properties[v]"));
    check_field(keyed(entry(list("atomic", text(rule)))), &[&inner]);
}

#[test]
fn an_optional_old_value_is_there_for_new_objects_too() {
    let field = json!({"type": "string", "maxLength": 5});
    let rule = |expression: &str, optional: bool| json!({"rule": expression, "optionalOldSelf": optional});
    check_rule(field.clone(), &rule("oldSelf.orValue('') == self", true), &[]);
    check_rule(field.clone(), &rule("oldSelf == self", false), &[]);
    let wrong = rule("oldSelf == self", true);
    let why = format!(
        "Invalid value: {wrong}: compilation failed: ERROR: <input>:1:9: found no matching overload for '_==_' \
         applied to '(optional_type(string), string)'\n | oldSelf == self\n | ........^"
    );
    let unused = |value: &str| format!("Invalid value: {value}: may not be set if oldSelf is not used in rule");
    check_rule(field.clone(), &wrong, &[("rule", &why), ("optionalOldSelf", &unused("true"))]);
    check_rule(field.clone(), &rule("self == ''", false), &[("optionalOldSelf", &unused("false"))]);
}

#[test]
fn nothing_is_compiled_against_a_schema_that_is_wrong() {
    let rules = json!([{"rule": "wrong"}]);
    check_field(
        json!({"type": "object", "x-kubernetes-validations": rules,
               "properties": {"x": {"type": "object", "additionalProperties": {"type": "string"}, "properties": {
                   "y": {"type": "string"}}}}}),
        &[".properties[x].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    );
    // What is wrong elsewhere changes nothing here.
    let told = json!({"rule": "wrong"});
    check(
        KIND,
        with_schema(json!({"type": "object", "properties": {
            "a": {"type": "array", "uniqueItems": true, "items": {"type": "string"}},
            "b": {"type": "string", "x-kubernetes-validations": [told]}}})),
        &[
            &format!(
                "{ROOT}.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime \
                 complexity becomes quadratic"
            ),
            &format!(
                "{ROOT}.properties[b].x-kubernetes-validations[0].rule: Invalid value: {told}: compilation failed: \
                 ERROR: <input>:1:1: undeclared reference to 'wrong' (in container '')\n | wrong\n | ^"
            ),
        ],
    );
}

#[test]
fn what_is_not_known_has_no_rules() {
    let why = ".x-kubernetes-validations: Internal error: internal error: failed to construct type information for \
               x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
    let rules = json!([{"rule": "true"}]);
    let unknown = json!({"x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-validations": rules});
    check_field(unknown.clone(), &[why]);
    let list = json!({"type": "array", "maxItems": 3, "x-kubernetes-validations": rules,
                      "items": {"x-kubernetes-preserve-unknown-fields": true, "properties": {
                          "x": {"type": "string", "x-kubernetes-validations": rules}}}});
    check_field(list, &[&format!(".items.properties[x]{why}"), why]);
}

const BUDGET: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and \
                      strings are declared)";

/// A list of texts, each of which is searched.
fn searched(max_items: Option<u64>, max_length: Option<u64>) -> Value {
    let mut list = json!({"type": "array", "items": {
        "type": "string", "x-kubernetes-validations": [{"rule": "self.contains('x')"}]}});
    if let Some(limit) = max_items {
        list["maxItems"] = limit.into();
    }
    if let Some(limit) = max_length {
        list["items"]["maxLength"] = limit.into();
    }
    list
}

#[test]
fn a_rule_about_values_without_a_limit_costs_too_much() {
    let rule = ".items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of";
    let too_much = |field: Value, place: &str, factor: &str, of_all: &str| {
        let causes = [
            format!("{ROOT}.properties[a]{place}{rule} {factor} {BUDGET}"),
            format!(
                "{ROOT}.properties[a]{place}.items.x-kubernetes-validations[0].rule: Forbidden: contributed to \
                 estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            ),
            format!(
                "{ROOT}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema \
                 exceeds budget by factor of {of_all} {BUDGET}"
            ),
        ];
        let whole = with_schema(json!({"type": "object", "properties": {"a": field}}));
        check(KIND, whole, &causes.each_ref().map(String::as_str));
    };
    too_much(searched(None, None), "", "more than 100x", "more than 100x");
    check_field(searched(Some(100), None), &[&format!("{rule} 3.1x {BUDGET}")]);
    check_field(searched(Some(100), Some(100)), &[]);
    // Of short texts a request holds few enough.
    check_field(searched(None, Some(20)), &[]);
    let nested = json!({"type": "object", "additionalProperties": searched(Some(10), Some(1000))});
    // 400 and one for each of as many values as a request holds.
    too_much(nested, ".additionalProperties", "42.0x", "4.2x");
    let message = json!({"type": "string", "x-kubernetes-validations": [
        {"rule": "true", "messageExpression": "[1, 2, 3].map(x, self).map(x, x.replace('a', 'b') + self)[0]"}]});
    check_field(message, &[]);
}

#[test]
fn the_rules_of_a_definition_cost_no_more_than_they_may_together() {
    // For each of 1,000 values a tenth of its 80,000 bytes, and one to look at it.
    let fields: serde_json::Map<String, Value> =
        (0..13).map(|at| (format!("f{at}"), searched(Some(1000), Some(20_000)))).collect();
    let contributed = |name: &str| {
        format!(
            "{ROOT}.properties[{name}].items.x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule \
             cost total exceeding cost limit for entire OpenAPIv3 schema"
        )
    };
    let names = ["f0", "f1", "f10", "f11"];
    let mut causes: Vec<String> = names.iter().map(|name| contributed(name)).collect();
    causes.push(format!(
        "{ROOT}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds \
         budget by factor of 1.040130x {BUDGET}"
    ));
    check(
        KIND,
        with_schema(json!({"type": "object", "properties": fields})),
        &causes.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn what_was_accepted_before_may_cost_what_it_costs() {
    let schema = with_schema(json!({"type": "object", "properties": {"a": searched(Some(100), None)}}));
    check_update(KIND, schema.clone(), json!({"metadata": {"labels": {"a": "b"}}}), &[]);
    let changed = with_schema(json!({"type": "object", "properties": {"a": searched(Some(101), None)}}));
    let why = format!(
        "{ROOT}.properties[a].items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by \
         factor of 3.2x {BUDGET}"
    );
    check_update(KIND, schema, changed, &[&why]);
}

#[test]
fn the_rules_that_a_gateway_has_for_its_listeners_are_taken() {
    let text = |max: u64| json!({"type": "string", "maxLength": max});
    let rule = |rule: &str| json!({"rule": rule, "message": "listeners don't get in each other's way"});
    let listeners = json!({"type": "array", "maxItems": 64, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
    "items": {"type": "object", "required": ["name", "port", "protocol"], "properties": {
        "name": text(253), "hostname": text(253), "protocol": text(255), "port": {"type": "integer"},
        "tls": {"type": "object", "properties": {"mode": {"type": "string", "enum": ["Terminate", "Passthrough"]}}}}},
    "x-kubernetes-validations": [
        rule("self.all(one, one.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(one.tls) : true)"),
        rule("self.all(one, has(one.tls) && one.protocol == 'HTTPS' ? one.tls.mode in ['', 'Terminate'] : true)"),
        rule("self.all(one, self.exists_one(other, one.name == other.name))"),
        rule("self.all(one, self.exists_one(other, one.port == other.port && one.protocol == other.protocol && \
              (has(one.hostname) && has(other.hostname) ? one.hostname == other.hostname : \
              !has(one.hostname) && !has(other.hostname))))"),
    ]});
    check_field(listeners, &[]);
}

/// What is told of a default whose schema has this rule.
#[track_caller]
fn check_default(mut field: Value, rule: &Value, causes: &[&str]) {
    field["x-kubernetes-validations"] = json!([rule]);
    let causes: Vec<String> = causes.iter().map(|cause| format!(".default{cause}")).collect();
    check_field(field, &causes.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_default_keeps_the_rules_of_its_schema() {
    let number = |default: i64| json!({"type": "integer", "default": default});
    let rule = json!({"rule": "self > 1"});
    check_default(number(2), &rule, &[]);
    check_default(number(1), &rule, &[": Invalid value: 1: failed rule: self > 1"]);
    check_default(number(1), &json!({"rule": "self > 1", "message": " more "}), &[": Invalid value: 1: more"]);
    let own = json!({"rule": "self > 1", "message": "more", "messageExpression": "string(self) + ' is too little'"});
    check_default(number(1), &own, &[": Invalid value: 1: 1 is too little"]);
    for (reason, told) in [
        ("FieldValueForbidden", ": Forbidden: failed rule: self > 1"),
        ("FieldValueRequired", ": Required value: failed rule: self > 1"),
        ("FieldValueInvalid", ": Invalid value: 1: failed rule: self > 1"),
        ("FieldValueDuplicate", ": Duplicate value: 1"),
    ] {
        check_default(number(1), &json!({"rule": "self > 1", "reason": reason}), &[told]);
    }
    // A default is what was there before, too.
    check_default(number(1), &json!({"rule": "self == oldSelf && self < 2"}), &[]);
    check_default(number(1), &json!({"rule": "oldSelf.hasValue() && self < 2", "optionalOldSelf": true}), &[]);
    check_default(
        number(0),
        &json!({"rule": "1 / self == 1"}),
        &[": Invalid value: \"integer\": division by zero \
        evaluating rule: 1 / self == 1"],
    );
}

#[test]
fn the_rules_inside_a_default_are_asked_too() {
    let object = |rules: Value| {
        json!({"type": "object", "default": {"min": 3, "max": 2, "names": ["a", "", null], "more": {"x": 9}},
            "x-kubernetes-validations": rules, "properties": {
                "min": {"type": "integer"}, "max": {"type": "integer"},
                "names": {"type": "array", "maxItems": 9, "items": {"type": "string", "nullable": true, "maxLength": 9,
                    "x-kubernetes-validations": [{"rule": "self != ''"}]}},
                "more": {"type": "object", "maxProperties": 9, "additionalProperties": {"type": "integer",
                    "x-kubernetes-validations": [{"rule": "self < 9"}]}}}})
    };
    let inside = [
        ".default.more[x]: Invalid value: 9: failed rule: self < 9",
        ".default.names[1]: Invalid value: \"\": failed rule: self != ''",
    ];
    let rule = json!({"rule": "self.min <= self.max", "fieldPath": ".min"});
    check_field(
        object(json!([rule, {"rule": "!has(self.more)"}])),
        &[
            ".default.min: Invalid value: failed rule: self.min <= self.max",
            ".default: Invalid value: failed rule: !has(self.more)",
            inside[0],
            inside[1],
        ],
    );
    check_field(object(json!([])), &inside);
    let key = json!({"rule": "size(self.more) > 1", "fieldPath": ".more['x']"});
    check_field(
        object(json!([key])),
        &[".default.more[x]: Invalid value: failed rule: size(self.more) > 1", inside[0], inside[1]],
    );
    // What can't be compiled is told where it was to be asked, and nowhere else.
    let wrong = "rule compile error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'wrong' (in \
                 container '')\n | wrong\n | ^";
    check_field(
        object(json!([{"rule": "wrong"}])),
        &[&format!(".default: Invalid value: \"object\": {wrong}"), inside[0], inside[1]],
    );
}

#[test]
fn what_rules_take_to_be_evaluated_is_limited() {
    let long: Vec<u64> = (0..1000).collect();
    let each = |rule: &str| {
        json!({"type": "array", "maxItems": 1000, "default": long, "items": {"type": "integer"},
            "x-kubernetes-validations": [{"rule": rule, "message": "m"}]})
    };
    check_field(
        each("self.all(one, self.exists(other, one == other))"),
        &[
            ".default: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation \
         rules will be run due to call cost exceeds limit for rule: m",
        ],
    );
    let many: Vec<u64> = (0..10_001).collect();
    let list = json!({"type": "array", "maxItems": 20000, "default": many,
        "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "true"}]}});
    check_field(
        list,
        &[
            ".default[9990]: Invalid value: \"integer\": validation failed due to running out of cost budget, no further \
         validation rules will be run",
        ],
    );
}
