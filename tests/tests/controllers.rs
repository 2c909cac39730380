//! Controllers and an API server from end to end: a quota that is counted, charged and given back, and dependents that
//! outlive their owner.
//!
//! Upstream: test/e2e/apimachinery/{resource_quota.go,garbage_collector.go}
//! Left out: what is tested of each part alone (apiserver/tests/quota.rs, controller-manager/src/{resource_quota,garbage}).

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use apiserver::{attributes::UserInfo, server, service::ApiServer};
use client::ClientSource;
use futures::StreamExt;
use http_body_util::{BodyStream, StreamBody};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, PropagationPolicy},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who the controllers are when they read.
const MANAGER: &str = "system:kube-controller-manager";

fn client(server: &ApiServer, user: UserInfo) -> Client {
    Client::new(server.service_as(user), "default")
}

/// An API server with the controllers that a cluster has, and the client of somebody who may do all.
async fn cluster(shutdown: &CancellationToken) -> Client {
    cluster_with(shutdown, |server| client(server, UserInfo::new(MANAGER, &[]))).await
}

/// The same, with the client by which the controllers read.
async fn cluster_with(shutdown: &CancellationToken, reader: impl FnOnce(&ApiServer) -> Client) -> Client {
    let config =
        server::Config { disabled_admission_plugins: vec!["ServiceAccount".to_owned()], ..server::Config::default() };
    let server = server::open(config, Arc::new(store::Memory::new()), shutdown.clone()).await.unwrap();
    let accounts = server.clone();
    let accounts = ClientSource::new(move |name| client(&accounts, UserInfo::service_account("kube-system", name)));
    let reader = reader(&server);
    let config = controller_manager::Config::in_process(None);
    tokio::spawn(controller_manager::run(config, reader, accounts, client::Metrics::default(), shutdown.clone()));
    client(&server, UserInfo::new("admin", &["system:masters"]))
}

async fn used(quotas: &Api<ResourceQuota>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned())).collect();
    let wanted = expected.clone();
    let holds = move |quota: Option<&ResourceQuota>| {
        let used = quota.and_then(|quota| quota.status.as_ref()?.used.clone()).unwrap_or_default();
        used.into_iter().map(|(name, amount)| (name, amount.0)).collect::<BTreeMap<_, _>>() == wanted
    };
    let waited = timeout(PATIENCE, await_condition(quotas.clone(), "q", holds)).await;
    waited.unwrap_or_else(|_| panic!("never used {expected:?}")).unwrap();
}

fn object<K: serde::de::DeserializeOwned>(json: Value) -> K {
    serde_json::from_value(json).unwrap()
}

