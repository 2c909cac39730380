//! Clients that prefer protobuf get it: objects, lists, watches, failures.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use api::{protobuf, schema::schema};
use apiserver::service::Service;
use http::HeaderMap;
use serde_json::{Value, json};

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
