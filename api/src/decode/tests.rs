use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pod() -> Target<'static> {
    Target::built_in("", "v1", "Pod").unwrap()
}

/// Decodes a pod and shows the object and the warnings, or the error.
fn check(body: &str, expected: Expect) {
    let shown = match json(body.as_bytes(), &pod(), Strictness::Warn) {
        Ok(Decoded { value, warnings }) if warnings.is_empty() => value.to_string(),
        Ok(Decoded { value, warnings }) => format!("{value} {warnings:?}"),
        Err(status) => format!("{}: {}", status.code, status.message),
    };
    expected.assert_eq(&shown);
}

#[test]
fn an_object_comes_out_in_normal_form() {
    check(
        r#"{"metadata":{"name":"a","labels":{"x":null,"y":"\u00e9\ud83d\ude00"},"annotations":{},"creationTimestamp":null},
            "spec":{"nodeName":"","containers":[{"name":"c","resources":{"limits":{"cpu":"1000m","memory":1024}},"env":[],
            "ports":[{"containerPort":80}],"readinessProbe":{"httpGet":{"port":"http"}}}],"initContainers":[]}}"#,
        expect![[
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"x":"","y":"é😀"},"name":"a"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}],"readinessProbe":{"httpGet":{"port":"http"}},"resources":{"limits":{"cpu":"1","memory":"1024"}}}],"nodeName":""}}"#
        ]],
    );
    check(
        r#"{"metadata":{"name":"a","deletionTimestamp":"2026-11-24T01:00:00+01:00"}}"#,
        expect![[
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"deletionTimestamp":"2026-11-24T00:00:00Z","name":"a"}}"#
        ]],
    );
    check("null", expect![[r#"{"apiVersion":"v1","kind":"Pod"}"#]]);
    check(r#" {"kind":"","apiVersion":"v1"} "#, expect![[r#"{"apiVersion":"v1","kind":"Pod"}"#]]);
}

#[test]
fn unknown_and_duplicate_fields_are_dropped_and_named() {
    check(
        r#"{"metadata":{"name":"a","name":"b","labels":{"x":"1","x":"2"}},"spec":{"containers":[{"name":"c","foo":{"a":[1]}}],"Containers":[]},"foo":1}"#,
        expect![[
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"x":"2"},"name":"b"},"spec":{"containers":[{"name":"c"}]}} ["duplicate field \"metadata.name\"", "duplicate field \"metadata.labels.x\"", "unknown field \"spec.containers[0].foo\"", "unknown field \"spec.Containers\"", "unknown field \"foo\""]"#
        ]],
    );
    let body = br#"{"spec":{"foo":1,"containers":[]},"bar":2}"#;
    let error = json(body, &pod(), Strictness::Strict).unwrap_err();
    assert_eq!(
        error.message,
        r#"Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo", unknown field "bar""#
    );
    assert!(json(body, &pod(), Strictness::Ignore).unwrap().warnings.is_empty());
}

