use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::{Input, pieces, plan};
use crate::test_world::{World, object, settle};

fn node(name: &str, cidr: Option<&str>) -> Node {
    object(json!({"metadata": {"name": name}, "spec": {"podCIDR": cidr}}))
}

fn settled(cluster: &str, services: &str, nodes: impl IntoIterator<Item = Node>) -> Vec<String> {
    let mut world = nodes.into_iter().fold(World::default(), |world, node| world.with(&node));
    settle(&mut world, |world| {
        plan(&Input {
            cluster_cidrs: vec![cluster.parse().unwrap()],
            service_cidrs: vec![services.parse().unwrap()],
            nodes: world.all(),
        })
    });
    let cidr = |node: &Node| node.spec.clone().unwrap_or_default().pod_cidr.unwrap_or_default();
    world.all::<Node>().iter().map(|node| cidr(node)).collect()
}

#[test]
fn each_node_gets_the_lowest_piece_that_nobody_has() {
    let nodes = [node("a", Some("10.244.0.0/24")), node("b", None), node("c", Some("10.244.2.0/24")), node("d", None)];
    assert_eq!(
        settled("10.244.0.0/16", "10.96.0.0/16", nodes),
        ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"]
    );
}

#[test]
fn no_piece_overlaps_the_services() {
    assert_eq!(settled("10.96.0.0/22", "10.96.0.0/23", [node("a", None)]), ["10.96.2.0/24"]);
}

#[test]
fn a_node_too_many_stays_without() {
    assert_eq!(settled("10.0.0.0/24", "10.96.0.0/16", [node("a", None), node("b", None)]), ["10.0.0.0/24", ""]);
}

#[test]
fn a_range_smaller_than_a_piece_has_none() {
    assert_eq!(pieces("10.0.0.0/25".parse().unwrap()).count(), 0);
    assert_eq!(pieces("fd00::/48".parse().unwrap()).nth(1), Some("fd00:0:0:1::/64".parse().unwrap()));
}
