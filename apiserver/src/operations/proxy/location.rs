//! Decides what a proxy request is passed on to: an address, and a path there.
//!
//! Upstream: pkg/registry/core/{pod,service,node} (ResourceLocation), apimachinery/pkg/util/net (SplitSchemeNamePort)
//! Left out: names of hosts; nothing is looked up.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use api::status::Status;
use http::uri::PathAndQuery;
use serde_json::Value;

use crate::{
    kubelet_client,
    object::{Object, ObjectKey},
    operations::call::Call,
};

/// How long a connection may take to be made.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// Who gets the request.
#[derive(Debug, PartialEq)]
pub enum Host {
    /// The kubelet of this node, over its own verified connection.
    Kubelet(Value),
    Address(Scheme, SocketAddr),
}

/// `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
#[derive(Debug, PartialEq)]
struct Named<'a> {
    scheme: Scheme,
    name: &'a str,
    port: &'a str,
}

fn named(id: &str) -> Option<Named<'_>> {
    let parts: Vec<&str> = id.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return None,
    };
    let scheme = match scheme {
        "" | "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    (!name.is_empty()).then_some(Named { scheme, name, port })
}

/// Whom the request names.
///
/// # Errors
/// 400 for a name that is none or an address that is nobody's, 404 when there is no such object, 503 when it can't be
/// reached now.
pub async fn of(call: &Call<'_>) -> Result<Host, Status> {
    let info = call.info();
    let kind = &call.row.kind;
    let invalid = || Status::bad_request(format!("invalid {} request {:?}", kind.to_lowercase(), info.name));
    let named = named(&info.name).ok_or_else(invalid)?;
    call.server.fresh().await?;
    let key = call.key(named.name);
    let found = call.table.get(&key);
    let found = found.ok_or_else(|| Status::not_found(&call.row.group, &call.row.plural, named.name))?;
    match &**kind {
        "Node" => node(&named, found.value()),
        "Service" => {
            let objects = |group: &str, resource: &str, name: &str| {
                call.server.memory.table(group, resource)?.get(&ObjectKey::new(&info.namespace, name))
            };
            service(&named, &found.value(), objects, fastrand::usize(..))
        }
        _ => pod(&named, &found.value()),
    }
}

fn pod(named: &Named<'_>, pod: &Value) -> Result<Host, Status> {
    let of_containers = || {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let first = containers.filter_map(|each| each["ports"][0]["containerPort"].as_u64()).next();
        first.and_then(|port| u16::try_from(port).ok())
    };
    let port = if named.port.is_empty() { of_containers() } else { Some(number(named.port)?) };
    let port = port.filter(|port| *port != 0);
    let default = if named.scheme == Scheme::Https { 443 } else { 80 };
    let ip = pod["status"]["podIPs"][0]["ip"].as_str().or(pod["status"]["podIP"].as_str()).unwrap_or_default();
    Ok(Host::Address(named.scheme, SocketAddr::new(proxyable(ip)?, port.unwrap_or(default))))
}

