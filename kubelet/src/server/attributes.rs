//! Decides what a request to the kubelet is called when the API server is asked whether it is allowed.
//!
//! Upstream: pkg/kubelet/server/auth.go (with KubeletFineGrainedAuthz, as 1.35 has it)
//! Left out: nothing.
//!
//! One difference on purpose: exec, attach and port-forward are `create` whatever the method. A WebSocket opens with a
//! GET, and upstream lets whoever may only read `nodes/proxy` run commands that way.

use http::Method;

/// The verb, and the subresources of the node any of which will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    pub verb: &'static str,
    pub subresources: Vec<&'static str>,
}

pub fn of(method: &Method, path: &str) -> Attributes {
    let runs_something = ["/exec", "/attach", "/portForward", "/run"].iter().any(|base| is_below(path, base));
    let verb = match method.as_str() {
        _ if runs_something => "create",
        "POST" => "create",
        "GET" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    };
    let own = [("/pods", "pods"), ("/runningpods", "pods"), ("/healthz", "healthz"), ("/configz", "configz")];
    let subresources = match own.iter().find(|(base, _)| is_below(path, base)) {
        Some((_, name)) => vec![*name, "proxy"],
        None if is_below(path, "/stats") => vec!["stats"],
        None if is_below(path, "/metrics") => vec!["metrics"],
        None if is_below(path, "/logs") => vec!["log"],
        None if is_below(path, "/checkpoint") => vec!["checkpoint"],
        None => vec!["proxy"],
    };
    Attributes { verb, subresources }
}

fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, expected: &str) {
        let attributes = of(&method, path);
        assert_eq!(
            format!("{} {}", attributes.verb, attributes.subresources.join(" or ")),
            expected,
            "{method} {path}"
        );
    }

    #[test]
    fn paths_have_upstreams_attributes() {
        check(Method::GET, "/pods", "get pods or proxy");
        check(Method::GET, "/healthz/ping", "get healthz or proxy");
        check(Method::GET, "/metrics/cadvisor", "get metrics");
        check(Method::GET, "/metricsx", "get proxy");
        check(Method::GET, "/stats/summary", "get stats");
        check(Method::GET, "/logs/", "get log");
        check(Method::GET, "/containerLogs/a/b/c", "get proxy");
        check(Method::POST, "/checkpoint/a/b/c", "create checkpoint");
        check(Method::DELETE, "/whatever", "delete proxy");
    }

    #[test]
    fn running_something_is_create_whatever_the_method() {
        for path in ["/exec/a/b/c", "/attach/a/b/c", "/portForward/a/b", "/run/a/b/c"] {
            check(Method::GET, path, "create proxy");
            check(Method::POST, path, "create proxy");
        }
    }
}
