//! What a request can say in its path and query, for each thing that it can ask for.
//!
//! Upstream: apiserver/pkg/endpoints/installer.go, and the options types of meta/v1 and core/v1
//! Left out: nothing.

use super::descriptions::Descriptions;

/// A parameter. In version 2 and 3 alike its value is a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// `string`, `boolean`, `integer`.
    pub(super) kind: &'static str,
    pub(super) place: Place,
    text: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Path,
    Query,
}

const fn query(name: &'static str, kind: &'static str, text: &'static str) -> Parameter {
    Parameter { name, kind, place: Place::Query, text }
}

const fn path(name: &'static str, text: &'static str) -> Parameter {
    Parameter { name, kind: "string", place: Place::Path, text }
}

pub(super) const NAME: Parameter = path("name", "The name of the object.");
pub(super) const NAMESPACE: Parameter = path("namespace", "The namespace that the object is in.");
/// What follows `/proxy/`.
pub(super) const PROXIED_PATH: Parameter = path("path", "The path of the request to what is proxied.");
pub(super) const PRETTY: Parameter = query("pretty", "string", "Whether the answer is indented for people.");

const CONTINUE: Parameter = query("continue", "string", "The token of the page before: the list goes on from there.");
const DRY_RUN: Parameter = query("dryRun", "string", "");
const FIELD_SELECTOR: Parameter = query("fieldSelector", "string", "Only objects whose fields have these values.");
const LABEL_SELECTOR: Parameter = query("labelSelector", "string", "Only objects with such labels.");
const LIMIT: Parameter =
    query("limit", "integer", "The most objects that the answer holds; the rest is on later pages.");
const RESOURCE_VERSION: Parameter =
    query("resourceVersion", "string", "The state to answer from; what it means depends on resourceVersionMatch.");
const RESOURCE_VERSION_MATCH: Parameter =
    query("resourceVersionMatch", "string", "Exact or NotOlderThan: how resourceVersion is meant.");
const SEND_INITIAL_EVENTS: Parameter =
    query("sendInitialEvents", "boolean", "Whether a watch begins with the objects that there are, then a bookmark.");
const TIMEOUT: Parameter = query("timeoutSeconds", "integer", "How long a list or watch may take.");
const FIELD_MANAGER: Parameter =
    query("fieldManager", "string", "Who makes the change: at most 128 printable characters.");
const FIELD_VALIDATION: Parameter = query(
    "fieldValidation",
    "string",
    "Unknown and duplicate fields are dropped (Ignore), dropped with a warning (Warn, the default) or refused (Strict).",
);

pub(super) const LIST: [Parameter; 11] = [
    query("allowWatchBookmarks", "boolean", "Whether a watch may send bookmarks."),
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    PRETTY,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    TIMEOUT,
    query("watch", "boolean", "Whether to go on and tell of every change after resourceVersion."),
];

pub(super) const DELETE: [Parameter; 6] = [
    DRY_RUN,
    query("gracePeriodSeconds", "integer", ""),
    query("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", ""),
    query("orphanDependents", "boolean", ""),
    PRETTY,
    query("propagationPolicy", "string", ""),
];

/// Beside those of [`DELETE`].
pub(super) const DELETE_COLLECTION: [Parameter; 8] = [
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    RESOURCE_VERSION,
    RESOURCE_VERSION_MATCH,
    SEND_INITIAL_EVENTS,
    TIMEOUT,
];

pub(super) const WRITE: [Parameter; 4] = [DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, PRETTY];

/// Beside those of [`WRITE`].
pub(super) const FORCE: Parameter =
    query("force", "boolean", "Whether apply takes fields over from their managers; other patches must not say it.");

const CONTAINER: Parameter = query("container", "string", "The container; the pod's only one when not said.");

pub(super) const LOG: [Parameter; 10] = [
    CONTAINER,
    query("follow", "boolean", "Whether to go on with lines as they are written."),
    query("insecureSkipTLSVerifyBackend", "boolean", "Whether the kubelet's certificate need not be valid."),
    query("limitBytes", "integer", "The most bytes that are sent."),
    query("previous", "boolean", "Whether the log of the container's run before is meant."),
    query("sinceSeconds", "integer", "Only lines of the last so many seconds."),
    query("stream", "string", "All, Stdout or Stderr: which of the container's streams are sent."),
    query("tailLines", "integer", "Only so many of the last lines."),
    query("timestamps", "boolean", "Whether each line begins with its time."),
    PRETTY,
];

pub(super) const ATTACH: [Parameter; 5] = [
    CONTAINER,
    query("stderr", "boolean", "Whether the client reads standard error."),
    query("stdin", "boolean", "Whether the client writes standard input."),
    query("stdout", "boolean", "Whether the client reads standard output."),
    query("tty", "boolean", "Whether the streams are one terminal."),
];

/// Beside those of [`ATTACH`].
pub(super) const COMMAND: Parameter = query("command", "string", "The program and its arguments, one each.");

pub(super) const PORTS: Parameter =
    query("ports", "integer", "The ports to forward; a WebSocket client says them here.");

pub(super) const PATH: Parameter = query("path", "string", "The path of the request to what is proxied.");

impl Parameter {
    /// What it means, as it stands in JSON between the quotes. Those of DeleteOptions say what its fields say.
    pub(super) fn description<'a>(&self, descriptions: &'a Descriptions) -> &'a str {
        match self.text {
            "" => descriptions.of("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions").field(self.name),
            text => text,
        }
    }
}
