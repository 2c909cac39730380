//! Acting as somebody else: the `Impersonate-*` headers.
//!
//! Upstream: apiserver/pkg/endpoints/filters/impersonation
//! Left out: constrained impersonation (alpha).
//!
//! Each thing that is claimed (user, groups, uid, extras) must be allowed by its own rule with the verb `impersonate`.
//! The headers are taken off the request before it goes anywhere else.

use std::sync::Arc;

use api::status::Status;
use http::HeaderMap;

use crate::{
    attributes::{Decision, UserInfo},
    authorization::{Attributes, Authorizer, forbidden},
};

const EXTRA_PREFIX: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The user that the request shall be served as: `user` itself, or the one it impersonates. The headers are removed.
///
/// # Errors
/// 403 when `user` may not impersonate a part of it, 500 when there is no user in it, as upstream.
pub fn effective_user(
    authorizer: &Authorizer,
    user: Arc<UserInfo>,
    headers: &mut HeaderMap,
) -> Result<Arc<UserInfo>, Status> {
    let Some(claimed) = take_claims(headers)? else { return Ok(user) };
    for claim in claims(&claimed) {
        match authorizer.decide(&user, &claim) {
            Decision::Allow { .. } => {}
            Decision::Deny { reason } | Decision::NoOpinion { reason } => {
                return Err(forbidden(&user, &claim, &reason));
            }
        }
    }
    Ok(Arc::new(complete(claimed)))
}

/// Takes the headers off the request and reads them; none when there are none.
fn take_claims(headers: &mut HeaderMap) -> Result<Option<UserInfo>, Status> {
    let mut claimed = UserInfo::default();
    let names: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    if names.is_empty() {
        return Ok(None);
    }
    for name in names {
        let values: Vec<String> = headers
            .get_all(&name)
            .iter()
            .map(|value| value.to_str().map(str::to_owned))
            .collect::<Result<_, _>>()
            .map_err(|_| Status::bad_request(format!("header {name} is not text")))?;
        headers.remove(&name);
        let first = values.first().cloned().unwrap_or_default();
        match name.as_str() {
            "impersonate-user" => claimed.name = first,
            "impersonate-uid" => claimed.uid = first,
            "impersonate-group" => claimed.groups = values,
            other => {
                if let Some(key) = other.strip_prefix(EXTRA_PREFIX) {
                    claimed.extra.insert(unescape(key), values);
                }
            }
        }
    }
    let empty = claimed.groups.is_empty() && claimed.uid.is_empty() && claimed.extra.is_empty();
    match (claimed.name.is_empty(), empty) {
        (true, true) => Ok(None),
        (true, false) => {
            Err(Status::internal(format!("requested {} without impersonating a user", describe(&claimed))))
        }
        _ => Ok(Some(claimed)),
    }
}

/// The keys of extras are percent-encoded, since headers allow few letters.
fn unescape(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

fn describe(claimed: &UserInfo) -> String {
    let groups = claimed.groups.iter().map(|group| format!("group {group:?}"));
    let uid = (!claimed.uid.is_empty()).then(|| format!("uid {:?}", claimed.uid));
    let extra = claimed.extra.iter().map(|(key, values)| format!("extra {key:?}={values:?}"));
    groups.chain(uid).chain(extra).collect::<Vec<_>>().join(", ")
}

/// Everything that must be allowed, in upstream's order.
fn claims(claimed: &UserInfo) -> Vec<Attributes<'_>> {
    let claim = |group, resource, namespace, name| Attributes {
        is_resource: true,
        verb: "impersonate",
        group,
        resource,
        namespace,
        name,
        ..Attributes::default()
    };
    let account = claimed.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let mut all = vec![match account.filter(|(_, name)| !name.contains(':')) {
        Some((namespace, name)) => claim("", "serviceaccounts", namespace, name),
        None => claim("", "users", "", claimed.name.as_str()),
    }];
    all.extend(claimed.groups.iter().map(|group| claim("", "groups", "", group.as_str())));
    for (key, values) in &claimed.extra {
        all.extend(values.iter().map(|value| Attributes {
            subresource: key.as_str(),
            ..claim(AUTHENTICATION, "userextras", "", value.as_str())
        }));
    }
    if !claimed.uid.is_empty() {
        all.push(claim(AUTHENTICATION, "uids", "", claimed.uid.as_str()));
    }
    all
}

/// Adds the groups that the impersonated user has by being who it is.
fn complete(mut claimed: UserInfo) -> UserInfo {
    const AUTHENTICATED: &str = "system:authenticated";
    const UNAUTHENTICATED: &str = "system:unauthenticated";
    let account = claimed.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    if let Some((namespace, _)) = account.filter(|_| claimed.groups.is_empty()) {
        claimed.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    if claimed.name == "system:anonymous" {
        if !claimed.in_group(UNAUTHENTICATED) {
            claimed.groups.push(UNAUTHENTICATED.to_owned());
        }
    } else if !claimed.in_group(AUTHENTICATED) && !claimed.in_group(UNAUTHENTICATED) {
        claimed.groups.push(AUTHENTICATED.to_owned());
    }
    claimed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn keys_of_extras_are_unescaped() {
        assert_eq!(unescape("example.com%2fscopes"), "example.com/scopes");
        assert_eq!(unescape("100%"), "100%");
    }

    #[test]
    fn an_impersonated_user_has_the_groups_of_its_kind() {
        let groups = |name: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            complete(UserInfo { name: name.into(), groups, uid: String::new(), extra: BTreeMap::new() }).groups
        };
        assert_eq!(groups("a", &[]), ["system:authenticated"]);
        assert_eq!(groups("a", &["g"]), ["g", "system:authenticated"]);
        assert_eq!(groups("a", &["system:unauthenticated"]), ["system:unauthenticated"]);
        assert_eq!(groups("system:anonymous", &[]), ["system:unauthenticated"]);
        assert_eq!(
            groups("system:serviceaccount:n:x", &[]),
            ["system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated"]
        );
    }
}
