use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::{Input, plan};
use crate::test_world::{World, in_words, object, settle};

fn service() -> Service {
    object(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "web"},
        "spec": {
            "clusterIP": "None", "selector": {"app": "web"}, "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    }))
}

fn pod(number: usize) -> Value {
    let ip = format!("10.0.{}.{}", number / 250, number % 250 + 1);
    json!({
        "metadata": {"name": format!("p{number:04}"), "namespace": "default", "uid": format!("u{number:04}")},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn world(pods: impl IntoIterator<Item = Value>) -> World {
    let node: Node = object(json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}}));
    let world = World::default().with(&service()).with(&node);
    pods.into_iter().fold(world, |world, pod| world.with(&object::<Pod>(pod)))
}

fn gather(world: &World) -> Input {
    let service = world.all::<Service>().into_iter().next();
    let (pods, nodes, slices) = (world.all::<Pod>(), world.all::<Node>(), world.all::<EndpointSlice>());
    Input { service, pods, nodes, slices, triggered: None }
}

fn sizes(world: &World) -> Vec<usize> {
    let mut sizes: Vec<usize> = world.all::<EndpointSlice>().iter().map(|slice| slice.endpoints.len()).collect();
    sizes.sort();
    sizes
}

fn check(pods: impl IntoIterator<Item = Value>, expected: &[usize]) -> World {
    let mut world = world(pods);
    settle(&mut world, |world| plan(&gather(world)));
    assert_eq!(sizes(&world), expected);
    world
}

fn expect_endpoint(pod: Value, expected: Expect) {
    let world = check([pod], &[1]);
    let endpoint = &world.all::<EndpointSlice>()[0].endpoints[0];
    expected.assert_eq(&serde_json::to_string(endpoint).unwrap());
}

#[test]
fn a_slice_holds_at_most_a_hundred_endpoints() {
    check((0..250).map(pod), &[50, 100, 100]);
}

#[test]
fn a_service_without_pods_has_one_empty_slice() {
    let world = check([], &[0]);
    let labels = world.all::<EndpointSlice>()[0].metadata.labels.clone().unwrap();
    assert_eq!(labels["kubernetes.io/service-name"], "web");
    assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    assert_eq!(labels["service.kubernetes.io/headless"], "");
}

#[test]
fn an_endpoint_says_what_can_be_expected_of_its_pod_and_where_it_is() {
    expect_endpoint(
        pod(1),
        expect![[
            r#"{"addresses":["10.0.0.2"],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"n1","targetRef":{"kind":"Pod","name":"p0001","namespace":"default","uid":"u0001"},"zone":"z1"}"#
        ]],
    );
}

#[test]
fn a_pod_that_is_being_deleted_serves_but_is_not_ready() {
    let mut leaving = pod(1);
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    expect_endpoint(
        leaving,
        expect![[
            r#"{"addresses":["10.0.0.2"],"conditions":{"ready":false,"serving":true,"terminating":true},"nodeName":"n1","targetRef":{"kind":"Pod","name":"p0001","namespace":"default","uid":"u0001"},"zone":"z1"}"#
        ]],
    );
}

#[test]
fn one_more_pod_changes_one_slice() {
    let world = check((0..150).map(pod), &[50, 100]).with(&object::<Pod>(pod(200)));
    assert_eq!(plan(&gather(&world)).actions.len(), 1);
}

#[test]
fn the_last_pod_that_goes_leaves_an_empty_slice_without_ports() {
    let world = check([pod(1)], &[1]);
    let words = in_words(&plan(&Input { pods: Vec::new(), ..gather(&world) }));
    expect![[r#"
        create EndpointSlice default/web-*
        delete EndpointSlice default/web-1"#]]
    .assert_eq(&words);
}

#[test]
fn a_write_says_what_time_it_is_for_and_the_time_alone_is_no_reason_to_write() {
    const KEY: &str = "endpoints.kubernetes.io/last-change-trigger-time";
    let at = |time: &str| Some(time.parse().unwrap());
    let mut world = world([pod(1)]);
    let written = |world: &World| world.all::<EndpointSlice>()[0].metadata.annotations.clone().unwrap_or_default();
    settle(&mut world, |world| plan(&Input { triggered: at("2026-01-01T00:00:00Z"), ..gather(world) }));
    assert_eq!(written(&world)[KEY], "2026-01-01T00:00:00Z");
    assert_eq!(plan(&Input { triggered: at("2026-01-01T00:00:07.5Z"), ..gather(&world) }).actions, []);
    let mut world = world.with(&object::<Pod>(pod(2)));
    settle(&mut world, |world| plan(&Input { triggered: at("2026-01-01T00:00:07.5Z"), ..gather(world) }));
    assert_eq!(written(&world)[KEY], "2026-01-01T00:00:07.5Z");
    let mut world = world.with(&object::<Pod>(pod(3)));
    settle(&mut world, |world| plan(&gather(world)));
    assert_eq!(written(&world).get(KEY), None);
}
