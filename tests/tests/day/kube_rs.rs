//! A small controller with kube-rs: every ConfigMap with the label source=yes gets a Secret of its name.
//!
//! Upstream: none; kube-rs's own examples do as much

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{
        Controller, WatchStreamExt,
        controller::Action,
        reflector,
        wait::{await_condition, conditions::is_deleted},
        watcher,
    },
};
use serde_json::json;

const SELECTOR: &str = "source=yes";
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the controller and changes what it watches.
///
/// # Errors
/// Something doesn't come true in time.
pub async fn controller_keeps_its_promise(client: Client, namespace: &str) -> anyhow::Result<()> {
    let sources: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let selected = watcher::Config::default().labels(SELECTOR);
    let (reader, writer) = reflector::store();
    let reflected = reflector(writer, watcher(sources.clone(), selected.clone())).applied_objects();
    let reflecting = tokio::spawn(reflected.try_for_each(async |_| Ok(())));
    let controller = Controller::new(sources.clone(), selected)
        .owns(secrets.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(client))
        .for_each(async |_| ());
    let controlling = tokio::spawn(controller);

    let labels = BTreeMap::from([("source".to_owned(), "yes".to_owned())]);
    let metadata = ObjectMeta { name: Some("first".into()), labels: Some(labels), ..Default::default() };
    let data = BTreeMap::from([("value".to_owned(), "1".to_owned())]);
    let source = ConfigMap { metadata, data: Some(data), ..Default::default() };
    sources.create(&PostParams::default(), &source).await?;
    let first = holds(&secrets, "1").await.context("after the creation")?;

    let change = Patch::Merge(json!({ "data": { "value": "2" } }));
    sources.patch("first", &PatchParams::default(), &change).await?;
    holds(&secrets, "2").await.context("after the change")?;
    reader.wait_until_ready().await?;
    let known: Vec<_> = reader.state().iter().map(|known| known.name_any()).collect();
    ensure!(known == ["first"], "the reflector knows {known:?}");

    // What the controller owns comes again, as another object.
    secrets.delete("first", &DeleteParams::default()).await?;
    let uid = first.metadata.uid.context("a uid")?;
    within("the first Secret goes", await_condition(secrets.clone(), "first", is_deleted(&uid))).await?;
    let again = holds(&secrets, "2").await.context("after the Secret was deleted")?;

    // The garbage collector takes it with its owner.
    sources.delete("first", &DeleteParams::default()).await?;
    let uid = again.metadata.uid.context("a uid")?;
    within("the second Secret goes", await_condition(secrets.clone(), "first", is_deleted(&uid))).await?;
    controlling.abort();
    reflecting.abort();
    Ok(())
}

async fn reconcile(source: Arc<ConfigMap>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let namespace = source.namespace().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.as_ref().clone(), &namespace);
    let name = source.name_any();
    let secret = json!({
        "metadata": { "name": name, "ownerReferences": source.controller_owner_ref(&()).map(|owner| vec![owner]) },
        "stringData": source.data,
    });
    match secrets.patch(&name, &PatchParams::default(), &Patch::Merge(&secret)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let secret = serde_json::from_value(secret).map_err(kube::Error::SerdeError)?;
            secrets.create(&PostParams::default(), &secret).await?;
        }
        other => drop(other?),
    }
    Ok(Action::await_change())
}

/// Waits until the Secret has this value.
async fn holds(secrets: &Api<Secret>, value: &str) -> anyhow::Result<Secret> {
    let wanted = value.as_bytes().to_vec();
    let condition = move |secret: Option<&Secret>| {
        let data = secret.and_then(|secret| secret.data.as_ref());
        data.and_then(|data| data.get("value")).is_some_and(|value| value.0 == wanted)
    };
    let found = within("the Secret follows", await_condition(secrets.clone(), "first", condition)).await?;
    found.context("a condition that holds has an object")
}

async fn within<T, E>(what: &str, future: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let done = tokio::time::timeout(PATIENCE, future).await.with_context(|| format!("it is not so that {what}"))?;
    Ok(done?)
}
