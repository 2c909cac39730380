//! The plugins of a few lines each, off unless asked for: pull always, say always no, no external addresses.
//!
//! Upstream: plugin/pkg/admission/{alwayspullimages,deny,admit,serviceexternalips}, pkg/namespace/exists
//! Left out: nothing. That a namespace exists is always checked, so NamespaceExists adds nothing.

use api::status::Status;
use serde_json::Value;

use super::{Admission, Operation, Request};

/// Changes and refuses nothing: AlwaysAdmit, and NamespaceExists beside NamespaceLifecycle.
pub(super) struct AlwaysAdmit;
pub(super) struct AlwaysDeny;
pub(super) struct AlwaysPullImages;
pub(super) struct DenyServiceExternalIps;

impl Admission for AlwaysAdmit {}

impl Admission for AlwaysDeny {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        self.validate(request)
    }

    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        Err(request.forbidden("admission control is denying all modifications"))
    }
}

impl Admission for AlwaysPullImages {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let operation = request.operation;
        if !matches!(operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        let fits = matches!(request.subresource_of("", "pods"), Some("" | "ephemeralcontainers"));
        let Some(pod) = request.object.as_mut().filter(|_| fits) else { return Ok(()) };
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container["imagePullPolicy"] = "Always".into();
            }
        }
        Ok(())
    }
}

impl Admission for DenyServiceExternalIps {
    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let Some(service) = request.object.as_ref().filter(|_| writes) else { return Ok(()) };
        if request.subresource_of("", "services") != Some("") {
            return Ok(());
        }
        let ips = |service: &Value| service["spec"]["externalIPs"].as_array().cloned().unwrap_or_default();
        let before = request.old.map(ips).unwrap_or_default();
        if ips(service).iter().all(|ip| before.contains(ip)) {
            return Ok(());
        }
        Err(request.forbidden("Use of external IPs is denied by admission control"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{admin, send_with};
    use super::*;
    use crate::objects::world::World;

    fn create(plugin: &str, resource: &str, object: Value) -> Result<Value, String> {
        let world = World::new([
            json!({"kind": "Namespace", "metadata": {"name": "ns"}}),
            json!({"kind": "ServiceAccount", "metadata": {"namespace": "ns", "name": "default"}}),
        ]);
        let path = format!("/{resource}/ns//");
        send_with(&[plugin], &world, &admin(), Operation::Create, &path, Some(object), None)
    }

    #[test]
    fn plugins_that_are_off_work_when_they_are_asked_for() {
        let requests = json!({"requests": {"example.com/gpu": "1"}});
        let pod = || json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "resources": requests}]}});
        let pulled = create("AlwaysPullImages", "pods", pod()).unwrap();
        assert_eq!(pulled["spec"]["containers"][0]["imagePullPolicy"], "Always");
        let tolerates = create("ExtendedResourceToleration", "pods", pod()).unwrap();
        let wanted = json!({"key": "example.com/gpu", "operator": "Exists"});
        assert!(tolerates["spec"]["tolerations"].as_array().unwrap().contains(&wanted));
        assert!(create("AlwaysDeny", "pods", pod()).is_err());
        let service = |ips: Value| json!({"metadata": {"name": "x"}, "spec": {"externalIPs": ips}});
        assert!(create("DenyServiceExternalIPs", "services", service(json!([]))).is_ok());
        assert!(create("DenyServiceExternalIPs", "services", service(json!(["192.0.2.1"]))).is_err());
    }
}
