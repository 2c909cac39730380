use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::decode::{self, Strictness, Target};

/// A field with a run of bytes.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(number < 16 && content.len() < 128, "one byte each is enough for these tests");
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = message(&[bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())]);
    [&PREFIX[..], &bytes(1, &type_meta), &bytes(2, raw), &bytes(3, b""), &bytes(4, b"")].concat()
}

fn decoded(group: &str, version: &str, kind: &str, raw: &[u8]) -> Value {
    let target = Target::built_in(group, version, kind).unwrap();
    let body = body(&crate::object::api_version(group, version), kind, raw);
    decode::protobuf(&body, &target, Strictness::Warn).unwrap().value
}

#[test]
fn a_pod_comes_out_as_its_json() {
    let quantity = bytes(1, b"100m");
    let limits = message(&[bytes(1, b"cpu"), bytes(2, &quantity)]);
    let port = message(&[bytes(1, b""), varint(2, 0), vec![3 << 3, 0x90, 0x3f], bytes(4, b"TCP"), bytes(5, b"")]);
    let http_get = message(&[bytes(1, b"/"), bytes(2, &message(&[varint(1, 1), varint(2, 0), bytes(3, b"web")]))]);
    let container = message(&[
        bytes(1, b"c"),
        bytes(2, b"busybox"),
        bytes(6, &port),
        bytes(8, &bytes(1, &limits)),
        bytes(10, &bytes(1, &bytes(2, &http_get))),
        bytes(5, b""),
    ]);
    let volume = message(&[bytes(1, b"v"), bytes(2, &bytes(2, b""))]);
    let spec = message(&[bytes(1, &volume), bytes(2, &container), varint(4, 0), varint(11, 0)]);
    let label = message(&[bytes(1, b"a"), bytes(2, b"b")]);
    let metadata = message(&[bytes(1, b"p"), bytes(2, b""), bytes(8, b""), bytes(11, &label)]);
    // The spec is longer than the helper's 127 bytes.
    let length = spec.len();
    let spec = [&[2 << 3 | 2, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8][..], &spec].concat();
    let raw = [bytes(1, &metadata), spec, bytes(3, b"")].concat();
    let mut map = to_json(&raw, schema().kind("", "v1", "Pod").unwrap()).unwrap();
    map.retain(|name, _| name != "status");
    assert_eq!(
        Value::Object(map),
        json!({
            "metadata": {"name": "p", "labels": {"a": "b"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{
                    "name": "c", "image": "busybox", "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "100m"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": "web"}},
                }],
            },
        })
    );
}

#[test]
fn values_with_a_form_of_their_own_are_turned() {
    let time = message(&[vec![1 << 3, 0x80, 0xf2, 0xd6, 0xca, 0x06], varint(2, 5)]);
    let micro = message(&[vec![1 << 3, 0x80, 0xf2, 0xd6, 0xca, 0x06], vec![2 << 3, 0xc0, 0x84, 0x3d]]);
    let lease = message(&[bytes(1, &bytes(8, &time)), bytes(2, &message(&[bytes(1, b"me"), bytes(4, &micro)]))]);
    assert_eq!(
        decoded("coordination.k8s.io", "v1", "Lease", &lease),
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
               "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
               "spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.001000Z"}})
    );
    let secret = message(&[bytes(2, &message(&[bytes(1, b"k"), bytes(2, b"\x00\xff")])), bytes(3, b"Opaque")]);
    assert_eq!(decoded("", "v1", "Secret", &secret)["data"]["k"], "AP8=");
    let extra = message(&[bytes(1, b"x"), bytes(2, &message(&[bytes(1, b"1"), bytes(1, b"2")]))]);
    let review = bytes(2, &message(&[bytes(3, b"joe"), bytes(5, &extra)]));
    let review = decoded("authorization.k8s.io", "v1", "SubjectAccessReview", &review);
    assert_eq!(review["spec"], json!({"user": "joe", "extra": {"x": ["1", "2"]}}));
    let negative = message(&[vec![1 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]]);
    assert_eq!(decoded("", "v1", "DeleteOptions", &negative)["gracePeriodSeconds"], -1);
    let groups = message(&[[&[4 << 3 | 2, 2][..], &[5, 6]].concat(), varint(4, 7)]);
    let pod = decoded("", "v1", "Pod", &bytes(2, &bytes(14, &groups)));
    assert_eq!(pod["spec"]["securityContext"]["supplementalGroups"], json!([5, 6, 7]));
}