/// One of the ready endpoints of the service's port; `random` picks it. Only pods are endpoints here: addresses that
/// somebody wrote down lead nowhere.
fn service(
    named: &Named<'_>,
    service: &Value,
    objects: impl Fn(&str, &str, &str) -> Option<Arc<Object>>,
    random: usize,
) -> Result<Host, Status> {
    let mut port_name = named.port.to_owned();
    if let Ok(number) = named.port.parse::<i64>() {
        let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let port = ports.find(|port| port["port"].as_i64() == Some(number));
        let port =
            port.ok_or_else(|| unavailable(format!("no service port {number} found for service {:?}", named.name)))?;
        port_name = port["name"].as_str().unwrap_or_default().to_owned();
    }
    let endpoints = objects("", "endpoints", named.name);
    let endpoints = endpoints.ok_or_else(|| Status::not_found("", "endpoints", named.name))?.value();
    let is_pods_own = |address: &Value| {
        let target = &address["targetRef"];
        let pod = target["name"].as_str().filter(|_| target["kind"] == "Pod");
        let pod = pod.and_then(|name| objects("", "pods", name)).map(|pod| pod.value());
        let ips = pod.map(|pod| pod["status"]["podIPs"].as_array().cloned().unwrap_or_default()).unwrap_or_default();
        ips.iter().any(|each| each["ip"] == address["ip"])
    };
    let mut found: Vec<SocketAddr> = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let mut ports = subset["ports"].as_array().into_iter().flatten();
        let port = ports.find(|port| port["name"].as_str().unwrap_or_default() == port_name);
        let Some(port) = port.and_then(|port| u16::try_from(port["port"].as_u64()?).ok()) else { continue };
        for address in subset["addresses"].as_array().into_iter().flatten().filter(|each| is_pods_own(each)) {
            let ip = address["ip"].as_str().and_then(|ip| proxyable(ip).ok());
            found.extend(ip.map(|ip| SocketAddr::new(ip, port)));
        }
    }
    if found.is_empty() {
        return Err(unavailable(format!("no endpoints available for service {:?}", named.name)));
    }
    Ok(Host::Address(named.scheme, found[random % found.len()]))
}

fn node(named: &Named<'_>, node: Value) -> Result<Host, Status> {
    if named.port.is_empty() {
        return Ok(Host::Kubelet(node));
    }
    let kubelet = kubelet_client::address(&node).map_err(Status::internal)?;
    if named.port == kubelet.port().to_string() {
        return Ok(Host::Kubelet(node));
    }
    let ip = proxyable(&kubelet.ip().to_string())?;
    Ok(Host::Address(named.scheme, SocketAddr::new(ip, number(named.port)?)))
}

fn number(port: &str) -> Result<u16, Status> {
    port.parse().map_err(|_| Status::bad_request(format!("invalid port {port:?}")))
}

/// An address that a pod can have. This machine's own and its neighbours' are not: whoever may write a pod's status
/// must not reach them with the API server's hands.
fn proxyable(ip: &str) -> Result<IpAddr, Status> {
    let refused = || Status::bad_request("address not allowed");
    let ip: IpAddr = ip.parse().map_err(|_| refused())?;
    let is_global = match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && ip.to_ipv4_mapped().is_none(),
    };
    let fits = is_global && !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast();
    if fits { Ok(ip) } else { Err(refused()) }
}

fn unavailable(message: String) -> Status {
    Status { details: Some(Default::default()), ..Status::new(503, "ServiceUnavailable", message) }
}

/// What follows `/proxy` in the path as the client sent it: "" or something that begins with a slash.
pub fn rest_of(path: &str) -> Option<&str> {
    // Before it stand api, version, [namespaces, NAMESPACE,] resource, name.
    let before = if path.starts_with("/api/v1/namespaces/") { 7 } else { 5 };
    let mut slashes = path.match_indices('/').map(|(at, _)| at).skip(before - 1);
    let from = slashes.next()? + 1;
    let end = slashes.next().unwrap_or(path.len());
    path[from..end].eq("proxy").then(|| &path[end..])
}

