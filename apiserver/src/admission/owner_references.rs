//! Who makes an object depend on others must be allowed to delete it; who blocks an owner's deletion, to finalize that.
//!
//! Upstream: plugin/pkg/admission/gc/gc_admission.go
//! Left out: nothing.

use api::status::Status;
use serde_json::Value;

use super::{Admission, Operation, Request};
use crate::{attributes::Decision, authorization::Attributes, row::Scope};

pub(super) struct OwnerReferencesPermissionEnforcement;

impl Admission for OwnerReferencesPermissionEnforcement {
    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let Some(object) = request.object.as_ref().filter(|_| writes) else { return Ok(()) };
        // Kubelets write the status of pods that others made; they leave the metadata alone.
        if request.subresource_of("", "pods") == Some("status") {
            return Ok(());
        }
        let old = request.old.map(references).unwrap_or_default();
        let new = references(object);
        if new == old {
            return Ok(());
        }
        if request.operation == Operation::Update {
            let delete = Attributes { verb: "delete", ..Attributes::from(request.info) };
            demand(request, &delete, "cannot set an ownerRef on a resource you can't delete")?;
        }
        for reference in new.iter().filter(|reference| blocks(reference)) {
            if old.iter().any(|known| known["uid"] == reference["uid"] && blocks(known)) {
                continue;
            }
            check_owner(request, reference)?;
        }
        Ok(())
    }
}

fn references(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn blocks(reference: &Value) -> bool {
    reference["blockOwnerDeletion"] == true
}

fn check_owner(request: &Request<'_>, reference: &Value) -> Result<(), Status> {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let Some((resource, scope)) = request.objects.resource_of(group, kind) else {
        return Err(request.forbidden(format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {api_version} Kind {kind}: no matches for kind {kind:?} in version {api_version:?}"
        )));
    };
    let finalize = Attributes {
        is_resource: true,
        verb: "update",
        group,
        resource: &resource,
        subresource: "finalizers",
        namespace: if scope == Scope::Namespaced { request.namespace() } else { "" },
        name: text("name"),
        ..Attributes::default()
    };
    let why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on";
    demand(request, &finalize, why)
}

fn demand(request: &Request<'_>, asked: &Attributes<'_>, why: &str) -> Result<(), Status> {
    match request.authorizer.decide(request.user, asked) {
        Decision::Allow { .. } => Ok(()),
        // Upstream prints its error too, which is nil here; people search for the whole sentence.
        Decision::Deny { reason } | Decision::NoOpinion { reason } => {
            Err(request.forbidden(format!("{why}: {reason}, <nil>")))
        }
    }
}
