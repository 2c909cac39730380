//! /containerLogs: the log of one container, its last run or the one before.
//!
//! Upstream: pkg/kubelet/server/server.go (getContainerLogs), pkg/kubelet/kubelet_pods.go (validateContainerLogStatus)
//! Left out: nothing.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use component::query::Query;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use proto::cri::ContainerState;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Server;
use crate::acts::Acts;
use crate::cri::CriError;
use crate::logs::reader::{self, Options};
use crate::pod_spec;

/// How soon the runtime is asked again about a container whose exit it has told.
const LAG: Duration = Duration::from_millis(20);

pub async fn serve(
    State(server): State<Server>,
    Path((namespace, name, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    match open(&server, &namespace, &name, &container, &query).await {
        Ok(body) => ([("content-type", "text/plain")], body).into_response(),
        Err((status, message)) => (status, message).into_response(),
    }
}

async fn open(
    server: &Server,
    namespace: &str,
    name: &str,
    container: &str,
    query: &Query,
) -> Result<Body, (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let absent = |message: String| (StatusCode::NOT_FOUND, message);
    let (options, wanted) = options(query, Timestamp::now()).map_err(bad)?;
    let pod = server.pod(namespace, name).ok_or_else(|| absent(format!("pod {name:?} does not exist")))?;
    if pod_spec::any_container(&pod, container).is_none() {
        return Err(absent(format!("container {container:?} not found in pod {name:?}")));
    }
    let id = container_to_read(&pod, container, wanted.previous).map_err(bad)?;
    let status = server.acts.runtime.container_status(&id).await;
    let status = status.map_err(|error| bad(format!("failed to get container status {id:?}: {error}")))?;
    let path = PathBuf::from(status.log_path);
    let ended = wanted.follow.then(|| end_of(server.acts.clone(), id));
    if let Err(error) = std::fs::metadata(&path) {
        return Err(bad(format!("failed to try resolving symlinks in path {:?}: {error}", path.display().to_string())));
    }
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(16);
    tokio::spawn(async move {
        if let Err(error) = reader::copy(&path, options, ended, sender.clone()).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(Body::from_stream(ReceiverStream::new(receiver)))
}

/// What of the options is about which run, and how long.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    previous: bool,
    follow: bool,
}

fn options(query: &Query, now: Timestamp) -> Result<(Options, Wanted), String> {
    let number = |name: &str| match query.get(name).filter(|text| !text.is_empty()) {
        // Upstream answers a tail that is no number with the whole log.
        Some("all") if name == "tailLines" => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|error| format!("invalid {name} {text:?}: {error}")),
        None => Ok(None),
    };
    let since = match (number("sinceSeconds")?, query.get("sinceTime").filter(|text| !text.is_empty())) {
        (Some(seconds), _) => {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            Some(now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::UNIX_EPOCH))
        }
        (None, Some(time)) => Some(time.parse().map_err(|error| format!("invalid sinceTime {time:?}: {error}"))?),
        (None, None) => None,
    };
    let options = Options {
        tail_lines: number("tailLines")?,
        since,
        timestamps: query.flag("timestamps"),
        limit_bytes: number("limitBytes")?,
    };
    Ok((options, Wanted { previous: query.flag("previous"), follow: query.flag("follow") }))
}

/// The runtime's id of the run whose log is meant.
///
/// # Errors
/// There is none (yet); the words are what `kubectl logs` prints.
fn container_to_read(pod: &Pod, name: &str, previous: bool) -> Result<String, String> {
    let pod_name = pod_spec::name(pod);
    let status = pod.status.as_ref();
    let mut statuses = status.iter().flat_map(|status| {
        let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
        lists.into_iter().flatten()
    });
    let status = statuses.find_map(|all| all.iter().find(|status| status.name == name));
    let Some(status) = status else {
        return Err(format!("container {name:?} in pod {pod_name:?} is not available"));
    };
    let is_terminated = || format!("container {name:?} in pod {pod_name:?} is terminated");
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let before = before.map(|terminated| terminated.container_id.clone().unwrap_or_default());
    if previous {
        let gone = || format!("previous terminated container {name:?} in pod {pod_name:?} not found");
        return before.filter(|id| !id.is_empty()).map(|id| bare(&id)).ok_or_else(gone);
    }
    let state = status.state.clone().unwrap_or_default();
    if state.running.is_some() {
        return Ok(bare(status.container_id.as_deref().unwrap_or_default()));
    }
    if let Some(terminated) = state.terminated {
        let own = terminated.container_id.filter(|id| !id.is_empty());
        return own.or(before).filter(|id| !id.is_empty()).map(|id| bare(&id)).ok_or_else(is_terminated);
    }
    if let Some(id) = before {
        return if id.is_empty() { Err(is_terminated()) } else { Ok(bare(&id)) };
    }
    Err(waiting(status, name, pod_name))
}

fn waiting(status: &ContainerStatus, name: &str, pod: &str) -> String {
    let reason = status.state.as_ref().and_then(|state| state.waiting.as_ref()).map(|waiting| waiting.reason.clone());
    let Some(reason) = reason else {
        return format!("container {name:?} in pod {pod:?} is waiting to start - no logs yet");
    };
    let why = match reason.as_deref().unwrap_or_default() {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    format!("container {name:?} in pod {pod:?} is waiting to start: {why}")
}

fn bare(id: &str) -> String {
    id.split_once("://").map_or(id, |(_, id)| id).to_string()
}

/// Waits until a container has ended and everything that it wrote is in its log.
async fn end_of(acts: Arc<Acts>, id: String) {
    let mut exits = acts.exits();
    loop {
        let lags = match acts.runtime.container_status(&id).await {
            Ok(status) if status.state != ContainerState::ContainerRunning as i32 => return,
            Err(CriError::NotFound(_)) => return,
            Ok(_) => acts.has_heard_exit(&id),
            Err(_) => false, // the runtime is away, and will be heard of when it is back
        };
        if lags {
            // The runtime has told of the exit and still copies the last words; it doesn't tell when it is done.
            tokio::time::sleep(LAG).await;
        } else if exits.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(state: Value, last_state: Value, previous: bool) -> Result<String, String> {
        let status = json!({
            "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "containerID": "containerd://now", "state": state, "lastState": last_state,
        });
        let pod = json!({
            "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c" }] },
            "status": { "containerStatuses": [status] },
        });
        container_to_read(&serde_json::from_value(pod).unwrap(), "c", previous)
    }

    fn ended(id: &str) -> Value {
        json!({ "terminated": { "exitCode": 1, "containerID": format!("containerd://{id}") } })
    }

    #[test]
    fn the_run_that_is_meant_is_found() {
        let running = json!({ "running": {} });
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        assert_eq!(check(running.clone(), ended("before"), false), Ok("now".into()));
        assert_eq!(check(running, ended("before"), true), Ok("before".into()));
        assert_eq!(check(ended("now"), Value::Null, false), Ok("now".into()));
        assert_eq!(check(waiting, ended("before"), false), Ok("before".into()));
    }

    #[test]
    fn what_has_no_log_says_why() {
        let waiting = |reason: &str| check(json!({ "waiting": { "reason": reason } }), Value::Null, false).unwrap_err();
        let why = r#"container "c" in pod "p" is waiting to start: "#;
        assert_eq!(waiting("ContainerCreating"), format!("{why}ContainerCreating"));
        assert_eq!(waiting("ErrImagePull"), format!("{why}image can't be pulled"));
        assert_eq!(waiting("ImagePullBackOff"), format!("{why}trying and failing to pull image"));
        let previous = check(json!({ "running": {} }), Value::Null, true).unwrap_err();
        assert_eq!(previous, r#"previous terminated container "c" in pod "p" not found"#);
    }

    #[test]
    fn options_are_read_from_the_query() {
        let query = Query::parse("follow=true&tailLines=5&sinceSeconds=60&timestamps=true&limitBytes=9");
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let (options, wanted) = options(&query, now).unwrap();
        assert_eq!(wanted, Wanted { follow: true, previous: false });
        assert_eq!((options.tail_lines, options.limit_bytes, options.timestamps), (Some(5), Some(9), true));
        assert_eq!(options.since, "2026-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        assert!(options(&Query::parse("limitBytes=x"), Timestamp::now()).is_err());
        assert!(options(&Query::parse("sinceTime=yesterday"), Timestamp::now()).is_err());
    }
}
