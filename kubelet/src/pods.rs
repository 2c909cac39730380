//! Gives every pod of the node a worker, and wakes the right one when something happens.
//!
//! Upstream: pkg/kubelet/kubelet.go (syncLoop), pkg/kubelet/pod_workers.go
//! Left out: static and mirror pods.

use std::collections::HashMap;
use std::sync::Arc;

use client::{Cache, Change};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use proto::cri::PodSandboxFilter;
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::acts::Acts;
use crate::observed::{POD_NAME, POD_NAMESPACE, POD_UID};
use crate::pod_spec;
use crate::recorder::full_name;
use crate::runtime_events::RuntimeEvent;
use crate::worker::{Wanted, Worker};

/// The worker of one pod.
struct Entry {
    name: String,
    wanted: watch::Sender<Wanted>,
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

/// Follows the pods of the node until shutdown.
pub async fn follow(
    acts: Arc<Acts>,
    pods: Cache<Pod>,
    mut events: mpsc::Receiver<RuntimeEvent>,
    shutdown: CancellationToken,
) {
    let mut dispatcher = Dispatcher { acts, entries: HashMap::new(), shutdown: shutdown.clone() };
    let mut changes = pods.changes();
    if shutdown.run_until_cancelled(pods.synced()).await.is_none() {
        return;
    }
    dispatcher.adopt_orphans(&pods).await;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            change = changes.next() => match change {
                Some(change) => dispatcher.take(change),
                None => return,
            },
            event = events.recv() => match event {
                Some(RuntimeEvent::Exited(id)) => dispatcher.wake_owner(&id),
                Some(RuntimeEvent::Connected) => {
                    dispatcher.acts.heard_anew();
                    dispatcher.wake_all();
                }
                None => return,
            },
        }
    }
}

struct Dispatcher {
    acts: Arc<Acts>,
    entries: HashMap<String, Entry>,
    shutdown: CancellationToken,
}

impl Dispatcher {
    fn take(&mut self, change: Change<Pod>) {
        self.entries.retain(|_, entry| !entry.task.is_finished());
        if let (Some(before), Some(after)) = (&change.before, &change.after)
            && before.metadata.uid != after.metadata.uid
        {
            self.want(Wanted::Gone(before.clone()));
        }
        match change.after {
            Some(pod) => self.want(Wanted::Pod(pod)),
            None => {
                if let Some(pod) = change.before {
                    self.want(Wanted::Gone(pod));
                }
            }
        }
    }

    fn want(&mut self, wanted: Wanted) {
        let (Wanted::Pod(pod) | Wanted::Gone(pod)) = &wanted;
        let uid = pod_spec::uid(pod).to_string();
        if let Some(entry) = self.entries.get(&uid) {
            entry.wanted.send_replace(wanted);
        } else if matches!(wanted, Wanted::Pod(_)) {
            self.begin(uid, full_name(pod), wanted);
        }
    }

    /// Starts a worker; it begins when every earlier pod of the same name has left the node.
    fn begin(&mut self, uid: String, name: String, wanted: Wanted) {
        let predecessors = self.entries.values().filter(|entry| entry.name == name && !entry.task.is_finished());
        let predecessors: Vec<_> = predecessors.map(|entry| entry.wanted.clone()).collect();
        let (sender, receiver) = watch::channel(wanted);
        let wake = Arc::new(Notify::new());
        let worker = Worker::new(self.acts.clone(), receiver, wake.clone());
        let shutdown = self.shutdown.clone();
        let task = tokio::spawn(async move {
            for predecessor in predecessors {
                // Closed when the last receiver, the predecessor's worker, is gone.
                predecessor.closed().await;
            }
            worker.run(shutdown).await;
        });
        self.entries.insert(uid, Entry { name, wanted: sender, wake, task });
    }

    fn wake_owner(&self, id: &str) {
        let owner = self.acts.heard_exit(id);
        if let Some(entry) = owner.and_then(|uid| self.entries.get(&uid)) {
            entry.wake.notify_one();
        }
    }

    fn wake_all(&self) {
        for entry in self.entries.values() {
            entry.wake.notify_one();
        }
    }

    /// Ends what the runtime has of pods that the API server, which has just been asked, doesn't know.
    async fn adopt_orphans(&mut self, pods: &Cache<Pod>) {
        let sandboxes = match self.acts.runtime.sandboxes(PodSandboxFilter::default()).await {
            Ok(sandboxes) => sandboxes,
            Err(error) => return warn!(%error, "can't look for orphans"),
        };
        let known: Vec<_> = pods.list().iter().map(|pod| pod_spec::uid(pod).to_string()).collect();
        for sandbox in sandboxes {
            let label = |key: &str| sandbox.labels.get(key).cloned();
            let (Some(uid), Some(name), Some(namespace)) = (label(POD_UID), label(POD_NAME), label(POD_NAMESPACE))
            else {
                continue;
            };
            if known.contains(&uid) || self.entries.contains_key(&uid) {
                continue;
            }
            info!(name, namespace, uid, "an orphan is ended");
            let stub = json!({
                "metadata": { "name": name, "namespace": namespace, "uid": uid },
                "spec": { "containers": [] },
            });
            let pod: Pod = serde_json::from_value(stub).expect("metadata and an empty spec are a pod");
            self.begin(uid, full_name(&pod), Wanted::Gone(Arc::new(pod)));
        }
    }
}
