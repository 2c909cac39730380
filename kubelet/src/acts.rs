//! Carries out what was planned for a pod: sandboxes, images, volumes, containers, hooks, and the clean-up at the end.
//!
//! Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go, pkg/kubelet/images
//! Left out: credential plugins, image volumes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use client::{Cache, Recorder};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, Container, LifecycleHandler, Pod, Secret, Service};
use kube::api::Api;
use proto::cri::{AuthConfig, ContainerConfig, Image, Mount, NamespaceMode};
use tokio::sync::watch;
use tracing::warn;

use crate::config::Config;
use crate::container::{self, Prepared};
use crate::cri::Runtime;
use crate::environment::{self, EnvFile, Sources};
use crate::field_path::NodeAmounts;
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::observed::{PodRuntime, Sandbox};
use crate::recorder::PodRecorder;
use crate::security::ImageUser;
use crate::{cgroups, dns, go_duration, hostname, http_get, images, logs, pod_spec, sandbox, volumes};

/// A container that could not be started: the reason and message of its waiting state.
#[derive(Debug, Clone)]
pub struct StartError {
    pub reason: String,
    pub message: String,
}

/// Everything that acting for the pods of a node needs.
pub struct Acts {
    pub config: Config,
    pub client: kube::Client,
    pub runtime: Runtime,
    pub recorder: Recorder,
    pub services: Cache<Service>,
    pub machine: Machine,
    pub metrics: Metrics,
    /// Which pod a sandbox or container belongs to, for the runtime's events.
    owners: Mutex<HashMap<String, String>>,
    /// Containers and sandboxes whose exit was heard, while the runtime's own lists may still call them running.
    exited: Mutex<HashSet<String>>,
    /// Changes whenever something may have ended.
    exits: watch::Sender<()>,
}

impl Acts {
    pub fn new(
        config: Config,
        client: kube::Client,
        runtime: Runtime,
        recorder: Recorder,
        services: Cache<Service>,
        machine: Machine,
        metrics: Metrics,
    ) -> Self {
        Self {
            config,
            client,
            runtime,
            recorder,
            services,
            machine,
            metrics,
            owners: Mutex::default(),
            exited: Mutex::default(),
            exits: watch::Sender::default(),
        }
    }

    /// The uid of the pod that a container or sandbox belongs to.
    pub fn owner(&self, id: &str) -> Option<String> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn know(&self, uid: &str, runtime: &PodRuntime) {
        let ids = runtime.sandboxes.iter().map(|sandbox| &sandbox.id);
        let ids = ids.chain(runtime.containers.iter().map(|container| &container.id));
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.extend(ids.map(|id| (id.clone(), uid.to_string())));
    }

    /// Changes whenever a container or sandbox has ended, or may have while nobody listened.
    pub fn exits(&self) -> watch::Receiver<()> {
        self.exits.subscribe()
    }

    /// Takes note that exits may have been missed.
    pub fn heard_anew(&self) {
        self.exits.send_replace(());
    }

    /// Whether a container's exit was heard while the runtime may still call it running.
    pub fn has_heard_exit(&self, id: &str) -> bool {
        self.exited.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Takes note of an exit. Says whose it was.
    pub fn heard_exit(&self, id: &str) -> Option<String> {
        let owner = self.owner(id)?;
        self.exited.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string());
        self.exits.send_replace(());
        Some(owner)
    }

    /// Whether the runtime still calls something running that has already ended: its lists lag behind its events.
    pub(crate) fn lags(&self, runtime: &PodRuntime) -> bool {
        let mut exited = self.exited.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lags = false;
        for container in &runtime.containers {
            match container.is_running() {
                true => lags |= exited.contains(&container.id),
                false => drop(exited.remove(&container.id)),
            }
        }
        for sandbox in &runtime.sandboxes {
            match sandbox.ready {
                true => lags |= exited.contains(&sandbox.id),
                false => drop(exited.remove(&sandbox.id)),
            }
        }
        lags
    }

    pub fn host_ips(&self) -> Vec<String> {
        self.config.node_ips.iter().map(IpAddr::to_string).collect()
    }

    fn amounts(&self) -> NodeAmounts {
        NodeAmounts {
            name: self.config.node_name.clone(),
            cpu_milli: self.machine.cpus as i64 * 1000,
            memory_bytes: self.machine.allocatable_memory_bytes(),
            ephemeral_bytes: self.machine.allocatable_disk_bytes(),
        }
    }

