//! Decides which container is meant, and what its kubelet is asked.
//!
//! Upstream: pkg/registry/core/pod/strategy.go, pkg/apis/core/validation/validation.go (ValidatePodLogOptions)
//! Left out: `stream` of logs, an alpha feature of 1.35 (PodLogsQuerySplitStreams): it is refused, as upstream does
//! without the feature.

use std::fmt::Write;

use api::{
    field::{Field, FieldError},
    object::Object as _,
    status::Status,
};
use component::query::Query;
use http::uri::PathAndQuery;
use serde_json::Value;

use crate::{operations::options::integer, row::Subresource};

/// The node whose kubelet is asked, and the path and query that it is asked for.
#[derive(Debug, PartialEq)]
pub struct Location {
    pub node: String,
    pub path_and_query: PathAndQuery,
}

/// Where a subresource of a pod is answered; nowhere when only its log is asked for and it is on no node yet.
///
/// # Errors
/// 400 for a container that there isn't or that must be named, 422 for options that can't be.
pub fn of(pod: &Value, subresource: Subresource, query: &Query) -> Result<Option<Location>, Status> {
    let (namespace, name) = (pod.namespace(), pod.name());
    if subresource == Subresource::Log {
        check_log_options(name, query)?;
    }
    let container = match subresource {
        Subresource::PortForward => String::new(),
        _ => container(pod, query.get("container").unwrap_or_default())?,
    };
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() && subresource == Subresource::Log {
        return Ok(None);
    }
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let (base, parameters) = match subresource {
        Subresource::Log => ("containerLogs", LOG_PARAMETERS),
        Subresource::PortForward => ("portForward", PORT_PARAMETERS),
        Subresource::Attach => ("attach", SESSION_PARAMETERS),
        _ => ("exec", SESSION_PARAMETERS),
    };
    let container = if container.is_empty() { String::new() } else { format!("/{container}") };
    let path_and_query = format!("/{base}/{namespace}/{name}{container}{}", translated(query, parameters));
    let path_and_query = path_and_query.parse().map_err(Status::internal)?;
    Ok(Some(Location { node: node.to_owned(), path_and_query }))
}

/// What the value of a parameter is to the kubelet.
enum Kind {
    Text,
    /// Text that may be empty, as a word of a command may.
    Word,
    /// Said with this word when it is on, else not at all.
    Flag(&'static str),
}

/// Our parameters, and what the kubelet calls them.
const LOG_PARAMETERS: &[(&str, &str, Kind)] = &[
    ("follow", "follow", Kind::Flag("true")),
    ("previous", "previous", Kind::Flag("true")),
    ("timestamps", "timestamps", Kind::Flag("true")),
    ("sinceSeconds", "sinceSeconds", Kind::Text),
    ("sinceTime", "sinceTime", Kind::Text),
    ("tailLines", "tailLines", Kind::Text),
    ("limitBytes", "limitBytes", Kind::Text),
];
const PORT_PARAMETERS: &[(&str, &str, Kind)] = &[("ports", "port", Kind::Text)];
const SESSION_PARAMETERS: &[(&str, &str, Kind)] = &[
    ("stdin", "input", Kind::Flag("1")),
    ("stdout", "output", Kind::Flag("1")),
    ("stderr", "error", Kind::Flag("1")),
    ("tty", "tty", Kind::Flag("1")),
    ("command", "command", Kind::Word),
];

/// The query in the kubelet's words, with its `?` when it isn't empty.
fn translated(query: &Query, parameters: &[(&str, &str, Kind)]) -> String {
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (ours, theirs, kind) in parameters {
        let given = query.all(ours).map(|value| (theirs, value));
        match kind {
            Kind::Flag(on) => written.extend_pairs(query.flag(ours).then_some((theirs, on))),
            Kind::Word => written.extend_pairs(given),
            Kind::Text => written.extend_pairs(given.filter(|(_, text)| !text.is_empty())),
        };
    }
    let written = written.finish();
    if written.is_empty() { written } else { format!("?{written}") }
}

/// The container that is meant.
fn container(pod: &Value, asked: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<&str> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|each| each["name"].as_str()).collect()
    };
    let (containers, init) = (names("containers"), names("initContainers"));
    let ephemeral = names("ephemeralContainers");
    let name = pod.name();
    if !asked.is_empty() {
        let known = containers.iter().chain(&init).chain(&ephemeral).any(|each| *each == asked);
        let refused = || Status::bad_request(format!("container {asked} is not valid for pod {name}"));
        return if known { Ok(asked.to_owned()) } else { Err(refused()) };
    }
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        several => {
            let mut message =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", several.join(" "));
            for (kind, names) in [("init", init), ("ephemeral", ephemeral)] {
                if !names.is_empty() {
                    let _ = write!(message, " or one of the {kind} containers: [{}]", names.join(" "));
                }
            }
            Err(Status::bad_request(message))
        }
    }
}

