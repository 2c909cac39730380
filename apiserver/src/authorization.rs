//! What a user may do: the second answer on the way of every request.
//!
//! Upstream: apiserver/pkg/authorization (authorizer, union, authorizerfactory), pkg/kubeapiserver/authorizer
//! Left out: ABAC, webhooks, conditions in CEL, reading the configuration from a file.
//!
//! Authorizers are asked in the order of `--authorization-mode` until one has an opinion; when none has, the answer is
//! no. Members of system:masters are never asked.

use std::sync::Arc;

use api::status::Status;

use crate::{
    attributes::{Decision, RequestInfo, UserInfo},
    memory::Observer,
};

pub mod bootstrap;
pub mod escalation;
pub mod node;
pub mod parameters;
pub mod rbac;
pub mod review;
pub mod rule;

use node::NodeAuthorizer;
use rbac::Rbac;
use rule::Rule;

/// An authorizer that can be named in `--authorization-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Node,
    Rbac,
    AlwaysAllow,
    AlwaysDeny,
}

impl Mode {
    /// Reads the value of `--authorization-mode`: names divided by commas.
    ///
    /// # Errors
    /// The name that is unknown or stands twice.
    pub fn parse(names: &str) -> Result<Vec<Mode>, String> {
        let mut modes = Vec::new();
        for name in names.split(',').map(str::trim) {
            let mode = match name {
                "Node" => Mode::Node,
                "RBAC" => Mode::Rbac,
                "AlwaysAllow" => Mode::AlwaysAllow,
                "AlwaysDeny" => Mode::AlwaysDeny,
                _ => return Err(format!("authorization-mode {name:?} is not one of Node,RBAC,AlwaysAllow,AlwaysDeny")),
            };
            if modes.contains(&mode) {
                return Err(format!("authorization-mode {name:?} has mode specified more than once"));
            }
            modes.push(mode);
        }
        Ok(modes)
    }
}

/// What is asked about: a [`RequestInfo`], or the question of a SubjectAccessReview.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    pub is_resource: bool,
    pub path: &'a str,
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub field_selector: &'a str,
    pub label_selector: &'a str,
}

impl<'a> From<&'a RequestInfo> for Attributes<'a> {
    fn from(info: &'a RequestInfo) -> Attributes<'a> {
        Attributes {
            is_resource: info.is_resource,
            path: &info.path,
            verb: info.verb,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            field_selector: &info.field_selector,
            label_selector: &info.label_selector,
        }
    }
}

/// The chain of authorizers.
pub struct Authorizer {
    modes: Vec<Mode>,
    pub rbac: Arc<Rbac>,
    pub node: Arc<NodeAuthorizer>,
    /// The server's own rights don't come from stored roles: it stores the first ones.
    own_rules: Vec<Rule>,
}

/// Proof that a request was authorized. Only [`Authorizer::permit`] makes one, and every operation wants one, so a path
/// to the store that forgets to ask does not compile. (One more comes of it: [`Authorized::to_bind`].)
#[derive(Debug, Clone)]
pub struct Authorized {
    user: Arc<UserInfo>,
    info: Arc<RequestInfo>,
}

impl Authorized {
    pub fn user(&self) -> &Arc<UserInfo> {
        &self.user
    }

    pub fn info(&self) -> &Arc<RequestInfo> {
        &self.info
    }

    /// Who may create bindings in a namespace may bind each pod of it: the proof for the pod `name` there. None when it
    /// was something else that was authorized.
    pub fn to_bind(&self, name: &str) -> Option<Authorized> {
        let is_of_bindings = self.info.is_resource
            && self.info.verb == "create"
            && self.info.group.is_empty()
            && self.info.resource == "bindings"
            && self.info.subresource.is_empty()
            && !self.info.namespace.is_empty();
        let of_pod = || RequestInfo {
            resource: "pods".to_owned(),
            subresource: "binding".to_owned(),
            name: name.to_owned(),
            ..RequestInfo::clone(&self.info)
        };
        is_of_bindings.then(|| Authorized { user: self.user.clone(), info: Arc::new(of_pod()) })
    }
}

impl Authorizer {
    pub fn new(modes: Vec<Mode>) -> Authorizer {
        Authorizer { modes, rbac: Arc::default(), node: Arc::default(), own_rules: bootstrap::apiserver_rules() }
    }

    /// The indexes that must follow the objects.
    pub fn observers(&self) -> Vec<Arc<dyn Observer>> {
        vec![self.rbac.clone(), self.node.clone()]
    }

    /// Lets a request pass or answers it.
    ///
    /// # Errors
    /// 403 in upstream's words.
    pub fn permit(&self, user: &Arc<UserInfo>, info: &Arc<RequestInfo>) -> Result<Authorized, Status> {
        match self.authorize(user, info) {
            Decision::Allow { .. } => Ok(Authorized { user: user.clone(), info: info.clone() }),
            Decision::Deny { reason } | Decision::NoOpinion { reason } => {
                Err(forbidden(user, &(&**info).into(), &reason))
            }
        }
    }

    /// Whether `user` may do what `info` asks.
    pub fn authorize(&self, user: &UserInfo, info: &RequestInfo) -> Decision {
        self.decide(user, &info.into())
    }

    /// As [`Authorizer::authorize`], for a question that is not a request.
    pub fn decide(&self, user: &UserInfo, asked: &Attributes<'_>) -> Decision {
        if user.in_group("system:masters") {
            return Decision::Allow { reason: String::new() };
        }
        if user.name == "system:apiserver" && self.own_rules.iter().any(|rule| rule.allows(asked)) {
            return Decision::Allow { reason: String::new() };
        }
        let mut reasons = Vec::new();
        for mode in &self.modes {
            let decision = match mode {
                Mode::Node => self.node.decide(user, asked),
                Mode::Rbac => self.rbac.decide(user, asked),
                Mode::AlwaysAllow => Decision::Allow { reason: String::new() },
                Mode::AlwaysDeny => Decision::NoOpinion { reason: "Everything is forbidden.".to_owned() },
            };
            match decision {
                Decision::NoOpinion { reason } if reason.is_empty() => {}
                Decision::NoOpinion { reason } => reasons.push(reason),
                decided => return decided,
            }
        }
        Decision::NoOpinion { reason: reasons.join("\n") }
    }

    /// Whether `user` may do what is asked.
    pub fn allows(&self, user: &UserInfo, asked: &Attributes<'_>) -> bool {
        matches!(self.decide(user, asked), Decision::Allow { .. })
    }
}

/// 403 for what `user` may not do.
pub fn forbidden(user: &UserInfo, asked: &Attributes<'_>, reason: &str) -> Status {
    let mut why = refusal(user, asked);
    if !reason.is_empty() {
        why.push_str(": ");
        why.push_str(reason);
    }
    let (group, resource) = if asked.is_resource { (asked.group, asked.resource) } else { ("", "") };
    Status::forbidden(group, resource, if asked.is_resource { asked.name } else { "" }, &why)
}

/// `User "x" cannot list resource "pods" in API group "" in the namespace "default"`.
fn refusal(user: &UserInfo, asked: &Attributes<'_>) -> String {
    let (name, verb) = (&user.name, asked.verb);
    let text = if !asked.is_resource {
        format!("User {name:?} cannot {verb} path {:?}", asked.path)
    } else {
        let slash = if asked.subresource.is_empty() { "" } else { "/" };
        let resource = format!("{}{slash}{}", asked.resource, asked.subresource);
        let place = match asked.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        format!("User {name:?} cannot {verb} resource {resource:?} in API group {:?} {place}", asked.group)
    };
    // Upstream escapes it, because browsers may show it.
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