    fn sandbox_config(&self, pod: &Pod, attempt: u32) -> proto::cri::PodSandboxConfig {
        let of_host = dns::parse(&std::fs::read_to_string(&self.config.resolv_conf).unwrap_or_default());
        sandbox::config(pod, &self.config, dns::config(pod, &self.config, &of_host), attempt)
    }

    pub async fn create_sandbox(&self, pod: &Pod, attempt: u32) -> Result<(), String> {
        cgroups::create(pod, &self.config).map_err(|error| format!("failed to create pod cgroup: {error}"))?;
        let config = self.sandbox_config(pod, attempt);
        std::fs::create_dir_all(&config.log_directory)
            .map_err(|error| format!("failed to make log directory: {error}"))?;
        let handler = String::new();
        let made = self.runtime.run_sandbox(config, handler).await;
        made.map(drop).map_err(|error| format!("Failed to create pod sandbox: {error}"))
    }

    pub async fn stop_sandbox(&self, id: &str) -> Result<(), String> {
        self.runtime.stop_sandbox(id).await.map_err(|error| error.to_string())
    }

    /// Removes a container that doesn't run, and its log.
    pub async fn remove_container(&self, id: &str, log: &Path) {
        if let Err(error) = self.runtime.remove_container(id).await {
            return warn!(%error, id, "a container is not removed");
        }
        if let Err(error) = logs::remove(log, &self.config.container_logs_dir) {
            warn!(%error, id, "the log of a removed container stays");
        }
    }

    pub async fn remove_sandbox(&self, id: &str) {
        if let Err(error) = self.runtime.remove_sandbox(id).await {
            warn!(%error, id, "a sandbox is not removed");
        }
    }

