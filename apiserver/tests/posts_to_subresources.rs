//! What is POSTed to a part of an object is admitted as what it is: a new Binding, TokenRequest or Eviction.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    authentication::{keys::SigningKey, service_account::TokenIssuer},
    authorization::Mode,
    server::{self, Config},
    service::{ApiServer, Service},
};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const NAMESPACE: &str = "/api/v1/namespaces/ns";

async fn open() -> ApiServer {
    let key = SigningKey::from_pem(rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap();
    let audiences = vec!["api".to_owned()];
    let config = Config {
        authorization_modes: vec![Mode::AlwaysAllow],
        issuer: Some(TokenIssuer { key, issuer: "https://issuer".to_owned(), audiences, max_expiration_s: 0 }),
        ..Config::default()
    };
    server::open(config, Arc::new(store::memory::Memory::new()), CancellationToken::new()).await.unwrap()
}

async fn send(service: &Service, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let answer = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// A namespace with a service account, a pod that runs on no node yet, and a node in a zone.
async fn admin_of(server: &ApiServer) -> Service {
    let admin = server.service_as(UserInfo::new("admin", &["system:masters"]));
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let node = json!({"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}},
        "status": {"allocatable": {"cpu": "1", "pods": "110", "memory": "1Gi"}, "capacity": {"cpu": "1"}}});
    for (path, object) in [
        ("/api/v1/namespaces", json!({"metadata": {"name": "ns"}})),
        ("/api/v1/namespaces/ns/serviceaccounts", json!({"metadata": {"name": "default"}})),
        ("/api/v1/namespaces/ns/pods", pod),
        ("/api/v1/nodes", node),
    ] {
        let (status, answer) = send(&admin, "POST", path, object).await;
        assert_eq!(status, 201, "{path}: {answer}");
    }
    admin
}

fn binding() -> Value {
    json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})
}

