//! Who asks, and for what: the two values that authentication and authorization exchange.
//!
//! Upstream: apiserver/pkg/authentication/user, apiserver/pkg/endpoints/request/requestinfo.go,
//!   apiserver/pkg/authorization/authorizer/interfaces.go
//! Left out: the selectors as authorization input (upstream's AuthorizeWithSelectors) but for the field selector that
//!   the node authorizer needs.

use std::collections::BTreeMap;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user with a name and groups; `system:authenticated` is added.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> UserInfo {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push("system:authenticated".to_owned());
        UserInfo { name: name.into(), groups, ..UserInfo::default() }
    }

    /// The service account `name` of `namespace`, with the groups that every service account has.
    pub fn service_account(namespace: &str, name: &str) -> UserInfo {
        let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")];
        UserInfo::new(format!("system:serviceaccount:{namespace}:{name}"), &groups)
    }

    /// Whether the user is in `group`.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|each| each == group)
    }
}

/// What a request asks for, read off its method, path and query alone. Authorization, admission and the storage key
/// all use this one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path is that of a resource (`/api/v1/...`, `/apis/GROUP/VERSION/...` with a resource).
    pub is_resource: bool,
    /// The path as asked, normalised.
    pub path: String,
    /// get, list, watch, create, update, patch, delete, deletecollection; for other paths the method in lower case.
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub resource: String,
    /// "" when the request is for the main resource.
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// What follows the subresource: the path of a proxy request.
    pub rest: String,
    pub field_selector: String,
    pub label_selector: String,
}

/// What an authorizer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Allow {
        reason: String,
    },
    Deny {
        reason: String,
    },
    /// The next authorizer is asked; when there is none, the request is denied.
    NoOpinion {
        reason: String,
    },
}
