//! What stands around writes: budgets at evictions, verdicts on certificate requests, the number of Events, the audit log.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    audit::{Audit, Log, Policy, Rotation},
    authorization::Mode,
    server::{self, Config},
    service::{ApiServer, Service},
};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::{Range, Store};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const NAMESPACE: &str = "/api/v1/namespaces/default";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

async fn open(config: Config, store: Arc<dyn Store>) -> ApiServer {
    let config = Config {
        authorization_modes: vec![Mode::Rbac],
        disabled_admission_plugins: vec!["ServiceAccount".to_owned()],
        ..config
    };
    server::open(config, store, CancellationToken::new()).await.unwrap()
}

async fn admin() -> Service {
    let server = open(Config::default(), Arc::new(store::memory::Memory::new())).await;
    server.service_as(UserInfo::new("admin", &["system:masters"]))
}

async fn send(service: &Service, method: &str, path: &str, body: Value) -> (u16, Value) {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", kind).header("audit-id", "mine");
    let answer = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    assert_eq!(answer.headers()["audit-id"], "mine");
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Running, ready pods, and a budget whose controller allows so many disruptions.
async fn with_budget(names: &[&str], allowed: i64) -> Service {
    let service = admin().await;
    for name in names {
        let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "i"}]});
        let pod = json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec});
        assert_eq!(send(&service, "POST", &format!("{NAMESPACE}/pods"), pod).await.0, 201);
        let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(send(&service, "PATCH", &format!("{NAMESPACE}/pods/{name}/status"), status).await.0, 200);
    }
    let budget = json!({"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}});
    assert_eq!(send(&service, "POST", BUDGETS, budget).await.0, 201);
    let status =
        json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 2});
    let status = json!({"status": status});
    assert_eq!(send(&service, "PATCH", &format!("{BUDGETS}/b/status"), status).await.0, 200);
    service
}

async fn evict(service: &Service, name: &str, query: &str) -> (u16, Value) {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    send(service, "POST", &format!("{NAMESPACE}/pods/{name}/eviction{query}"), eviction).await
}

#[tokio::test]
async fn of_many_evictions_at_once_the_budget_lets_so_many_through() {
    let names = ["a", "b", "c", "d", "e"];
    let service = with_budget(&names, 2).await;
    assert_eq!(evict(&service, "a", "?dryRun=All").await.0, 201);
    let answers = futures::future::join_all(names.iter().map(|name| evict(&service, name, ""))).await;
    let evicted = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(evicted, 2);
    let (_, refused) = answers.iter().find(|(status, _)| *status != 201).unwrap();
    assert_eq!(refused["reason"], "TooManyRequests");
    assert_eq!(
        refused["details"]["causes"][0],
        json!({"reason": "DisruptionBudget", "message": "The disruption budget b needs 2 healthy pods and has 3 currently"})
    );
    let (_, budget) = send(&service, "GET", &format!("{BUDGETS}/b"), Value::Null).await;
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert_eq!(budget["status"]["disruptedPods"].as_object().unwrap().len(), 2);
    let at = answers.iter().position(|(status, _)| *status == 201).unwrap();
    let (_, pod) = send(&service, "GET", &format!("{NAMESPACE}/pods/{}", names[at]), Value::Null).await;
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    assert!(pod["metadata"]["deletionTimestamp"].is_string(), "{pod}");
    assert!(conditions.iter().any(|each| each["reason"] == "EvictionByEvictionAPI"), "{pod}");
}

#[tokio::test]
async fn an_eviction_says_whom_it_means() {
    let service = with_budget(&["a"], 1).await;
    assert_eq!(evict(&service, "none", "").await.0, 404);
    let other = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "b"}});
    let (status, refused) = send(&service, "POST", &format!("{NAMESPACE}/pods/a/eviction"), other).await;
    assert_eq!((status, &refused["message"]), (400, &json!("name in URL does not match name in Eviction object")));
    assert_eq!(send(&service, "GET", &format!("{NAMESPACE}/pods/a/eviction"), Value::Null).await.0, 405);
}

#[tokio::test]
async fn an_approval_says_when_it_was_given_and_stays() {
    let service = admin().await;
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(Vec::new()).unwrap().serialize_request(&key).unwrap().pem().unwrap();
    use base64::Engine as _;
    let request = base64::engine::general_purpose::STANDARD.encode(pem);
    let spec = json!({"request": request, "signerName": "example.com/s", "usages": ["client auth"]});
    let object = json!({"metadata": {"name": "r"}, "spec": spec});
    assert_eq!(send(&service, "POST", requests, object).await.0, 201);
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "r"}]}});
    let (status, answer) = send(&service, "PATCH", &format!("{requests}/r/approval"), approved).await;
    let condition = &answer["status"]["conditions"][0];
    assert!(status == 200 && condition["lastUpdateTime"].is_string() && condition["lastTransitionTime"].is_string());
    let (_, mut without) = send(&service, "GET", &format!("{requests}/r"), Value::Null).await;
    without["status"] = json!({"conditions": []});
    assert_eq!(send(&service, "PUT", &format!("{requests}/r/approval"), without).await.0, 422);
    let denied = json!({"status": {"conditions": [{"type": "Denied", "status": "True"}]}});
    let (status, refused) = send(&service, "PATCH", &format!("{requests}/r/approval"), denied).await;
    let why = "updates may not remove a condition of type \"Approved\"";
    assert!(status == 422 && refused["message"].as_str().unwrap().contains(why), "{refused}");
}

