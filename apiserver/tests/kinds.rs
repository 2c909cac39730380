//! Kinds as clients meet them: what every cluster has from its start, versions of one object, and what a creator is
//! told of kinds that nothing acts on yet.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    authorization::Mode,
    operations::component_status::HealthPorts,
    server::{self, Config},
    service::Service,
};
use axum::body::Body;
use component::serve::{self, ClientCertificates, Health};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

async fn open() -> Service {
    open_with(Config::default()).await
}

async fn open_with(config: Config) -> Service {
    let config = Config { authorization_modes: vec![Mode::AlwaysAllow], ..config };
    let store = Arc::new(store::memory::Memory::new());
    let server = server::open(config, store, CancellationToken::new()).await.unwrap();
    server.service_as(UserInfo::new("admin", &["system:masters"]))
}

async fn send(service: &Service, method: &str, path: &str, body: Option<&Value>) -> (u16, HeaderMap, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let answer = service.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn get(service: &Service, path: &str) -> Value {
    let (code, _, body) = send(service, "GET", path, None).await;
    assert_eq!(code, 200, "{path}: {body}");
    body
}

fn names(list: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|each| each["metadata"]["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

const AUTOSCALERS: &str = "namespaces/default/horizontalpodautoscalers";

#[tokio::test]
async fn a_cluster_has_its_flow_control_api_services_and_service_range_from_the_start() {
    let service = open().await;
    let schemas = get(&service, "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas").await;
    assert_eq!(names(&schemas).len(), 13);
    for schema in schemas["items"].as_array().unwrap() {
        assert_eq!(schema["status"]["conditions"][0]["status"], "False", "no level is missing: {schema}");
    }
    let levels = get(&service, "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations").await;
    let expected = [
        "catch-all",
        "exempt",
        "global-default",
        "leader-election",
        "node-high",
        "system",
        "workload-high",
        "workload-low",
    ];
    assert_eq!(names(&levels), expected);
    let services = get(&service, "/apis/apiregistration.k8s.io/v1/apiservices").await;
    let known = names(&services);
    assert!(
        known.contains(&"v1.") && known.contains(&"v2.autoscaling") && !known.contains(&"v1.apiregistration.k8s.io")
    );
    for each in services["items"].as_array().unwrap() {
        assert_eq!(each["status"]["conditions"][0]["reason"], "Local");
    }
    let range = get(&service, "/apis/networking.k8s.io/v1/servicecidrs/kubernetes").await;
    assert_eq!(range["spec"]["cidrs"], json!(["10.96.0.0/16"]));
    assert_eq!(range["status"]["conditions"][0]["type"], "Ready");
}

#[tokio::test]
async fn a_system_priority_class_is_not_deleted() {
    let service = open().await;
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical";
    let (code, _, body) = send(&service, "DELETE", path, None).await;
    assert_eq!(code, 403);
    let message = "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system priority \
                   class and cannot be deleted";
    assert_eq!(body["message"], message);
    get(&service, path).await;
}

#[tokio::test]
async fn an_autoscaler_is_one_object_in_two_versions() {
    let service = open().await;
    let sent = json!({"metadata": {"name": "x"}, "spec": {
        "maxReplicas": 3, "targetCPUUtilizationPercentage": 50,
        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}});
    let (code, headers, made) =
        send(&service, "POST", &format!("/apis/autoscaling/v1/{AUTOSCALERS}"), Some(&sent)).await;
    assert_eq!((code, &made["apiVersion"]), (201, &json!("autoscaling/v1")), "{made}");
    assert_eq!(made["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(made["status"], json!({"currentReplicas": 0, "desiredReplicas": 0}));
    let warning = headers["warning"].to_str().unwrap();
    let expected = "299 - \"skiff has no controller for horizontalpodautoscalers.autoscaling yet: the object is kept, \
                    nothing acts on it\"";
    assert_eq!(warning, expected);
    let newer = get(&service, &format!("/apis/autoscaling/v2/{AUTOSCALERS}/x")).await;
    assert_eq!(newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    let mut older = get(&service, &format!("/apis/autoscaling/v1/{AUTOSCALERS}/x")).await;
    assert_eq!(older["metadata"]["uid"], newer["metadata"]["uid"]);
    older["spec"]["targetCPUUtilizationPercentage"] = 60.into();
    let (code, _, changed) =
        send(&service, "PUT", &format!("/apis/autoscaling/v1/{AUTOSCALERS}/x"), Some(&older)).await;
    assert_eq!((code, &changed["spec"]["targetCPUUtilizationPercentage"]), (200, &json!(60)), "{changed}");
    let list = get(&service, &format!("/apis/autoscaling/v1/{AUTOSCALERS}")).await;
    assert_eq!(list["items"][0]["spec"]["targetCPUUtilizationPercentage"], 60);
}

#[tokio::test]
async fn an_event_is_made_and_selected_in_both_groups() {
    let service = open().await;
    let sent = json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reason": "r",
        "type": "Normal", "note": "hello", "reportingController": "c.example/d", "reportingInstance": "i",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    });
    let (code, _, made) = send(&service, "POST", "/apis/events.k8s.io/v1/namespaces/default/events", Some(&sent)).await;
    assert_eq!((code, &made["note"]), (201, &json!("hello")), "{made}");
    let core = get(&service, "/api/v1/namespaces/default/events/e").await;
    assert_eq!((&core["message"], &core["involvedObject"]["name"]), (&json!("hello"), &json!("p")));
    let new = get(&service, "/apis/events.k8s.io/v1/namespaces/default/events/e").await;
    assert_eq!((&new["apiVersion"], &new["regarding"]["name"]), (&json!("events.k8s.io/v1"), &json!("p")));
    for (selector, found) in [("type=Normal", 1), ("type=Warning", 0), ("regarding.name=p", 1), ("regarding.name=q", 0)]
    {
        let path = format!("/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector={selector}");
        assert_eq!(get(&service, &path).await["items"].as_array().unwrap().len(), found, "{selector}");
    }
}

const NEW_EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const CORE_EVENTS: &str = "/api/v1/namespaces/default/events";

/// Checks that `object` has these fields, by their paths in it.
fn has(object: &Value, fields: &[(&str, Value)]) {
    for (path, expected) in fields {
        assert_eq!(object.pointer(path).unwrap_or(&Value::Null), expected, "{path} of {object}");
    }
}

#[tokio::test]
async fn an_event_of_the_new_group_is_read_in_the_old_words() {
    let service = open().await;
    let series = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"});
    let related = json!({"kind": "Node", "name": "n"});
    let sent = json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reason": "r",
        "type": "Warning", "note": "hello", "reportingController": "c.example/d", "reportingInstance": "i",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default", "fieldPath": "spec.containers{c}"},
        "related": related, "series": series,
    });
    let (code, _, made) = send(&service, "POST", NEW_EVENTS, Some(&sent)).await;
    assert_eq!(code, 201, "{made}");
    let mut core = get(&service, &format!("{CORE_EVENTS}/e")).await;
    has(
        &core,
        &[
            ("/apiVersion", json!("v1")),
            ("/message", json!("hello")),
            ("/involvedObject", sent["regarding"].clone()),
            ("/reportingComponent", json!("c.example/d")),
            ("/reportingInstance", json!("i")),
            ("/related", related),
            ("/series", series),
            ("/eventTime", sent["eventTime"].clone()),
            ("/action", json!("a")),
            ("/source", json!({})),
            ("/note", Value::Null),
            ("/regarding", Value::Null),
            ("/reportingController", Value::Null),
            ("/deprecatedSource", Value::Null),
        ],
    );
    // Changed in the old words, it is changed in the new ones.
    (core["message"], core["count"]) = (json!("bye"), json!(7));
    let (code, _, changed) = send(&service, "PUT", &format!("{CORE_EVENTS}/e"), Some(&core)).await;
    assert_eq!(code, 200, "{changed}");
    let new = get(&service, &format!("{NEW_EVENTS}/e")).await;
    has(&new, &[("/note", json!("bye")), ("/deprecatedCount", json!(7)), ("/message", Value::Null)]);
    // What is deprecated there can't be made there.
    let deprecated = json!({
        "deprecatedCount": 1, "deprecatedSource": {"component": "c"},
        "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z", "deprecatedLastTimestamp": "2026-01-01T00:00:00Z",
    });
    for (field, value) in deprecated.as_object().unwrap() {
        let mut old = sent.clone();
        (old[field], old["metadata"]["name"]) = (value.clone(), json!("f"));
        let (code, _, refused) = send(&service, "POST", NEW_EVENTS, Some(&old)).await;
        let why = refused["message"].as_str().unwrap();
        assert!(code == 422 && why.ends_with("needs to be unset"), "{field}: {code} {why}");
    }
}

#[tokio::test]
async fn an_event_of_the_core_group_is_read_in_the_new_words() {
    let service = open().await;
    let source = json!({"component": "kubelet", "host": "n"});
    let sent = json!({
        "metadata": {"name": "e"}, "reason": "r", "type": "Normal", "message": "hello", "count": 3, "source": source,
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "uid": "u", "apiVersion": "v1"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:05Z",
        "reportingComponent": "kubelet", "reportingInstance": "n",
    });
    let (code, _, made) = send(&service, "POST", CORE_EVENTS, Some(&sent)).await;
    assert_eq!((code, &made["message"]), (201, &json!("hello")), "{made}");
    let mut new = get(&service, &format!("{NEW_EVENTS}/e")).await;
    has(
        &new,
        &[
            ("/apiVersion", json!("events.k8s.io/v1")),
            ("/note", json!("hello")),
            ("/regarding", sent["involvedObject"].clone()),
            ("/reportingController", json!("kubelet")),
            ("/reportingInstance", json!("n")),
            ("/deprecatedSource", source),
            ("/deprecatedCount", json!(3)),
            ("/deprecatedFirstTimestamp", sent["firstTimestamp"].clone()),
            ("/deprecatedLastTimestamp", sent["lastTimestamp"].clone()),
            ("/eventTime", Value::Null),
            ("/message", Value::Null),
            ("/involvedObject", Value::Null),
            ("/source", Value::Null),
            ("/count", Value::Null),
        ],
    );
    let list = get(&service, NEW_EVENTS).await;
    has(&list, &[("/kind", json!("EventList")), ("/items/0/note", json!("hello"))]);
    // A label is not of the words that differ: it can be changed in both.
    new["metadata"]["labels"] = json!({"seen": "yes"});
    let (code, _, changed) = send(&service, "PUT", &format!("{NEW_EVENTS}/e"), Some(&new)).await;
    assert_eq!(code, 200, "{changed}");
    let core = get(&service, &format!("{CORE_EVENTS}/e")).await;
    has(&core, &[("/metadata/labels/seen", json!("yes")), ("/count", json!(3)), ("/source", sent["source"].clone())]);
}

#[tokio::test]
async fn a_kind_that_is_acted_on_warns_of_nothing() {
    let service = open().await;
    let sent = json!({"metadata": {"name": "c"}});
    let (code, headers, _) = send(&service, "POST", "/api/v1/namespaces/default/configmaps", Some(&sent)).await;
    assert_eq!(code, 201);
    assert!(!headers.contains_key("warning"));
}

#[tokio::test]
async fn whatever_is_done_with_endpoints_they_are_deprecated() {
    let service = open().await;
    let of = "/api/v1/namespaces/default/endpoints";
    let made = json!({"metadata": {"name": "e"}});
    for (method, path, body, expected) in [
        ("POST", of, Some(&made), 201),
        ("POST", of, Some(&made), 409),
        ("GET", &format!("{of}/e"), None, 200),
        ("GET", of, None, 200),
        ("GET", &format!("{of}?watch=true&timeoutSeconds=1"), None, 200),
        ("DELETE", &format!("{of}/e"), None, 200),
        ("GET", &format!("{of}/e"), None, 404),
    ] {
        let (code, headers, _) = send(&service, method, path, body).await;
        let warnings: Vec<&str> = headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
        let expected_warning = r#"299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice""#;
        assert_eq!((code, warnings), (expected, vec![expected_warning]), "{method} {path}");
    }
}

#[tokio::test]
async fn component_statuses_are_read_and_nothing_else() {
    let (nobody, _) = port().await;
    let service = open_with(Config {
        health_ports: HealthPorts { controller_manager: healthy_component().await, scheduler: nobody },
        ..Config::default()
    })
    .await;
    let (code, headers, list) = send(&service, "GET", COMPONENT_STATUSES, None).await;
    assert_eq!(
        (code, headers["warning"].to_str().unwrap()),
        (200, r#"299 - "v1 ComponentStatus is deprecated in v1.19+""#)
    );
    let refused =
        format!("Get \"https://127.0.0.1:{nobody}/healthz\": dial tcp 127.0.0.1:{nobody}: connect: connection refused");
    let of = |name: &str, status: &str, message: &str| {
        let condition = json!({"type": "Healthy", "status": status, "message": message});
        json!({"metadata": {"name": name}, "conditions": [condition]})
    };
    let ok = |name| of(name, "True", "ok");
    let items = json!([ok("controller-manager"), ok("etcd-0"), of("scheduler", "False", &refused)]);
    assert_eq!(list, json!({"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items}));
    for (query, found) in [
        ("fieldSelector=metadata.name%3Detcd-0", vec!["etcd-0"]),
        ("labelSelector=a%3Db", vec![]),
        ("labelSelector=a!%3Db&limit=1", vec!["controller-manager", "etcd-0", "scheduler"]),
    ] {
        assert_eq!(names(&get(&service, &format!("{COMPONENT_STATUSES}?{query}")).await), found, "{query}");
    }
    let mut one = ok("etcd-0");
    one["kind"] = "ComponentStatus".into();
    one["apiVersion"] = "v1".into();
    assert_eq!(get(&service, &format!("{COMPONENT_STATUSES}/etcd-0")).await, one);
    let (code, headers, missing) = send(&service, "GET", &format!("{COMPONENT_STATUSES}/etcd-1"), None).await;
    assert_eq!((code, &missing["message"]), (500, &json!("Component not found: etcd-1")));
    assert!(headers.contains_key("warning"), "{headers:?}");
    let (code, ..) = send(&service, "POST", COMPONENT_STATUSES, Some(&json!({"metadata": {"name": "x"}}))).await;
    assert_eq!(code, 405);
}

const COMPONENT_STATUSES: &str = "/api/v1/componentstatuses";

/// A port of this machine, and who listens there.
async fn port() -> (u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap().port(), listener)
}

/// The port of something that serves its health as components do.
async fn healthy_component() -> u16 {
    let (port, listener) = port().await;
    let tls = serve::server_config(None, "localhost", &ClientCertificates::NotAsked).unwrap();
    let router = serve::health_routes(Health::default());
    tokio::spawn(serve::serve(listener, tls, router, CancellationToken::new()));
    port
}

#[tokio::test]
async fn a_limit_range_without_a_name_gets_one() {
    let service = open().await;
    let (code, _, made) =
        send(&service, "POST", "/api/v1/namespaces/default/limitranges", Some(&json!({"metadata": {}}))).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["metadata"]["name"], made["metadata"]["uid"]);
}

#[tokio::test]
async fn an_owner_that_is_named_twice_counts_once() {
    let service = open().await;
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"});
    let sent = json!({"metadata": {"name": "c", "ownerReferences": [owner, owner]}});
    let (code, headers, made) = send(&service, "POST", "/api/v1/namespaces/default/configmaps", Some(&sent)).await;
    assert_eq!((code, &made["metadata"]["ownerReferences"]), (201, &json!([owner])));
    assert!(headers["warning"].to_str().unwrap().contains("duplicate UID(s) observed: u"));
    let event = json!({"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"});
    let sent = json!({"metadata": {"name": "d", "ownerReferences": [event]}});
    let (code, _, refused) = send(&service, "POST", "/api/v1/namespaces/default/configmaps", Some(&sent)).await;
    assert_eq!(code, 422);
    assert!(refused["message"].as_str().unwrap().contains("/v1, Kind=Event is disallowed from being an owner"));
}

#[tokio::test]
async fn addresses_of_a_service_come_with_its_first_address() {
    let service = open().await;
    let collection = "/api/v1/namespaces/default/services";
    let sent = json!({"metadata": {"name": "s"}, "spec": {"clusterIPs": ["10.96.7.7"], "ports": [{"port": 80}]}});
    let (code, _, refused) = send(&service, "POST", collection, Some(&sent)).await;
    assert_eq!(code, 422);
    let message = "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.7.7\"]: must be empty when \
                   `clusterIP` is not specified";
    assert_eq!(refused["message"], message);
    let sent = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.7.7", "ports": [{"port": 80}]}});
    assert_eq!(send(&service, "POST", collection, Some(&sent)).await.0, 201);
    let renamed = json!({"metadata": {"name": "s"}, "spec": {
        "clusterIP": "10.96.7.7", "ports": [{"port": 80}], "type": "ExternalName", "externalName": "a.example"}});
    let (code, _, changed) = send(&service, "PUT", &format!("{collection}/s"), Some(&renamed)).await;
    assert_eq!((code, changed["spec"].get("clusterIP")), (200, None), "{changed}");
}

#[tokio::test]
async fn a_service_has_the_family_that_the_cluster_has() {
    let service = open().await;
    let collection = "/api/v1/namespaces/default/services";
    let of = |name: &str, policy: &str| json!({"metadata": {"name": name}, "spec": {"ipFamilyPolicy": policy, "ports": [{"port": 80}]}});
    let (code, _, refused) = send(&service, "POST", collection, Some(&of("r", "RequireDualStack"))).await;
    let message = "Service \"r\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is \
                   not configured for dual-stack services";
    assert_eq!((code, &refused["message"]), (422, &json!(message)));
    let (code, _, made) = send(&service, "POST", collection, Some(&of("p", "PreferDualStack"))).await;
    assert_eq!((code, &made["spec"]["ipFamilies"]), (201, &json!(["IPv4"])), "{made}");
    assert_eq!(made["spec"]["clusterIPs"].as_array().map(Vec::len), Some(1));
    let without = json!({"metadata": {"name": "p"}, "spec": {"ports": [{"port": 81}]}});
    let (code, _, changed) = send(&service, "PUT", &format!("{collection}/p"), Some(&without)).await;
    assert_eq!((code, &changed["spec"]["ipFamilyPolicy"]), (200, &json!("PreferDualStack")), "{changed}");
    assert_eq!(changed["spec"]["clusterIPs"], made["spec"]["clusterIPs"]);
}

#[tokio::test]
async fn a_definition_of_a_format_that_nobody_knows_is_warned_of() {
    let service = open().await;
    let formats = |headers: &HeaderMap| -> Vec<String> {
        let texts = headers.get_all("warning").iter().filter_map(|text| text.to_str().ok());
        let format = |text: &str| Some(text.split_once("unrecognized format \\\"")?.1.split_once('\\')?.0.to_owned());
        texts.filter_map(format).collect()
    };
    let text = |format: &str| json!({"type": "string", "format": format});
    let mut definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"a": text("ip"), "b": text("date-time")}}}}],
        },
    });
    let collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, headers, made) = send(&service, "POST", collection, Some(&definition)).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(formats(&headers), ["ip"]);
    definition["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["c"] = text("else");
    let path = format!("{collection}/widgets.example.com");
    let (code, headers, changed) = send(&service, "PUT", &path, Some(&definition)).await;
    assert_eq!(code, 200, "{changed}");
    assert_eq!(formats(&headers), ["else"]);
}

