//! A node is never promised more than it has, however many bind to it at once.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    authorization::Mode,
    server::{self, Config},
    service::Service,
};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn open() -> Service {
    let config = Config {
        authorization_modes: vec![Mode::AlwaysAllow],
        disabled_admission_plugins: vec!["ServiceAccount".to_owned()],
        ..Config::default()
    };
    let store = Arc::new(store::memory::Memory::new());
    let server = server::open(config, store, CancellationToken::new()).await.unwrap();
    server.service_as(UserInfo::new("admin", &["system:masters"]))
}

async fn send(service: &Service, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let answer = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn make_pod(service: &Service, name: &str, cpu: &str) {
    let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}});
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [container]}});
    assert_eq!(send(service, "POST", PODS, pod).await.0, 201);
}

async fn bind(service: &Service, name: &str) -> (u16, Value) {
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n"}});
    send(service, "POST", &format!("{PODS}/{name}/binding"), binding).await
}

async fn node_with(cpu: &str) -> Service {
    let service = open().await;
    let status = json!({"allocatable": {"cpu": cpu, "pods": "110", "memory": "1Gi"}, "capacity": {"cpu": cpu}});
    let node = json!({"metadata": {"name": "n"}, "status": status});
    assert_eq!(send(&service, "POST", "/api/v1/nodes", node).await.0, 201);
    service
}

#[tokio::test]
async fn bindings_beyond_a_nodes_allocatable_are_refused() {
    let service = node_with("1").await;
    for name in ["a", "b", "c"] {
        make_pod(&service, name, "400m").await;
    }
    assert_eq!(bind(&service, "a").await.0, 201);
    assert_eq!(bind(&service, "b").await.0, 201);
    let (status, answer) = bind(&service, "c").await;
    assert_eq!((status, &answer["reason"]), (409, &json!("Conflict")));
    let told = "Operation cannot be fulfilled on pods/binding \"c\": node \"n\" has not enough cpu left";
    assert_eq!(answer["message"], told);
    let (_, pod) = send(&service, "GET", &format!("{PODS}/c"), json!(null)).await;
    assert_eq!(pod["spec"].get("nodeName"), None, "a refused binding leaves the pod as it was");
}

#[tokio::test]
async fn a_binding_in_the_namespace_binds_the_pod_that_it_names() {
    let service = node_with("1").await;
    for name in ["a", "b", "c"] {
        make_pod(&service, name, "400m").await;
    }
    let bindings = "/api/v1/namespaces/default/bindings";
    let binding = |metadata: Value| json!({"metadata": metadata, "target": {"kind": "Node", "name": "n"}});
    let post = |metadata: Value| send(&service, "POST", bindings, binding(metadata));
    let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    assert_eq!(post(json!({"name": "a"})).await, (201, success));
    let (_, pod) = send(&service, "GET", &format!("{PODS}/a"), json!(null)).await;
    assert_eq!(pod["spec"]["nodeName"], "n");
    let refused = |(status, answer): (u16, Value)| (status, answer["message"].as_str().unwrap().to_owned());
    let conflict = "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n\"";
    assert_eq!(refused(post(json!({"name": "a"})).await), (409, conflict.to_owned()));
    assert_eq!(refused(post(json!({})).await), (400, "Name parameter required.".to_owned()));
    assert_eq!(post(json!({"name": "a", "namespace": "elsewhere"})).await.0, 400);
    assert_eq!(post(json!({"name": "nobody"})).await.0, 404);
    assert_eq!(post(json!({"name": "b"})).await.0, 201);
    let full = "Operation cannot be fulfilled on pods/binding \"c\": node \"n\" has not enough cpu left";
    assert_eq!(refused(post(json!({"name": "c"})).await), (409, full.to_owned()));
    assert_eq!(send(&service, "GET", bindings, json!(null)).await.0, 405);
}

#[tokio::test]
async fn what_a_pod_held_is_free_again_when_it_ends_or_goes() {
    let service = node_with("1").await;
    for name in ["a", "b", "c"] {
        make_pod(&service, name, "1").await;
    }
    assert_eq!(bind(&service, "a").await.0, 201);
    assert_eq!(bind(&service, "b").await.0, 409);
    assert_eq!(send(&service, "DELETE", &format!("{PODS}/a?gracePeriodSeconds=0"), json!(null)).await.0, 200);
    assert_eq!(bind(&service, "b").await.0, 201);
    assert_eq!(bind(&service, "c").await.0, 409);
    let (_, mut pod) = send(&service, "GET", &format!("{PODS}/b"), json!(null)).await;
    pod["status"]["phase"] = "Succeeded".into();
    assert_eq!(send(&service, "PUT", &format!("{PODS}/b/status"), pod).await.0, 200);
    assert_eq!(bind(&service, "c").await.0, 201);
}

#[tokio::test]
async fn of_many_bindings_at_once_exactly_those_that_fit_succeed() {
    let service = node_with("5").await;
    let names: Vec<String> = (0..20).map(|at| format!("p{at}")).collect();
    for name in &names {
        make_pod(&service, name, "500m").await;
    }
    let bindings = names.iter().map(|name| bind(&service, name));
    let answers = futures::future::join_all(bindings).await;
    let bound = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(bound, 10);
    assert!(answers.iter().all(|(status, _)| matches!(status, 201 | 409)));
}

#[tokio::test]
async fn a_node_that_has_not_said_what_it_has_sets_no_limit() {
    let service = open().await;
    make_pod(&service, "a", "64").await;
    assert_eq!(bind(&service, "a").await.0, 201);
}
