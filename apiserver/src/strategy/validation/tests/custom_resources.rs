//! Definitions of custom resources: what stands in a version beside its schema, and what is said of all versions.

mod defaults;
mod expressions;
mod schemas;

use serde_json::{Value, json};

use super::{check, check_update};

const KIND: &str = "CustomResourceDefinition";
const ROOT: &str = "spec.validation.openAPIV3Schema";

/// The part of a definition that replaces its only version's schema.
fn with_schema(schema: Value) -> Value {
    let mut part = version(json!({}));
    part["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema;
    part
}

/// The part of a definition that has only one version, made of a valid one and what is given.
fn version(part: Value) -> Value {
    let mut version = json!({"name": "v1", "served": true, "storage": true,
                             "schema": {"openAPIV3Schema": {"type": "object"}}});
    json_patch::merge(&mut version, &part);
    json!({"spec": {"versions": [version]}})
}

/// A definition whose root has a field `a` of this schema is refused with these causes, which begin at the field.
#[track_caller]
fn check_field(field: Value, causes: &[&str]) {
    let whole = with_schema(json!({"type": "object", "properties": {"a": field}}));
    let causes: Vec<String> = causes.iter().map(|cause| format!("{ROOT}.properties[a]{cause}")).collect();
    check(KIND, whole, &causes.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_definition_of_an_operator_is_taken() {
    let operator: Value = serde_saphyr::from_str(include_str!("operator.yaml")).unwrap();
    check(KIND, operator.clone(), &[]);
    check_update(KIND, operator, json!({"metadata": {"labels": {"a": "b"}}}), &[]);
}

#[test]
fn versions_that_differ_have_their_mistakes_to_themselves() {
    let versions = |first: Value, second: Value| {
        json!({"spec": {"versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": first}},
            {"name": "v2", "served": true, "storage": false, "schema": {"openAPIV3Schema": second}},
        ]}})
    };
    let bad = json!({"type": "object", "properties": {"a": {}}});
    check(
        KIND,
        versions(json!({"type": "object"}), bad.clone()),
        &["spec.versions[1].schema.openAPIV3Schema.properties[a].type: Required value: must not be empty for \
             specified object fields"],
    );
    check(
        KIND,
        versions(bad.clone(), bad),
        &[
            "spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object \
           fields",
        ],
    );
}

