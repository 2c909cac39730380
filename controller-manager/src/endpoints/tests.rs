use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use serde_json::{Value, json};

use super::{Input, plan};
use crate::service_pods::selects;
use crate::test_world::{World, object, settle};

fn service() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "default", "labels": {"tier": "front"}},
        "spec": {
            "clusterIP": "10.96.0.7", "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}],
        },
    })
}

fn pod(name: &str, ip: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [
            {"name": "c", "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn world(service: Value, pods: impl IntoIterator<Item = Value>) -> World {
    let world = World::default().with(&object::<Service>(service));
    pods.into_iter().fold(world, |world, pod| world.with(&object::<Pod>(pod)))
}

fn gather(world: &World) -> Input {
    let service = world.all::<Service>().into_iter().next();
    let mut pods = world.all::<Pod>();
    pods.retain(|pod| service.as_ref().is_some_and(|service| selects(service, pod)));
    Input { service, pods, endpoints: world.all::<Endpoints>().into_iter().next(), triggered: None }
}

/// Expects each subset as `ready addresses | not ready ones -> ports`.
fn check(service: Value, pods: impl IntoIterator<Item = Value>, expected: Expect) -> Endpoints {
    let mut world = world(service, pods);
    settle(&mut world, |world| plan(&gather(world)));
    let endpoints = world.all::<Endpoints>()[0].as_ref().clone();
    let subsets = endpoints.subsets.clone().unwrap_or_default().into_iter().map(|subset| {
        let ips = |list: Option<Vec<k8s_openapi::api::core::v1::EndpointAddress>>| {
            list.into_iter().flatten().map(|address| address.ip).collect::<Vec<_>>().join(" ")
        };
        let ports = subset.ports.into_iter().flatten();
        let ports: Vec<String> = ports.map(|port| format!("{}={}", port.name.unwrap_or_default(), port.port)).collect();
        format!("{} | {} -> {}", ips(subset.addresses), ips(subset.not_ready_addresses), ports.join(" "))
    });
    expected.assert_eq(&subsets.collect::<Vec<_>>().join("\n"));
    endpoints
}

#[test]
fn ready_and_not_ready_pods_stand_apart_and_named_ports_are_looked_up() {
    let endpoints = check(
        service(),
        [pod("b", "10.0.0.2", "True"), pod("a", "10.0.0.1", "True"), pod("c", "10.0.0.3", "False")],
        expect!["10.0.0.1 10.0.0.2 | 10.0.0.3 -> http=8080"],
    );
    let labels = endpoints.metadata.labels.unwrap();
    assert_eq!(labels["endpoints.kubernetes.io/managed-by"], "endpoint-controller");
    assert_eq!(labels["tier"], "front");
}

#[test]
fn finished_and_terminating_pods_and_those_without_an_address_are_left_out() {
    let mut finished = pod("a", "10.0.0.1", "False");
    finished["status"]["phase"] = "Succeeded".into();
    let mut terminating = pod("b", "10.0.0.2", "True");
    terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut young = pod("c", "", "False");
    young["status"] = json!({"phase": "Pending"});
    check(service(), [finished, terminating, young], expect![""]);
}

#[test]
fn a_headless_service_is_labelled_and_may_publish_pods_that_are_not_ready() {
    let mut headless = service();
    headless["spec"]["clusterIP"] = "None".into();
    headless["spec"]["publishNotReadyAddresses"] = true.into();
    let endpoints = check(headless, [pod("a", "10.0.0.1", "False")], expect!["10.0.0.1 |  -> http=8080"]);
    assert_eq!(endpoints.metadata.labels.unwrap()["service.kubernetes.io/headless"], "");
}

#[test]
fn pods_that_mean_different_ports_by_one_name_are_in_different_subsets() {
    let mut other = pod("b", "10.0.0.2", "True");
    other["spec"]["containers"][0]["ports"][0]["containerPort"] = 9090.into();
    check(
        service(),
        [pod("a", "10.0.0.1", "True"), other],
        expect![[r#"
            10.0.0.1 |  -> http=8080
            10.0.0.2 |  -> http=9090"#]],
    );
}

#[test]
fn endpoints_go_with_their_service_unless_somebody_else_wrote_them() {
    let mut world = world(service(), []);
    settle(&mut world, |world| plan(&gather(world)));
    let input = Input { service: None, ..gather(&world) };
    assert_eq!(plan(&input).actions[0].to_string(), "delete Endpoints default/web");
    let theirs = object::<Endpoints>(json!({"metadata": {"name": "web", "namespace": "default"}}));
    assert_eq!(
        plan(&Input { service: None, pods: Vec::new(), endpoints: Some(theirs.into()), triggered: None }).actions,
        []
    );
}

#[test]
fn a_write_says_what_time_it_is_for_and_the_time_alone_is_no_reason_to_write() {
    const KEY: &str = "endpoints.kubernetes.io/last-change-trigger-time";
    let at = |time: &str| Some(time.parse().unwrap());
    let mut world = world(service(), [pod("a", "10.0.0.1", "True")]);
    let written = |world: &World| world.all::<Endpoints>()[0].metadata.annotations.clone().unwrap_or_default();
    settle(&mut world, |world| plan(&Input { triggered: at("2026-01-01T00:00:00Z"), ..gather(world) }));
    assert_eq!(written(&world)[KEY], "2026-01-01T00:00:00Z");
    assert_eq!(plan(&Input { triggered: at("2026-01-01T00:00:07.5Z"), ..gather(&world) }).actions, []);
    let mut world = world.with(&object::<Pod>(pod("b", "10.0.0.2", "True")));
    settle(&mut world, |world| plan(&Input { triggered: at("2026-01-01T00:00:07.5Z"), ..gather(world) }));
    assert_eq!(written(&world)[KEY], "2026-01-01T00:00:07.5Z");
    let mut world = world.with(&object::<Pod>(pod("c", "10.0.0.3", "True")));
    settle(&mut world, |world| plan(&gather(world)));
    assert_eq!(written(&world).get(KEY), None);
}
