//! Puts a pod's volumes on the node and says where each container finds them.
//!
//! Upstream: pkg/kubelet/volumemanager, pkg/volume
//! Left out: CSI and network file systems, block volumes, following changes of config maps and secrets in running pods.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Volume, VolumeMount,
    VolumeProjection,
};
use kube::api::{Api, PostParams};
use kube::core::Request;
use proto::cri::{Mount, MountPropagation};
use rustix::mount::{MountFlags, UnmountFlags};
use serde_json::{Value, json};

use crate::config::Config;
use crate::expansion::expand;
use crate::field_path::{self, NodeAmounts};
use crate::local_volumes;
use crate::pod_spec;

pub mod atomic_writer;
pub mod sub_path;

use atomic_writer::File;

/// Why a volume isn't there yet.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// What it is made from doesn't exist (yet), or isn't fit for it.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {reason}")]
    Source { volume: String, reason: String },
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {source}")]
    Disk { volume: String, source: io::Error },
}

/// The folder that holds everything of one pod.
pub fn pod_directory(config: &Config, uid: &str) -> PathBuf {
    config.root_dir.join("pods").join(uid)
}

/// Makes every volume of a pod, and says where each is. Making one again brings it up to date.
pub async fn prepare(
    pod: &Pod,
    config: &Config,
    client: &kube::Client,
    amounts: &NodeAmounts,
) -> Result<BTreeMap<String, PathBuf>, VolumeError> {
    let mut places = BTreeMap::new();
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or(&[]);
    for volume in volumes {
        let maker = Maker { pod, config, client, amounts, volume };
        places.insert(volume.name.clone(), maker.make().await?);
    }
    Ok(places)
}

/// Removes everything of a pod from the node. Whatever its volumes refer to elsewhere stays.
pub fn remove(config: &Config, uid: &str) -> io::Result<()> {
    let folder = pod_directory(config, uid);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(target).starts_with(&folder) {
            rustix::mount::unmount(target, UnmountFlags::DETACH)?;
        }
    }
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

struct Maker<'a> {
    pod: &'a Pod,
    config: &'a Config,
    client: &'a kube::Client,
    amounts: &'a NodeAmounts,
    volume: &'a Volume,
}