#[test]
fn a_stored_version_stays_and_a_warning_is_of_a_deprecated_version() {
    let two = json!({"spec": {"versions": [
        {"name": "v2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    check_update(
        KIND,
        json!({}),
        two,
        &[
            "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2",
            "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage \
             version, and must remain in spec.versions until a storage migration ensures no data remains persisted in \
             v1 and removes v1 from status.storedVersions",
        ],
    );
    let warning = |deprecated: bool, text: &str| version(json!({"deprecated": deprecated, "deprecationWarning": text}));
    let path = "spec.versions[0].deprecationWarning: Invalid value";
    check(KIND, warning(true, "old \u{e9}\u{301}\"s"), &[]);
    check(KIND, warning(false, "x"), &[&format!("{path}: \"x\": can only be set for deprecated versions")]);
    check(KIND, warning(true, ""), &[&format!("{path}: \"\": must not be an empty string")]);
    let long = "x".repeat(257);
    check(KIND, warning(true, &long), &[&format!("{path}: \"{long}\": must be <= 256 characters long")]);
    check(
        KIND,
        warning(true, "a\u{1}"),
        &[&format!(
            "{path}: \"a\\u{{1}}\": must only contain printable UTF-8 characters; non-printable character found at index 1"
        )],
    );
}

#[test]
fn a_kind_in_a_group_of_the_community_says_who_approved_it() {
    let of = |approval: Value| {
        json!({"metadata": {"name": "foos.a.k8s.io", "annotations": {"api-approved.kubernetes.io": approval}},
               "spec": {"group": "a.k8s.io"}})
    };
    let path = "metadata.annotations[api-approved.kubernetes.io]";
    check(KIND, of(json!("https://a.example/pull/1")), &[]);
    check(KIND, of(json!("unapproved, an experiment")), &[]);
    check(
        KIND,
        of(Value::Null),
        &[&format!(
            "{path}: Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
             https://github.com/kubernetes/enhancements/pull/1111"
        )],
    );
    check(
        KIND,
        of(json!("yes")),
        &[&format!(
            "{path}: Invalid value: \"yes\": protected groups must have approval annotation \
             \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see \
             https://github.com/kubernetes/enhancements/pull/1111"
        )],
    );
}

#[test]
fn columns_have_a_name_a_type_and_a_path() {
    let columns = |columns: Value| version(json!({"additionalPrinterColumns": columns}));
    check(
        KIND,
        columns(json!([{}, {"name": "A", "type": "array", "format": "ipv4", "jsonPath": "{.spec}"}])),
        &[
            "spec.additionalPrinterColumns[0].name: Required value",
            "spec.additionalPrinterColumns[0].type: Required value: must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].JSONPath: Required value",
            "spec.additionalPrinterColumns[1].type: Invalid value: \"array\": must be one of \
             boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[1].format: Invalid value: \"ipv4\": must be one of \
             byte,date,date-time,double,float,int32,int64,password",
            "spec.additionalPrinterColumns[1].JSONPath: Invalid value: \"{.spec}\": must be a simple json path starting \
             with .",
        ],
    );
}

#[test]
fn objects_are_selected_by_a_few_scalar_fields() {
    let with = |fields: &[&str], properties: Value| {
        let fields: Vec<Value> = fields.iter().map(|path| json!({"jsonPath": path})).collect();
        let schema = json!({"type": "object", "properties": {"metadata": {"type": "object"}, "spec": {
            "type": "object", "properties": properties}}});
        version(json!({"selectableFields": fields, "schema": {"openAPIV3Schema": schema}}))
    };
    let few = json!({"a": {"type": "string"}, "b": {"type": "boolean"}, "c": {"type": "integer"},
                     "d": {"type": "object", "properties": {"e": {"type": "number"}}},
                     "l": {"type": "array", "items": {"type": "string"}}});
    check(KIND, with(&[".spec.a", ".spec.b", ".spec.c"], few.clone()), &[]);
    let at = |index: usize| format!("spec.selectableFields[{index}].jsonPath");
    let scalar = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats \
                  are allowed.";
    check(
        KIND,
        with(&["", "spec.a", ".spec.x", ".spec['a']", ".metadata", ".spec.d.e", ".spec.a", ".spec.a"], few),
        &[
            &format!("{}: Required value", at(0)),
            &format!("{}: Invalid value: \"spec.a\": is an invalid path: expected [ or . but got: spec", at(1)),
            &format!("{}: Invalid value: \".spec.x\": is an invalid path: does not refer to a valid field", at(2)),
            &format!("{}: Invalid value: \".spec['a']\": is an invalid path: array notation is not allowed", at(3)),
            &format!("{}: Invalid value: \".metadata\": must not point to fields in metadata", at(4)),
            &format!("{}: Invalid value: \".metadata\": {scalar}", at(4)),
            &format!("{}: Invalid value: \".spec.d.e\": {scalar}", at(5)),
            &format!("{}: Duplicate value: \".spec.a\"", at(7)),
        ],
    );
    let many: Vec<String> = (0..9).map(|number| format!("f{number}")).collect();
    let properties: Value = many.iter().map(|name| (name.clone(), json!({"type": "string"}))).collect();
    let paths: Vec<String> = many.iter().map(|name| format!(".spec.{name}")).collect();
    check(
        KIND,
        with(&paths.iter().map(String::as_str).collect::<Vec<_>>(), properties),
        &["spec.selectableFields: Too many: 9: must have at most 8 items"],
    );
}

#[test]
fn a_scale_is_found_in_spec_and_status() {
    let scale = |scale: Value| version(json!({"subresources": {"scale": scale}}));
    check(
        KIND,
        scale(json!({})),
        &[
            "spec.subresources.scale.specReplicasPath: Required value",
            "spec.subresources.scale.statusReplicasPath: Required value",
        ],
    );
    check(
        KIND,
        scale(json!({"specReplicasPath": ".status.a", "statusReplicasPath": "status.a", "labelSelectorPath": ".x"})),
        &[
            "spec.subresources.scale.specReplicasPath: Invalid value: \".status.a\": should be a json path under .spec",
            "spec.subresources.scale.statusReplicasPath: Invalid value: \"status.a\": must be a simple json path starting \
             with .",
            "spec.subresources.scale.labelSelectorPath: Invalid value: \".x\": should be a json path under either .spec \
             or .status",
        ],
    );
}

#[test]
fn only_a_webhook_is_told_how_it_is_called() {
    let conversion = |conversion: Value| json!({"spec": {"conversion": conversion}});
    check(
        KIND,
        conversion(json!({"strategy": "Webhook"})),
        &[
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
            "spec.conversion.conversionReviewVersions: Required value",
        ],
    );
    check(
        KIND,
        conversion(json!({"strategy": "Webhook", "webhook": {
            "clientConfig": {}, "conversionReviewVersions": ["v2", "v2", "-"]}})),
        &[
            "spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required",
            "spec.conversion.conversionReviewVersions[1]: Invalid value: \"v2\": duplicate version",
            "spec.conversion.conversionReviewVersions[2]: Invalid value: \"-\": a DNS-1035 label must consist of lower \
             case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric \
             character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "spec.conversion.conversionReviewVersions: Invalid value: [\"v2\",\"v2\",\"-\"]: must include at least one \
             of v1, v1beta1",
        ],
    );
    check(
        KIND,
        conversion(json!({"strategy": "None", "webhook": {
            "clientConfig": {"url": "https://a"}, "conversionReviewVersions": ["v1"]}})),
        &[
            "spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
            "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
        ],
    );
}

#[test]
fn the_certificates_of_a_conversion_webhook_are_read_once_the_kind_is_served() {
    let part = |bundle: &str, established: bool| {
        let config = json!({"url": "https://a", "caBundle": bundle});
        let conditions = json!([{"type": "Established", "status": if established { "True" } else { "False" }}]);
        json!({
            "spec": {"conversion": {"strategy": "Webhook",
                                    "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]}}},
            "status": {"conditions": conditions},
        })
    };
    let pem = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let good = pem(&format!("# ours\n{}", certificate.pem()));
    let bad = pem("x");
    let row = super::row(KIND);
    let errors_of = |current: Value, object: Value| {
        let made = |part: Value| {
            let mut object = super::made(&row, &part);
            object["status"]["conditions"] = part["status"]["conditions"].clone();
            object
        };
        let (current, object) = (made(current), made(object));
        super::texts(row.strategy.validate_update(&api::field::Field::root(&object), &current))
    };
    let refusal = |bundle: &str, why: &str| {
        vec![format!(
            "spec.conversion.webhookClientConfig.caBundle: Invalid value: \"{bundle}\": unable to load root \
             certificates: {why}"
        )]
    };
    check(KIND, part(&bad, false), &[]);
    assert_eq!(errors_of(part(&good, true), part(&good, true)), Vec::<String>::new());
    assert_eq!(errors_of(part(&good, false), part(&bad, false)), Vec::<String>::new());
    assert_eq!(errors_of(part(&bad, true), part(&bad, true)), Vec::<String>::new());
    let no_block = "unable to parse bytes as PEM block";
    assert_eq!(errors_of(part(&good, true), part(&bad, true)), refusal(&bad, no_block));
    assert_eq!(errors_of(part("", true), part(&bad, true)), refusal(&bad, no_block));
    let no_certificate = pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_eq!(
        errors_of(part("", true), part(&no_certificate, true)),
        refusal(&no_certificate, "failed to parse certificate: x509: malformed certificate")
    );
    let no_certificate = pem(&key.serialize_pem());
    assert_eq!(
        errors_of(part("", true), part(&no_certificate, true)),
        refusal(&no_certificate, "no valid certificate authority data seen")
    );
}
