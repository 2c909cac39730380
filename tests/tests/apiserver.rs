//! The API server as a value over the memory store: the one path, from a request to the store and back.

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    authentication::static_token::StaticTokens,
    authorization::Mode,
    server::{self, Config},
    service::ApiServer,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn api_server() -> ApiServer {
    let config = Config {
        authorization_modes: vec![Mode::Node, Mode::Rbac],
        static_tokens: StaticTokens::default(),
        enabled_admission_plugins: Vec::new(),
        disabled_admission_plugins: vec!["ServiceAccount".into()],
        service_range: "10.96.0.0/16".parse().unwrap(),
        advertised: None,
        issuers: Vec::new(),
        verification_keys: Vec::new(),
        issuer: None,
        kubelets: None,
    };
    let store = Arc::new(store::memory::Memory::new());
    server::open(config, store, Default::default()).await.unwrap()
}

fn admin() -> UserInfo {
    UserInfo::new("admin", &["skiff:cluster-admins"])
}

async fn send(server: &ApiServer, user: UserInfo, method: &str, path: &str, body: Value) -> (u16, Value) {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
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