impl Maker<'_> {
    async fn make(&self) -> Result<PathBuf, VolumeError> {
        let volume = self.volume;
        if let Some(host) = &volume.host_path {
            return self.host_path(Path::new(&host.path), host.type_.as_deref().unwrap_or_default());
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            return self.claim(&claim.claim_name).await;
        }
        if let Some(empty) = &volume.empty_dir {
            let is_memory = empty.medium.as_deref() == Some("Memory");
            return self.empty(&self.folder("empty-dir"), is_memory);
        }
        let (kind, mode, projections) = self.projections()?;
        let folder = self.empty(&self.folder(kind), kind != "configmap")?;
        let mut files = BTreeMap::new();
        for projection in &projections {
            files.extend(self.files(projection, mode).await?);
        }
        atomic_writer::write(&folder, &files).map_err(|source| self.disk(source))?;
        self.give_to_group(&folder)?;
        Ok(folder)
    }

    fn folder(&self, kind: &str) -> PathBuf {
        let plugin = format!("kubernetes.io~{kind}");
        pod_directory(self.config, pod_spec::uid(self.pod)).join("volumes").join(plugin).join(&self.volume.name)
    }

    /// Config maps, secrets and the downward API are projected volumes with one source.
    fn projections(&self) -> Result<(&'static str, i32, Vec<VolumeProjection>), VolumeError> {
        let as_projection = |value: Value| serde_json::from_value(value).expect("a projection of the same fields");
        let volume = self.volume;
        if let Some(source) = &volume.config_map {
            let one =
                json!({ "configMap": { "name": source.name, "items": source.items, "optional": source.optional } });
            return Ok(("configmap", source.default_mode.unwrap_or(0o644), vec![as_projection(one)]));
        }
        if let Some(source) = &volume.secret {
            let one =
                json!({ "secret": { "name": source.secret_name, "items": source.items, "optional": source.optional } });
            return Ok(("secret", source.default_mode.unwrap_or(0o644), vec![as_projection(one)]));
        }
        if let Some(source) = &volume.downward_api {
            let one = json!({ "downwardAPI": { "items": source.items } });
            return Ok(("downward-api", source.default_mode.unwrap_or(0o644), vec![as_projection(one)]));
        }
        if let Some(source) = &volume.projected {
            let sources = source.sources.clone().unwrap_or_default();
            return Ok(("projected", source.default_mode.unwrap_or(0o644), sources));
        }
        Err(self.unfit("this kind of volume is not supported"))
    }

    async fn files(&self, projection: &VolumeProjection, mode: i32) -> Result<BTreeMap<String, File>, VolumeError> {
        let namespace = pod_spec::namespace(self.pod);
        if let Some(source) = &projection.config_map {
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
            let Some(map) = api.get_opt(&source.name).await.map_err(|error| self.unfit(&error.to_string()))? else {
                return self.absent(source.optional, &format!("configmap \"{}\" not found", source.name));
            };
            let text = map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
            let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
            let content = text.chain(binary).collect();
            return self.select(content, source.items.as_deref(), mode, source.optional);
        }
        if let Some(source) = &projection.secret {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
            let Some(secret) = api.get_opt(&source.name).await.map_err(|error| self.unfit(&error.to_string()))? else {
                return self.absent(source.optional, &format!("secret \"{}\" not found", source.name));
            };
            let content = secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect();
            return self.select(content, source.items.as_deref(), mode, source.optional);
        }
        if let Some(source) = &projection.service_account_token {
            let audience = source.audience.clone().filter(|audience| !audience.is_empty());
            let token = self.token(audience, source.expiration_seconds.unwrap_or(3600)).await?;
            // Upstream: readable by the one user of the pod if there is one, else by all.
            return Ok(BTreeMap::from([(source.path.clone(), File { bytes: token.into_bytes(), mode: 0o644 })]));
        }
        let mut files = BTreeMap::new();
        for item in projection.downward_api.iter().flat_map(|source| source.items.iter().flatten()) {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => field_path::of_pod(self.pod, &field.field_path, &[], &[], &self.amounts.name),
                (None, Some(resource)) => {
                    let first = pod_spec::containers(self.pod).first().ok_or_else(|| self.unfit("no containers"))?;
                    field_path::of_resource(self.pod, first, resource, self.amounts)
                }
                (None, None) => Ok(String::new()),
            };
            let bytes = value.map_err(|reason| self.unfit(&reason))?.into_bytes();
            files.insert(item.path.clone(), File { bytes, mode: item.mode.unwrap_or(mode) as u32 });
        }
        Ok(files)
    }

    fn select(
        &self,
        content: BTreeMap<String, Vec<u8>>,
        items: Option<&[KeyToPath]>,
        mode: i32,
        optional: Option<bool>,
    ) -> Result<BTreeMap<String, File>, VolumeError> {
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            let all = content.into_iter().map(|(key, bytes)| (key, File { bytes, mode: mode as u32 }));
            return Ok(all.collect());
        };
        let mut files = BTreeMap::new();
        for item in items {
            match content.get(&item.key) {
                Some(bytes) => {
                    let mode = item.mode.unwrap_or(mode) as u32;
                    files.insert(item.path.clone(), File { bytes: bytes.clone(), mode });
                }
                None if optional == Some(true) => {}
                None => return Err(self.unfit(&format!("references non-existent key: {}", item.key))),
            }
        }
        Ok(files)
    }

    async fn token(&self, audience: Option<String>, seconds: i64) -> Result<String, VolumeError> {
        let pod = self.pod;
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": audience.into_iter().collect::<Vec<_>>(),
                "expirationSeconds": seconds,
                "boundObjectRef": {
                    "apiVersion": "v1", "kind": "Pod", "name": pod_spec::name(pod), "uid": pod_spec::uid(pod),
                },
            },
        });
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", pod_spec::namespace(pod));
        let body = body.to_string().into_bytes();
        let request = Request::new(path).create_subresource("token", account, &PostParams::default(), body);
        let request = request.map_err(|error| self.unfit(&error.to_string()))?;
        let answer: Value = self.client.request(request).await.map_err(|error| self.unfit(&error.to_string()))?;
        let token = answer["status"]["token"].as_str();
        token.map(str::to_string).ok_or_else(|| self.unfit("the API server gave no token"))
    }

    async fn claim(&self, name: &str) -> Result<PathBuf, VolumeError> {
        let refused = |error: kube::Error| self.unfit(&error.to_string());
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), pod_spec::namespace(self.pod));
        let claim = claims.get(name).await.map_err(refused)?;
        let bound = claim.spec.and_then(|spec| spec.volume_name).filter(|volume| !volume.is_empty());
        let bound = bound.ok_or_else(|| self.unfit(&format!("PVC \"{name}\" is not bound")))?;
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let spec = volumes.get(&bound).await.map_err(refused)?.spec.unwrap_or_default();
        let folder = match (spec.local, spec.host_path) {
            (Some(local), _) => {
                let path = PathBuf::from(local.path);
                if local_volumes::is_ours(&path, &bound, &self.config.local_path_directory) {
                    std::fs::create_dir_all(&path).map_err(|source| self.disk(source))?;
                }
                path
            }
            (None, Some(host)) => self.host_path(Path::new(&host.path), host.type_.as_deref().unwrap_or_default())?,
            (None, None) => return Err(self.unfit(&format!("volume \"{bound}\" is neither local nor hostPath"))),
        };
        self.give_to_group(&folder)?;
        Ok(folder)
    }

    fn host_path(&self, path: &Path, kind: &str) -> Result<PathBuf, VolumeError> {
        let is_folder = path.is_dir();
        let fits = match kind {
            "DirectoryOrCreate" => is_folder || std::fs::create_dir_all(path).is_ok(),
            "FileOrCreate" => path.is_file() || std::fs::File::create(path).is_ok(),
            "Directory" => is_folder,
            "File" => path.is_file(),
            _ => true,
        };
        if fits {
            Ok(path.into())
        } else {
            Err(self.unfit(&format!("hostPath type check failed: {} is not a {kind}", path.display())))
        }
    }

    /// An empty folder that every user may write to, in memory if asked.
    fn empty(&self, folder: &Path, in_memory: bool) -> Result<PathBuf, VolumeError> {
        use std::os::unix::fs::PermissionsExt;
        let made = || -> io::Result<()> {
            std::fs::create_dir_all(folder)?;
            if in_memory && !is_mount(folder) {
                rustix::mount::mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None)?;
            }
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))
        };
        made().map_err(|source| self.disk(source))?;
        self.give_to_group(folder)?;
        Ok(folder.into())
    }

    /// `fsGroup` owns the volume, may write, and owns whatever is made in it.
    fn give_to_group(&self, folder: &Path) -> Result<(), VolumeError> {
        let context = self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        match context.and_then(|context| context.fs_group) {
            Some(group) => own_recursively(folder, group as u32).map_err(|source| self.disk(source)),
            None => Ok(()),
        }
    }

    fn absent(&self, optional: Option<bool>, reason: &str) -> Result<BTreeMap<String, File>, VolumeError> {
        if optional == Some(true) { Ok(BTreeMap::new()) } else { Err(self.unfit(reason)) }
    }

    fn unfit(&self, reason: &str) -> VolumeError {
        VolumeError::Source { volume: self.volume.name.clone(), reason: reason.into() }
    }

    fn disk(&self, source: io::Error) -> VolumeError {
        VolumeError::Disk { volume: self.volume.name.clone(), source }
    }
}

