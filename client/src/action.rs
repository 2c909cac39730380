//! What a controller can do to the cluster: a value that prints as English and that one function executes.
//!
//! The printed form is log line and test expectation at once: `create Pod default/web-1`.
//!
//! Upstream: client-go's typed clients, and the many `*Control` interfaces of kube-controller-manager
//! Left out: PUT of objects. A typed struct does not know every field, so writing it back whole would lose some; we
//! patch. Only a subresource that knows no patch is replaced.

use std::fmt;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::ApiResource;
use kube::{Client, Resource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{EventType, ObjectKey, Recorder};

/// The header in which a write says which revision woke its author.
const CAUSE_HEADER: &str = "x-skiff-cause";

/// One existing object.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub resource: ApiResource,
    pub key: ObjectKey,
}

impl Target {
    /// The object that this is.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Target {
        Target::named::<K>(ObjectKey::of(object))
    }

    /// The object of kind `K` with this name.
    pub fn named<K: Resource<DynamicType = ()>>(key: ObjectKey) -> Target {
        Target { resource: ApiResource::erase::<K>(&()), key }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.kind, self.key)
    }
}

/// A change of an object, in one of the three patch languages.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// Objects merge, null removes, lists are replaced (RFC 7386).
    Merge(Value),
    /// As merge, but lists of built-in kinds merge by key.
    Strategic(Value),
    /// A list of operations (RFC 6902).
    Json(Value),
}

impl Patch {
    fn content_type(&self) -> &'static str {
        match self {
            Patch::Merge(_) => "application/merge-patch+json",
            Patch::Strategic(_) => "application/strategic-merge-patch+json",
            Patch::Json(_) => "application/json-patch+json",
        }
    }

    fn body(&self) -> &Value {
        let (Patch::Merge(body) | Patch::Strategic(body) | Patch::Json(body)) = self;
        body
    }
}

/// What must still be true of an object for it to be deleted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// What happens to the dependents of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Propagation {
    Foreground,
    Background,
    Orphan,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Create {
        resource: ApiResource,
        object: Value,
    },
    Patch {
        target: Target,
        /// "" or the subresource: `status`, `scale`.
        subresource: &'static str,
        patch: Patch,
    },
    /// Writes a subresource that takes no patch: a namespace's `finalize`.
    Replace {
        target: Target,
        subresource: &'static str,
        object: Value,
    },
    Delete {
        target: Target,
        preconditions: Preconditions,
        propagation: Option<Propagation>,
        grace_period_seconds: Option<u32>,
    },
    Event {
        regarding: Box<ObjectReference>,
        event_type: EventType,
        reason: String,
        message: String,
    },
}

impl Action {
    /// Creates an object of a built-in kind.
    pub fn create<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Action {
        let mut value = serde_json::to_value(object).expect("an object's fields are plain JSON");
        value["apiVersion"] = K::api_version(&()).into();
        value["kind"] = K::kind(&()).into();
        Action::Create { resource: ApiResource::erase::<K>(&()), object: value }
    }

    /// Patches an object.
    pub fn patch<K: Resource<DynamicType = ()>>(object: &K, patch: Patch) -> Action {
        Action::Patch { target: Target::of(object), subresource: "", patch }
    }

    /// Patches the status of an object. The patch has a `status` at its top, as the whole object has.
    pub fn patch_status<K: Resource<DynamicType = ()>>(object: &K, patch: Patch) -> Action {
        Action::Patch { target: Target::of(object), subresource: "status", patch }
    }

    /// Deletes exactly this object: one that was created anew under its name stays.
    pub fn delete<K: Resource<DynamicType = ()>>(object: &K) -> Action {
        Action::Delete {
            target: Target::of(object),
            preconditions: Preconditions { uid: object.meta().uid.clone(), resource_version: None },
            propagation: None,
            grace_period_seconds: None,
        }
    }

