//! Removes the directories of deleted local volumes, and then the finalizer that waits for it.
//!
//! docs/local-volumes.md tells the whole story; the directory is made when a pod first mounts it (volumes.rs).
//!
//! Upstream: rancher/local-path-provisioner's helper pod
//! Left out: wiping what was on the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::client::{Cache, Informers, ObjectKey, Selector};
use api::local_path;
use futures::StreamExt;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;

/// A removal that failed is tried again after this, and then after twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Whether `path` is the directory that the volume `name` has below `directory`.
pub fn is_ours(path: &Path, name: &str, directory: &Path) -> bool {
    !name.contains('/') && path == directory.join(name)
}

/// Releases the volumes of this node as they are deleted, until `shutdown`.
pub async fn follow(config: &Config, informers: &Informers, shutdown: CancellationToken) {
    let of_node = Selector::labels(format!("{}={}", local_path::VOLUME_LABEL, config.node_name));
    let volumes: Cache<PersistentVolume> = informers.selected(of_node);
    let mut changes = volumes.changes();
    while let Some(Some(change)) = shutdown.run_until_cancelled(changes.next()).await {
        if let Some(path) = change.after.as_deref().and_then(|volume| due(volume, &config.local_path_directory)) {
            let name = change.after.as_deref().and_then(|volume| volume.metadata.name.clone()).unwrap_or_default();
            let work = release(informers.client().clone(), volumes.clone(), name, path);
            let shutdown = shutdown.clone();
            tokio::spawn(async move { shutdown.run_until_cancelled(work).await });
        }
    }
}

/// The directory of a volume that is deleted and waits for us.
fn due(volume: &PersistentVolume, directory: &Path) -> Option<PathBuf> {
    let is_deleted = volume.metadata.deletion_timestamp.is_some();
    let is_held = volume.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == local_path::FINALIZER);
    let path = Path::new(&volume.spec.as_ref()?.local.as_ref()?.path);
    let is_ours = is_ours(path, volume.metadata.name.as_deref()?, directory);
    (is_deleted && is_held && is_ours).then(|| path.to_owned())
}

/// Tries until the directory and the finalizer are gone, or the volume is.
async fn release(client: kube::Client, volumes: Cache<PersistentVolume>, name: String, path: PathBuf) {
    let mut delay = FIRST_RETRY;
    while let Some(volume) = volumes.get(&ObjectKey::cluster(&name)) {
        match try_release(&client, &volume, &path).await {
            Ok(()) => {
                info!(volume = name, path = %path.display(), "removed a local volume");
                return;
            }
            Err(error) => warn!(volume = name, %error, "a local volume is not removed"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(LAST_RETRY);
    }
}

async fn try_release(client: &kube::Client, volume: &PersistentVolume, path: &Path) -> anyhow::Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let metadata = &volume.metadata;
    let finalizers = metadata.finalizers.iter().flatten();
    let kept: Vec<&String> = finalizers.filter(|finalizer| *finalizer != local_path::FINALIZER).collect();
    let patch = json!({"metadata": {"finalizers": kept, "resourceVersion": metadata.resource_version}});
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let name = metadata.name.as_deref().unwrap_or_default();
    match volumes.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(path: &str, deleted: bool) -> PersistentVolume {
        let mut metadata = json!({"name": "pvc-1", "finalizers": [local_path::FINALIZER]});
        if deleted {
            metadata["deletionTimestamp"] = "2026-11-25T00:00:00Z".into();
        }
        serde_json::from_value(json!({"metadata": metadata, "spec": {"local": {"path": path}}})).unwrap()
    }

    #[test]
    fn a_deleted_volume_in_our_directory_is_due_and_no_other() {
        let ours = Path::new("/volumes");
        assert_eq!(due(&volume("/volumes/pvc-1", true), ours), Some("/volumes/pvc-1".into()));
        assert_eq!(due(&volume("/volumes/pvc-1", false), ours), None);
        for elsewhere in ["/volumes", "/volumes/pvc-2", "/volumes/../etc", "/etc"] {
            assert_eq!(due(&volume(elsewhere, true), ours), None, "{elsewhere}");
        }
    }
}