/// The path and the query that are asked for there.
///
/// # Errors
/// 400 when together they are none.
pub fn target(path: &str, query: Option<&str>) -> Result<PathAndQuery, Status> {
    let path = if path.is_empty() { "/" } else { path };
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    text.parse().map_err(|error| Status::bad_request(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::{Objects as _, world::World};

    fn show(host: Result<Host, Status>) -> String {
        match host {
            Ok(Host::Address(scheme, address)) => format!("{scheme:?} {address}"),
            Ok(Host::Kubelet(_)) => "kubelet".to_owned(),
            Err(status) => format!("{} {}", status.code, status.message),
        }
    }

    #[test]
    fn names_are_taken_apart() {
        let is = |id: &str| named(id).map(|it| (it.scheme == Scheme::Https, it.name.to_owned(), it.port.to_owned()));
        let some = |https: bool, name: &str, port: &str| Some((https, name.to_owned(), port.to_owned()));
        assert_eq!(is("web"), some(false, "web", ""));
        assert_eq!(is("web:80"), some(false, "web", "80"));
        assert_eq!(is("https:web:"), some(true, "web", ""));
        for id in ["", ":80", "ftp:web:80", "a:b:c:d", "http::80"] {
            assert_eq!(is(id), None, "{id}");
        }
    }

    #[test]
    fn a_pod_is_reached_at_its_own_address() {
        let with = |ip: &str| json!({"spec": {"containers": [{}, {"ports": [{"containerPort": 8080}]}]}, "status": {"podIP": ip}});
        let at = |id: &str, ip: &str| show(pod(&named(id).unwrap(), &with(ip)));
        assert_eq!(at("web", "10.0.0.7"), "Http 10.0.0.7:8080");
        assert_eq!(at("https:web:8443", "10.0.0.7"), "Https 10.0.0.7:8443");
        for ip in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1", "", "evil.example"] {
            assert_eq!(at("web", ip), "400 address not allowed", "{ip}");
        }
        assert!(at("web:x", "10.0.0.7").starts_with("400 "));
    }

    #[test]
    fn a_service_is_reached_through_a_ready_pod() {
        let pod = |name: &str, ip: &str| json!({"kind": "Pod", "metadata": {"namespace": "ns", "name": name}, "status": {"podIPs": [{"ip": ip}]}});
        let address = |name: &str, ip: &str| json!({"ip": ip, "targetRef": {"kind": "Pod", "name": name}});
        let endpoints = json!({"kind": "Endpoints", "metadata": {"namespace": "ns", "name": "web"}, "subsets": [
            {"addresses": [address("a", "10.0.0.1"), address("b", "10.9.9.9"), {"ip": "10.0.0.3"}],
             "notReadyAddresses": [address("c", "10.0.0.4")],
             "ports": [{"name": "http", "port": 8080}]}]});
        let world = World::new([pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), pod("c", "10.0.0.4"), endpoints]);
        let of = json!({"spec": {"ports": [{"name": "http", "port": 80}, {"name": "x", "port": 81}]}});
        let at = |id: &str, random: usize| {
            let objects = |group: &str, resource: &str, name: &str| world.get(group, resource, "ns", name);
            show(service(&named(id).unwrap(), &of, objects, random))
        };
        for random in 0..4 {
            assert_eq!(at("web:http", random), "Http 10.0.0.1:8080");
        }
        assert_eq!(at("https:web:80", 0), "Https 10.0.0.1:8080");
        assert_eq!(at("web:81", 0), "503 no endpoints available for service \"web\"");
        assert_eq!(at("web:82", 0), "503 no service port 82 found for service \"web\"");
        assert_eq!(at("none", 0), "404 endpoints \"none\" not found");
    }

    #[test]
    fn a_node_is_its_kubelet_unless_another_port_is_named() {
        let node_at = |ip: &str| json!({"status": {"addresses": [{"type": "InternalIP", "address": ip}]}});
        let at = |id: &str, ip: &str| show(node(&named(id).unwrap(), node_at(ip)));
        assert_eq!(at("n", "192.0.2.1"), "kubelet");
        assert_eq!(at("n:10250", "192.0.2.1"), "kubelet");
        assert_eq!(at("n:9100", "192.0.2.1"), "Http 192.0.2.1:9100");
        assert_eq!(at("n:22", "127.0.0.1"), "400 address not allowed");
    }

    #[test]
    fn the_path_behind_the_proxy_stays_as_it_was_sent() {
        for (path, rest) in [
            ("/api/v1/namespaces/ns/pods/web/proxy", Some("")),
            ("/api/v1/namespaces/ns/pods/web:80/proxy/", Some("/")),
            ("/api/v1/namespaces/proxy/pods/proxy/proxy/a%2Fb/../c", Some("/a%2Fb/../c")),
            ("/api/v1/nodes/n/proxy/logs/", Some("/logs/")),
            ("/api/v1/nodes/n/status", None),
        ] {
            assert_eq!(rest_of(path), rest, "{path}");
        }
    }
}
