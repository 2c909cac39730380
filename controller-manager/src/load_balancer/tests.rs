use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Node, Service};
use serde_json::{Value, json};

use super::{Input, current, plan};
use crate::test_world::{World, in_words, object, settle};

fn service(name: &str, minute: u8, port: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default",
            "creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z")},
        "spec": {"type": "LoadBalancer", "ports": [{"port": port, "protocol": "TCP"}]},
    })
}

fn node(name: &str, address: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": name, "annotations": {"skiff.dev/listening-ports": "8443, 9100"}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        },
    })
}

/// Expects each Service's address, and the Events about those that have none.
fn check(services: impl IntoIterator<Item = Value>, nodes: impl IntoIterator<Item = Value>, expected: Expect) {
    let world = services.into_iter().fold(World::default(), |world, it| world.with(&object::<Service>(it)));
    let mut world = nodes.into_iter().fold(world, |world, it| world.with(&object::<Node>(it)));
    let gather = |world: &World| Input { services: world.all(), nodes: world.all() };
    settle(&mut world, |world| plan(&gather(world)));
    let mut lines: Vec<String> = world
        .all::<Service>()
        .iter()
        .map(|service| {
            let address = current(service).first().and_then(|it| it.ip.clone());
            format!("{}: {}", service.metadata.name.clone().unwrap(), address.unwrap_or("none".into()))
        })
        .collect();
    lines.extend(Some(in_words(&plan(&gather(&world)))).filter(|words| !words.is_empty()));
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn the_oldest_of_two_services_has_the_port() {
    check(
        [service("old", 1, 80), service("young", 2, 80), service("other", 3, 81)],
        [node("n1", "192.0.2.1", "True")],
        expect![[r#"
            old: 192.0.2.1
            other: 192.0.2.1
            young: none
            event Warning SyncLoadBalancerFailed on Service default/young: Error syncing load balancer: failed to ensure load balancer: port 80/TCP of 192.0.2.1 belongs to Service default/old, which is older"#]],
    );
}

#[test]
fn a_second_node_takes_what_the_first_has_no_room_for() {
    check(
        [service("old", 1, 80), service("young", 2, 80)],
        [node("n1", "192.0.2.1", "True"), node("n2", "192.0.2.2", "True"), node("n0", "192.0.2.9", "False")],
        expect![[r#"
            old: 192.0.2.1
            young: 192.0.2.2"#]],
    );
}

#[test]
fn ports_that_a_node_listens_on_itself_are_refused() {
    check(
        [service("ssh", 1, 22), service("exporter", 2, 9100)],
        [node("n1", "192.0.2.1", "True")],
        expect![[r#"
            exporter: none
            ssh: none
            event Warning SyncLoadBalancerFailed on Service default/ssh: Error syncing load balancer: failed to ensure load balancer: port 22/TCP of 192.0.2.1 is reserved for ssh
            event Warning SyncLoadBalancerFailed on Service default/exporter: Error syncing load balancer: failed to ensure load balancer: node n1 itself listens on port 9100/TCP of 192.0.2.1"#]],
    );
}

#[test]
fn a_service_keeps_its_address_while_its_node_is_ready_and_loses_it_with_its_type() {
    let at = |mut service: Value, address: &str| {
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}});
        service
    };
    let mut plain = at(service("plain", 1, 80), "192.0.2.2");
    plain["spec"]["type"] = "ClusterIP".into();
    check(
        [at(service("stays", 2, 80), "192.0.2.2"), at(service("moves", 3, 81), "192.0.2.9"), plain],
        [node("n1", "192.0.2.1", "True"), node("n2", "192.0.2.2", "True"), node("n9", "192.0.2.9", "False")],
        expect![[r#"
            moves: 192.0.2.1
            plain: none
            stays: 192.0.2.2"#]],
    );
}