    /// Pulls, creates, starts, and runs the postStart hook.
    pub async fn start(
        &self,
        pod: &Pod,
        name: &str,
        in_sandbox: &Sandbox,
        restart_count: u32,
        back_off: SignedDuration,
        recorder: &PodRecorder,
    ) -> Result<(), StartError> {
        let spec = pod_spec::any_container(pod, name)
            .ok_or_else(|| failure("CreateContainerConfigError", "no such container"))?;
        let spec = &*spec;
        let image = self.image(pod, spec, recorder).await?;
        let prepared = self.prepare(pod, spec, in_sandbox, &image, restart_count, back_off, recorder).await?;
        let config = container::config(pod, spec, prepared);
        let mut config = config.map_err(|message| warned(recorder, name, "CreateContainerConfigError", message))?;
        if let Some(target) = pod_spec::target_of(pod, name) {
            let joined = self.join_processes(pod, target, &mut config).await;
            joined.map_err(|message| warned(recorder, name, "CreateContainerConfigError", message))?;
        }
        let sandbox_config = self.sandbox_config(pod, 0);
        let created = self.runtime.create_container(&in_sandbox.id, config, sandbox_config).await;
        let id = created.map_err(|error| warned(recorder, name, "CreateContainerError", error.description().into()))?;
        recorder.normal("Created", "Container created", Some(name));
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), pod_spec::uid(pod).into());
        if let Err(error) = self.runtime.start_container(&id).await {
            return Err(warned(recorder, name, "RunContainerError", error.description().into()));
        }
        recorder.normal("Started", "Container started", Some(name));
        self.link_log(pod, name, &id, restart_count);
        let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        if let Some(hook) = hook
            && let Err(message) = self.hook(hook, spec, &id, &in_sandbox.ips, Duration::from_secs(600)).await
        {
            recorder.warning("FailedPostStartHook", &format!("PostStartHook failed: {message}"), Some(name));
            let _ = self.runtime.stop_container(&id, pod_spec::grace_seconds(pod, false)).await;
            return Err(failure("PostStartHookError", &message));
        }
        Ok(())
    }

    /// Lets a container see the processes of another one that runs.
    async fn join_processes(&self, pod: &Pod, target: &str, config: &mut ContainerConfig) -> Result<(), String> {
        let runtime = crate::observed::observe(&self.runtime, pod_spec::uid(pod)).await;
        let runtime = runtime.map_err(|error| error.to_string())?;
        let found = runtime.running().find(|container| container.name == target);
        let found = found.ok_or_else(|| format!("unable to find target container {target:?}"))?;
        let security = config.linux.as_mut().and_then(|linux| linux.security_context.as_mut());
        if let Some(namespaces) = security.and_then(|security| security.namespace_options.as_mut()) {
            namespaces.pid = NamespaceMode::Target.into();
            namespaces.target_id = found.id.clone();
        }
        Ok(())
    }

    async fn image(&self, pod: &Pod, spec: &Container, recorder: &PodRecorder) -> Result<Image, StartError> {
        let (name, written) = (spec.name.as_str(), spec.image.as_deref().unwrap_or_default());
        let refused = |event: &str, reason: &str, message: String| {
            recorder.warning(event, &message, Some(name));
            recorder.warning("Failed", &format!("Error: {reason}"), Some(name));
            failure(reason, &message)
        };
        let reference = images::full_name(written);
        let reference = reference.map_err(|message| refused("InspectFailed", "InvalidImageName", message))?;
        let present = self.runtime.image(&reference).await.map_err(|error| {
            refused("InspectFailed", "ImageInspectError", format!("Failed to inspect image \"{written}\": {error}"))
        })?;
        match (images::pull_policy(spec), present) {
            (images::PullPolicy::IfNotPresent | images::PullPolicy::Never, Some(image)) => {
                let message =
                    format!("Container image \"{written}\" already present on machine and can be accessed by the pod");
                recorder.normal("Pulled", &message, Some(name));
                Ok(image)
            }
            (images::PullPolicy::Never, None) => {
                let message = format!("Container image \"{written}\" is not present with pull policy of Never");
                Err(refused("ErrImageNeverPull", "ErrImageNeverPull", message))
            }
            _ => {
                recorder.normal("Pulling", &format!("Pulling image \"{written}\""), Some(name));
                let pulled = self.pull(pod, &reference).await;
                let (image, took) = pulled.map_err(|error| {
                    recorder.warning("Failed", &format!("Failed to pull image \"{written}\": {error}"), Some(name));
                    recorder.warning("Failed", "Error: ErrImagePull", Some(name));
                    failure("ErrImagePull", &error)
                })?;
                let took = go_duration::millis(took);
                let message = format!(
                    "Successfully pulled image \"{written}\" in {took} ({took} including waiting). Image size: {} bytes.",
                    image.size
                );
                recorder.normal("Pulled", &message, Some(name));
                Ok(image)
            }
        }
    }

    /// Pulls with each of the pod's logins until one is accepted. Says how long it took.
    async fn pull(&self, pod: &Pod, reference: &str) -> Result<(Image, Duration), String> {
        let began = tokio::time::Instant::now();
        let mut logins: Vec<Option<AuthConfig>> = self.logins(pod, reference).await.into_iter().map(Some).collect();
        if logins.is_empty() {
            logins.push(None);
        }
        let mut last = String::new();
        for login in logins {
            match self.runtime.pull(reference, login, None).await {
                Ok(_) => {
                    let image = self.runtime.image(reference).await.map_err(|error| error.to_string())?;
                    return image.map(|image| (image, began.elapsed())).ok_or("the image has gone again".into());
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    async fn logins(&self, pod: &Pod, reference: &str) -> Vec<AuthConfig> {
        let names = pod.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_deref()).unwrap_or(&[]);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), pod_spec::namespace(pod));
        let mut logins = Vec::new();
        for secret in names {
            if let Ok(Some(secret)) = api.get_opt(&secret.name).await {
                logins.extend(images::logins(&secret, reference));
            }
        }
        logins
    }

    #[allow(clippy::too_many_arguments)] // what one container is made from, gathered here and nowhere else
    async fn prepare(
        &self,
        pod: &Pod,
        spec: &Container,
        in_sandbox: &Sandbox,
        image: &Image,
        restart_count: u32,
        back_off: SignedDuration,
        recorder: &PodRecorder,
    ) -> Result<Prepared, StartError> {
        let places = volumes::prepare(pod, &self.config, &self.client, &self.amounts()).await;
        let places = places.map_err(|error| {
            recorder.warning("FailedMount", &error.to_string(), None);
            StartError { reason: "ContainerCreating".into(), message: String::new() }
        })?;
        let environment = self.environment(pod, spec, in_sandbox, &places).await;
        let environment =
            environment.map_err(|message| warned(recorder, &spec.name, "CreateContainerConfigError", message))?;
        let folder = volumes::pod_directory(&self.config, pod_spec::uid(pod));
        let mut mounts = volumes::mounts(spec, &places, &environment, &folder)
            .map_err(|message| warned(recorder, &spec.name, "CreateContainerConfigError", message))?;
        self.managed_files(pod, spec, in_sandbox, restart_count, &mut mounts)
            .map_err(|error| failure("CreateContainerConfigError", &error.to_string()))?;
        Ok(Prepared {
            image_ref: image.id.clone(),
            image_user: image_user(image),
            environment,
            mounts,
            machine_memory: self.machine.memory_bytes,
            restart_count,
            back_off,
        })
    }

    async fn environment(
        &self,
        pod: &Pod,
        spec: &Container,
        in_sandbox: &Sandbox,
        places: &BTreeMap<String, PathBuf>,
    ) -> Result<Vec<(String, String)>, String> {
        let (mut map_names, mut secret_names) = (BTreeSet::new(), BTreeSet::new());
        for from in spec.env_from.iter().flatten() {
            map_names.extend(from.config_map_ref.as_ref().map(|source| source.name.clone()));
            secret_names.extend(from.secret_ref.as_ref().map(|source| source.name.clone()));
        }
        for from in spec.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
            map_names.extend(from.config_map_key_ref.as_ref().map(|key| key.name.clone()));
            secret_names.extend(from.secret_key_ref.as_ref().map(|key| key.name.clone()));
        }
        let namespace = pod_spec::namespace(pod);
        let map_api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let secret_api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let (mut config_maps, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for name in map_names {
            let map = map_api.get_opt(&name).await.map_err(|error| error.to_string())?;
            config_maps.insert(name, map);
        }
        for name in secret_names {
            let secret = secret_api.get_opt(&name).await.map_err(|error| error.to_string())?;
            secrets.insert(name, secret);
        }
        self.services.synced().await;
        let services: Vec<Service> = self.services.list().iter().map(|service| (**service).clone()).collect();
        let host_ips = self.host_ips();
        let on_host = pod.spec.as_ref().is_some_and(pod_spec::is_host_network);
        let pod_ips = if on_host { host_ips.clone() } else { in_sandbox.ips.clone() };
        let sources = Sources {
            config_maps: &config_maps,
            secrets: &secrets,
            services: &services,
            pod_ips: &pod_ips,
            host_ips: &host_ips,
            node: &self.amounts(),
            files: &env_files(spec, places),
        };
        environment::variables(pod, spec, &sources)
    }

    /// /etc/hosts and the termination message file.
    fn managed_files(
        &self,
        pod: &Pod,
        spec: &Container,
        in_sandbox: &Sandbox,
        restart_count: u32,
        mounts: &mut Vec<Mount>,
    ) -> std::io::Result<()> {
        let folder = volumes::pod_directory(&self.config, pod_spec::uid(pod));
        let own = folder.join("containers").join(&spec.name);
        std::fs::create_dir_all(&own)?;
        if !mounts.iter().any(|mount| mount.container_path == "/etc/hosts") {
            let of_host = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
            let hosts = folder.join("etc-hosts");
            std::fs::write(&hosts, hostname::hosts_file(pod, &self.config, &in_sandbox.ips, &of_host))?;
            mounts.push(file_mount("/etc/hosts", hosts));
        }
        let message = own.join(format!("{restart_count}.termination"));
        std::fs::write(&message, "")?;
        std::fs::set_permissions(&message, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        let path = spec.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
        mounts.push(file_mount(path, message));
        Ok(())
    }

    /// The link by which log collectors find a container's log.
    fn link_log(&self, pod: &Pod, name: &str, id: &str, restart_count: u32) {
        let link = format!("{}_{}_{name}-{id}.log", pod_spec::name(pod), pod_spec::namespace(pod));
        let log = logs::pod_directory(&self.config.pod_logs_dir, pod);
        let log = log.join(logs::file_name(name, restart_count));
        let linked = std::fs::create_dir_all(&self.config.container_logs_dir)
            .and_then(|()| std::os::unix::fs::symlink(log, self.config.container_logs_dir.join(link)));
        if let Err(error) = linked {
            warn!(%error, "a log is not linked");
        }
    }

    /// The preStop hook, then the stop signal with what is left of the grace period.
    pub async fn kill(&self, pod: &Pod, name: &str, id: &str, grace_seconds: i64, recorder: &PodRecorder) {
        let began = tokio::time::Instant::now();
        let spec = pod_spec::any_container(pod, name);
        let hook = spec.as_deref().and_then(|spec| Some((spec, spec.lifecycle.as_ref()?.pre_stop.as_ref()?)));
        if let Some((spec, hook)) = hook
            && grace_seconds > 0
        {
            let ips = pod.status.iter().filter_map(|status| status.pod_ip.clone()).collect::<Vec<_>>();
            let limit = Duration::from_secs(grace_seconds as u64);
            if let Err(message) = self.hook(hook, spec, id, &ips, limit).await {
                recorder.warning("FailedPreStopHook", &format!("PreStopHook failed: {message}"), Some(name));
            }
        }
        let left = grace_seconds - began.elapsed().as_secs() as i64;
        // Upstream leaves at least two seconds after a hook that used up the time.
        let left = if hook.is_some() { left.max(2.min(grace_seconds)) } else { left.max(0) };
        if let Err(error) = self.runtime.stop_container(id, left).await {
            warn!(%error, id, "a container is not stopped");
        }
    }

    async fn hook(
        &self,
        hook: &LifecycleHandler,
        spec: &Container,
        id: &str,
        ips: &[String],
        limit: Duration,
    ) -> Result<(), String> {
        if let Some(exec) = &hook.exec {
            let answer = self.runtime.exec_sync(id, exec.command.as_deref().unwrap_or(&[]), limit).await;
            let answer = answer.map_err(|error| error.to_string())?;
            return match answer.exit_code {
                0 => Ok(()),
                code => Err(format!("command exited with {code}: {}", String::from_utf8_lossy(&answer.stderr))),
            };
        }
        let ip = ips.first().cloned().unwrap_or_default();
        let asked = async {
            match (&hook.http_get, &hook.sleep) {
                (Some(get), _) => http_get::probe(get, spec, &ip).await,
                (None, Some(sleep)) => {
                    tokio::time::sleep(Duration::from_secs(sleep.seconds.max(0) as u64)).await;
                    Ok(())
                }
                (None, None) => Ok(()),
            }
        };
        tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err("the grace period is over".into()))
    }

    /// Removes everything of a pod from the node.
    pub async fn clean(&self, pod: &Pod) -> Result<(), String> {
        let uid = pod_spec::uid(pod);
        let runtime = crate::observed::observe(&self.runtime, uid).await.map_err(|error| error.to_string())?;
        for container in &runtime.containers {
            self.runtime.remove_container(&container.id).await.map_err(|error| error.to_string())?;
        }
        for sandbox in &runtime.sandboxes {
            self.runtime.stop_sandbox(&sandbox.id).await.map_err(|error| error.to_string())?;
            self.runtime.remove_sandbox(&sandbox.id).await.map_err(|error| error.to_string())?;
        }
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, owner| owner != uid);
        volumes::remove(&self.config, uid).map_err(|error| format!("volumes: {error}"))?;
        cgroups::remove(pod, &self.config).map_err(|error| format!("cgroup: {error}"))?;
        self.remove_logs(pod).map_err(|error| format!("logs: {error}"))
    }

    fn remove_logs(&self, pod: &Pod) -> std::io::Result<()> {
        let logs = logs::pod_directory(&self.config.pod_logs_dir, pod);
        if logs.exists() {
            std::fs::remove_dir_all(&logs)?;
        }
        logs::remove_links(&logs, &self.config.container_logs_dir)
    }
}

