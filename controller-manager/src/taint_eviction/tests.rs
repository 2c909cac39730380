use std::time::Duration;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Pod, Taint};
use serde_json::{Value, json};

use super::{Input, plan};
use crate::actions::Plan;
use crate::test_world::{World, in_words, now, object, settle};

fn check(tolerations: Value, tainted_for_s: u64, expected: Expect) {
    let pod: Pod = object(json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"nodeName": "n1", "containers": [], "tolerations": tolerations},
    }));
    let taint: Taint = object(json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}));
    let input = Input { pod: pod.into(), taints: vec![taint], tainted_for: Duration::from_secs(tainted_for_s) };
    expected.assert_eq(&in_words(&plan(&input, now())));
}

#[test]
fn a_pod_that_does_not_tolerate_the_taint_goes_at_once() {
    check(
        json!([]),
        0,
        expect![[r#"
            patch Pod default/p/status
            event Normal TaintManagerEviction on Pod default/p: Marking for deletion Pod default/p
            delete Pod default/p"#]],
    );
}

#[test]
fn a_pod_that_tolerates_it_for_a_time_goes_when_that_is_over() {
    let unreachable = "node.kubernetes.io/unreachable";
    let toleration =
        json!([{"key": unreachable, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]);
    check(toleration.clone(), 100, expect!["look again in 200s"]);
    check(
        toleration,
        300,
        expect![[r#"
            patch Pod default/p/status
            event Normal TaintManagerEviction on Pod default/p: Marking for deletion Pod default/p
            delete Pod default/p"#]],
    );
}

#[test]
fn a_pod_that_tolerates_everything_stays() {
    check(json!([{"operator": "Exists"}]), 1000, expect![""]);
}

#[test]
fn a_pod_is_evicted_once_even_when_a_finalizer_holds_it() {
    let pod: Pod = object(json!({
        "metadata": {"name": "p", "namespace": "default", "finalizers": ["example.com/held"]},
        "spec": {"nodeName": "n1", "containers": []},
    }));
    let taint: Taint = object(json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}));
    let mut world = World::default().with(&pod);
    let rounds = settle(&mut world, |world| match world.all::<Pod>().pop() {
        Some(pod) => plan(&Input { pod, taints: vec![taint.clone()], tainted_for: Duration::ZERO }, now()),
        None => Plan::nothing(),
    });
    assert_eq!((rounds, world.all::<Pod>().len()), (1, 1));
}
