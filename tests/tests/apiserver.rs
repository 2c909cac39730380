//! The API server as a value over the memory store: the one path, from a request to the store and back.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    server::{self, Config},
    service::ApiServer,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::Store;
use tower::ServiceExt;

async fn api_server() -> ApiServer {
    api_server_over(Arc::new(store::Memory::new())).await
}

async fn api_server_over(store: Arc<dyn Store>) -> ApiServer {
    let config = Config { disabled_admission_plugins: vec!["ServiceAccount".into()], ..Config::default() };
    server::open(config, store, Default::default()).await.unwrap()
}

fn admin() -> UserInfo {
    UserInfo::new("admin", &["skiff:cluster-admins"])
}

async fn send(server: &ApiServer, user: UserInfo, method: &str, path: &str, body: Value) -> (u16, Value) {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    send_as(server, user, method, path, kind, body).await
}

async fn send_as(
    server: &ApiServer,
    user: UserInfo,
    method: &str,
    path: &str,
    kind: &str,
    body: Value,
) -> (u16, Value) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = request.body(http_body_util::Full::from(text)).unwrap();
    let response = server.service_as(user).oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::String(String::from_utf8_lossy(&bytes).into_owned())))
}

async fn as_admin(server: &ApiServer, method: &str, path: &str, body: Value) -> (u16, Value) {
    send(server, admin(), method, path, body).await
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "x"}}, "data": {"k": value}})
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn an_object_is_created_read_changed_and_deleted() {
    let server = api_server().await;
    let (code, created) = as_admin(&server, "POST", CONFIG_MAPS, config_map("a", "1")).await;
    assert_eq!(code, 201, "{created}");
    let (code, read) = as_admin(&server, "GET", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
    assert_eq!((code, &read), (200, &created));
    let (code, again) = as_admin(&server, "POST", CONFIG_MAPS, config_map("a", "1")).await;
    assert_eq!((code, again["reason"].as_str()), (409, Some("AlreadyExists")));
    let (code, patched) = as_admin(&server, "PATCH", &format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "2"}})).await;
    assert_eq!((code, patched["data"]["k"].as_str()), (200, Some("2")));
    let (code, stale) = as_admin(&server, "PUT", &format!("{CONFIG_MAPS}/a"), created).await;
    assert_eq!((code, stale["reason"].as_str()), (409, Some("Conflict")));
    let (code, list) = as_admin(&server, "GET", &format!("{CONFIG_MAPS}?labelSelector=app%3Dx"), Value::Null).await;
    assert_eq!((code, list["items"].as_array().map(Vec::len)), (200, Some(1)), "{list}");
    let (code, deleted) = as_admin(&server, "DELETE", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
    assert_eq!((code, deleted["status"].as_str()), (200, Some("Success")), "{deleted}");
    let (code, missing) = as_admin(&server, "GET", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
    assert_eq!((code, missing["message"].as_str()), (404, Some("configmaps \"a\" not found")));
}

#[tokio::test]
async fn pages_of_a_list_are_of_one_state() {
    let server = api_server().await;
    for name in ["a", "b", "c"] {
        as_admin(&server, "POST", CONFIG_MAPS, config_map(name, "1")).await;
    }
    let (_, first) = as_admin(&server, "GET", &format!("{CONFIG_MAPS}?limit=2"), Value::Null).await;
    assert_eq!(first["metadata"]["remainingItemCount"], 1, "{first}");
    let token = first["metadata"]["continue"].as_str().unwrap();
    as_admin(&server, "DELETE", &format!("{CONFIG_MAPS}/c"), Value::Null).await;
    let (code, second) =
        as_admin(&server, "GET", &format!("{CONFIG_MAPS}?limit=2&continue={token}"), Value::Null).await;
    assert_eq!((code, second["items"][0]["metadata"]["name"].as_str()), (200, Some("c")), "{second}");
    assert_eq!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn who_takes_whatever_state_there_is_gets_all_of_it_at_once() {
    let server = api_server().await;
    for name in ["a", "b", "c"] {
        as_admin(&server, "POST", CONFIG_MAPS, config_map(name, "1")).await;
    }
    for (more, count) in
        [("", 2), ("&resourceVersion=0", 3), ("&resourceVersion=0&resourceVersionMatch=NotOlderThan", 3)]
    {
        let (_, list) = as_admin(&server, "GET", &format!("{CONFIG_MAPS}?limit=2{more}"), Value::Null).await;
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{more}: {list}");
        assert_eq!(list["metadata"]["continue"].is_string(), count == 2, "{more}");
    }
}

#[tokio::test]
async fn a_watch_shows_every_change_once_and_in_order() {
    let server = api_server().await;
    let (_, list) = as_admin(&server, "GET", CONFIG_MAPS, Value::Null).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    as_admin(&server, "POST", CONFIG_MAPS, config_map("a", "1")).await;
    as_admin(&server, "PATCH", &format!("{CONFIG_MAPS}/a"), json!({"metadata": {"labels": {"app": "y"}}})).await;
    as_admin(&server, "DELETE", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
    let path = |selector: &str| {
        format!("{CONFIG_MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1&labelSelector={selector}")
    };
    let kinds = |lines: &Value| -> Vec<String> {
        let lines = lines.as_str().unwrap_or_default().lines();
        lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned()).collect()
    };
    let (_, all) = as_admin(&server, "GET", &path(""), Value::Null).await;
    assert_eq!(kinds(&all), ["ADDED", "MODIFIED", "DELETED"], "{all}");
    let (_, selected) = as_admin(&server, "GET", &path("app%3Dx"), Value::Null).await;
    assert_eq!(kinds(&selected), ["ADDED", "DELETED"], "{selected}");
}

#[tokio::test]
async fn a_pod_is_bound_at_most_once() {
    let server = api_server().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    let (code, created) = as_admin(&server, "POST", pods, pod).await;
    assert_eq!(code, 201, "{created}");
    let binding = |node: &str| json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    let (code, bound) = as_admin(&server, "POST", &format!("{pods}/p/binding"), binding("n1")).await;
    assert_eq!((code, bound["status"].as_str()), (201, Some("Success")), "{bound}");
    let (code, refused) = as_admin(&server, "POST", &format!("{pods}/p/binding"), binding("n2")).await;
    assert_eq!(code, 409, "{refused}");
    let (_, read) = as_admin(&server, "GET", &format!("{pods}?fieldSelector=spec.nodeName%3Dn1"), Value::Null).await;
    assert_eq!(read["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(read["items"][0]["metadata"]["generation"], 1, "a binding is no change of the spec");
}

#[tokio::test]
async fn who_has_no_rights_is_refused_before_anything_is_read() {
    let server = api_server().await;
    let (code, refused) =
        send(&server, UserInfo::new("nobody", &[]), "POST", CONFIG_MAPS, Value::String("not an object".into())).await;
    let expected = "configmaps is forbidden: User \"nobody\" cannot create resource \"configmaps\" in API group \"\" \
        in the namespace \"default\"";
    assert_eq!((code, refused["message"].as_str()), (403, Some(expected)));
}

#[tokio::test]
async fn two_services_never_get_the_same_address() {
    let server = api_server().await;
    let services = "/api/v1/namespaces/default/services";
    let service =
        |name: &str, ip: &str| json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
    let (code, first) = as_admin(&server, "POST", services, service("a", "")).await;
    assert_eq!(code, 201, "{first}");
    let ip = first["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let (code, second) = as_admin(&server, "POST", services, service("b", &ip)).await;
    assert!(code >= 400, "{second}");
    as_admin(&server, "DELETE", &format!("{services}/a"), Value::Null).await;
    let (code, third) = as_admin(&server, "POST", services, service("c", &ip)).await;
    assert_eq!((code, third["spec"]["clusterIP"].as_str()), (201, Some(ip.as_str())), "{third}");
}

#[tokio::test]
async fn patches_of_all_three_kinds_change_an_object() {
    let server = api_server().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "a"}]}});
    let (code, created) = as_admin(&server, "POST", pods, pod).await;
    assert_eq!(code, 201, "{created}");
    let patch = async |path: &str, kind: &str, body: Value| {
        let kind = format!("application/{kind}-patch+json");
        send_as(&server, admin(), "PATCH", &format!("{pods}/p{path}"), &kind, body).await
    };
    let image = json!({"spec": {"containers": [{"name": "c", "image": "b"}]}});
    let (code, patched) = patch("", "strategic-merge", image).await;
    assert_eq!((code, &patched["spec"]["containers"][0]["image"]), (200, &json!("b")), "{patched}");
    assert!(
        patched["spec"]["containers"][0]["terminationMessagePath"].is_string(),
        "the element was merged: {patched}"
    );
    let conditions = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
    assert_eq!(patch("/status", "strategic-merge", conditions("False")).await.0, 200);
    let (code, patched) = patch("/status", "strategic-merge", conditions("True")).await;
    assert_eq!((code, &patched["status"]["conditions"][0]["status"]), (200, &json!("True")), "{patched}");
    let add = json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]);
    let (code, patched) = patch("", "json", add).await;
    assert_eq!((code, &patched["metadata"]["labels"]["a"]), (200, &json!("b")));
    let (code, patched) = patch("", "merge", json!({"metadata": {"labels": null}})).await;
    assert_eq!((code, patched["metadata"].get("labels")), (200, None));
}