#[tokio::test]
async fn nothing_is_made_in_a_namespace_that_is_going_not_even_a_binding() {
    let admin = admin_of(&open().await).await;
    assert_eq!(send(&admin, "DELETE", NAMESPACE, json!({})).await.0, 200);
    for (path, refused, sent) in [
        ("configmaps", r#"configmaps "p""#, json!({"metadata": {"name": "p"}})),
        ("pods/p/binding", r#"pods "p""#, binding()),
        ("pods/p/binding", r#"pods "p""#, json!({"target": {"name": "n"}})),
        ("pods/x/binding", r#"pods "x""#, binding()),
        ("bindings", r#"bindings "p""#, binding()),
        ("pods/p/eviction", r#"pods "p""#, json!({"metadata": {"name": "p"}})),
        ("serviceaccounts/default/token", r#"serviceaccounts "default""#, json!({})),
    ] {
        let (status, answer) = send(&admin, "POST", &format!("{NAMESPACE}/{path}"), sent).await;
        let why = "unable to create new content in namespace ns because it is being terminated";
        assert_eq!((status, &answer["message"]), (403, &json!(format!("{refused} is forbidden: {why}"))), "{path}");
        let cause = json!([{"reason": "NamespaceTerminating", "message": "namespace ns is being terminated",
            "field": "metadata.namespace"}]);
        assert_eq!(answer["details"]["causes"], cause, "{path}");
    }
    let review = json!({"metadata": {"namespace": "ns"},
        "spec": {"user": "a", "resourceAttributes": {"namespace": "ns", "verb": "get", "resource": "pods"}}});
    let reviews = "/apis/authorization.k8s.io/v1/namespaces/ns/localsubjectaccessreviews";
    assert_eq!(send(&admin, "POST", reviews, review).await.0, 201);
}

#[tokio::test]
async fn a_bound_pod_gets_the_zone_of_its_node() {
    let admin = admin_of(&open().await).await;
    assert_eq!(send(&admin, "POST", &format!("{NAMESPACE}/pods/p/binding"), binding()).await.0, 201);
    let (_, pod) = send(&admin, "GET", &format!("{NAMESPACE}/pods/p"), json!(null)).await;
    assert_eq!(pod["metadata"]["labels"], json!({"topology.kubernetes.io/zone": "z"}));
}

#[tokio::test]
async fn a_pod_that_is_held_back_is_not_bound_and_a_bound_one_is_nominated_nowhere() {
    let admin = admin_of(&open().await).await;
    let spec = json!({"schedulingGates": [{"name": "g.example/g"}], "containers": [{"name": "c", "image": "i"}]});
    let held = json!({"metadata": {"name": "held"}, "spec": spec});
    assert_eq!(send(&admin, "POST", &format!("{NAMESPACE}/pods"), held).await.0, 201);
    let to_node = json!({"metadata": {"name": "held"}, "target": {"kind": "Node", "name": "n"}});
    let (status, answer) = send(&admin, "POST", &format!("{NAMESPACE}/pods/held/binding"), to_node).await;
    let why = "Operation cannot be fulfilled on pods/binding \"held\": pod held has non-empty .spec.schedulingGates";
    assert_eq!((status, &answer["message"]), (409, &json!(why)));
    let (_, mut pod) = send(&admin, "GET", &format!("{NAMESPACE}/pods/p"), json!(null)).await;
    pod["status"]["nominatedNodeName"] = "n".into();
    let (status, pod) = send(&admin, "PUT", &format!("{NAMESPACE}/pods/p/status"), pod).await;
    assert_eq!((status, &pod["status"]["nominatedNodeName"]), (200, &json!("n")));
    assert_eq!(send(&admin, "POST", &format!("{NAMESPACE}/pods/p/binding"), binding()).await.0, 201);
    let (_, pod) = send(&admin, "GET", &format!("{NAMESPACE}/pods/p"), json!(null)).await;
    assert_eq!((&pod["spec"]["nodeName"], pod["status"].get("nominatedNodeName")), (&json!("n"), None));
}

#[tokio::test]
async fn a_node_gets_no_token_but_for_its_pods() {
    let server = open().await;
    let admin = admin_of(&server).await;
    let node = server.service_as(UserInfo::new("system:node:n", &["system:nodes"]));
    let tokens = format!("{NAMESPACE}/serviceaccounts/default/token");
    let (_, pod) = send(&admin, "GET", &format!("{NAMESPACE}/pods/p"), json!(null)).await;
    let reference = json!({"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"]});
    let of_pod = || json!({"spec": {"boundObjectRef": reference}});
    let ask = |request: Value| send(&node, "POST", &tokens, request);
    let refused = |(status, answer): (u16, Value)| (status, answer["message"].as_str().unwrap_or_default().to_owned());
    let told = |why: &str| (403, format!("serviceaccounts \"default\" is forbidden: {why}"));
    assert_eq!(refused(ask(json!({"spec": {}})).await), told("node requested token not bound to a pod"));
    let elsewhere = "node requested token bound to a pod scheduled on a different node";
    assert_eq!(refused(ask(of_pod()).await), told(elsewhere));
    assert_eq!(send(&admin, "POST", &format!("{NAMESPACE}/pods/p/binding"), binding()).await.0, 201);
    let (status, answer) = ask(of_pod()).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test]
async fn a_pod_whose_node_is_missing_runs_nothing() {
    let admin = admin_of(&open().await).await;
    let pod = json!({"metadata": {"name": "lost"},
        "spec": {"nodeName": "gone", "containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(send(&admin, "POST", &format!("{NAMESPACE}/pods"), pod).await.0, 201);
    for (method, action) in
        [("POST", "exec"), ("POST", "attach"), ("POST", "portforward"), ("GET", "exec"), ("GET", "log")]
    {
        let (status, answer) = send(&admin, method, &format!("{NAMESPACE}/pods/lost/{action}"), json!({})).await;
        assert_eq!((status, &answer["message"]), (404, &json!(r#"pods "gone" not found"#)), "{action}");
    }
}