fn pod(name: &str) -> Pod {
    let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": "400m"}}});
    // Nobody schedules it: it goes as soon as it is deleted.
    object(json!({"metadata": {"name": name}, "spec": {"schedulerName": "none", "containers": [container]}}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_makes_room_for_what_comes() {
    let shutdown = CancellationToken::new();
    let admin = cluster(&shutdown).await;
    let (quotas, pods, maps): (Api<ResourceQuota>, Api<Pod>, Api<ConfigMap>) = (
        Api::default_namespaced(admin.clone()),
        Api::default_namespaced(admin.clone()),
        Api::default_namespaced(admin),
    );
    let create = PostParams::default();
    maps.create(&create, &object(json!({"metadata": {"name": "before"}}))).await.unwrap();
    let hard = json!({"pods": "2", "requests.cpu": "1", "count/configmaps": "2"});
    quotas.create(&create, &object(json!({"metadata": {"name": "q"}, "spec": {"hard": hard}}))).await.unwrap();
    used(&quotas, &[("pods", "0"), ("requests.cpu", "0"), ("count/configmaps", "1")]).await;

    pods.create(&create, &pod("a")).await.unwrap();
    pods.create(&create, &pod("b")).await.unwrap();
    used(&quotas, &[("pods", "2"), ("requests.cpu", "800m"), ("count/configmaps", "1")]).await;
    let refused = pods.create(&create, &pod("c")).await.unwrap_err().to_string();
    assert!(refused.contains("exceeded quota: q, requested: pods=1,requests.cpu=400m"), "{refused}");
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    used(&quotas, &[("pods", "1"), ("requests.cpu", "400m"), ("count/configmaps", "1")]).await;
    pods.create(&create, &pod("c")).await.unwrap();

    maps.delete("before", &DeleteParams::default()).await.unwrap();
    used(&quotas, &[("pods", "2"), ("requests.cpu", "800m"), ("count/configmaps", "0")]).await;
    shutdown.cancel();
}

/// A Deployment of no pods.
fn deployment(name: &str) -> Deployment {
    let template =
        json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template});
    object(json!({"metadata": {"name": name}, "spec": spec}))
}

/// Makes a Deployment, and waits until its controller has seen to it. Returns what was written last.
async fn roll_out(deployments: &Api<Deployment>, name: &str) -> Deployment {
    deployments.create(&PostParams::default(), &deployment(name)).await.unwrap();
    let is_complete = |deployment: Option<&Deployment>| {
        let conditions = deployment.and_then(|it| it.status.as_ref()?.conditions.as_ref());
        let mut reasons = conditions.into_iter().flatten().filter_map(|condition| condition.reason.as_deref());
        reasons.any(|reason| reason == "NewReplicaSetAvailable")
    };
    let complete = timeout(PATIENCE, await_condition(deployments.clone(), name, is_complete)).await.unwrap();
    complete.unwrap().unwrap()
}

#[tokio::test]
async fn a_deployment_whose_revision_was_noted_is_still_of_its_first_generation() {
    let shutdown = CancellationToken::new();
    let deployments: Api<Deployment> = Api::default_namespaced(cluster(&shutdown).await);
    deployments.create(&PostParams::default(), &deployment("web")).await.unwrap();
    let noted = |deployment: Option<&Deployment>| {
        let annotations = deployment.and_then(|deployment| deployment.metadata.annotations.as_ref());
        annotations.is_some_and(|annotations| annotations.contains_key("deployment.kubernetes.io/revision"))
    };
    let noted = timeout(PATIENCE, await_condition(deployments, "web", noted)).await.unwrap().unwrap();
    assert_eq!(noted.unwrap().metadata.generation, Some(1));
    shutdown.cancel();
}

/// A reader whose watch of Deployments tells nothing while the gate is shut, and which says when one is looked up.
/// What its watch has told is in `told`.
fn behind(
    server: &ApiServer,
    gate: watch::Receiver<bool>,
    looked_up: Arc<Notify>,
    told: watch::Sender<String>,
) -> Client {
    let service = server.service_as(UserInfo::new(MANAGER, &[]));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let is_deployments = request.uri().path().ends_with("/deployments");
        let asks_for = |what: &str| request.uri().query().is_some_and(|query| query.contains(what));
        // The garbage collector's own watch is of metadata only.
        let of_metadata =
            format!("{:?}", request.headers().get(http::header::ACCEPT)).contains("PartialObjectMetadata");
        let gate = (is_deployments && asks_for("watch=true") && !of_metadata).then(|| (gate.clone(), told.clone()));
        if is_deployments && asks_for("metadata.name") {
            looked_up.notify_one();
        }
        let answer = service.clone().oneshot(request);
        async move {
            let (head, body) = answer.await?.into_parts();
            let frames = BodyStream::new(body).then(move |frame| {
                let gate = gate.clone();
                async move {
                    if let Some((mut gate, told)) = gate {
                        let _ = gate.wait_for(|is_open| *is_open).await;
                        let text = frame.as_ref().ok().and_then(|frame| frame.data_ref());
                        told.send_modify(|told| told.push_str(&String::from_utf8_lossy(text.map_or(&[], |text| text))));
                    }
                    frame
                }
            });
            Ok::<_, std::convert::Infallible>(http::Response::from_parts(head, StreamBody::new(frames)))
        }
    });
    Client::new(service, "default")
}

/// The controller of Deployments may hear that a ReplicaSet is nobody's before it hears that its Deployment is deleted.
/// Were it to take the ReplicaSet back then, this would go with the Deployment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_orphaned_is_not_taken_back() {
    let shutdown = CancellationToken::new();
    let (gate, is_open) = watch::channel(true);
    let (looked_up, told) = (Arc::new(Notify::new()), watch::Sender::default());
    let mut hears = told.subscribe();
    let admin = cluster_with(&shutdown, |server| behind(server, is_open, looked_up.clone(), told)).await;
    let (deployments, replica_sets): (Api<Deployment>, Api<ReplicaSet>) =
        (Api::default_namespaced(admin.clone()), Api::default_namespaced(admin));
    let left = roll_out(&deployments, "left").await;
    // A controller that has not heard of its own last write looks at nothing until it has.
    let last = format!("\"resourceVersion\":\"{}\"", left.metadata.resource_version.unwrap());
    timeout(PATIENCE, hears.wait_for(|told| told.contains(&last))).await.expect("it hears of its write").unwrap();
    gate.send(false).unwrap();
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    deployments.delete("left", &orphan).await.unwrap();
    timeout(PATIENCE, looked_up.notified()).await.expect("it asks before it adopts");
    gate.send(true).unwrap();

    // Who sees to another one has heard of the end of the first.
    roll_out(&deployments, "next").await;
    let left = replica_sets.list(&ListParams::default().labels("app=left")).await.unwrap().items;
    let [replica_set] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!(replica_set.metadata.owner_references, None);
    shutdown.cancel();
}
