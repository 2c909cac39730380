//! The container runtime, as the kubelet calls it: CRI v1 over one gRPC channel, and containerd's event stream beside it.
//!
//! Upstream: pkg/kubelet/cri/remote
//! Left out: CRI v1alpha2, and a second socket for images.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use proto::containerd::events_client::EventsClient;
use proto::cri::image_service_client::ImageServiceClient;
use proto::cri::runtime_service_client::RuntimeServiceClient;
use proto::cri::*;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::metrics::Metrics;

/// Lists of a crowded node are bigger than gRPC's default of 4 MiB.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// Upstream's `runtimeRequestTimeout`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a call to the runtime failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CriError {
    /// There is no such sandbox, container or image. Whoever wanted it gone has what they wanted.
    #[error("rpc error: code = NotFound desc = {0}")]
    NotFound(String),
    /// The runtime doesn't answer. Containers run on; try again.
    #[error("container runtime is down: {0}")]
    Unavailable(String),
    /// The runtime answered no. The message is for the pod's status.
    #[error("rpc error: code = {code:?} desc = {message}")]
    Refused { code: Code, message: String },
}

impl CriError {
    /// What the runtime said, without gRPC's words around it.
    pub fn description(&self) -> &str {
        match self {
            CriError::NotFound(message) | CriError::Unavailable(message) | CriError::Refused { message, .. } => message,
        }
    }
}

impl From<Status> for CriError {
    fn from(status: Status) -> Self {
        let message = status.message().to_string();
        match status.code() {
            Code::NotFound => CriError::NotFound(message),
            Code::Unavailable => CriError::Unavailable(message),
            code => CriError::Refused { code, message },
        }
    }
}

/// A connection to the runtime. Cheap to clone; it reconnects by itself.
#[derive(Clone)]
pub struct Runtime {
    pods: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    events: EventsClient<Channel>,
    metrics: Metrics,
}

impl Runtime {
    /// Talks to the socket at `endpoint` (`unix:///run/containerd/containerd.sock`, or a path). Nothing is dialled yet.
    /// Calls are counted in `metrics`.
    pub fn new(endpoint: &str, metrics: Metrics) -> Self {
        let socket = socket_path(endpoint);
        let connect = tower::service_fn(move |_: http::Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://runtime.invalid").connect_with_connector_lazy(connect);
        Self {
            pods: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            images: ImageServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            events: EventsClient::new(channel),
            metrics,
        }
    }

    /// Counts a call under upstream's name of it.
    async fn counted<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let began = Instant::now();
        let answer = call.await;
        self.metrics.called(operation, answer.is_ok(), began.elapsed());
        answer.map(Response::into_inner)
    }

    /// The client of containerd's own event service, for `events`.
    pub fn event_service(&self) -> EventsClient<Channel> {
        self.events.clone()
    }

    pub async fn version(&self) -> Result<VersionResponse, CriError> {
        let version = VersionRequest { version: "v1".into() };
        Ok(self.counted("version", self.pods.clone().version(within(version, REQUEST_TIMEOUT))).await?)
    }

    /// The runtime's own conditions: `RuntimeReady` and `NetworkReady`.
    pub async fn conditions(&self) -> Result<Vec<RuntimeCondition>, CriError> {
        let request = within(StatusRequest { verbose: false }, Duration::from_secs(10));
        let answer = self.counted("status", self.pods.clone().status(request)).await?;
        Ok(answer.status.unwrap_or_default().conditions)
    }

    pub async fn run_sandbox(&self, config: PodSandboxConfig, handler: String) -> Result<String, CriError> {
        let request = RunPodSandboxRequest { config: Some(config), runtime_handler: handler };
        let answer = self
            .counted("run_podsandbox", self.pods.clone().run_pod_sandbox(within(request, REQUEST_TIMEOUT * 2)))
            .await?;
        Ok(answer.pod_sandbox_id)
    }

