//! The one error on the wire: `metav1.Status`, with upstream's reasons, codes and wordings.
//!
//! Upstream: apimachinery/pkg/api/errors/errors.go, apimachinery/pkg/apis/meta/v1/types.go
//! Left out: nothing that a client reads.

use serde::Serialize;
use serde_json::{Value, json};

use crate::field::FieldError;

/// A failure as the API tells it. Made by the named constructors below; displayed it is its message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, `NotFound` and the like; "" when Kubernetes gives none.
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Details>,
    /// Where an expired list goes on, with what is there by then: `metadata.continue`.
    pub continue_token: Option<String>,
}

/// What a [`Status`] is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One of several reasons for a failure.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// The group and plural name of a resource as messages give it: `pods`, `deployments.apps`.
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn about(group: &str, kind: &str, name: &str) -> Option<Details> {
    Some(Details { name: name.into(), group: group.into(), kind: kind.into(), ..Details::default() })
}

impl Status {
    /// A failure with nothing more to say than code, reason and message.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Status {
        Status { code, reason, message: message.into(), details: None, continue_token: None }
    }

    /// 404: no object of that name. `resource` is the plural.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} {name:?} not found", qualified(group, resource));
        Status { details: about(group, resource, name), ..Status::new(404, "NotFound", message) }
    }

    /// 404: the path leads nowhere.
    pub fn no_such_path() -> Status {
        let message = "the server could not find the requested resource";
        Status { details: Some(Details::default()), ..Status::new(404, "NotFound", message) }
    }

    /// 409: the name is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} {name:?} already exists", qualified(group, resource));
        Status { details: about(group, resource, name), ..Status::new(409, "AlreadyExists", message) }
    }

    /// 409: somebody else wrote first, or a precondition does not hold.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(group, resource));
        Status { details: about(group, resource, name), ..Status::new(409, "Conflict", message) }
    }

    /// 409 with the words for an update from an old resourceVersion.
    pub fn modified(group: &str, resource: &str, name: &str) -> Status {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(group, resource, name, why)
    }

    /// 403 for what `user` may not do; `action` is as [`Status::forbidden_because`] wants it.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(group, resource)),
            _ => format!("{} {name:?} is forbidden: {why}", qualified(group, resource)),
        };
        Status { details: about(group, resource, name), ..Status::new(403, "Forbidden", message) }
    }

    /// 422: the object breaks rules; every broken rule is a cause. `kind` is the singular CamelCase kind.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Status {
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let list = if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) };
        let message = format!("{} {name:?} is invalid: {list}", qualified(group, kind));
        let causes = errors
            .iter()
            .map(|error| Cause {
                reason: error.kind.reason().into(),
                message: error.body(),
                field: error.field.clone(),
            })
            .collect();
        let details =
            Details { name: name.into(), group: group.into(), kind: kind.into(), causes, ..Details::default() };
        Status { details: Some(details), ..Status::new(422, "Invalid", message) }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, "BadRequest", message)
    }

    /// 401: nobody we know.
    pub fn unauthorized() -> Status {
        Status::new(401, "Unauthorized", "Unauthorized")
    }

    /// 405: the resource has no such verb.
    pub fn method_not_allowed() -> Status {
        let message = "the server does not allow this method on the requested resource";
        Status { details: Some(Details::default()), ..Status::new(405, "MethodNotAllowed", message) }
    }

    /// 406: none of the media types that the client accepts is ours.
    pub fn not_acceptable(accepted: &[&str]) -> Status {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Status::new(406, "NotAcceptable", message)
    }

    /// 410: the revision is no longer in history; the client must list again.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(410, "Expired", message)
    }

    /// 413: the body is larger than `limit_bytes`.
    pub fn request_entity_too_large(limit_bytes: usize) -> Status {
        let message = format!("Request entity too large: limit is {limit_bytes}");
        Status::new(413, "RequestEntityTooLarge", message)
    }

    /// 415: the body is in a media type that this operation does not read.
    pub fn unsupported_media_type(supported: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            supported.join(", ")
        );
        Status::new(415, "UnsupportedMediaType", message)
    }

    /// 429: come back in `retry_after_seconds`.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Status {
        let details = Details { retry_after_seconds: Some(retry_after_seconds), ..Details::default() };
        Status { details: Some(details), ..Status::new(429, "TooManyRequests", message) }
    }

    /// 500: our own fault, or a store that does not answer.
    pub fn internal(error: impl std::fmt::Display) -> Status {
        let text = error.to_string();
        let details =
            Details { causes: vec![Cause { message: text.clone(), ..Cause::default() }], ..Details::default() };
        let message = format!("Internal error occurred: {text}");
        Status { details: Some(details), ..Status::new(500, "InternalError", message) }
    }

    /// 504: a revision that this server has not seen yet, and did not see within the wait.
    pub fn resource_version_too_large(requested: u64, current: u64) -> Status {
        let cause = Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            ..Cause::default()
        };
        let details = Details { causes: vec![cause], retry_after_seconds: Some(1), ..Details::default() };
        let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
        Status { details: Some(details), ..Status::new(504, "Timeout", message) }
    }

    /// Adds a cause to the details.
    pub fn with_cause(mut self, cause: Cause) -> Status {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// The body that goes on the wire.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if let Some(token) = &self.continue_token {
            body["metadata"]["continue"] = token.as_str().into();
        }
        if let Some(details) = &self.details {
            body["details"] = serde_json::to_value(details).expect("plain strings and numbers serialize");
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;

    #[test]
    fn messages_are_those_people_search_for() {
        assert_eq!(Status::not_found("apps", "deployments", "web").message, r#"deployments.apps "web" not found"#);
        assert_eq!(
            Status::modified("", "pods", "a").message,
            r#"Operation cannot be fulfilled on pods "a": the object has been modified; please apply your changes to the latest version and try again"#
        );
        let pod = json!({"spec": {}});
        let root = Field::root(&pod);
        let error = root.child("spec").child("containers").required("");
        let status = Status::invalid("", "Pod", "p", std::slice::from_ref(&error));
        assert_eq!(status.message, r#"Pod "p" is invalid: spec.containers: Required value"#);
        let body = status.to_json();
        assert_eq!(body["details"]["causes"][0]["field"], "spec.containers");
        assert_eq!(body["details"]["causes"][0]["reason"], "FieldValueRequired");
    }
}
