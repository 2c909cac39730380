mod every_list;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Patches a deployment's pod spec and shows it, or the error.
fn check(spec: Value, patch: Value, expected: Expect) {
    let type_id = schema().named("core.v1.PodSpec").unwrap();
    let (Value::Object(spec), Value::Object(patch)) = (spec, patch) else { panic!("both are objects") };
    let shown = match strategic(&spec, patch, type_id) {
        Ok(map) => Value::Object(map).to_string(),
        Err(error) => format!("{}: {error}", Status::from(error.clone()).code),
    };
    expected.assert_eq(&shown);
}

use crate::status::Status;

fn two() -> Value {
    json!({"containers": [{"name": "c", "image": "1", "command": ["a"]}, {"name": "d", "image": "2"}]})
}

#[test]
fn elements_merge_by_their_key_and_the_patchs_come_in_its_order() {
    check(
        two(),
        json!({"containers": [{"name": "d", "image": "9"}]}),
        expect![[r#"{"containers":[{"command":["a"],"image":"1","name":"c"},{"image":"9","name":"d"}]}"#]],
    );
    check(
        two(),
        json!({"containers": [{"name": "n", "image": "3"}, {"name": "c", "command": ["z"]}]}),
        expect![[
            r#"{"containers":[{"image":"3","name":"n"},{"command":["z"],"image":"1","name":"c"},{"image":"2","name":"d"}]}"#
        ]],
    );
    check(
        two(),
        json!({"containers": [{"name": "c", "image": "5"}, {"name": "c", "image": "6"}]}),
        expect![[r#"{"containers":[{"command":["a"],"image":"6","name":"c"},{"image":"2","name":"d"}]}"#]],
    );
}

#[test]
fn directives_delete_and_replace() {
    check(
        two(),
        json!({"containers": [{"name": "c", "$patch": "delete"}, {"name": "zz", "$patch": "delete"}]}),
        expect![[r#"{"containers":[{"image":"2","name":"d"}]}"#]],
    );
    check(
        two(),
        json!({"containers": [{"name": "n"}, {"$patch": "replace"}]}),
        expect![[r#"{"containers":[{"name":"n"}]}"#]],
    );
    check(
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"$patch": "replace", "b": "2"}}),
        expect![[r#"{"nodeSelector":{"b":"2"}}"#]],
    );
    check(
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"$patch": "delete"}}),
        expect![[r#"{"nodeSelector":{}}"#]],
    );
    check(json!({}), json!({"nodeSelector": {"$patch": "delete"}}), expect!["{}"]);
    check(
        json!({"nodeSelector": {"a": "1", "b": "2"}, "hostname": "h"}),
        json!({"nodeSelector": {"a": null, "zz": null}, "hostname": null}),
        expect![[r#"{"nodeSelector":{"b":"2"}}"#]],
    );
}

#[test]
fn lists_without_a_merge_strategy_are_replaced() {
    check(
        json!({"tolerations": [{"key": "a"}]}),
        json!({"tolerations": [{"key": "b"}]}),
        expect![[r#"{"tolerations":[{"key":"b"}]}"#]],
    );
}

#[test]
fn the_order_is_set_by_the_directive() {
    check(
        two(),
        json!({"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}], "containers": [{"name": "c", "image": "z"}]}),
        expect![[r#"{"containers":[{"image":"2","name":"d"},{"command":["a"],"image":"z","name":"c"}]}"#]],
    );
    check(
        json!({"containers": [{"name": "a"}, {"name": "server"}, {"name": "b"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
        expect![[r#"{"containers":[{"name":"server"},{"name":"b"},{"name":"a"}]}"#]],
    );
    check(
        two(),
        json!({"$setElementOrder/containers": [{"name": "d"}], "containers": [{"name": "c", "image": "z"}]}),
        expect![[r#"
            500: The order in patch list:
            [map[image:z name:c]]
             doesn't match $setElementOrder list:
            [map[name:d]]
        "#]],
    );
}

#[test]
fn retained_keys_are_all_that_stays() {
    let volumes = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
    check(
        volumes.clone(),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/z"}}]}),
        expect![[r#"{"volumes":[{"hostPath":{"path":"/z"},"name":"v"}]}"#]],
    );
    for keys in [json!(["name"]), json!("x")] {
        check(
            volumes.clone(),
            json!({"volumes": [{"name": "v", "$retainKeys": keys, "hostPath": {"path": "/z"}}]}),
            expect!["400: invalid patch format of retainKeys"],
        );
    }
}

#[test]
fn scalars_merge_as_sets() {
    let type_id = schema().named("meta.v1.ObjectMeta").unwrap();
    let metadata = json!({"finalizers": ["a/1", "a/2"]});
    let patched = |patch: Value| {
        let result = strategic(metadata.as_object().unwrap(), patch.as_object().unwrap().clone(), type_id);
        result.map(|map| map.get("finalizers").cloned().unwrap_or_default().to_string()).unwrap()
    };
    assert_eq!(patched(json!({"finalizers": ["a/3", "a/1"]})), r#"["a/3","a/1","a/2"]"#);
    assert_eq!(patched(json!({"$deleteFromPrimitiveList/finalizers": ["a/1", "a/9"]})), r#"["a/2"]"#);
    assert_eq!(patched(json!({"$setElementOrder/finalizers": ["a/2", "a/1"]})), r#"["a/2","a/1"]"#);
    assert_eq!(patched(json!({"$deleteFromPrimitiveList/finalizers": "x"})), r#"["a/1","a/2"]"#);
}

#[test]
fn mistakes_are_named_as_upstream_names_them() {
    for (patch, expected) in [
        (json!({"$patch": "foo"}), expect!["500: unknown patch type: foo in map: map[$patch:foo]"]),
        (json!({"$patch": 5}), expect!["500: unknown patch type: %!s(int64=5) in map: map[$patch:5]"]),
        (
            json!({"containers": [{"name": "c", "$patch": "foo"}]}),
            expect!["500: unknown patch type: foo in map: map[$patch:foo name:c]"],
        ),
        (
            json!({"containers": [{"image": "q"}]}),
            expect!["500: map: map[image:q] does not contain declared merge key: name"],
        ),
        (json!({"$setElementOrder/containers": "x"}), expect!["500: expected a []interface {}, but received a string"]),
        (
            json!({"$setElementOrder/containers": [{"image": "x"}]}),
            expect!["500: map: map[image:x] does not contain declared merge key: name"],
        ),
        (json!({"$setElementOrder": []}), expect!["400: invalid patch format of setElementOrder list"]),
        (json!({"$deleteFromPrimitiveList": []}), expect!["400: invalid patch format of primitive list"]),
        (
            json!({"containers": [1]}),
            expect![
                "500: list element types are not identical: [[map[command:[a] image:1 name:c] map[image:2 name:d]] [1]]"
            ],
        ),
        (json!({"containers": [[]]}), expect!["422: lists of lists are not supported"]),
    ] {
        check(two(), patch, expected);
    }
}

/// JSON of the words that mean something to a patch.
fn any_patch() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("containers"),
        Just("volumes"),
        Just("name"),
        Just("nodeSelector"),
        Just("$patch"),
        Just("$retainKeys"),
        Just("$setElementOrder/containers"),
        Just("$setElementOrder/volumes"),
        Just("$deleteFromPrimitiveList/containers"),
        Just("delete"),
        Just("replace"),
        Just("c"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3i64).prop_map(Value::from),
        word.clone().prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 60, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone().prop_map(String::from), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_patch_panics(original in any_patch(), patch in any_patch()) {
        let type_id = schema().named("core.v1.PodSpec").unwrap();
        if let (Value::Object(original), Value::Object(patch)) = (&original, patch) {
            let _ = strategic(original, patch, type_id);
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing(original in any_patch()) {
        let type_id = schema().named("core.v1.PodSpec").unwrap();
        if let Value::Object(original) = &original {
            prop_assert_eq!(&strategic(original, JsonMap::new(), type_id).unwrap(), original);
        }
    }
}