#[tokio::test]
async fn a_dry_run_answers_in_the_version_of_the_request() {
    let service = open().await;
    let sent = json!({"metadata": {"name": "x"}, "spec": {
        "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}});
    let path = format!("/apis/autoscaling/v1/{AUTOSCALERS}?dryRun=All");
    let (code, _, made) = send(&service, "POST", &path, Some(&sent)).await;
    assert_eq!((code, &made["apiVersion"]), (201, &json!("autoscaling/v1")));
    assert_eq!(made["spec"]["targetCPUUtilizationPercentage"], 80);
}

#[tokio::test]
async fn a_pod_that_could_have_stayed_says_at_its_end_that_it_had_no_time() {
    let service = open().await;
    let pods = "/api/v1/namespaces/default/pods";
    let account = json!({"metadata": {"name": "default"}});
    send(&service, "POST", "/api/v1/namespaces/default/serviceaccounts", Some(&account)).await;
    let sent = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let (code, _, made) = send(&service, "POST", pods, Some(&sent)).await;
    assert_eq!(code, 201, "{made}");
    let (code, _, gone) = send(&service, "DELETE", &format!("{pods}/p"), None).await;
    assert_eq!((code, &gone["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(0)));
    assert!(gone["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(send(&service, "GET", &format!("{pods}/p"), None).await.0, 404);
}

#[tokio::test]
async fn a_pod_that_has_ended_says_so_in_tables_and_in_their_watches() {
    let service = open().await;
    let pods = "/api/v1/namespaces/default/pods";
    let account = json!({"metadata": {"name": "default"}});
    send(&service, "POST", "/api/v1/namespaces/default/serviceaccounts", Some(&account)).await;
    for (name, phase) in [("done", "Succeeded"), ("runs", "Running")] {
        let sent = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let (_, _, mut made) = send(&service, "POST", pods, Some(&sent)).await;
        made["status"]["phase"] = phase.into();
        let (code, _, changed) = send(&service, "PUT", &format!("{pods}/{name}/status"), Some(&made)).await;
        assert_eq!(code, 200, "{changed}");
    }
    let ask = async |query: &str| {
        let accept = "application/json;as=Table;g=meta.k8s.io;v=v1";
        let request = Request::builder().uri(format!("{pods}{query}")).header("accept", accept);
        let answer = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    let message = "The pod has completed successfully.";
    let ended = json!([{"type": "Completed", "status": "True", "reason": "Succeeded", "message": message}]);
    let check = |rows: &[&Value]| {
        let said: Vec<_> = rows.iter().map(|row| (&row["cells"][0], row.get("conditions"))).collect();
        assert_eq!(said, [(&json!("done"), Some(&ended)), (&json!("runs"), None)]);
    };
    let list: Value = serde_json::from_str(&ask("").await).unwrap();
    check(&list["rows"].as_array().unwrap().iter().collect::<Vec<_>>());
    let events = ask("?watch=true&resourceVersion=0&timeoutSeconds=1").await;
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    check(&events.iter().map(|event| &event["object"]["rows"][0]).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_metadata_of_one_object_is_no_form_of_a_list() {
    let service = open().await;
    let ask = |path: &'static str, kind: &str| {
        let accept = format!("application/json;as={kind};g=meta.k8s.io;v=v1");
        let request = Request::builder().uri(path).header("accept", accept).body(Body::empty()).unwrap();
        service.clone().oneshot(request)
    };
    let (list, one) = ("/api/v1/namespaces", "/api/v1/namespaces/default");
    let code = |answer: http::Response<Body>| answer.status().as_u16();
    assert_eq!(code(ask(list, "PartialObjectMetadata").await.unwrap()), 406);
    assert_eq!(code(ask(list, "PartialObjectMetadataList").await.unwrap()), 200);
    assert_eq!(code(ask(one, "PartialObjectMetadataList").await.unwrap()), 406);
    assert_eq!(code(ask(one, "PartialObjectMetadata").await.unwrap()), 200);
}

#[tokio::test]
async fn each_address_of_a_service_is_an_object_while_it_is_held() {
    let service = open().await;
    let collection = "/api/v1/namespaces/default/services";
    let sent = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.7.7", "ports": [{"port": 80}]}});
    assert_eq!(send(&service, "POST", collection, Some(&sent)).await.0, 201);
    let path = "/apis/networking.k8s.io/v1/ipaddresses/10.96.7.7";
    let address = get(&service, path).await;
    assert_eq!(address["spec"]["parentRef"], json!({"resource": "services", "namespace": "default", "name": "s"}));
    assert_eq!(send(&service, "DELETE", &format!("{collection}/s"), None).await.0, 200);
    assert_eq!(send(&service, "GET", path, None).await.0, 404);
}

#[tokio::test]
async fn a_scale_is_shown_with_what_is_desired_and_what_there_is() {
    let service = open().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let made = json!({"metadata": {"name": "web"}, "spec": spec});
    assert_eq!(send(&service, "POST", deployments, Some(&made)).await.0, 201);
    let ask = async |form: &str| {
        let accept = format!("application/json;as={form};g=meta.k8s.io;v=v1");
        let request = Request::builder().uri(format!("{deployments}/web/scale")).header("accept", accept);
        let answer = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let (status, table) = ask("Table").await;
    assert_eq!((status, &table["kind"]), (200, &json!("Table")));
    let columns: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|each| &each["name"]).collect();
    assert_eq!(columns, ["Name", "Desired", "Available", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..3], [json!("web"), json!(3), json!(0)]);
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "web");
    assert!(table["metadata"]["resourceVersion"].is_string());
    let (status, metadata) = ask("PartialObjectMetadata").await;
    assert_eq!((status, &metadata["kind"]), (200, &json!("PartialObjectMetadata")));
    let (status, refused) = ask("PartialObjectMetadataList").await;
    let why = "you requested PartialObjectMetadataList, but the requested object is not a list (*autoscaling.Scale)";
    assert_eq!((status, &refused["message"]), (406, &json!(why)));
}

#[tokio::test]
async fn who_refuses_orphans_in_the_old_way_is_told_that_the_end_is_to_come() {
    let service = open().await;
    let path = "/api/v1/namespaces/default/configmaps";
    for (name, finalizers, code) in [("stays", json!(["example.com/last"]), 202), ("goes", json!([]), 200)] {
        let object = json!({"metadata": {"name": name, "finalizers": finalizers}});
        assert_eq!(send(&service, "POST", path, Some(&object)).await.0, 201);
        let path = format!("{path}/{name}");
        let dry = send(&service, "DELETE", &format!("{path}?dryRun=All&propagationPolicy=Background"), None).await;
        assert_eq!(dry.0, 200, "{name}");
        let options = json!({"orphanDependents": false});
        assert_eq!(send(&service, "DELETE", &path, Some(&options)).await.0, code, "{name}");
    }
}

#[tokio::test]
async fn of_a_nodes_two_ranges_that_differ_the_old_field_counts() {
    let service = open().await;
    let spec = json!({"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.1.0/24"]});
    let node = json!({"metadata": {"name": "n"}, "spec": spec});
    let (code, _, made) = send(&service, "POST", "/api/v1/nodes", Some(&node)).await;
    assert_eq!((code, &made["spec"]["podCIDRs"]), (201, &json!(["10.0.0.0/24"])));
}

#[tokio::test]
async fn each_further_controller_of_an_object_is_named_beside_the_first() {
    let service = open().await;
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "A", "name": name, "uid": name, "controller": true});
    let object = json!({"metadata": {"name": "x", "ownerReferences": [owner("a"), owner("b"), owner("c")]}});
    let (code, _, refused) = send(&service, "POST", "/api/v1/namespaces/default/configmaps", Some(&object)).await;
    assert_eq!(code, 422, "{refused}");
    let told: Vec<&str> = refused["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| cause["message"].as_str().unwrap().rsplit("references for ").next().unwrap())
        .collect();
    assert_eq!(told, ["A/a and A/b", "A/a and A/c"]);
}

#[tokio::test]
async fn a_definition_with_a_mistake_deep_in_its_schema_is_refused_and_not_kept() {
    let service = open().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = |size: Value| {
        let spec = json!({"type": "object", "properties": {"sizes": {"type": "array", "items": size}}});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "foos.a.example"},
            "spec": {"group": "a.example", "scope": "Namespaced", "names": {"kind": "Foo", "plural": "foos"},
                     "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                         {"type": "object", "properties": {"spec": spec}}}}]},
        })
    };
    let (code, _, body) = send(&service, "POST", definitions, Some(&definition(json!({"type": "strong"})))).await;
    let path = "spec.validation.openAPIV3Schema.properties[spec].properties[sizes].items.type";
    let why = "Unsupported value: \"strong\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \
               \"object\", \"string\"";
    assert_eq!((code, &body["reason"]), (422, &json!("Invalid")));
    assert_eq!(body["details"]["causes"], json!([{"reason": "FieldValueNotSupported", "field": path, "message": why}]));
    let message = format!("CustomResourceDefinition.apiextensions.k8s.io \"foos.a.example\" is invalid: {path}: {why}");
    assert_eq!(body["message"], message);
    assert!(names(&get(&service, definitions).await).is_empty());
    let (code, _, body) = send(&service, "POST", definitions, Some(&definition(json!({"type": "string"})))).await;
    assert_eq!(code, 201, "{body}");
}

#[tokio::test]
async fn a_policy_with_a_wrong_expression_is_refused_and_not_kept() {
    let service = open().await;
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let policy = |spec: Value| {
        let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["deployments"]});
        let mut object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"generateName": "p"},
            "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}},
        });
        json_patch::merge(&mut object["spec"], &spec);
        object
    };
    let mut wrong = policy(json!({"validations": [{"expression": "object.spec.replicas <= 'five' + 1"}]}));
    wrong["metadata"] = json!({"name": "replicas"});
    let (code, _, body) = send(&service, "POST", policies, Some(&wrong)).await;
    let path = "spec.validations[0].expression";
    let why = "Invalid value: \"object.spec.replicas <= 'five' + 1\": compilation failed: ERROR: <input>:1:32: found no \
               matching overload for '_+_' applied to '(string, int)'\n | object.spec.replicas <= 'five' + 1\n | \
               ...............................^";
    assert_eq!((code, &body["reason"]), (422, &json!("Invalid")));
    assert_eq!(body["details"]["causes"], json!([{"reason": "FieldValueInvalid", "field": path, "message": why}]));
    let message =
        format!("ValidatingAdmissionPolicy.admissionregistration.k8s.io \"replicas\" is invalid: {path}: {why}");
    assert_eq!(body["message"], message);
    assert!(names(&get(&service, policies).await).is_empty());
    for spec in [
        json!({"validations": [{"expression": "object.spec.replicas <= 5"}]}),
        json!({
            "paramKind": {"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit"},
            "validations": [{
                "expression": "object.spec.replicas <= params.maxReplicas", "reason": "Invalid",
                "messageExpression": "'object.spec.replicas must be no greater than ' + string(params.maxReplicas)",
            }],
        }),
        json!({
            "matchConditions": [
                {"name": "exclude-leases",
                 "expression": "!(request.resource.group == 'coordination.k8s.io' && request.resource.resource == 'leases')"},
                {"name": "exclude-kubelet-requests", "expression": "!('system:nodes' in request.userInfo.groups)"},
                {"name": "rbac", "expression": "request.resource.group != 'rbac.authorization.k8s.io'"},
            ],
            "validations": [{"expression": "!object.metadata.name.contains('demo') || object.metadata.namespace == 'demo'"}],
        }),
        json!({
            "validations": [{"expression": "object.spec.replicas > 50",
                             "messageExpression": "'Deployment spec.replicas set to ' + string(object.spec.replicas)"}],
            "auditAnnotations": [{"key": "high-replica-count", "valueExpression":
                "'Deployment spec.replicas set to ' + string(object.spec.replicas)"}],
        }),
        json!({
            "variables": [
                {"name": "environment", "expression":
                 "'environment' in namespaceObject.metadata.labels ? namespaceObject.metadata.labels['environment'] : 'prod'"},
                {"name": "exempt", "expression":
                 "'exempt' in object.metadata.labels && object.metadata.labels['exempt'] == 'true'"},
                {"name": "containers", "expression": "object.spec.template.spec.containers"},
                {"name": "containersToCheck", "expression": "variables.containers.filter(c, c.name.matches('^[a-z]+$'))"},
            ],
            "validations": [{
                "expression": "variables.exempt || variables.containersToCheck.all(c, c.image.startsWith(variables.environment + '.'))",
                "messageExpression": "'only ' + variables.environment + ' images are allowed in namespace ' + namespaceObject.metadata.name",
            }],
        }),
        json!({
            "variables": [{"name": "isAdmin", "expression":
                "authorizer.group('apps').resource('deployments').namespace(request.namespace).check('delete').allowed()"}],
            "validations": [
                {"expression": "variables.isAdmin || authorizer.requestResource.check('custom').allowed()"},
                {"expression": "request.operation != 'DELETE' || authorizer.path('/healthz').check('get').allowed()"},
            ],
        }),
        json!({"validations": [{"expression":
            "object.spec.template.spec.containers.all(c, quantity(c.resources.limits.memory).isLessThan(quantity('1Gi')))"}]}),
        json!({"validations": [{"expression":
            "has(object.metadata.annotations) && object.metadata.annotations.?ip.optMap(a, isIP(a)).orValue(true)"}]}),
    ] {
        let (code, _, body) = send(&service, "POST", policies, Some(&policy(spec))).await;
        assert_eq!(code, 201, "{body}");
    }
}
