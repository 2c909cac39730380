//! The objects that every cluster has: the system namespaces, the bootstrap roles and bindings, the system priority
//! classes, the priority levels and flow schemas, an APIService for each built-in group-version, the ServiceCIDR
//! `kubernetes`, and the Service `kubernetes` by which pods reach this API server.
//!
//! They are made through the server's own service, as `system:apiserver`: authorized and admitted like all others.
//!
//! Upstream: pkg/controlplane/controller/{systemnamespaces,kubernetesservice}, pkg/registry/rbac/rest,
//!   pkg/registry/scheduling/rest, pkg/controlplane/reconcilers, pkg/controlplane/apiserver/aggregator.go,
//!   pkg/controlplane/controller/defaultservicecidr
//! Left out: several API servers behind one Service: the last one to start is its endpoint.

pub(crate) mod flow_control;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{attributes::UserInfo, authorization::bootstrap, registry, service::ApiServer};

/// What the objects depend on.
pub struct Facts {
    pub service_range: ipnet::Ipv4Net,
    /// Where the pods reach this API server.
    pub advertised: Option<SocketAddr>,
}

/// Makes what is missing, and repairs what is.
///
/// # Errors
/// The server refuses one.
pub async fn ensure(server: &ApiServer, facts: &Facts) -> anyhow::Result<()> {
    let own = UserInfo::new("system:apiserver", &[]);
    for name in ["kube-system", "default", "kube-public", "kube-node-lease"] {
        let body = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}});
        ensure_object(server, &own, "/api/v1/namespaces", &body, |_| None).await?;
    }
    for object in bootstrap::bootstrap_objects() {
        let path = bootstrap_path(&object).context("a bootstrap object of an unknown kind")?;
        ensure_object(server, &own, &path, &object, |existing| bootstrap::reconcile(&object, Some(existing))).await?;
    }
    for (name, value, description) in PRIORITY_CLASSES {
        let class = json!({
            "kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": name},
            "value": value, "description": description,
        });
        ensure_object(server, &own, "/apis/scheduling.k8s.io/v1/priorityclasses", &class, |_| None).await?;
    }
    ensure_flow_control(server, &own).await?;
    for (group, version) in server.group_versions() {
        if let Some(priority) = registry::priority(&group, &version) {
            let service = api_service(&group, &version, priority);
            ensure_object(server, &own, API_SERVICES, &service, |_| None).await?;
        }
    }
    ensure_range(server, &own, facts.service_range).await?;
    if let Some(address) = facts.advertised {
        ensure_service(server, &own, facts.service_range, address).await?;
    }
    Ok(())
}

const PRIORITY_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

/// The APIService that says: this server answers for the group-version itself.
fn api_service(group: &str, version: &str, (of_group, of_version): (i64, i64)) -> Value {
    let mut spec = json!({"version": version, "groupPriorityMinimum": of_group, "versionPriority": of_version});
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    json!({
        "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {
            "name": format!("{version}.{group}"), "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"},
        },
        "spec": spec,
    })
}

async fn ensure_flow_control(server: &ApiServer, user: &UserInfo) -> anyhow::Result<()> {
    let base = "/apis/flowcontrol.apiserver.k8s.io/v1";
    for level in flow_control::priority_levels() {
        ensure_object(server, user, &format!("{base}/prioritylevelconfigurations"), &level, |_| None).await?;
    }
    let collection = format!("{base}/flowschemas");
    for schema in flow_control::flow_schemas() {
        ensure_object(server, user, &collection, &schema, |_| None).await?;
        let status = flow_control::found_status(&schema, &api::time::to_seconds(jiff::Timestamp::now()));
        ensure_conditions(server, user, &collection, &schema, status).await?;
    }
    Ok(())
}

/// The ServiceCIDR `kubernetes`: the range of the command line.
async fn ensure_range(server: &ApiServer, user: &UserInfo, range: ipnet::Ipv4Net) -> anyhow::Result<()> {
    let collection = "/apis/networking.k8s.io/v1/servicecidrs";
    let object = json!({
        "kind": "ServiceCIDR", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [range.trunc().to_string()]},
    });
    ensure_object(server, user, collection, &object, |_| None).await?;
    let ready = json!({
        "type": "Ready", "status": "True", "lastTransitionTime": api::time::to_seconds(jiff::Timestamp::now()),
        "reason": "", "message": "Kubernetes Service CIDR is ready",
    });
    ensure_conditions(server, user, collection, &object, json!({"conditions": [ready]})).await
}

