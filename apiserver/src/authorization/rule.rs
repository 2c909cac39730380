//! A rule of a role: what it allows, and which other rules it covers.
//!
//! Upstream: plugin/pkg/auth/authorizer/rbac/rbac.go, component-helpers/auth/rbac/validation/policy_comparator.go,
//!   pkg/apis/rbac/v1/evaluation_helpers.go
//! Left out: nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Attributes;

/// One rule: all combinations of its verbs with its resources, or with its paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

const ALL: &str = "*";

/// Whether a list says `*` or names `wanted`.
fn names(list: &[String], wanted: &str) -> bool {
    list.iter().any(|each| each == ALL || each == wanted)
}

/// Whether every one of `wanted` is in `list`, letter by letter.
fn has_all(list: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|each| list.contains(each))
}

impl Rule {
    /// The rules that a stored role has; a role without rules has none.
    pub fn of_role(role: &Value) -> Vec<Rule> {
        serde_json::from_value(role["rules"].clone()).unwrap_or_default()
    }

    /// Whether the rule allows what is asked.
    pub fn allows(&self, asked: &Attributes<'_>) -> bool {
        if !names(&self.verbs, asked.verb) {
            return false;
        }
        if !asked.is_resource {
            return self.non_resource_urls.iter().any(|url| path_covers(url, asked.path));
        }
        names(&self.api_groups, asked.group)
            && self.resources.iter().any(|resource| resource_matches(resource, asked))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == asked.name))
    }

    /// Whether everything that `other` allows, this rule alone allows too.
    fn covers(&self, other: &Rule) -> bool {
        let all_names = match other.resource_names.as_slice() {
            _ if self.resource_names.is_empty() => true,
            [] => false,
            wanted => has_all(&self.resource_names, wanted),
        };
        let says_all = |list: &[String]| list.iter().any(|each| each == ALL);
        let paths = |url: &String| self.non_resource_urls.iter().any(|own| path_covers(own, url));
        all_names
            && (says_all(&self.verbs) || has_all(&self.verbs, &other.verbs))
            && (says_all(&self.api_groups) || has_all(&self.api_groups, &other.api_groups))
            && other.resources.iter().all(|resource| self.covers_resource(resource))
            && other.non_resource_urls.iter().all(paths)
    }

    fn covers_resource(&self, resource: &str) -> bool {
        let any_of_subresource = resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
        self.resources
            .iter()
            .any(|own| own == ALL || own == resource || Some(own.as_str()) == any_of_subresource.as_deref())
    }

    /// The rule taken apart: one verb on one resource (and one name), or on one path, each.
    fn parts(&self) -> Vec<Rule> {
        let one = |text: &str| vec![text.to_owned()];
        let mut parts = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let part =
                        Rule { api_groups: one(group), resources: one(resource), verbs: one(verb), ..Rule::default() };
                    if self.resource_names.is_empty() {
                        parts.push(part);
                    } else {
                        let named = |name: &String| Rule { resource_names: one(name), ..part.clone() };
                        parts.extend(self.resource_names.iter().map(named));
                    }
                }
            }
        }
        for url in &self.non_resource_urls {
            for verb in &self.verbs {
                parts.push(Rule { non_resource_urls: one(url), verbs: one(verb), ..Rule::default() });
            }
        }
        parts
    }

    /// `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`: how messages show a rule.
    pub fn describe(&self) -> String {
        let lists = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown = lists.iter().filter(|(_, list)| !list.is_empty());
        let texts: Vec<String> = shown.map(|(name, list)| format!("{name}:{}", quoted(list))).collect();
        format!("{{{}}}", texts.join(", "))
    }
}

/// `["a" "b"]`: a list as Go's %q prints it.
pub fn quoted(list: &[String]) -> String {
    let texts: Vec<String> = list.iter().map(|each| format!("{each:?}")).collect();
    format!("[{}]", texts.join(" "))
}

fn resource_matches(resource: &str, asked: &Attributes<'_>) -> bool {
    if resource == ALL {
        return true;
    }
    match resource.split_once('/') {
        None => asked.subresource.is_empty() && resource == asked.resource,
        Some((main, subresource)) => {
            !asked.subresource.is_empty() && subresource == asked.subresource && (main == ALL || main == asked.resource)
        }
    }
}

/// Whether a path pattern (a `*` at its end stands for anything) matches `path`.
fn path_covers(pattern: &str, path: &str) -> bool {
    pattern == path || (pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*')))
}

/// What `wanted` allows and no rule of `held` does, in the fewest rules that say it; empty when all is covered.
pub fn uncovered(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let parts = wanted.iter().flat_map(Rule::parts);
    compact(parts.filter(|part| !held.iter().any(|own| own.covers(part))))
}

/// Puts the verbs of equal resources together again.
pub fn compact(rules: impl Iterator<Item = Rule>) -> Vec<Rule> {
    let mut whole: Vec<Rule> = Vec::new();
    let mut places: BTreeMap<Rule, usize> = BTreeMap::new();
    for rule in rules {
        let simple = rule.api_groups.len() == 1 && rule.resources.len() == 1 && rule.resource_names.len() <= 1;
        if !simple {
            whole.push(rule);
            continue;
        }
        let place = *places.entry(Rule { verbs: Vec::new(), ..rule.clone() }).or_insert(whole.len());
        match whole.get_mut(place) {
            Some(known) => known.verbs.extend(rule.verbs),
            None => whole.push(rule),
        }
    }
    whole
}

#[cfg(test)]
mod tests;