    /// Tells the user something about an object.
    pub fn event<K: Resource<DynamicType = ()>>(
        object: &K,
        event_type: EventType,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Action {
        let regarding = Box::new(object.object_ref(&()));
        Action::Event { regarding, event_type, reason: reason.into(), message: message.into() }
    }

    /// Does it, as the identity of `client`.
    ///
    /// # Errors
    /// `Api` with the server's Status when it refused; anything else means that the outcome is unknown.
    pub(crate) async fn execute(
        &self,
        client: &Client,
        recorder: &Recorder,
        cause: Option<u64>,
    ) -> Result<Written, kube::Error> {
        let request = match self {
            Action::Create { resource, object } => {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
                let path = path(resource, &ObjectKey::new(namespace, ""), "");
                request(Method::POST, &path, "application/json", object)
            }
            Action::Patch { target, subresource, patch } => {
                let path = path(&target.resource, &target.key, subresource);
                request(Method::PATCH, &path, patch.content_type(), patch.body())
            }
            Action::Replace { target, subresource, object } => {
                let path = path(&target.resource, &target.key, subresource);
                request(Method::PUT, &path, "application/json", object)
            }
            Action::Delete { target, .. } => {
                let path = path(&target.resource, &target.key, "");
                request(Method::DELETE, &path, "application/json", &self.delete_options())
            }
            Action::Event { regarding, event_type, reason, message } => {
                recorder.record((**regarding).clone(), *event_type, reason, message);
                return Ok(Written::default());
            }
        };
        let mut request = request.map_err(kube::Error::HttpError)?;
        if let Some(revision) = cause {
            request.headers_mut().insert(CAUSE_HEADER, revision.into());
        }
        client.request(request).await
    }

    fn delete_options(&self) -> Value {
        let Action::Delete { preconditions, propagation, grace_period_seconds, .. } = self else { return Value::Null };
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
        if let Some(uid) = &preconditions.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(revision) = &preconditions.resource_version {
            options["preconditions"]["resourceVersion"] = revision.as_str().into();
        }
        if let Some(propagation) = propagation {
            options["propagationPolicy"] = format!("{propagation:?}").into();
        }
        if let Some(seconds) = grace_period_seconds {
            options["gracePeriodSeconds"] = (*seconds).into();
        }
        options
    }

    /// The object that this acts on; None for an Event. The name of an object to be created may still be "".
    pub fn target(&self) -> Option<Target> {
        match self {
            Action::Create { resource, object } => {
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
                Some(Target { resource: resource.clone(), key: ObjectKey::new(text("namespace"), text("name")) })
            }
            Action::Patch { target, .. } | Action::Replace { target, .. } | Action::Delete { target, .. } => {
                Some(target.clone())
            }
            Action::Event { .. } => None,
        }
    }

    /// Gives an object with only a `generateName` its name here, not in the server: a create whose answer got lost
    /// can then be looked up. The name has the server's form: five of its random characters.
    pub(crate) fn choose_name(&mut self) {
        let Action::Create { object, .. } = self else { return };
        let metadata = &mut object["metadata"];
        if metadata["name"].as_str().unwrap_or_default().is_empty()
            && let Some(prefix) = metadata["generateName"].as_str()
        {
            let characters = "bcdfghjklmnpqrstvwxz2456789".as_bytes();
            let suffix: String = (0..5).map(|_| characters[fastrand::usize(..characters.len())] as char).collect();
            // The server cuts the prefix so that the name keeps within 63 characters.
            let prefix: String = prefix.chars().take(58).collect();
            metadata["name"] = format!("{prefix}{suffix}").into();
        }
    }
}

impl fmt::Display for Action {
    /// English; with `{:#}` a patch shows its body too, unless it is a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Create { resource, object } => {
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
                let name = if text("name").is_empty() { text("generateName") + "*" } else { text("name") };
                write!(f, "create {} {}", resource.kind, ObjectKey::new(text("namespace"), name))
            }
            Action::Patch { target, subresource, patch } => {
                write!(f, "patch {target}")?;
                if !subresource.is_empty() {
                    write!(f, "/{subresource}")?;
                }
                if f.alternate() && target.resource.kind != "Secret" {
                    write!(f, " {}", patch.body())?;
                }
                Ok(())
            }
            Action::Replace { target, subresource, .. } => write!(f, "replace {target}/{subresource}"),
            Action::Delete { target, propagation, .. } => match propagation {
                Some(Propagation::Orphan) => write!(f, "delete {target} and orphan its dependents"),
                Some(Propagation::Foreground) => write!(f, "delete {target} after its dependents"),
                _ => write!(f, "delete {target}"),
            },
            Action::Event { regarding, event_type, reason, message } => {
                let key = ObjectKey::new(
                    regarding.namespace.as_deref().unwrap_or_default(),
                    regarding.name.as_deref().unwrap_or_default(),
                );
                let kind = regarding.kind.as_deref().unwrap_or_default();
                write!(f, "event {event_type} {reason} on {kind} {key}: {message}")
            }
        }
    }
}

/// What the server answered to a write: the metadata of the object, or of a Status.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Written {
    #[serde(default)]
    pub(crate) metadata: WrittenMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WrittenMetadata {
    resource_version: Option<String>,
}

impl Written {
    /// The revision of the write, when the answer carries one.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.metadata.resource_version.as_deref()?.parse().ok()
    }
}

