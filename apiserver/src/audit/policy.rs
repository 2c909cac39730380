//! What is written: the first rule that a request matches says.
//!
//! Upstream: apiserver/pkg/audit/policy/checker.go, apiserver/pkg/apis/audit/v1/types.go
//! Left out: nothing that concerns metadata.

use serde::Deserialize;

use crate::attributes::{RequestInfo, UserInfo};

/// The moments of a request that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

/// An `audit.k8s.io/v1` Policy.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    #[serde(default)]
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde_json::Value,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default, rename = "omitManagedFields")]
    _omit_managed_fields: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<Resources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default, rename = "omitManagedFields")]
    _omit_managed_fields: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// It is no Policy, or has no rules.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let policy: Policy = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if policy.kind != "Policy" || policy.api_version != "audit.k8s.io/v1" {
            return Err(format!("{} {} is not a Policy of audit.k8s.io/v1", policy.api_version, policy.kind));
        }
        if policy.rules.is_empty() {
            return Err("the policy has no rules".to_owned());
        }
        Ok(policy)
    }

    /// The stages that are *not* written of this request; none when nothing of it is.
    pub fn omitted(&self, user: &UserInfo, info: &RequestInfo) -> Option<Vec<Stage>> {
        let rule = self.rules.iter().find(|rule| rule.matches(user, info))?;
        let stages = self.omit_stages.iter().chain(&rule.omit_stages).copied().collect();
        (rule.level != Level::None).then_some(stages)
    }
}

impl Rule {
    fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        let either = |list: &[String], value: &str| list.is_empty() || list.iter().any(|each| each == value);
        let in_group = self.user_groups.is_empty() || self.user_groups.iter().any(|group| user.in_group(group));
        if !either(&self.users, &user.name) || !in_group || !either(&self.verbs, info.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return info.is_resource && either(&self.namespaces, &info.namespace) && self.names_resource(info);
        }
        if !self.non_resource_urls.is_empty() {
            return !info.is_resource && self.non_resource_urls.iter().any(|url| is_path(url, &info.path));
        }
        true
    }

    fn names_resource(&self, info: &RequestInfo) -> bool {
        let whole = match info.subresource.as_str() {
            "" => info.resource.clone(),
            subresource => format!("{}/{subresource}", info.resource),
        };
        let names = |resource: &String| {
            *resource == whole
                || resource == "*"
                || resource.strip_prefix("*/").is_some_and(|name| !name.is_empty() && name == info.subresource)
                || resource.strip_suffix("/*").is_some_and(|name| name == info.resource)
        };
        let fits = |each: &Resources| {
            each.group == info.group
                && (each.resources.is_empty()
                    || (each.resources.iter().any(names)
                        && (each.resource_names.is_empty() || each.resource_names.contains(&info.name))))
        };
        self.resources.is_empty() || self.resources.iter().any(fits)
    }
}

/// `/healthz`, or `/healthz*` for all that begins so.
fn is_path(pattern: &str, path: &str) -> bool {
    pattern == "*" || pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:kube-proxy]
- level: None
  nonResourceURLs: ['/healthz*', /version]
- level: None
  resources: [{group: '', resources: [events, pods/log]}]
- level: Metadata
  namespaces: [shop]
  verbs: [create]
  omitStages: [ResponseStarted]
- level: RequestResponse
  userGroups: [admins]
";

    fn check(user: &str, groups: &[&str], path: &str, verb: &'static str) -> Option<usize> {
        let query = component::query::Query::default();
        let mut info = crate::request_info::parse(&http::Method::GET, path, &query).unwrap();
        info.verb = verb;
        let policy = Policy::parse(POLICY).unwrap();
        policy.omitted(&UserInfo::new(user, groups), &info).map(|stages| stages.len())
    }

    #[test]
    fn the_first_rule_that_matches_says_what_is_written() {
        assert_eq!(check("system:kube-proxy", &["admins"], "/api/v1/pods", "list"), None);
        assert_eq!(check("a", &["admins"], "/healthz/ping", "get"), None);
        assert_eq!(check("a", &["admins"], "/api/v1/events", "list"), None);
        assert_eq!(check("a", &["admins"], "/api/v1/namespaces/shop/pods/p/log", "get"), None);
        assert_eq!(check("a", &[], "/api/v1/namespaces/shop/pods", "create"), Some(2));
        assert_eq!(check("a", &["admins"], "/api/v1/namespaces/shop/pods", "list"), Some(1));
        assert_eq!(check("a", &["admins"], "/apis", "get"), Some(1));
        assert_eq!(check("a", &[], "/apis", "get"), None);
    }

    #[test]
    fn a_file_that_is_no_policy_is_refused() {
        for text in
            ["kind: Policy", "apiVersion: audit.k8s.io/v1\nkind: Policy", "{", "apiVersion: v1\nkind: Pod\nrules: []"]
        {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }
}