    /// Stops what still runs in it and gives its address back. Stopping a stopped one is no error.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), CriError> {
        let request = StopPodSandboxRequest { pod_sandbox_id: id.into() };
        absent_is_done(
            self.counted("stop_podsandbox", self.pods.clone().stop_pod_sandbox(within(request, REQUEST_TIMEOUT))).await,
        )
    }

    pub async fn remove_sandbox(&self, id: &str) -> Result<(), CriError> {
        let request = RemovePodSandboxRequest { pod_sandbox_id: id.into() };
        absent_is_done(
            self.counted("remove_podsandbox", self.pods.clone().remove_pod_sandbox(within(request, REQUEST_TIMEOUT)))
                .await,
        )
    }

    pub async fn sandboxes(&self, filter: PodSandboxFilter) -> Result<Vec<PodSandbox>, CriError> {
        let request = ListPodSandboxRequest { filter: Some(filter) };
        Ok(self
            .counted("list_podsandbox", self.pods.clone().list_pod_sandbox(within(request, REQUEST_TIMEOUT)))
            .await?
            .items)
    }

    pub async fn sandbox_status(&self, id: &str) -> Result<PodSandboxStatus, CriError> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.into(), verbose: false };
        let answer = self
            .counted("podsandbox_status", self.pods.clone().pod_sandbox_status(within(request, REQUEST_TIMEOUT)))
            .await?;
        answer.status.ok_or_else(|| CriError::NotFound(format!("sandbox {id} has no status")))
    }

    pub async fn create_container(
        &self,
        sandbox_id: &str,
        config: ContainerConfig,
        sandbox: PodSandboxConfig,
    ) -> Result<String, CriError> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox_id.into(),
            config: Some(config),
            sandbox_config: Some(sandbox),
        };
        Ok(self
            .counted("create_container", self.pods.clone().create_container(within(request, REQUEST_TIMEOUT)))
            .await?
            .container_id)
    }

    pub async fn start_container(&self, id: &str) -> Result<(), CriError> {
        let request = StartContainerRequest { container_id: id.into() };
        self.counted("start_container", self.pods.clone().start_container(within(request, REQUEST_TIMEOUT))).await?;
        Ok(())
    }

    /// Sends the stop signal, and SIGKILL after `grace_seconds`. Answers when the container has exited.
    pub async fn stop_container(&self, id: &str, grace_seconds: i64) -> Result<(), CriError> {
        let request = StopContainerRequest { container_id: id.into(), timeout: grace_seconds };
        let limit = REQUEST_TIMEOUT + Duration::from_secs(grace_seconds.max(0) as u64);
        absent_is_done(self.counted("stop_container", self.pods.clone().stop_container(within(request, limit))).await)
    }

    pub async fn remove_container(&self, id: &str) -> Result<(), CriError> {
        let request = RemoveContainerRequest { container_id: id.into() };
        absent_is_done(
            self.counted("remove_container", self.pods.clone().remove_container(within(request, REQUEST_TIMEOUT)))
                .await,
        )
    }

    pub async fn containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, CriError> {
        let request = ListContainersRequest { filter: Some(filter) };
        Ok(self
            .counted("list_containers", self.pods.clone().list_containers(within(request, REQUEST_TIMEOUT)))
            .await?
            .containers)
    }

    pub async fn container_status(&self, id: &str) -> Result<ContainerStatus, CriError> {
        let request = ContainerStatusRequest { container_id: id.into(), verbose: false };
        let answer = self
            .counted("container_status", self.pods.clone().container_status(within(request, REQUEST_TIMEOUT)))
            .await?;
        answer.status.ok_or_else(|| CriError::NotFound(format!("container {id} has no status")))
    }

    pub async fn reopen_log(&self, id: &str) -> Result<(), CriError> {
        let request = ReopenContainerLogRequest { container_id: id.into() };
        self.counted("reopen_container_log", self.pods.clone().reopen_container_log(within(request, REQUEST_TIMEOUT)))
            .await?;
        Ok(())
    }

    pub async fn stats(&self) -> Result<Vec<ContainerStats>, CriError> {
        let request = ListContainerStatsRequest::default();
        Ok(self
            .counted("list_container_stats", self.pods.clone().list_container_stats(within(request, REQUEST_TIMEOUT)))
            .await?
            .stats)
    }

    /// Runs a command in a container to its end, at most `limit`.
    pub async fn exec_sync(&self, id: &str, command: &[String], limit: Duration) -> Result<ExecSyncResponse, CriError> {
        let timeout = limit.as_secs().max(1) as i64;
        let request = ExecSyncRequest { container_id: id.into(), cmd: command.to_vec(), timeout };
        Ok(self
            .counted("exec_sync", self.pods.clone().exec_sync(within(request, limit + Duration::from_secs(10))))
            .await?)
    }

    /// Where the runtime's streaming server takes this exec session.
    pub async fn exec(&self, request: ExecRequest) -> Result<String, CriError> {
        Ok(self.counted("exec", self.pods.clone().exec(within(request, REQUEST_TIMEOUT))).await?.url)
    }

    /// Where the runtime's streaming server takes this attach session.
    pub async fn attach(&self, request: AttachRequest) -> Result<String, CriError> {
        Ok(self.counted("attach", self.pods.clone().attach(within(request, REQUEST_TIMEOUT))).await?.url)
    }

    /// Where the runtime's streaming server takes this port-forward session.
    pub async fn port_forward(&self, request: PortForwardRequest) -> Result<String, CriError> {
        Ok(self.counted("port_forward", self.pods.clone().port_forward(within(request, REQUEST_TIMEOUT))).await?.url)
    }

    pub async fn image(&self, reference: &str) -> Result<Option<Image>, CriError> {
        let request = ImageStatusRequest { image: Some(image_spec(reference)), verbose: false };
        Ok(self
            .counted("image_status", self.images.clone().image_status(within(request, REQUEST_TIMEOUT)))
            .await?
            .image)
    }

    pub async fn image_list(&self) -> Result<Vec<Image>, CriError> {
        let request = ListImagesRequest::default();
        Ok(self.counted("list_images", self.images.clone().list_images(within(request, REQUEST_TIMEOUT))).await?.images)
    }

    /// Pulls an image. There is no time limit: layers may be large and lines slow.
    pub async fn pull(
        &self,
        reference: &str,
        auth: Option<AuthConfig>,
        sandbox: Option<PodSandboxConfig>,
    ) -> Result<String, CriError> {
        let request = PullImageRequest { image: Some(image_spec(reference)), auth, sandbox_config: sandbox };
        Ok(self.counted("pull_image", self.images.clone().pull_image(request)).await?.image_ref)
    }

    pub async fn remove_image(&self, reference: &str) -> Result<(), CriError> {
        let request = RemoveImageRequest { image: Some(image_spec(reference)) };
        absent_is_done(
            self.counted("remove_image", self.images.clone().remove_image(within(request, REQUEST_TIMEOUT))).await,
        )
    }
}

pub fn image_spec(reference: &str) -> ImageSpec {
    ImageSpec { image: reference.into(), user_specified_image: reference.into(), ..Default::default() }
}

fn socket_path(endpoint: &str) -> PathBuf {
    Path::new(endpoint.strip_prefix("unix://").unwrap_or(endpoint)).to_path_buf()
}

fn within<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

fn absent_is_done<T>(answer: Result<T, Status>) -> Result<(), CriError> {
    match answer.map(drop).map_err(CriError::from) {
        Err(CriError::NotFound(_)) => Ok(()),
        other => other,
    }
}
