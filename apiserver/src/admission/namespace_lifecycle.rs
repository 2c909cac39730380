//! Objects are created only in namespaces that exist and are not going away; some namespaces never go.
//!
//! Upstream: apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go
//! Left out: the grace for stale caches and the live lookups; memory is not stale.

use api::status::{Cause, Status};

use super::{Admission, Operation, Request};

const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

pub(super) struct NamespaceLifecycle;

impl Admission for NamespaceLifecycle {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let info = request.info;
        if info.group.is_empty() && info.resource == "namespaces" {
            let doomed = request.operation == Operation::Delete && IMMORTAL.contains(&request.name());
            return if doomed { Err(request.forbidden("this namespace may not be deleted")) } else { Ok(()) };
        }
        let namespace = request.namespace();
        // Answers of access reviews must not tell whether a namespace exists.
        let is_review = info.group == "authorization.k8s.io" && info.resource == "localsubjectaccessreviews";
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        if namespace.is_empty() || !writes || is_review {
            return Ok(());
        }
        let Some(found) = request.objects.get("", "namespaces", "", namespace) else {
            return Err(Status::not_found("", "namespaces", namespace));
        };
        if request.operation == Operation::Create && found.meta.deleting {
            let cause = Cause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            };
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            return Err(request.forbidden(why).with_cause(cause));
        }
        Ok(())
    }
}
