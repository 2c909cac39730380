//! The subresources that are more than a part of their object: binding, token, scale.
//!
//! Upstream: pkg/registry/core/pod/storage/storage.go (BindingREST), pkg/registry/core/serviceaccount/storage/token.go,
//!   pkg/registry/apps/deployment/storage/storage.go (ScaleREST)
//! Left out: nothing; eviction and proxy have files of their own.

use api::{decode::Target, field::Field, object::Object as _, status::Status};
use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::{
    call::Call,
    get,
    options::{FieldValidation, WriteOptions},
    patch::{self, Patch},
    update,
};
use crate::{
    admission::Operation,
    answer,
    body::{self, Warnings},
    row::Subresource,
    rows::print::workloads,
};

/// POST of a pod's binding: puts the pod on a node, once.
pub async fn bind(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let options = WriteOptions::of(call.query, "CreateOptions")?;
    let mut warnings = Warnings::default();
    let binding = body::typed(&body, &kind("", "v1", "Binding")?, options.field_validation, &mut warnings)?;
    call.server.fresh().await?;
    let binding = call.admit(Operation::Create, Some(binding), None, options.dry_run)?.unwrap_or_default();
    if binding.name() != call.info().name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    check_target(&binding)?;
    let binding = call.check_admitted(Operation::Create, binding, None, options.dry_run)?;
    assign(call, &binding, &options, warnings).await
}

/// POST to a namespace's bindings, the older way: the pod is the one that the binding names.
pub async fn bind_named(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    if call.info().verb != "create" {
        return Err(Status::method_not_allowed());
    }
    let options = WriteOptions::of(call.query, "CreateOptions")?;
    let mut warnings = Warnings::default();
    let binding = body::typed(&body, &kind("", "v1", "Binding")?, options.field_validation, &mut warnings)?;
    let namespace = binding.namespace();
    if !namespace.is_empty() && namespace != call.info().namespace {
        let elsewhere = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(elsewhere));
    }
    call.server.fresh().await?;
    let binding = call.admit(Operation::Create, Some(binding), None, options.dry_run)?.unwrap_or_default();
    if binding.name().is_empty() {
        return Err(Status::bad_request("Name parameter required."));
    }
    check_target(&binding)?;
    let binding = call.check_admitted(Operation::Create, binding, None, options.dry_run)?;
    let authorized = call.authorized.to_bind(binding.name()).ok_or_else(Status::no_such_path)?;
    let pods = call.server.registry.served("", "v1", "pods").ok_or_else(Status::no_such_path)?;
    let table = call.server.memory.table("", "pods").ok_or_else(Status::no_such_path)?;
    let subresource = Some(Subresource::Binding);
    let of_pod = Call { row: pods, table, authorized: &authorized, subresource, ..*call };
    assign(&of_pod, &binding, &options, warnings).await
}

/// Whether it is a node that the pod is bound to.
fn check_target(binding: &Value) -> Result<(), Status> {
    let field = Field::root(binding);
    let target = field.child("target");
    let text = |name: &str| binding["target"][name].as_str().unwrap_or_default();
    let error = match (text("kind"), text("name")) {
        (_, "") => target.child("name").required(""),
        ("" | "Node", _) => return Ok(()),
        _ => target.child("kind").not_supported(&["Node", "<empty>"]),
    };
    Err(Status::invalid("", "Binding", binding.name(), &[error]))
}

/// Puts the pod that the request names on the node that the binding names. It is the binding that has been admitted;
/// the pod is not once more.
async fn assign(
    call: &Call<'_>,
    binding: &Value,
    options: &WriteOptions,
    mut warnings: Warnings,
) -> Result<Response<Body>, Status> {
    let name = call.info().name.clone();
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    update::change(call, options, &mut warnings, |pod| {
        let refuse = |why: String| Err(Status::conflict("", "pods/binding", &name, &why));
        if !binding.uid().is_empty() && binding.uid() != pod.uid() {
            return refuse(format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                binding.uid(),
                pod.uid()
            ));
        }
        if pod.is_terminating() {
            return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        let assigned = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if !assigned.is_empty() {
            return refuse(format!("pod {name} is already assigned to node {assigned:?}"));
        }
        if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        let mut bound = pod.clone();
        bound["spec"]["nodeName"] = node.into();
        for part in ["annotations", "labels"] {
            for (key, value) in binding.metadata().get(part).and_then(Value::as_object).into_iter().flatten() {
                bound["metadata"][part][key.as_str()] = value.clone();
            }
        }
        let conditions = bound["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let mut conditions: Vec<Value> = conditions.into_iter().filter(|each| each["type"] != "PodScheduled").collect();
        let now = api::time::to_seconds(call.now());
        conditions
            .push(json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}));
        bound["status"]["conditions"] = conditions.into();
        if let Some(status) = bound["status"].as_object_mut() {
            status.remove("nominatedNodeName");
        }
        bound.metadata_mut().remove("resourceVersion");
        Ok(bound)
    })
    .await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(warnings.put_on(answer::value(201, call.format, &status)))
}

