//! A quota from end to end: counted by its controller, charged by the API server, given back when objects go.
//!
//! Upstream: test/e2e/apimachinery/resource_quota.go
//! Left out: what is tested of each part alone (apiserver/tests/quota.rs, controller-manager/src/resource_quota).

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use apiserver::{attributes::UserInfo, server, service::ApiServer};
use client::ClientSource;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn client(server: &ApiServer, user: UserInfo) -> Client {
    Client::new(server.service_as(user), "default")
}

/// An API server with the controllers that a cluster has.
async fn cluster(shutdown: &CancellationToken) -> Client {
    let config =
        server::Config { disabled_admission_plugins: vec!["ServiceAccount".to_owned()], ..server::Config::default() };
    let server = server::open(config, Arc::new(store::Memory::new()), shutdown.clone()).await.unwrap();
    let accounts = server.clone();
    let accounts = ClientSource::new(move |name| client(&accounts, UserInfo::service_account("kube-system", name)));
    let reader = client(&server, UserInfo::new("system:kube-controller-manager", &[]));
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
    let waited = tokio::time::timeout(PATIENCE, await_condition(quotas.clone(), "q", holds)).await;
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