#[test]
fn what_is_no_message_gets_a_400_that_says_why() {
    let target = Target::built_in("", "v1", "ConfigMap").unwrap();
    let refusal = |body: &[u8]| {
        let status = decode::protobuf(body, &target, Strictness::Warn).unwrap_err();
        assert_eq!(status.code, 400);
        status.message
    };
    assert_eq!(
        refusal(b"{}"),
        "the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a \
         protobuf message, expected prefix [107 56 115 0] ({})"
    );
    assert_eq!(refusal(b""), "the object provided is unrecognized (must be of type ConfigMap): empty data (<empty>)");
    assert_eq!(
        refusal(&body("v1", "ConfigMap", &[0x0a, 0x7f])),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: unexpected EOF"
    );
    assert_eq!(
        refusal(&body("v1", "ConfigMap", &varint(2, 1))),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: proto: wrong wireType = 0 for field Data"
    );
    assert_eq!(
        refusal(&body("v1", "Secret", b"")),
        "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown \
         conversion"
    );
}

#[test]
fn nesting_and_size_have_budgets() {
    let props = schema().named("apiextensions.v1.JSONSchemaProps").unwrap();
    let not = schema().get(props).field("not").unwrap().tags[0];
    let mut nested = Vec::new();
    for _ in 0..200 {
        let mut length = Vec::new();
        let mut rest = nested.len();
        while rest >= 0x80 {
            length.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        length.push(rest as u8);
        nested = [&[(not << 3) | 2 | 0x80, not >> 4][..], &length, &nested].concat();
    }
    assert_eq!(to_json(&nested, props).unwrap_err(), "exceeded max depth");
    let pod_list = schema().named("core.v1.PodSpec").unwrap();
    let many = bytes(2, b"").repeat(300_000);
    assert!(to_json(&many, pod_list).unwrap_err().contains("more than 250000 values"));
}

#[test]
fn every_tag_of_the_table_leads_to_its_field() {
    for (_, one) in schema().types() {
        for field in one.fields.iter().filter(|field| field.tags[0] != 0) {
            let way: Vec<u8> = field.tags.iter().copied().take_while(|tag| *tag != 0).collect();
            let Meaning::Field(found) = meaning(one, &way) else { panic!("{}.{} is not found", one.name, field.name) };
            assert_eq!(found.name, field.name, "{} has two fields {way:?}", one.name);
            for end in 1..way.len() {
                assert!(matches!(meaning(one, &way[..end]), Meaning::Inlined), "{}.{}", one.name, field.name);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..2000) {
        let types = schema().types().count();
        let (type_id, _) = schema().types().nth(kind % types).unwrap();
        let _ = to_json(&raw, type_id);
        let _ = envelope(&raw);
        let _ = envelope(&[&PREFIX[..], &raw].concat());
    }

    #[test]
    fn no_well_formed_message_panics(fields in prop::collection::vec((1u8..16, 0u8..4, prop::collection::vec(any::<u8>(), 0..20)), 0..20)) {
        let raw: Vec<u8> = fields
            .iter()
            .flat_map(|(number, form, content)| match form {
                0 => varint(*number, content.first().copied().unwrap_or_default() & 0x7f),
                _ => bytes(*number, content),
            })
            .collect();
        for name in ["core.v1.PodSpec", "meta.v1.ObjectMeta", "apiextensions.v1.JSONSchemaProps", "core.v1.Container"] {
            let _ = to_json(&raw, schema().named(name).unwrap());
        }
    }
}
