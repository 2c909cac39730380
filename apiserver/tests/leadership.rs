//! Two leaders never write in turn: with the election of the second the first one's term is over, also for what it sent
//! before and what arrives later.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    server::{self, Config},
    service::Service,
};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

#[path = "leadership/lagging.rs"]
mod lagging;
#[path = "leadership/stores.rs"]
mod stores;

use lagging::Lagging;
use stores::over_each;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn open(store: Arc<dyn store::Store>) -> Service {
    let server = server::open(Config::default(), store, CancellationToken::new()).await.unwrap();
    server.service_as(UserInfo::new("admin", &["system:masters"]))
}

async fn send(service: &Service, method: &str, path: &str, term: &str, body: Value) -> (u16, Value) {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
    if !term.is_empty() {
        request = request.header("x-skiff-term", term);
    }
    let answer = service.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

async fn elect(service: &Service, holder: &str, transitions: i64) -> Value {
    let spec = json!({"holderIdentity": holder, "leaseTransitions": transitions, "leaseDurationSeconds": 15});
    let (status, lease) = match transitions {
        0 => send(service, "POST", LEASES, "", json!({"metadata": {"name": "l"}, "spec": spec})).await,
        _ => send(service, "PATCH", &format!("{LEASES}/l"), "", json!({"spec": spec})).await,
    };
    assert!(matches!(status, 200 | 201), "{lease}");
    lease
}

fn term(lease: &Value) -> String {
    let (uid, spec) = (lease["metadata"]["uid"].as_str().unwrap(), &lease["spec"]);
    format!("kube-system/l/{uid}/{}/{}", spec["leaseTransitions"], spec["holderIdentity"].as_str().unwrap())
}

async fn write(service: &Service, term: &str, name: &str) -> (u16, Value) {
    send(service, "POST", MAPS, term, json!({"metadata": {"name": name}})).await
}

#[tokio::test]
async fn an_old_leader_is_refused_and_a_new_one_is_not() {
    over_each(async |store| {
        let service = open(store).await;
        let first = term(&elect(&service, "a", 0).await);
        assert_eq!(write(&service, &first, "one").await.0, 201);
        // Renewing is not electing.
        let renewed = json!({"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}});
        assert_eq!(send(&service, "PATCH", &format!("{LEASES}/l"), "", renewed).await.0, 200);
        assert_eq!(write(&service, &first, "two").await.0, 201);
        let second = term(&elect(&service, "b", 1).await);
        let (status, refused) = write(&service, &first, "three").await;
        assert_eq!(status, 409, "{refused}");
        assert!(refused["message"].as_str().unwrap().ends_with("a does not lead any more"), "{refused}");
        assert_eq!(send(&service, "GET", &format!("{MAPS}/three"), "", Value::Null).await.0, 404);
        assert_eq!(send(&service, "DELETE", &format!("{MAPS}/one"), &first, Value::Null).await.0, 409);
        assert_eq!(write(&service, &second, "three").await.0, 201);
        // The same process in another term: what it sent in the old one stays refused.
        let third = term(&elect(&service, "a", 2).await);
        assert_eq!(write(&service, &third, "four").await.0, 201);
        assert_eq!(write(&service, &first, "five").await.0, 409);
        assert_eq!(write(&service, &second, "five").await.0, 409);
        assert_eq!(send(&service, "DELETE", &format!("{LEASES}/l"), "", Value::Null).await.0, 200);
        assert_eq!(write(&service, &third, "five").await.0, 409);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_old_leader_comes_after_the_election_of_the_new_one() {
    over_each(async |store| {
        let service = open(store).await;
        let first = term(&elect(&service, "a", 0).await);
        let writes: Vec<_> = (0..200)
            .map(|at| {
                let (service, first) = (service.clone(), first.clone());
                tokio::spawn(async move { write(&service, &first, &format!("m{at}")).await })
            })
            .collect();
        let elected = elect(&service, "b", 1).await;
        let second = term(&elected);
        assert_eq!(write(&service, &second, "of-b").await.0, 201);
        let mut refused = 0;
        for write in writes {
            let (status, object) = write.await.unwrap();
            match status {
                201 => assert!(revision(&object) < revision(&elected), "written in turn: {object}"),
                _ => refused += usize::from(status == 409),
            }
        }
        let (_, list) = send(&service, "GET", MAPS, "", Value::Null).await;
        let of_a = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|each| each["metadata"]["name"].as_str().unwrap().starts_with('m'));
        assert_eq!(of_a.count() + refused, 200);
    })
    .await;
}

#[tokio::test]
async fn an_old_leader_is_refused_by_a_server_that_has_not_seen_the_election() {
    over_each(async |store| {
        let server = open(store.clone()).await;
        let first = term(&elect(&server, "a", 0).await);
        let late = Arc::new(Lagging::new(store));
        let server_behind = open(late.clone()).await;
        assert_eq!(write(&server_behind, &first, "one").await.0, 201);
        let let_go = late.hold();
        elect(&server, "b", 1).await;
        let letting_go = async {
            let_go.await;
            std::future::pending::<()>().await;
        };
        let (status, refused) = tokio::select! {
            answer = write(&server_behind, &first, "two") => answer,
            () = letting_go => unreachable!("it never ends"),
        };
        assert_eq!(status, 409, "{refused}");
        assert_eq!(send(&server, "GET", &format!("{MAPS}/two"), "", Value::Null).await.0, 404);
    })
    .await;
}
