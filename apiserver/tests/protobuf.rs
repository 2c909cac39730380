//! Clients that prefer protobuf get it: objects, lists, watches, failures, reviews.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use api::{protobuf, schema::schema};
use apiserver::{
    attributes::UserInfo,
    authentication::static_token::StaticTokens,
    server::{self, Config},
    service::Service,
};
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

#[path = "openapi/rig.rs"]
mod rig;

use rig::{Kubectl, open};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

async fn ask(service: &Service, method: &str, path: &str, accept: &str, body: &Value) -> (u16, HeaderMap, Vec<u8>) {
    rig::ask(service, method, path, &[("accept", accept)], body).await
}

/// An object in its envelope, as JSON.
fn read(bytes: &[u8]) -> Value {
    let envelope = protobuf::envelope(bytes).unwrap();
    let (group, version) = api::object::group_version(&envelope.api_version);
    let type_id = schema().kind(group, version, &envelope.kind).unwrap();
    let mut value = Value::Object(protobuf::to_json(envelope.raw, type_id).unwrap());
    value["apiVersion"] = envelope.api_version.as_str().into();
    value["kind"] = envelope.kind.as_str().into();
    value
}

/// The types and objects of a watch's frames.
fn frames(mut bytes: &[u8]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (event, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        bytes = rest;
        let at = event.windows(4).position(|window| window == b"k8s\0").unwrap();
        found.push((String::from_utf8(event[2..2 + usize::from(event[1])].to_vec()).unwrap(), read(&event[at..])));
    }
    found
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn the_same_object_comes_as_protobuf_and_as_json() {
    let service = open().await;
    let pod = json!({"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"containers": [{
        "name": "c", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "100m"}},
        "livenessProbe": {"httpGet": {"path": "/", "port": "web"}}, "env": [{"name": "A", "value": "1"}],
    }]}});
    let (code, headers, created) = ask(&service, "POST", PODS, PROTOBUF, &pod).await;
    assert_eq!((code, &headers["content-type"]), (201, &PROTOBUF.parse().unwrap()));
    let (_, _, json) = ask(&service, "GET", &format!("{PODS}/p"), "application/json", &Value::Null).await;
    let as_json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(read(&created), as_json);
    let (_, headers, list) = ask(&service, "GET", PODS, &format!("{PROTOBUF},application/json"), &Value::Null).await;
    assert_eq!(headers["content-type"], PROTOBUF);
    let list = read(&list);
    assert_eq!(list["kind"], "PodList");
    assert!(list["metadata"]["resourceVersion"].is_string(), "{list}");
    assert_eq!(list["items"][0]["spec"], as_json["spec"]);
}

#[tokio::test]
async fn failures_and_statuses_come_as_protobuf_too() {
    let service = open().await;
    let (code, headers, body) = ask(&service, "GET", &format!("{PODS}/none"), PROTOBUF, &Value::Null).await;
    assert_eq!((code, &headers["content-type"]), (404, &PROTOBUF.parse().unwrap()));
    let status = read(&body);
    assert_eq!((&status["kind"], &status["reason"]), (&json!("Status"), &json!("NotFound")));
    assert_eq!((&status["code"], &status["details"]["name"]), (&json!(404), &json!("none")));
    let maps = "/api/v1/namespaces/default/configmaps";
    ask(&service, "POST", maps, PROTOBUF, &json!({"metadata": {"name": "m"}})).await;
    let (code, _, body) = ask(&service, "DELETE", &format!("{maps}/m"), PROTOBUF, &Value::Null).await;
    assert_eq!((code, &read(&body)["status"]), (200, &json!("Success")));
}