/// Reads an object's metadata, linearizably; None when it does not exist.
pub(crate) async fn read(client: &Client, target: &Target) -> Result<Option<Written>, kube::Error> {
    let path = path(&target.resource, &target.key, "");
    let request = request(Method::GET, &path, "application/json", &Value::Null).map_err(kube::Error::HttpError)?;
    match client.request(request).await {
        Ok(written) => Ok(Some(written)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates an Event.
pub(crate) async fn create_event(client: &Client, namespace: &str, event: &Value) -> Result<(), kube::Error> {
    let path = format!("/api/v1/namespaces/{namespace}/events");
    send(client, Method::POST, &path, "application/json", event).await
}

/// Patches an Event.
pub(crate) async fn patch_event(
    client: &Client,
    namespace: &str,
    name: &str,
    patch: &Value,
) -> Result<(), kube::Error> {
    let path = format!("/api/v1/namespaces/{namespace}/events/{name}");
    send(client, Method::PATCH, &path, "application/merge-patch+json", patch).await
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: &Value,
) -> Result<(), kube::Error> {
    let request = request(method, path, content_type, body).map_err(kube::Error::HttpError)?;
    client.request::<Written>(request).await.map(drop)
}

/// The path of an object, or of its collection when the key has no name.
fn path(resource: &ApiResource, key: &ObjectKey, subresource: &str) -> String {
    let root = if resource.group.is_empty() { "/api" } else { "/apis" };
    let mut path = format!("{root}/{}", resource.api_version);
    if !key.namespace.is_empty() {
        path += &format!("/namespaces/{}", key.namespace);
    }
    path += &format!("/{}", resource.plural);
    for segment in [&key.name, subresource] {
        if !segment.is_empty() {
            path += &format!("/{segment}");
        }
    }
    path
}

fn request(method: Method, path: &str, content_type: &str, body: &Value) -> Result<Request<Vec<u8>>, http::Error> {
    let bytes = match body {
        Value::Null => Vec::new(),
        body => serde_json::to_vec(body).expect("JSON values serialize"),
    };
    Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, content_type)
        .body(bytes)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{Node, Pod, Secret};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn metadata(name: &str) -> ObjectMeta {
        let uid = Some(format!("uid-of-{name}"));
        ObjectMeta { namespace: Some("default".into()), name: Some(name.into()), uid, ..ObjectMeta::default() }
    }

    #[test]
    fn actions_read_as_english() {
        let pod = Pod { metadata: metadata("web-1"), ..Pod::default() };
        let mut nameless = pod.clone();
        nameless.metadata.name = None;
        nameless.metadata.generate_name = Some("web-".into());
        let deployment = Deployment { metadata: metadata("web"), ..Deployment::default() };
        let secret = Secret { metadata: metadata("key"), ..Secret::default() };
        let status = Patch::Merge(json!({"status": {"replicas": 3}}));
        let words: Vec<String> = [
            Action::create(&pod),
            Action::create(&nameless),
            Action::patch_status(&deployment, status.clone()),
            Action::patch(&secret, status),
            Action::delete(&pod),
            Action::event(&pod, EventType::Warning, "FailedCreate", "no room"),
        ]
        .iter()
        .map(|action| format!("{action:#}"))
        .collect();
        expect![[r#"
            create Pod default/web-1
            create Pod default/web-*
            patch Deployment default/web/status {"status":{"replicas":3}}
            patch Secret default/key
            delete Pod default/web-1
            event Warning FailedCreate on Pod default/web-1: no room"#]]
        .assert_eq(&words.join("\n"));
    }

    #[test]
    fn a_delete_names_the_uid_that_it_means() {
        let action = Action::delete(&Pod { metadata: metadata("a"), ..Pod::default() });
        assert_eq!(action.delete_options()["preconditions"], json!({"uid": "uid-of-a"}));
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let deployments = ApiResource::erase::<Deployment>(&());
        let nodes = ApiResource::erase::<Node>(&());
        assert_eq!(
            path(&deployments, &ObjectKey::new("default", "web"), "status"),
            "/apis/apps/v1/namespaces/default/deployments/web/status"
        );
        assert_eq!(path(&nodes, &ObjectKey::cluster("n1"), ""), "/api/v1/nodes/n1");
        assert_eq!(path(&nodes, &ObjectKey::default(), ""), "/api/v1/nodes");
    }

    #[test]
    fn a_generated_name_is_chosen_here_in_the_servers_form() {
        let mut pod = Pod { metadata: metadata(""), ..Pod::default() };
        pod.metadata.generate_name = Some("web-".into());
        let mut action = Action::create(&pod);
        action.choose_name();
        let name = action.target().unwrap().key.name;
        assert_eq!((name.len(), &name[..4]), (9, "web-"));
    }
}
