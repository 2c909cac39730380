//! Learns from containerd's event stream which container or sandbox has changed.
//!
//! Upstream: pkg/kubelet/pleg/evented.go
//! Left out: CRI's own container events, which containerd before 1.7 has none of.

use std::time::Duration;

use prost::Message;
use proto::containerd::{SubscribeRequest, TaskExit};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cri::Runtime;

/// CRI's containers live in this namespace of containerd. A value with a slash must be quoted.
const FILTERS: [&str; 2] = [r#"namespace==k8s.io,topic=="/tasks/exit""#, r#"namespace==k8s.io,topic=="/tasks/oom""#];
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// What the stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum RuntimeEvent {
    /// The process of this sandbox or container has ended.
    Exited(String),
    /// The stream is (again) open: whatever happened before was not heard.
    Connected,
}

/// Hands every event to `events` until the receiver is gone or `shutdown`. A broken stream is opened again.
pub async fn follow(runtime: Runtime, events: mpsc::Sender<RuntimeEvent>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() && !events.is_closed() {
        let listening = shutdown.run_until_cancelled(listen(&runtime, &events)).await;
        if let Some(Err(error)) = listening {
            warn!(%error, "the runtime's event stream broke");
        }
        // Nothing announces that a socket will be listened on again.
        shutdown.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await;
    }
}

async fn listen(runtime: &Runtime, events: &mpsc::Sender<RuntimeEvent>) -> Result<(), tonic::Status> {
    let request = SubscribeRequest { filters: FILTERS.map(String::from).to_vec() };
    let mut stream = runtime.event_service().subscribe(request).await?.into_inner();
    info!("listening to the runtime's events");
    let mut next = Some(RuntimeEvent::Connected);
    loop {
        if let Some(event) = next.take()
            && events.send(event).await.is_err()
        {
            return Ok(());
        }
        let Some(envelope) = stream.message().await? else { return Ok(()) };
        let body = envelope.event.unwrap_or_default().value;
        if envelope.topic == "/tasks/exit"
            && let Ok(exit) = TaskExit::decode(body.as_slice())
            && exit.id == exit.container_id
        {
            next = Some(RuntimeEvent::Exited(exit.container_id));
        }
    }
}