#[tokio::test]
async fn a_watch_sends_frames_of_protobuf() {
    let service = open().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    ask(&service, "POST", maps, PROTOBUF, &json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).await;
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1";
    let (code, headers, body) = ask(&service, "GET", &format!("{maps}?{query}"), PROTOBUF, &Value::Null).await;
    assert_eq!((code, &headers["content-type"]), (200, &format!("{PROTOBUF};stream=watch").parse().unwrap()));
    let events = frames(&body);
    assert_eq!((events[0].0.as_str(), &events[0].1["data"]), ("ADDED", &json!({"k": "v"})));
    let (kind, bookmark) = events.iter().find(|(kind, _)| kind == "BOOKMARK").unwrap();
    assert_eq!((kind.as_str(), &bookmark["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let metadata = format!("{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    let (_, _, body) = ask(&service, "GET", &format!("{maps}?{query}"), &metadata, &Value::Null).await;
    let (_, object) = &frames(&body)[0];
    assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("a")));
    assert!(object.get("data").is_none());
}

/// What is answered to a review that is sent as protobuf, and in which form.
async fn review(service: &Service, path: &str, review: &Value) -> (u16, String, Value) {
    let (api_version, kind) = (review["apiVersion"].as_str().unwrap(), review["kind"].as_str().unwrap());
    let (group, version) = api::object::group_version(api_version);
    let type_id = schema().kind(group, version, kind).unwrap();
    let raw = protobuf::encode::from_json(review.to_string().as_bytes(), type_id).unwrap();
    let body = protobuf::encode::enveloped(api_version, kind, &raw);
    let request = Request::post(path).header("content-type", PROTOBUF).header("accept", PROTOBUF);
    let answer = service.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let form = parts.headers["content-type"].to_str().unwrap().to_owned();
    (parts.status.as_u16(), form, read(&body.collect().await.unwrap().to_bytes()))
}

#[tokio::test]
async fn reviews_are_asked_and_answered_in_protobuf() {
    let config = Config {
        static_tokens: StaticTokens::parse("secret,ann,u1,\"devs,ops\"\n").unwrap(),
        issuers: vec!["us".to_owned()],
        ..Config::default()
    };
    let store = Arc::new(store::memory::Memory::new());
    let server = server::open(config, store, CancellationToken::new()).await.unwrap();
    let service = server.service_as(UserInfo::new("admin", &["system:masters"]));
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    let role = json!({"metadata": {"name": "readers"}, "rules": rules});
    let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "readers"});
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"});
    let binding = json!({"metadata": {"name": "readers"}, "roleRef": role_ref, "subjects": [subject]});
    for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        assert_eq!(ask(&service, "POST", &format!("{roles}/{resource}"), PROTOBUF, &object).await.0, 201);
    }

    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    for (verb, allowed) in [("get", true), ("delete", false)] {
        let spec = json!({
            "user": "ann", "groups": ["devs", "ops"], "uid": "u1", "extra": {"scopes": ["a", "b"], "none": []},
            "resourceAttributes": {"namespace": "shop", "verb": verb, "version": "v1", "resource": "pods", "name": "p"},
        });
        let asked = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        let (code, form, answered) = review(&service, path, &asked).await;
        assert_eq!((code, form.as_str(), &answered["kind"]), (201, PROTOBUF, &asked["kind"]), "{answered}");
        assert_eq!((&answered["spec"], &answered["status"]["allowed"]), (&spec, &json!(allowed)), "{answered}");
        let reason = answered["status"]["reason"].as_str().unwrap_or_default();
        assert_eq!(reason.contains("ClusterRole \"readers\""), allowed, "{answered}");
    }
    let nothing = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}});
    let (code, form, refused) = review(&service, path, &nothing).await;
    assert_eq!((code, form.as_str(), &refused["kind"]), (422, PROTOBUF, &json!("Status")), "{refused}");

    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let user = json!({"username": "ann", "uid": "u1", "groups": ["devs", "ops", "system:authenticated"]});
    for (token, expected) in [
        ("secret", json!({"authenticated": true, "user": user, "audiences": ["us"]})),
        ("stolen", json!({"user": {}, "error": "invalid bearer token"})),
    ] {
        let spec = json!({"token": token});
        let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        let (code, form, answered) = review(&service, path, &asked).await;
        assert_eq!((code, form.as_str(), &answered["spec"]), (201, PROTOBUF, &spec), "{answered}");
        assert_eq!(answered["status"], expected);
    }
}

#[tokio::test]
async fn tables_are_json_whatever_is_preferred() {
    let service = open().await;
    let table =
        format!("{PROTOBUF};as=Table;g=meta.k8s.io;v=v1,application/json;as=Table;g=meta.k8s.io;v=v1,{PROTOBUF}");
    let (_, headers, body) = ask(&service, "GET", PODS, &table, &Value::Null).await;
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["kind"], "Table");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_what_it_is_sent() {
    let kubectl = Kubectl::against(open().await).await;
    let prints = async |arguments: &str| kubectl.run(&arguments.split(' ').collect::<Vec<&str>>()).await;
    assert_eq!(prints("create configmap a --from-literal=k=v").await, "configmap/a created\n");
    assert_eq!(prints("create configmap b --from-literal=k=v -o jsonpath={.data.k}").await, "v");
    assert_eq!(prints("create deployment d --image=nginx --replicas=3").await, "deployment.apps/d created\n");
    let described = prints("describe deployment d").await;
    assert!(described.contains("3 desired") && described.contains("Image:         nginx"), "{described}");
    assert!(described.contains("25% max unavailable, 25% max surge"), "{described}");
    assert_eq!(prints("scale deployment d --replicas=2").await, "deployment.apps/d scaled\n");
    assert_eq!(prints("get deployment d -o jsonpath={.spec.replicas}").await, "2");
    assert_eq!(prints("create service clusterip s --tcp=80:8080").await, "service/s created\n");
    let service = prints("describe service s").await;
    let words: Vec<&str> = service.split_whitespace().collect();
    assert!(words.windows(2).any(|two| two == ["TargetPort:", "8080/TCP"]), "{service}");
    assert_eq!(prints("auth can-i create pods").await, "yes\n");
    let deleted = prints("delete configmap a b").await;
    assert!(deleted.contains("configmap \"a\" deleted") && deleted.contains("configmap \"b\" deleted"), "{deleted}");
    assert_eq!(prints("wait --for=delete configmap/a --timeout=5s").await, "");
}