fn image_user(image: &Image) -> ImageUser {
    match (&image.uid, image.username.as_str()) {
        (Some(uid), _) => ImageUser::Uid(uid.value),
        (None, "") => ImageUser::Root,
        (None, name) => ImageUser::Name(name.into()),
    }
}

/// What a file of variables may hold: as much as a ConfigMap or Secret.
const MAX_ENV_FILE_BYTES: u64 = 1 << 20;

/// The files that a container's `fileKeyRef`s name.
fn env_files(spec: &Container, places: &BTreeMap<String, PathBuf>) -> BTreeMap<(String, String), EnvFile> {
    let from = spec.env.iter().flatten().filter_map(|env| env.value_from.as_ref()?.file_key_ref.as_ref());
    from.map(|key| {
        let read = places.get(&key.volume_name);
        let read = read.map(|place| volumes::sub_path::read(place, Path::new(&key.path), MAX_ENV_FILE_BYTES));
        let file = match read {
            None => EnvFile::NoVolume,
            Some(Err(error)) => EnvFile::Unreadable(error.to_string()),
            Some(Ok(text)) => EnvFile::Text(text),
        };
        ((key.volume_name.clone(), key.path.clone()), file)
    })
    .collect()
}

fn file_mount(inside: &str, host: PathBuf) -> Mount {
    Mount { container_path: inside.into(), host_path: host.display().to_string(), ..Default::default() }
}

fn failure(reason: &str, message: &str) -> StartError {
    StartError { reason: reason.into(), message: message.into() }
}

/// A failure that is also an Event.
fn warned(recorder: &PodRecorder, container: &str, reason: &str, message: String) -> StartError {
    recorder.warning("Failed", &format!("Error: {message}"), Some(container));
    failure(reason, &message)
}