#[tokio::test]
async fn of_too_many_events_the_oldest_go_and_nothing_else_does() {
    let store: Arc<dyn Store> = Arc::new(store::memory::Memory::new());
    let server = open(Config { max_events: 5, ..Config::default() }, store.clone()).await;
    let service = server.service_as(UserInfo::new("admin", &["system:masters"]));
    let config_map = json!({"metadata": {"name": "old"}});
    assert_eq!(send(&service, "POST", &format!("{NAMESPACE}/configmaps"), config_map).await.0, 201);
    let regarding = json!({"kind": "Pod", "namespace": "default", "name": "p"});
    let mut gone = store.watch(Range::prefix("/registry/core/events/"), store.current().await.unwrap()).await.unwrap();
    for at in 0..8 {
        let event = json!({"metadata": {"name": format!("e{at}")}, "involvedObject": regarding, "reason": "R"});
        assert_eq!(send(&service, "POST", &format!("{NAMESPACE}/events"), event).await.0, 201);
    }
    let mut deleted = Vec::new();
    while deleted.len() < 3 {
        let commit = futures::StreamExt::next(&mut gone).await.unwrap().unwrap();
        deleted.extend(commit.events.into_iter().filter(|event| event.value.is_none()).map(|event| event.key));
    }
    let names: Vec<&[u8]> = deleted.iter().map(|key| &key[key.len() - 2..]).collect();
    assert_eq!(names, [b"e0", b"e1", b"e2"]);
    let (_, list) = send(&service, "GET", &format!("{NAMESPACE}/events"), Value::Null).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 5);
    assert_eq!(send(&service, "GET", &format!("{NAMESPACE}/configmaps/old"), Value::Null).await.0, 200);
}

#[tokio::test]
async fn an_event_ends_by_itself_after_its_time() {
    const TTL: std::time::Duration = std::time::Duration::from_millis(300);
    let store: Arc<dyn Store> = Arc::new(store::memory::Memory::new());
    let config = Config { event_ttl: TTL, ..Config::default() };
    let service = open(config, store.clone()).await.service_as(UserInfo::new("admin", &["system:masters"]));
    let before = std::time::Instant::now();
    let mut log = store.watch(Range::prefix("/registry/core/events/"), store.current().await.unwrap()).await.unwrap();
    let regarding = json!({"kind": "Pod", "namespace": "default", "name": "p"});
    let event = json!({"metadata": {"name": "e"}, "involvedObject": regarding});
    assert_eq!(send(&service, "POST", &format!("{NAMESPACE}/events"), event).await.0, 201);
    let made = futures::StreamExt::next(&mut log).await.unwrap().unwrap();
    assert!(made.events[0].value.is_some());
    let gone = futures::StreamExt::next(&mut log).await.unwrap().unwrap();
    assert!(gone.events[0].value.is_none());
    assert!(before.elapsed() >= TTL);
}

#[tokio::test]
async fn every_request_that_the_policy_names_is_one_line_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let rotation = Rotation { max_size_bytes: 1 << 20, max_age: None, max_files: None };
    let (log, thread) = Log::open(&path, rotation).unwrap();
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
        - {level: None, resources: [{group: '', resources: [configmaps]}]}\n- {level: Metadata, users: [admin, nobody]}\n";
    let audit = Audit { policy: Arc::new(Policy::parse(policy).unwrap()), log };
    let server = open(Config { audit: Some(audit), ..Config::default() }, Arc::new(store::memory::Memory::new())).await;
    let service = server.service_as(UserInfo::new("admin", &["system:masters"]));
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}});
    assert_eq!(send(&service, "POST", &format!("{NAMESPACE}/secrets"), secret).await.0, 201);
    assert_eq!(send(&service, "GET", &format!("{NAMESPACE}/configmaps"), Value::Null).await.0, 200);
    let nobody = server.service_as(UserInfo::new("nobody", &[]));
    assert_eq!(send(&nobody, "GET", &format!("{NAMESPACE}/secrets/s"), Value::Null).await.0, 403);
    drop((service, nobody, server));
    // The server's own task holds it until it ends; what was written is in the file when the thread has ended.
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0]["objectRef"], json!({"resource": "secrets", "namespace": "default", "apiVersion": "v1"}));
    assert_eq!((&lines[0]["stage"], &lines[0]["auditID"]), (&json!("ResponseComplete"), &json!("mine")));
    assert_eq!(lines[0]["responseStatus"]["code"], 201);
    assert_eq!(lines[1]["user"]["username"], "nobody");
    assert_eq!(lines[1]["responseStatus"]["reason"], "Forbidden");
    assert_eq!(lines[1]["annotations"]["authorization.k8s.io/decision"], "forbid");
}

#[tokio::test]
async fn metrics_have_upstreams_names() {
    let service = admin().await;
    let config_map = json!({"metadata": {"name": "m"}});
    let maps = format!("{NAMESPACE}/configmaps");
    assert_eq!(send(&service, "POST", &format!("{maps}?dryRun=All"), config_map.clone()).await.0, 201);
    assert_eq!(send(&service, "POST", &maps, config_map).await.0, 201);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let text = service.clone().oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let about = "verb=\"POST\",group=\"\",version=\"v1\",resource=\"configmaps\",subresource=\"\",scope=\"namespace\",component=\"apiserver\"";
    for line in [
        format!("apiserver_request_total{{code=\"201\",dry_run=\"\",{about}}} 1"),
        format!("apiserver_request_total{{code=\"201\",dry_run=\"All\",{about}}} 1"),
        format!("apiserver_request_duration_seconds_count{{{about}}} 2"),
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1".to_owned(),
        "apiserver_current_inflight_requests{request_kind=\"mutating\"} 0".to_owned(),
        "apiserver_storage_objects{resource=\"configmaps\"} 1".to_owned(),
    ] {
        assert!(text.lines().any(|each| each == line), "{line} is not in {text}");
    }
}
