//! Reads off method, path and query what a request asks for.
//!
//! Upstream: apiserver/pkg/endpoints/request/requestinfo.go
//! Left out: the deprecated paths without a namespace segment for namespaced creates.
//!
//! Every segment is decoded and checked here, once, before anything else looks at the request: what authorization
//! sees is what the storage key is made from.

use component::query::Query;
use http::Method;
use percent_encoding::percent_decode_str;

use crate::attributes::RequestInfo;

/// Whether a decoded segment can be part of a storage key: not empty, `.`, `..`, nor with a slash, percent or control
/// character in it.
fn is_safe_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..") && !segment.contains(['/', '%']) && !segment.chars().any(char::is_control)
}

/// What the request asks for; `None` when the path can't be that of anything.
pub fn parse(method: &Method, path: &str, query: &Query) -> Option<RequestInfo> {
    let mut info = RequestInfo { path: path.to_owned(), verb: method_verb(method), ..RequestInfo::default() };
    let raw: Vec<&str> = path.trim_matches('/').split('/').collect();
    let resource_segments = match raw.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => {
            info.version = (*version).to_owned();
            rest
        }
        ["apis", group, version, rest @ ..] if !rest.is_empty() => {
            info.group = (*group).to_owned();
            info.version = (*version).to_owned();
            rest
        }
        _ => return Some(info),
    };
    if path.starts_with("//") {
        return None;
    }
    let decoded = |segment: &&str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    let mut segments: Vec<String> = resource_segments.iter().map(decoded).collect();
    // A proxied path is the backend's own: only what names our object must be safe.
    if !segments.iter().take(own_segments(&segments)).all(|segment| is_safe_segment(segment)) {
        return None;
    }
    let mut watch_path = false;
    if segments[0] == "watch" && segments.len() > 1 {
        watch_path = true;
        segments.remove(0);
    }
    info.is_resource = true;
    let mut parts = segments.as_slice();
    if let [namespaces, namespace, rest @ ..] = parts
        && namespaces == "namespaces"
        && !rest.is_empty()
        && !(info.group.is_empty() && rest.len() == 1 && matches!(rest[0].as_str(), "status" | "finalize"))
    {
        info.namespace = namespace.clone();
        parts = rest;
    } else if parts[0] == "namespaces" && parts.len() > 1 {
        info.namespace = parts[1].clone();
    }
    info.resource = parts[0].clone();
    info.name = parts.get(1).cloned().unwrap_or_default();
    info.subresource = parts.get(2).cloned().unwrap_or_default();
    info.rest = parts.get(3..).unwrap_or_default().join("/");
    if !info.rest.is_empty() && info.subresource != "proxy" {
        return None;
    }
    info.verb = resource_verb(method, &info, watch_path, query);
    info.field_selector = query.get("fieldSelector").unwrap_or_default().to_owned();
    info.label_selector = query.get("labelSelector").unwrap_or_default().to_owned();
    // Authorization treats a list or watch of exactly one name as being about that name.
    if matches!(info.verb, "list" | "watch" | "deletecollection")
        && info.name.is_empty()
        && let Some(name) = info.field_selector.strip_prefix("metadata.name=")
        && is_safe_segment(name)
        && !name.contains([',', '=', '!', '\\'])
    {
        info.name = name.to_owned();
    }
    Some(info)
}

/// How many segments name an object and its subresource; only behind a `proxy` is there anything else.
fn own_segments(segments: &[String]) -> usize {
    let is = |at: usize, text: &str| segments.get(at).is_some_and(|segment| segment == text);
    let behind_watch = usize::from(is(0, "watch"));
    let at = behind_watch + if is(behind_watch, "namespaces") && segments.len() > behind_watch + 2 { 4 } else { 2 };
    if is(at, "proxy") { at + 1 } else { segments.len() }
}

fn method_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

fn resource_verb(method: &Method, info: &RequestInfo, watch_path: bool, query: &Query) -> &'static str {
    let one = !info.name.is_empty();
    match *method {
        Method::GET if watch_path => "watch",
        Method::GET | Method::HEAD if one && info.subresource.is_empty() && query.flag("watch") => "get",
        Method::GET | Method::HEAD if one => "get",
        Method::GET | Method::HEAD if query.flag("watch") => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if one => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str) -> String {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match parse(&method, path, &Query::parse(query)) {
            None => "nothing".into(),
            Some(info) if !info.is_resource => format!("{} path {}", info.verb, info.path),
            Some(info) => [
                info.verb,
                &format!("{}/{}", info.group, info.version),
                &info.namespace,
                &info.resource,
                &info.name,
                &info.subresource,
                &info.rest,
            ]
            .join(" "),
        }
    }

    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        assert_eq!(check(Method::GET, "/api/v1/namespaces/a/pods/p/log"), "get /v1 a pods p log ");
        assert_eq!(check(Method::GET, "/api/v1/namespaces/a"), "get /v1 a namespaces a  ");
        assert_eq!(check(Method::PUT, "/api/v1/namespaces/a/finalize"), "update /v1 a namespaces a finalize ");
        assert_eq!(check(Method::GET, "/api/v1/pods?watch=1"), "watch /v1  pods   ");
        assert_eq!(check(Method::GET, "/api/v1/watch/namespaces/x"), "watch /v1 x namespaces x  ");
        assert_eq!(
            check(Method::DELETE, "/apis/apps/v1/namespaces/a/deployments"),
            "deletecollection apps/v1 a deployments   "
        );
        assert_eq!(check(Method::GET, "/api/v1/pods?fieldSelector=metadata.name%3Dx"), "list /v1  pods x  ");
        assert_eq!(
            check(Method::GET, "/api/v1/namespaces/a/pods/p:80/proxy/x/../y"),
            "get /v1 a pods p:80 proxy x/../y"
        );
        assert_eq!(check(Method::GET, "/healthz"), "get path /healthz");
        assert_eq!(check(Method::GET, "/apis/apps/v1"), "get path /apis/apps/v1");
    }

    #[test]
    fn segments_that_could_leave_their_place_lead_nowhere() {
        for segment in ["..", ".", "%2e%2e", "a%2Fb", "a%00", "%252e"] {
            assert_eq!(check(Method::GET, &format!("/api/v1/namespaces/{segment}/pods")), "nothing", "{segment}");
            assert_eq!(check(Method::GET, &format!("/api/v1/namespaces/a/pods/{segment}")), "nothing", "{segment}");
        }
        assert_eq!(check(Method::GET, "/api/v1/namespaces/proxy/pods/a%2Fb"), "nothing");
        assert_ne!(check(Method::GET, "/api/v1/namespaces/proxy/pods/a/proxy/b%2Fc/../d//"), "nothing");
        assert_eq!(check(Method::GET, "//api/v1/pods"), "nothing");
        assert_eq!(check(Method::GET, "/api/v1/namespaces/a//pods"), "nothing");
    }
}
