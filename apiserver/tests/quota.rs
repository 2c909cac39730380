//! Quotas hold however many write at once, and are charged with the object or not at all.

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

#[path = "quota/interrupted.rs"]
mod interrupted;
#[path = "leadership/stores.rs"]
mod stores;

use interrupted::Interrupted;
use stores::over_each;

const NAMESPACE: &str = "/api/v1/namespaces/default";

async fn open(store: Arc<dyn store::Store>) -> Service {
    let config = Config {
        authorization_modes: vec![Mode::AlwaysAllow],
        disabled_admission_plugins: vec!["ServiceAccount".to_owned()],
        ..Config::default()
    };
    let server = server::open(config, store, CancellationToken::new()).await.unwrap();
    server.service_as(UserInfo::new("admin", &["system:masters"]))
}

async fn send(service: &Service, method: &str, path: &str, body: Value) -> (u16, Value) {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(format!("{NAMESPACE}{path}")).header("content-type", kind);
    let answer = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// A quota that its controller has seen.
async fn make_quota(service: &Service, name: &str, hard: Value, used: Value) {
    let quota = json!({"metadata": {"name": name}, "spec": {"hard": hard}});
    assert_eq!(send(service, "POST", "/resourcequotas", quota).await.0, 201);
    let status = json!({"status": {"hard": hard, "used": used}});
    assert_eq!(send(service, "PATCH", &format!("/resourcequotas/{name}/status"), status).await.0, 200);
}

async fn used(service: &Service, name: &str) -> Value {
    send(service, "GET", &format!("/resourcequotas/{name}"), Value::Null).await.1["status"]["used"].clone()
}

fn pod(name: &str) -> Value {
    let resources = json!({"requests": {"cpu": "100m"}});
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

/// How many of so many pods, made at once through these API servers in turn, there are afterwards.
async fn make_pods(servers: &[Service], count: usize) -> usize {
    let pods: Vec<Value> = (0..count).map(|at| pod(&format!("p{at}"))).collect();
    let sent =
        pods.iter().enumerate().map(|(at, pod)| send(&servers[at % servers.len()], "POST", "/pods", pod.clone()));
    let answers = futures::future::join_all(sent).await;
    for (status, answer) in &answers {
        let told = answer["message"].as_str().unwrap_or_default();
        assert!(*status == 201 || (*status == 403 && told.contains("exceeded quota: ")), "{status} {told}");
    }
    answers.iter().filter(|(status, _)| *status == 201).count()
}

#[tokio::test]
async fn of_many_creates_at_once_exactly_those_that_fit_succeed() {
    over_each(async |store| {
        let service = open(store).await;
        make_quota(&service, "q", json!({"pods": "10"}), json!({"pods": "0"})).await;
        assert_eq!(make_pods(std::slice::from_ref(&service), 25).await, 10);
        assert_eq!(used(&service, "q").await, json!({"pods": "10"}));
    })
    .await;
}

#[tokio::test]
async fn several_quotas_and_two_api_servers_hold_too() {
    over_each(async |store| {
        let servers = [open(store.clone()).await, open(store).await];
        make_quota(&servers[0], "a", json!({"pods": "9"}), json!({"pods": "0"})).await;
        make_quota(&servers[0], "b", json!({"cpu": "700m"}), json!({"cpu": "0"})).await;
        make_quota(&servers[0], "c", json!({"count/pods": "20"}), json!({"count/pods": "0"})).await;
        // A server charges the quotas that it has seen.
        assert_eq!(used(&servers[1], "c").await, json!({"count/pods": "0"}));
        assert_eq!(make_pods(&servers, 16).await, 7);
        for (name, expected) in
            [("a", json!({"pods": "7"})), ("b", json!({"cpu": "700m"})), ("c", json!({"count/pods": "7"}))]
        {
            assert_eq!(used(&servers[0], name).await, expected, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_charge_that_a_count_has_not_seen_is_made_again_and_one_of_others_stays() {
    over_each(async |store| {
        let (counter, interrupted) = (open(store.clone()).await, Arc::new(Interrupted::new(store)));
        let service = open(interrupted.clone()).await;
        make_quota(&counter, "a", json!({"pods": "5"}), json!({"pods": "0"})).await;
        make_quota(&service, "b", json!({"count/pods": "5"}), json!({"count/pods": "0"})).await;
        assert_eq!(used(&counter, "b").await, json!({"count/pods": "0"}));
        // Quota a is charged before the write. There are no pods yet: it is counted down again.
        let other = counter.clone();
        interrupted.with(async move {
            let counted = json!({"status": {"used": {"pods": "0"}}});
            assert_eq!(send(&other, "PATCH", "/resourcequotas/a/status", counted).await.0, 200);
        });
        assert_eq!(send(&service, "POST", "/pods", pod("p")).await.0, 201);
        assert_eq!(used(&service, "a").await, json!({"pods": "1"}));
        // Another server charges both meanwhile, so that the write comes too late, and once more.
        interrupted.with(async move {
            assert_eq!(send(&counter, "POST", "/pods", pod("q")).await.0, 201);
        });
        assert_eq!(send(&service, "POST", "/pods", pod("r")).await.0, 201);
        assert_eq!(used(&service, "a").await, json!({"pods": "3"}));
        assert_eq!(used(&service, "b").await, json!({"count/pods": "3"}));
    })
    .await;
}

#[tokio::test]
async fn a_create_that_fails_costs_nothing() {
    over_each(async |store| {
        let service = open(store).await;
        make_quota(&service, "a", json!({"pods": "5"}), json!({"pods": "0"})).await;
        make_quota(&service, "b", json!({"count/pods": "5"}), json!({"count/pods": "0"})).await;
        assert_eq!(send(&service, "POST", "/pods", pod("p")).await.0, 201);
        assert_eq!(send(&service, "POST", "/pods", pod("p")).await.0, 409);
        assert_eq!(send(&service, "POST", "/pods?dryRun=All", pod("q")).await.0, 201);
        assert_eq!(used(&service, "a").await, json!({"pods": "1"}));
        assert_eq!(used(&service, "b").await, json!({"count/pods": "1"}));
    })
    .await;
}

#[tokio::test]
async fn a_quota_and_the_object_that_it_was_charged_for_are_of_one_revision() {
    over_each(async |store| {
        let service = open(store).await;
        make_quota(&service, "q", json!({"pods": "5"}), json!({"pods": "0"})).await;
        let (_, made) = send(&service, "POST", "/pods", pod("p")).await;
        let (_, quota) = send(&service, "GET", "/resourcequotas/q", Value::Null).await;
        assert_eq!(made["metadata"]["resourceVersion"], quota["metadata"]["resourceVersion"]);
    })
    .await;
}

#[tokio::test]
async fn quotas_count_quotas() {
    let service = open(Arc::new(store::memory::Memory::new())).await;
    make_quota(&service, "q", json!({"resourcequotas": "2"}), json!({"resourcequotas": "1"})).await;
    let quota = |name: &str| json!({"metadata": {"name": name}, "spec": {"hard": {"pods": "1"}}});
    assert_eq!(send(&service, "POST", "/resourcequotas", quota("r")).await.0, 201);
    let (status, refused) = send(&service, "POST", "/resourcequotas", quota("s")).await;
    let why = "resourcequotas \"s\" is forbidden: exceeded quota: q, requested: resourcequotas=1, used: resourcequotas=2, limited: resourcequotas=2";
    assert_eq!((status, &refused["message"]), (403, &json!(why)));
}

#[tokio::test]
async fn a_service_that_wants_node_ports_is_charged_for_them() {
    let service = open(Arc::new(store::memory::Memory::new())).await;
    make_quota(&service, "q", json!({"services.nodeports": "1"}), json!({"services.nodeports": "0"})).await;
    let object = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    assert_eq!(send(&service, "POST", "/services", object).await.0, 201);
    let change = json!({"spec": {"type": "NodePort"}});
    assert_eq!(send(&service, "PATCH", "/services/s", change).await.0, 200);
    assert_eq!(used(&service, "q").await, json!({"services.nodeports": "1"}));
    let more = json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}});
    assert_eq!(send(&service, "PATCH", "/services/s", more).await.0, 403);
}

#[tokio::test]
async fn the_quality_of_service_is_that_of_what_limit_ranges_filled_in() {
    let service = open(Arc::new(store::memory::Memory::new())).await;
    let limits = json!([{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}}]);
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": limits}});
    assert_eq!(send(&service, "POST", "/limitranges", range).await.0, 201);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let (_, made) = send(&service, "POST", "/pods", pod).await;
    assert_eq!(made["status"]["qosClass"], "Guaranteed");
}