#[tokio::test]
async fn patches_that_make_no_sense_get_the_status_that_upstream_gives() {
    let server = api_server().await;
    as_admin(&server, "POST", CONFIG_MAPS, config_map("a", "1")).await;
    let path = format!("{CONFIG_MAPS}/a");
    for (kind, body, code, message) in [
        (
            "json",
            json!([{"op": "remove", "path": "/data/zz"}]),
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            "merge",
            json!([]),
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        ("strategic-merge", json!({"$patch": "foo"}), 500, "unknown patch type: foo in map: map[$patch:foo]"),
        (
            "strategic-merge",
            json!({"data": ["x"]}),
            422,
            " \"\" is invalid: patch: Invalid value: \"map[data:[x]]\": cannot restore map from slice",
        ),
        (
            "merge",
            json!({"metadata": {"name": "b"}}),
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            "merge",
            json!({"metadata": {"resourceVersion": "1"}}),
            409,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        (
            "apply",
            json!({}),
            415,
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json",
        ),
    ] {
        let media_type = format!("application/{kind}-patch+json");
        let (got, answer) = send_as(&server, admin(), "PATCH", &path, &media_type, body).await;
        assert_eq!((got, answer["message"].as_str()), (code, Some(message)));
    }
    let strict = format!("{path}?fieldValidation=Strict");
    let (code, _) = as_admin(&server, "PATCH", &strict, json!({"foo": 1})).await;
    assert_eq!(code, 422);
}

async fn send_bytes(server: &ApiServer, method: &str, path: &str, kind: &str, body: Vec<u8>) -> (u16, Value) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(http_body_util::Full::from(body)).unwrap();
    let response = server.service_as(admin()).oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// An object in its protobuf envelope; kind and raw are shorter than 128 bytes.
fn protobuf(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let kind = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [&b"k8s\0"[..], &field(1, &kind), &field(2, raw)].concat()
}

#[tokio::test]
async fn protobuf_bodies_are_read_like_json() {
    let server = api_server().await;
    let named = b"\x0a\x05\x0a\x03pb1";
    let body = protobuf("v1", "ConfigMap", &[&named[..], b"\x12\x06\x0a\x01k\x12\x01v"].concat());
    let (code, created) = send_bytes(&server, "POST", CONFIG_MAPS, PROTOBUF, body).await;
    assert_eq!((code, &created["data"]), (201, &json!({"k": "v"})), "{created}");
    let wrong = protobuf("v1", "Secret", named);
    let (code, refused) = send_bytes(&server, "POST", CONFIG_MAPS, PROTOBUF, wrong).await;
    assert_eq!((code, refused["reason"].as_str()), (400, Some("BadRequest")));
    let (code, refused) = send_bytes(&server, "POST", CONFIG_MAPS, PROTOBUF, b"k8s\0\x12\x7f".to_vec()).await;
    assert_eq!((code, refused["reason"].as_str()), (400, Some("BadRequest")));
    let options = protobuf("v1", "DeleteOptions", b"\x12\x03\x0a\x01x");
    let path = format!("{CONFIG_MAPS}/pb1");
    let (code, refused) = send_bytes(&server, "DELETE", &path, PROTOBUF, options).await;
    assert_eq!((code, refused["reason"].as_str()), (409, Some("Conflict")), "the uid is a precondition: {refused}");
    let options = protobuf("v1", "DeleteOptions", b"\x08\x00\x22\x0aBackground");
    let (code, deleted) = send_bytes(&server, "DELETE", &path, PROTOBUF, options).await;
    assert_eq!((code, deleted["status"].as_str()), (200, Some("Success")), "{deleted}");
}

/// GETs a path with headers; answers with code, headers and body.
async fn get(server: &ApiServer, path: &str, headers: &[(&str, &str)]) -> (u16, http::HeaderMap, String) {
    let mut request = http::Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let (parts, body) = server.service_as(admin()).oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

#[tokio::test]
async fn discovery_in_one_document_is_sent_once() {
    let server = api_server().await;
    let (code, headers, body) = get(&server, "/apis", &[("accept", AGGREGATED)]).await;
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &list["kind"]), (200, &json!("APIGroupDiscoveryList")));
    assert_eq!(headers["content-type"], "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    assert_eq!(headers["vary"], "Accept");
    let apps = list["items"].as_array().unwrap().iter().find(|group| group["metadata"]["name"] == "apps").unwrap();
    let resources = apps["versions"][0]["resources"].as_array().unwrap();
    let deployments = resources.iter().find(|each| each["resource"] == "deployments").unwrap();
    assert_eq!(deployments["responseKind"], json!({"group": "apps", "version": "v1", "kind": "Deployment"}));
    let subresources = deployments["subresources"].as_array().unwrap();
    let scale = subresources.iter().find(|each| each["subresource"] == "scale").unwrap();
    assert_eq!(scale["responseKind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
    let tag = headers["etag"].to_str().unwrap();
    let (code, headers, body) = get(&server, "/apis", &[("accept", AGGREGATED), ("if-none-match", tag)]).await;
    assert_eq!((code, body.as_str(), headers["etag"].to_str().unwrap()), (304, "", tag));
    let (_, headers, body) = get(&server, "/api", &[("accept", "application/json")]).await;
    assert!(body.contains("APIVersions") && headers["vary"] == "Accept", "{body}");
}

/// Every `$ref` in a document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|each| references(each, found));
        }
        Value::Array(items) => items.iter().for_each(|each| references(each, found)),
        _ => {}
    }
}

#[tokio::test]
async fn openapi_describes_every_group_version_without_dangling_references() {
    let server = api_server().await;
    let (code, _, body) = get(&server, "/openapi/v3", &[]).await;
    let index: Value = serde_json::from_str(&body).unwrap();
    let paths = index["paths"].as_object().unwrap();
    assert!(code == 200 && paths.len() > 10, "{body}");
    for (path, entry) in paths {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let (code, headers, body) = get(&server, url, &[]).await;
        assert_eq!((code, &headers["cache-control"]), (200, &http::HeaderValue::from_static("public, immutable")));
        let document: Value = serde_json::from_str(&body).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{path}: {name} is not described");
        }
    }
    let (code, headers, _) = get(&server, "/openapi/v3/apis/apps/v1?hash=old", &[]).await;
    assert_eq!(code, 301);
    assert_eq!(headers["location"], paths["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap());
}

#[tokio::test]
async fn openapi_says_what_kubectl_asks_before_it_applies() {
    let server = api_server().await;
    let (_, _, body) = get(&server, "/openapi/v3/apis/apps/v1", &[]).await;
    let document: Value = serde_json::from_str(&body).unwrap();
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    assert_eq!(patch["x-kubernetes-group-version-kind"], kind);
    let parameters = patch["parameters"].as_array().unwrap();
    let named = |name: &str| parameters.iter().any(|each| each["name"] == name && each["in"] == "query");
    assert!(named("fieldValidation") && named("dryRun"), "{patch}");
    let schemas = &document["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"][0], kind);
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    let (code, headers, body) =
        get(&server, "/openapi/v2", &[("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")]).await;
    assert_eq!((code, body.as_bytes().first()), (200, Some(&0x0a)));
    assert_eq!(headers["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
}

#[tokio::test]
async fn health_is_told_check_by_check() {
    let server = api_server().await;
    assert_eq!(get(&server, "/livez", &[]).await.2, "ok");
    let (_, _, verbose) = get(&server, "/readyz?verbose", &[]).await;
    assert_eq!(verbose, "[+]ping ok\n[+]etcd ok\n[+]informer-sync ok\nreadyz check passed\n");
    let (_, _, excluding) = get(&server, "/livez?verbose&exclude=etcd&exclude=foo", &[]).await;
    assert_eq!(
        excluding,
        "[+]ping ok\n[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for \"foo\"\nlivez check passed\n"
    );
    assert_eq!(get(&server, "/livez/etcd", &[]).await.2, "ok");
    assert_eq!(get(&server, "/livez/foo", &[]).await.0, 404);
}

#[tokio::test]
async fn metrics_count_requests_and_are_not_for_everybody() {
    let server = api_server().await;
    as_admin(&server, "POST", CONFIG_MAPS, config_map("a", "1")).await;
    let (code, _, text) = get(&server, "/metrics", &[]).await;
    assert_eq!(code, 200);
    let line = r#"apiserver_request_total{code="201",dry_run="",verb="POST",group="",version="v1",resource="configmaps",subresource="",scope="namespace",component="apiserver"} 1"#;
    assert!(text.lines().any(|each| each == line), "{text}");
    assert!(text.contains("apiserver_request_duration_seconds_bucket{"), "{text}");
    let nobody = UserInfo::new("nobody", &["system:authenticated"]);
    assert_eq!(send(&server, nobody, "GET", "/metrics", Value::Null).await.0, 403);
}

#[tokio::test]
async fn a_delete_whose_options_are_not_understood_deletes_nothing() {
    let server = api_server().await;
    as_admin(&server, "POST", CONFIG_MAPS, config_map("a", "1")).await;
    let path = &format!("{CONFIG_MAPS}/a");
    let wrong = [
        (json!({"kind": "Foo", "apiVersion": "v1"}), 400),
        (json!({"gracePeriodSeconds": "x"}), 400),
        (json!({"preconditions": []}), 400),
        (json!([]), 400),
        (json!({"dryRun": ["X"]}), 422),
        (json!({"propagationPolicy": "X"}), 422),
    ];
    for (options, expected) in wrong {
        let (code, answer) = send_as(&server, admin(), "DELETE", path, "application/json", options.clone()).await;
        assert_eq!((code, answer["kind"].as_str()), (expected, Some("Status")), "{options}: {answer}");
    }
    let (code, answer) = send_as(&server, admin(), "DELETE", path, "text/plain", json!({})).await;
    assert_eq!(code, 415, "{answer}");
    let (code, _) = as_admin(&server, "GET", path, Value::Null).await;
    assert_eq!(code, 200);
    // `null` is as good as nothing, which `send_as` makes of it; here it is the text.
    let null = http::Request::delete(path).header("content-type", "application/json");
    let null = null.body(http_body_util::Full::from("null")).unwrap();
    assert_eq!(server.service_as(admin()).oneshot(null).await.unwrap().status(), 200);
    as_admin(&server, "POST", CONFIG_MAPS, config_map("a", "1")).await;
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
    let (code, answer) = send_as(&server, admin(), "DELETE", path, "application/json", options).await;
    assert_eq!(code, 200, "{answer}");
}

#[tokio::test]
async fn namespaces_that_everything_needs_are_not_deleted() {
    let server = api_server().await;
    for name in ["default", "kube-system", "kube-public"] {
        let (code, answer) = as_admin(&server, "DELETE", &format!("/api/v1/namespaces/{name}"), Value::Null).await;
        let words = format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted");
        assert_eq!((code, answer["message"].as_str()), (403, Some(words.as_str())));
    }
}

#[tokio::test]
async fn a_collection_is_neither_replaced_nor_patched() {
    let server = api_server().await;
    for method in ["PUT", "PATCH"] {
        let (code, answer) = as_admin(&server, method, CONFIG_MAPS, config_map("a", "1")).await;
        assert_eq!((code, answer["reason"].as_str()), (405, Some("MethodNotAllowed")), "{answer}");
    }
}

#[tokio::test]
async fn pages_are_of_one_state_and_when_it_is_compacted_the_rest_is_of_the_present_one() {
    let store: Arc<dyn Store> = Arc::new(store::Memory::new());
    let server = api_server_over(store.clone()).await;
    for name in ["a", "b"] {
        as_admin(&server, "POST", CONFIG_MAPS, config_map(name, "1")).await;
    }
    let page =
        async |query: &str| as_admin(&server, "GET", &format!("{CONFIG_MAPS}?limit=1{query}"), Value::Null).await;
    let (_, first) = page("").await;
    let next = first["metadata"]["continue"].as_str().unwrap();
    as_admin(&server, "PATCH", &format!("{CONFIG_MAPS}/b"), json!({"data": {"k": "2"}})).await;
    let (_, second) = page(&format!("&continue={next}")).await;
    assert_eq!(second["items"][0]["data"]["k"], "1", "{second}");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    store.compact(store.current().await.unwrap()).await.unwrap();
    let (code, expired) = page(&format!("&continue={next}")).await;
    assert_eq!((code, expired["reason"].as_str()), (410, Some("Expired")), "{expired}");
    let rest = expired["metadata"]["continue"].as_str().expect("what the message promises");
    let (code, second) = page(&format!("&continue={rest}")).await;
    assert_eq!((code, second["items"][0]["data"]["k"].as_str()), (200, Some("2")), "{second}");
}

#[tokio::test]
async fn every_write_leaves_a_record_of_who_made_it_and_why() {
    let store: Arc<dyn Store> = Arc::new(store::Memory::new());
    let server = api_server_over(store.clone()).await;
    let record = async || {
        let all = store.range(store::Range::prefix("/provenance/"), None, None).await.unwrap().items;
        let ours: Vec<_> = all.iter().filter(|item| item.key.ends_with(b"/configmaps/default/a")).collect();
        let value: Value = serde_json::from_slice(&ours[0].value).unwrap();
        let written = store.range(store::Range::prefix("/registry/"), None, None).await.unwrap().items;
        let object = written.iter().find(|item| item.key.ends_with(b"/configmaps/default/a"));
        (value, ours[0].modified, object.map(|object| object.modified))
    };
    let send = async |method: &str, user: &str, cause: &str| {
        let path = if method == "POST" { CONFIG_MAPS.to_owned() } else { format!("{CONFIG_MAPS}/a") };
        let body = if method == "DELETE" { json!({}) } else { config_map("a", method) };
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("user-agent", "kubectl/v1.35").header("x-skiff-cause", cause);
        let user = UserInfo::new(user, &["skiff:cluster-admins"]);
        let answer =
            server.service_as(user).oneshot(request.body(http_body_util::Full::from(body.to_string())).unwrap());
        assert!(answer.await.unwrap().status().is_success(), "{method}");
    };
    send("POST", "alice", "7").await;
    let (created, at, object) = record().await;
    assert_eq!((&created["verb"], &created["user"]), (&json!("create"), &json!("alice")));
    assert_eq!(created["userAgent"], "kubectl/v1.35");
    assert!(created["time"].as_str().unwrap().ends_with('Z'), "{created}");
    // Only components are believed about what made them write.
    assert_eq!(created.get("cause"), None);
    // One transaction: object and record stand at one revision.
    assert_eq!(object, Some(at));
    send("PATCH", "system:kube-scheduler", "7").await;
    let (patched, ..) = record().await;
    assert_eq!((&patched["verb"], &patched["cause"]), (&json!("patch"), &json!(7)));
    send("DELETE", "bob", "").await;
    let (deleted, _, object) = record().await;
    assert_eq!((&deleted["verb"], &deleted["user"], object), (&json!("delete"), &json!("bob"), None));
}