fn check_log_options(pod: &str, query: &Query) -> Result<(), Status> {
    let [tail, limit, since] = ["tailLines", "limitBytes", "sinceSeconds"].map(|name| integer(query, name));
    let (tail, limit, since) = (tail?, limit?, since?);
    let time = query.get("sinceTime").filter(|text| !text.is_empty());
    if let Some(time) = time
        && time.parse::<jiff::Timestamp>().is_err()
    {
        return Err(Status::bad_request(format!("parsing time {time:?}: it is no RFC 3339 time")));
    }
    let root = Value::Null;
    let root = Field::root(&root);
    let mut errors: Vec<FieldError> = Vec::new();
    let mut at_least = |name: &str, value: Option<i64>, least: i64, detail: &str| {
        if let Some(value) = value.filter(|value| *value < least) {
            errors.push(root.child(name).invalid_value(value, detail));
        }
    };
    at_least("tailLines", tail, 0, "must be greater than or equal to 0");
    at_least("limitBytes", limit, 1, "must be greater than 0");
    if since.is_some() && time.is_some() {
        // Upstream's path of no name is written as an index.
        errors.push(root.key("").forbidden("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    } else {
        at_least("sinceSeconds", since, 1, "must be greater than 0");
    }
    if query.get("stream").is_some() {
        errors.push(root.child("stream").forbidden("may not be specified"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "PodLogOptions", pod, &errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(spec: Value, subresource: Subresource, query: &str) -> String {
        let pod = json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec});
        match of(&pod, subresource, &Query::parse(query)) {
            Ok(Some(location)) => format!("{} {}", location.node, location.path_and_query),
            Ok(None) => "nowhere".into(),
            Err(status) => format!("{} {}", status.code, status.message),
        }
    }

    fn one() -> Value {
        json!({"nodeName": "n1", "containers": [{"name": "a"}]})
    }

    fn several() -> Value {
        json!({"nodeName": "n1", "containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]})
    }

    #[test]
    fn the_kubelet_is_asked_in_its_own_words() {
        assert_eq!(check(one(), Subresource::Log, ""), "n1 /containerLogs/shop/web/a");
        assert_eq!(
            check(
                one(),
                Subresource::Log,
                "follow=true&tailLines=5&timestamps=false&sinceTime=2026-01-01T00%3A00%3A00Z"
            ),
            "n1 /containerLogs/shop/web/a?follow=true&sinceTime=2026-01-01T00%3A00%3A00Z&tailLines=5"
        );
        assert_eq!(
            check(
                one(),
                Subresource::Exec,
                "command=sh&command=-c&command=echo+a%26b&stdin=true&stdout=true&tty=false"
            ),
            "n1 /exec/shop/web/a?input=1&output=1&command=sh&command=-c&command=echo+a%26b"
        );
        assert_eq!(check(one(), Subresource::Attach, "stdout=1"), "n1 /attach/shop/web/a?output=1");
        assert_eq!(check(several(), Subresource::PortForward, "ports=80"), "n1 /portForward/shop/web?port=80");
    }

    #[test]
    fn a_container_must_be_named_if_there_are_several() {
        let message = "400 a container name must be specified for pod web, choose one of: [a b] \
            or one of the init containers: [i]";
        assert_eq!(check(several(), Subresource::Log, ""), message);
        assert_eq!(check(several(), Subresource::Exec, "container=i"), "n1 /exec/shop/web/i");
    }

    #[test]
    fn a_container_of_another_name_is_refused() {
        for name in ["c", "..", "a%2F..%2Fb"] {
            let expected = format!("400 container {} is not valid for pod web", name.replace("%2F", "/"));
            assert_eq!(check(several(), Subresource::Log, &format!("container={name}")), expected);
        }
    }

    #[test]
    fn a_pod_on_no_node_has_no_log_and_runs_nothing() {
        let unassigned = json!({"containers": [{"name": "a"}]});
        assert_eq!(check(unassigned.clone(), Subresource::Log, ""), "nowhere");
        let expected = "400 pod web does not have a host assigned";
        assert_eq!(check(unassigned, Subresource::Exec, ""), expected);
    }

    #[test]
    fn log_options_that_cannot_be_are_named() {
        let refused = |query: &str| check(one(), Subresource::Log, query);
        let prefix = "422 PodLogOptions \"web\" is invalid: ";
        assert_eq!(
            refused("tailLines=-1"),
            format!("{prefix}tailLines: Invalid value: -1: must be greater than or equal to 0")
        );
        assert_eq!(refused("limitBytes=0"), format!("{prefix}limitBytes: Invalid value: 0: must be greater than 0"));
        let both = refused("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z");
        let expected = "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
        assert_eq!(both, format!("{prefix}{expected}"));
        for query in ["stream=Stdout", "stream=All", "stream=Stderr&tailLines=1"] {
            assert_eq!(refused(query), format!("{prefix}stream: Forbidden: may not be specified"), "{query}");
        }
        assert_eq!(refused("tailLines=x"), r#"400 strconv.ParseInt: parsing "x": invalid syntax"#);
    }
}