fn is_mount(folder: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == folder.to_str())
}

fn own_recursively(path: &Path, group: u32) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt, lchown};
    lchown(path, None, Some(group))?;
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let extra = if metadata.is_dir() { 0o2070 } else { 0o060 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(metadata.permissions().mode() | extra))?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            own_recursively(&entry?.path(), group)?;
        }
    }
    Ok(())
}

/// The mounts of a container: its volumes, or the parts of them that it names. `folder` is the pod's own.
///
/// # Errors
/// A mount names no volume, or a path that leads out of it.
pub fn mounts(
    container: &Container,
    places: &BTreeMap<String, PathBuf>,
    environment: &[(String, String)],
    folder: &Path,
) -> Result<Vec<Mount>, String> {
    let variables: BTreeMap<_, _> = environment.iter().cloned().collect();
    let mut mounts = Vec::new();
    for (index, wanted) in container.volume_mounts.iter().flatten().enumerate() {
        let place = places.get(&wanted.name).ok_or_else(|| format!("no volume named {}", wanted.name))?;
        let sub_path = sub_path_of(wanted, &variables)?;
        let read_only = wanted.read_only == Some(true);
        let host = if sub_path.is_empty() {
            place.clone()
        } else {
            let pinned =
                folder.join("volume-subpaths").join(&wanted.name).join(&container.name).join(index.to_string());
            let bound = sub_path::open(place, Path::new(&sub_path))
                .and_then(|opened| sub_path::bind(&opened, &pinned, read_only));
            bound.map_err(|error| {
                format!(
                    "failed to prepare subPath for volumeMount \"{}\" of container \"{}\": {error}",
                    wanted.name, container.name
                )
            })?;
            pinned
        };
        mounts.push(Mount {
            container_path: wanted.mount_path.clone(),
            host_path: host.display().to_string(),
            readonly: read_only,
            propagation: match wanted.mount_propagation.as_deref() {
                Some("HostToContainer") => MountPropagation::PropagationHostToContainer as i32,
                Some("Bidirectional") => MountPropagation::PropagationBidirectional as i32,
                _ => MountPropagation::PropagationPrivate as i32,
            },
            ..Default::default()
        });
    }
    Ok(mounts)
}

/// The `subPath` of a mount, its variables expanded.
fn sub_path_of(mount: &VolumeMount, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let Some(expression) = mount.sub_path_expr.as_deref().filter(|expression| !expression.is_empty()) else {
        return Ok(mount.sub_path.clone().unwrap_or_default());
    };
    let expanded = expand(expression, variables);
    if expanded.starts_with('/') {
        return Err(format!("subPath expansion \"{expanded}\" must not be an absolute path"));
    }
    // What no variable stands for is left as written, and would become a folder of that name.
    if expanded.contains("$(") {
        return Err(format!("missing value for variable in subPathExpr \"{expression}\""));
    }
    Ok(expanded)
}