/// Writes the status of an object that has no conditions yet.
async fn ensure_conditions(
    server: &ApiServer,
    user: &UserInfo,
    collection: &str,
    object: &Value,
    status: Value,
) -> anyhow::Result<()> {
    let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
    let (_, mut existing) = send(server, user, http::Method::GET, &path, None).await?;
    if existing.pointer("/status/conditions").is_some_and(|conditions| !conditions.is_null()) {
        return Ok(());
    }
    existing["status"] = status;
    let (code, answer) = send(server, user, http::Method::PUT, &format!("{path}/status"), Some(&existing)).await?;
    // 409: another API server was quicker.
    anyhow::ensure!(code < 300 || code == 409, "bootstrap of {path}: {}", answer["message"]);
    Ok(())
}

/// The Service `default/kubernetes` on the range's first address, with this server as its endpoint.
async fn ensure_service(
    server: &ApiServer,
    user: &UserInfo,
    range: ipnet::Ipv4Net,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let cluster_ip = Ipv4Addr::from(u32::from(range.network()) + 1);
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "type": "ClusterIP", "clusterIP": cluster_ip.to_string(), "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": address.port()}],
        },
    });
    let target_port = |existing: &Value| {
        let mut repaired = existing.clone();
        repaired["spec"]["ports"] = service["spec"]["ports"].clone();
        (existing["spec"]["ports"] != repaired["spec"]["ports"]).then_some(repaired)
    };
    ensure_object(server, user, "/api/v1/namespaces/default/services", &service, target_port).await?;
    let ip = address.ip().to_string();
    let port = json!({"name": "https", "protocol": "TCP", "port": address.port()});
    let endpoints = json!({
        "kind": "Endpoints", "apiVersion": "v1",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": [{"ip": ip}], "ports": [port]}],
    });
    let collection = "/api/v1/namespaces/default/endpoints";
    ensure_object(server, user, collection, &endpoints, |existing| with(existing, &endpoints, &["subsets"])).await?;
    let slice = json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
        "ports": [port],
    });
    let collection = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    ensure_object(server, user, collection, &slice, |existing| with(existing, &slice, &["endpoints", "ports"])).await
}

/// `existing` with some fields of `wanted`; none when it has them already.
fn with(existing: &Value, wanted: &Value, fields: &[&str]) -> Option<Value> {
    let mut repaired = existing.clone();
    for field in fields {
        repaired[*field] = wanted[*field].clone();
    }
    (repaired != *existing).then_some(repaired)
}

fn bootstrap_path(object: &Value) -> Option<String> {
    let base = "/apis/rbac.authorization.k8s.io/v1";
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    Some(match object["kind"].as_str()? {
        "ClusterRole" => format!("{base}/clusterroles"),
        "ClusterRoleBinding" => format!("{base}/clusterrolebindings"),
        "Role" => format!("{base}/namespaces/{namespace}/roles"),
        "RoleBinding" => format!("{base}/namespaces/{namespace}/rolebindings"),
        _ => return None,
    })
}

/// Creates an object if it is missing, and otherwise replaces it with what `repair` makes of it, if anything.
async fn ensure_object(
    server: &ApiServer,
    user: &UserInfo,
    collection: &str,
    object: &Value,
    repair: impl FnOnce(&Value) -> Option<Value>,
) -> anyhow::Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("{collection}/{name}");
    let (code, existing) = send(server, user, http::Method::GET, &path, None).await?;
    let (code, answer) = if code == 404 {
        send(server, user, http::Method::POST, collection, Some(object)).await?
    } else if let Some(repaired) = repair(&existing) {
        send(server, user, http::Method::PUT, &path, Some(&repaired)).await?
    } else {
        return Ok(());
    };
    // 409: another API server was quicker.
    anyhow::ensure!(code < 300 || code == 409, "bootstrap of {path}: {}", answer["message"]);
    Ok(())
}

async fn send(
    server: &ApiServer,
    user: &UserInfo,
    method: http::Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<(u16, Value)> {
    use http_body_util::BodyExt;
    let text = body.map(ToString::to_string).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(axum::body::Body::from(text))?;
    let response = tower::ServiceExt::oneshot(server.service_as(user.clone()), request).await?;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok((code, serde_json::from_slice(&bytes)?))
}