/// POST of a TokenRequest: a token for the service account.
pub async fn token(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let issuer = call.server.tokens.as_ref().ok_or_else(Status::no_such_path)?;
    let mut warnings = Warnings::default();
    let target = kind("authentication.k8s.io", "v1", "TokenRequest")?;
    let request = body::typed(&body, &target, FieldValidation::Warn, &mut warnings)?;
    call.server.fresh().await?;
    let request = call.admit(Operation::Create, Some(request), None, false)?.unwrap_or_default();
    let account = get::find(call).await?;
    let request = call.check_admitted(Operation::Create, request, None, false)?;
    let issued = issuer.token_request(&request, &account, &*call.server.memory, call.now())?;
    warnings.extend(issued.warnings);
    Ok(warnings.put_on(answer::value(201, call.format, &issued.body)))
}

/// What a subresource speaks.
fn kind(group: &'static str, version: &'static str, kind: &'static str) -> Result<Target<'static>, Status> {
    Target::built_in(group, version, kind).ok_or_else(|| Status::internal(format!("no schema for {kind}")))
}

/// The Scale of an object.
fn scale_of(object: &Value) -> Value {
    let labels = &object["spec"]["selector"];
    // A ReplicationController's selector is a plain map.
    let selector =
        if object.kind() == "ReplicationController" { json!({"matchLabels": labels}) } else { labels.clone() };
    let selector = api::selector::Selector::from_json(&selector).map(|selector| selector.to_string());
    let metadata = json!({
        "name": object.name(), "namespace": object.namespace(), "uid": object.uid(),
        "resourceVersion": object.resource_version(), "creationTimestamp": object.meta_str("creationTimestamp"),
    });
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or_default()},
    });
    if let Some(replicas) = object["spec"]["replicas"].as_i64().filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = replicas.into();
    }
    if let Ok(selector) = selector.as_deref() {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

/// What a client wants a Scale to be.
enum Sent {
    Scale(Value),
    Patch((Patch, Vec<String>)),
}

/// GET, PUT and PATCH of a Scale.
pub async fn scale(call: &Call<'_>, body: Option<body::Request>) -> Result<Response<Body>, Status> {
    let answer = |object: &Value| {
        let now = call.now().as_second();
        answer::part(call.format, "autoscaling", &workloads::SCALES, scale_of(object), now)
    };
    let Some(body) = body else {
        return answer(&get::find(call).await?.value());
    };
    let patches = call.info().verb == "patch";
    if patches {
        patch::check_media_type(body.media_type())?;
    }
    let options = if patches { patch::patch_options(call)? } else { WriteOptions::of(call.query, "UpdateOptions")? };
    call.server.fresh().await?;
    call.current().ok_or_else(|| call.not_found())?;
    let mut warnings = Warnings::default();
    let target = kind("autoscaling", "v1", "Scale")?;
    let strictness = body::strictness(options.field_validation);
    let sent = if patches {
        Sent::Patch(Patch::read(&body)?)
    } else {
        Sent::Scale(body::typed(&body, &target, options.field_validation, &mut warnings)?)
    };
    let whole = Call { subresource: None, ..*call };
    let changed = update::change(&whole, &options, &mut warnings, |current| {
        let scale = match &sent {
            Sent::Patch((patch, complaints)) => {
                let patched = patch.apply(&scale_of(current), target.type_id)?;
                patch.check(patched, &target, strictness, complaints)?.0
            }
            Sent::Scale(scale) => scale.clone(),
        };
        let (given, name) = (scale.name(), &call.info().name);
        if given.is_empty() {
            let message =
                format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
            return Err(Status::bad_request(message));
        }
        if given != name {
            let message =
                format!("the name of the object ({given}) does not match the name on the URL ({})", call.info().name);
            return Err(Status::bad_request(message));
        }
        let root = Field::root(&scale);
        let spec = root.child("spec");
        let replicas = spec.child("replicas");
        if replicas.i64().is_some_and(|replicas| replicas < 0) {
            let error = replicas.invalid("must be greater than or equal to 0");
            return Err(Status::invalid("autoscaling", "Scale", name, &[error]));
        }
        let mut object = current.clone();
        let version = scale.resource_version();
        if !version.is_empty() && (!patches || version != current.resource_version()) {
            object.metadata_mut().insert("resourceVersion".into(), version.into());
        } else {
            object.metadata_mut().remove("resourceVersion");
        }
        if !scale.uid().is_empty() && !patches {
            object.metadata_mut().insert("uid".into(), scale.uid().into());
        }
        object["spec"]["replicas"] = scale["spec"]["replicas"].as_i64().unwrap_or_default().into();
        Ok(object)
    })
    .await?;
    Ok(warnings.put_on(answer(&changed.value())?))
}

/// Whether the subresource is served here by one of the above.
pub fn is_own(subresource: Subresource) -> bool {
    matches!(subresource, Subresource::Binding | Subresource::Token | Subresource::Scale)
}
