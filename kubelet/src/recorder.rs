//! Events about one pod, in the kubelet's name.
//!
//! Upstream: client-go/tools/record
//! Left out: nothing; the client crate does the work.

use client::{EventType, Recorder};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};

use crate::pod_spec;

/// Tells what happens to one pod, or to one of its containers.
#[derive(Clone)]
pub struct PodRecorder {
    recorder: Recorder,
    pod: ObjectReference,
    init_containers: Vec<String>,
}

impl PodRecorder {
    pub fn new(recorder: Recorder, pod: &Pod) -> Self {
        let init_containers = pod_spec::init_containers(pod).iter().map(|container| container.name.clone()).collect();
        let pod = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            resource_version: pod.metadata.resource_version.clone(),
            field_path: None,
        };
        Self { recorder, pod, init_containers }
    }

    pub fn normal(&self, reason: &str, message: &str, container: Option<&str>) {
        self.recorder.record(self.regarding(container), EventType::Normal, reason, message);
    }

    pub fn warning(&self, reason: &str, message: &str, container: Option<&str>) {
        self.recorder.record(self.regarding(container), EventType::Warning, reason, message);
    }

    fn regarding(&self, container: Option<&str>) -> ObjectReference {
        let list = |name: &str| {
            if self.init_containers.iter().any(|init| init == name) { "initContainers" } else { "containers" }
        };
        let field_path = container.map(|name| format!("spec.{}{{{name}}}", list(name)));
        ObjectReference { field_path, ..self.pod.clone() }
    }
}

/// What the log calls a pod.
pub fn full_name(pod: &Pod) -> String {
    format!("{}/{}", pod_spec::namespace(pod), pod_spec::name(pod))
}