#[test]
fn a_wrong_type_is_named_with_its_field() {
    for (body, expected) in [
        (
            r#"{"metadata":"x"}"#,
            expect!["json: cannot unmarshal string into Go struct field Pod.metadata of type v1.ObjectMeta"],
        ),
        (
            r#"{"spec":{"containers":{}}}"#,
            expect![
                "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"
            ],
        ),
        (
            r#"{"spec":{"containers":["x"]}}"#,
            expect!["json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container"],
        ),
        (
            r#"{"spec":{"containers":[{"name":1}]}}"#,
            expect!["json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string"],
        ),
        (
            r#"{"spec":{"hostNetwork":"true"}}"#,
            expect!["json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"],
        ),
        (
            r#"{"spec":{"priority":1.5}}"#,
            expect!["json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32"],
        ),
        (
            r#"{"spec":{"priority":3000000000}}"#,
            expect![
                "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32"
            ],
        ),
        (
            r#"{"metadata":{"labels":{"a":true}}}"#,
            expect!["json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string"],
        ),
        (
            r#"{"spec":{"overhead":{"cpu":"x"}}}"#,
            expect!["quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
        ),
        (
            r#"{"spec":{"overhead":{"cpu":true}}}"#,
            expect!["quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
        ),
        (
            r#"{"metadata":{"creationTimestamp":"x"}}"#,
            expect![[r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#]],
        ),
        (
            r#"{"metadata":{"creationTimestamp":1}}"#,
            expect!["json: cannot unmarshal number into Go value of type string"],
        ),
    ] {
        let error = json(body.as_bytes(), &pod(), Strictness::Ignore).unwrap_err();
        assert_eq!(error.code, 400);
        expected.assert_eq(error.message.strip_prefix(r#"Pod in version "v1" cannot be handled as a Pod: "#).unwrap());
    }
    let secret = Target::built_in("", "v1", "Secret").unwrap();
    let error = json(br#"{"data":{"a":"not base64"}}"#, &secret, Strictness::Ignore).unwrap_err();
    assert!(error.message.ends_with("illegal base64 data at input byte 3"), "{}", error.message);
}

#[test]
fn malformed_json_is_refused_with_the_beginning_of_the_body() {
    check(
        "{",
        expect![
            "400: the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input ({)"
        ],
    );
    check(
        "",
        expect![
            "400: the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"
        ],
    );
    for (body, error) in [
        ("{a", "invalid character 'a' looking for beginning of object key string"),
        (r#"{"a""#, "unexpected end of JSON input"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":}"#, "invalid character '}' looking for beginning of value"),
        (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
        (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
        (r#"{"a":[1 2]}"#, "invalid character '2' after array element"),
        (r#"{"a":[1,]}"#, "invalid character ']' looking for beginning of value"),
        (r#"{"a":01}"#, "invalid character '1' after object key:value pair"),
        (r#"{"a":1.}"#, "invalid character '}' after decimal point in numeric literal"),
        (r#"{"a":1e}"#, "invalid character '}' in exponent of numeric literal"),
        (r#"{"a":-}"#, "invalid character '}' in numeric literal"),
        (r#"{"a":tru}"#, "invalid character '}' in literal true (expecting 'e')"),
        ("{\"a\":\"\n\"}", r"invalid character '\n' in string literal"),
        (r#"{"a":"\x"}"#, "invalid character 'x' in string escape code"),
        (r#"{"a":"\u12x4"}"#, r"invalid character 'x' in \u hexadecimal character escape"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("'", r"invalid character '\'' looking for beginning of value"),
    ] {
        let message = json(body.as_bytes(), &pod(), Strictness::Ignore).unwrap_err().message;
        assert!(message.contains(&format!("json parse error: {error} (")), "{body}: {message}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"foo":{deep}}}"#);
    assert!(json(body.as_bytes(), &pod(), Strictness::Ignore).unwrap_err().message.contains("exceeded max depth"));
}

#[test]
fn another_kind_or_version_is_refused() {
    check(
        r#"{"kind":"Foo","apiVersion":"v1"}"#,
        expect![[
            r#"400: Foo in version "v1" cannot be handled as a Pod: no kind "Foo" is registered for version "v1" in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30""#
        ]],
    );
    check(
        r#"{"apiVersion":"foo/v9"}"#,
        expect![[
            r#"400: Pod in version "v9" cannot be handled as a Pod: no kind "Pod" is registered for version "foo/v9" in scheme "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30""#
        ]],
    );
    check(
        r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":1}}"#,
        expect![[
            r#"400: Deployment in version "v1" cannot be handled as a Pod: converting (v1.Deployment) to (core.Pod): unknown conversion"#
        ]],
    );
}

#[test]
fn a_custom_resource_keeps_what_only_its_own_schema_knows() {
    let target = Target::custom("example.com", "v1", "Widget");
    let body = br#"{"metadata":{"name":"a","foo":1},"spec":{"x":null,"y":[{}]}}"#;
    let decoded = json(body, &target, Strictness::Warn).unwrap();
    assert_eq!(
        decoded.value,
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"x": null, "y": [{}]}})
    );
    assert_eq!(decoded.warnings, [r#"unknown field "metadata.foo""#]);
}

proptest! {
    #[test]
    fn no_body_makes_the_decoder_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json(&body, &pod(), Strictness::Warn);
    }

    #[test]
    fn nothing_that_looks_like_json_makes_the_decoder_panic(
        body in r#"(\{"(spec|metadata|containers|name|labels)":|\[|\]|\}|,|"[a-z\\]{0,3}"|-?[0-9.e]{1,4}|null|true|:){0,20}"#
    ) {
        let _ = json(body.as_bytes(), &pod(), Strictness::Warn);
    }

    #[test]
    fn a_decoded_object_decodes_to_itself(name in "\\PC{0,10}", number in any::<i32>(), flag in any::<bool>()) {
        let body = serde_json::json!({"metadata": {"name": name}, "spec": {"priority": number, "hostNetwork": flag}});
        let decoded = |body: &Value| json(body.to_string().as_bytes(), &pod(), Strictness::Strict).unwrap().value;
        let once = decoded(&body);
        prop_assert_eq!(&decoded(&once), &once);
        prop_assert_eq!(&once["metadata"], &body["metadata"]);
    }
}
