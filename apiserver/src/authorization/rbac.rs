//! Role based access control: an index over roles and bindings that answers what a user may do.
//!
//! Upstream: plugin/pkg/auth/authorizer/rbac/rbac.go, pkg/registry/rbac/validation/rule.go
//! Left out: nothing of the decisions. Aggregated roles are resolved here, at once; upstream waits for a controller to
//!   write their rules.
//!
//! The rules that reach a user are collected once and kept until a role or binding changes, so that a request costs a
//! scan of the user's own rules.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use serde_json::Value;

use super::{Attributes, rule::Rule};
use crate::{
    attributes::{Decision, UserInfo},
    memory::Observer,
    object::Object,
    row::Row,
};

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// The index.
#[derive(Default)]
pub struct Rbac {
    tables: RwLock<Tables>,
    /// Filled only under a read lock of `tables` and emptied under its write lock: what is in it is never stale.
    known: RwLock<HashMap<String, Vec<Known>>>,
}

/// Everything that the objects say.
#[derive(Default)]
struct Tables {
    /// By namespace and name.
    roles: HashMap<(String, String), Arc<[Rule]>>,
    cluster_roles: BTreeMap<String, ClusterRole>,
    /// By namespace, then by name; cluster role bindings are in the namespace "".
    bindings: HashMap<String, BTreeMap<String, Binding>>,
}

struct ClusterRole {
    own_rules: Arc<[Rule]>,
    labels: Value,
    /// Label selectors: the role also has the rules of the roles they select.
    aggregates: Vec<Value>,
}

struct Binding {
    role_kind: String,
    role_name: String,
    subjects: Vec<Subject>,
}

struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

/// The rules of one user, by namespace; those that hold everywhere are in the namespace "".
struct Known {
    groups: Vec<String>,
    by_namespace: HashMap<String, Arc<Grants>>,
}

/// What the bindings of one namespace (or those of the cluster) give to a user.
#[derive(Default)]
struct Grants {
    grants: Vec<Grant>,
    /// Roles that bindings name and that don't exist.
    missing: Vec<String>,
}

struct Grant {
    rules: Arc<[Rule]>,
    /// `RoleBinding "b/ns" of Role "r" to User "u"`.
    origin: String,
}

/// Users remembered at once; they are forgotten together.
const MAX_KNOWN: usize = 8192;

impl Rbac {
    /// Whether the user's roles allow what is asked.
    pub fn decide(&self, user: &UserInfo, asked: &Attributes<'_>) -> Decision {
        let mut missing = BTreeSet::new();
        let namespace = if asked.is_resource { asked.namespace } else { "" };
        for grants in self.grants(user, namespace) {
            for grant in &grants.grants {
                if grant.rules.iter().any(|rule| rule.allows(asked)) {
                    return Decision::Allow { reason: format!("RBAC: allowed by {}", grant.origin) };
                }
            }
            missing.extend(grants.missing.iter().cloned());
        }
        let reason = match missing.len() {
            0 => String::new(),
            1 => format!("RBAC: {}", Vec::from_iter(missing).concat()),
            _ => format!("RBAC: [{}]", Vec::from_iter(missing).join(", ")),
        };
        Decision::NoOpinion { reason }
    }

    /// All rules that reach the user in `namespace` (only those that hold everywhere when it is ""), and which roles
    /// were named but missing.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for grants in self.grants(user, namespace) {
            rules.extend(grants.grants.iter().flat_map(|grant| grant.rules.iter().cloned()));
            missing.extend(grants.missing.iter().cloned());
        }
        (rules, missing)
    }

    /// The rules of a role that a binding in `namespace` refers to; none when it does not exist.
    pub fn role_rules(&self, kind: &str, name: &str, namespace: &str) -> Option<Arc<[Rule]>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).role(kind, name, namespace)
    }

    /// Cluster-wide grants first, then those of `namespace`.
    fn grants(&self, user: &UserInfo, namespace: &str) -> impl Iterator<Item = Arc<Grants>> {
        let cluster = self.grants_in(user, "");
        let namespaced = (!namespace.is_empty()).then(|| self.grants_in(user, namespace));
        std::iter::once(cluster).chain(namespaced)
    }

    fn grants_in(&self, user: &UserInfo, namespace: &str) -> Arc<Grants> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of_user = known.get(&user.name).and_then(|entries| entries.iter().find(|each| each.groups == user.groups));
        if let Some(grants) = of_user.and_then(|entry| entry.by_namespace.get(namespace)) {
            return grants.clone();
        }
        drop(known);
        let grants = Arc::new(tables.collect(user, namespace));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let entries = known.entry(user.name.clone()).or_default();
        let place = entries.iter().position(|each| each.groups == user.groups).unwrap_or_else(|| {
            // Impersonation can give one user any number of sets of groups.
            if entries.len() >= 16 {
                entries.clear();
            }
            entries.push(Known { groups: user.groups.clone(), by_namespace: HashMap::new() });
            entries.len() - 1
        });
        let by_namespace = &mut entries[place].by_namespace;
        if by_namespace.len() >= MAX_KNOWN {
            by_namespace.clear();
        }
        by_namespace.insert(namespace.to_owned(), grants.clone());
        grants
    }
}

impl Tables {
    fn collect(&self, user: &UserInfo, namespace: &str) -> Grants {
        let mut collected = Grants::default();
        for (name, binding) in self.bindings.get(namespace).into_iter().flatten() {
            let Some(subject) = binding.subjects.iter().find(|subject| subject.is(user, namespace)) else {
                continue;
            };
            let Some(rules) = self.role(&binding.role_kind, &binding.role_name, namespace) else {
                let kind = binding.role_kind.to_lowercase();
                collected.missing.push(format!("{kind}.{GROUP} {:?} not found", binding.role_name));
                continue;
            };
            let (kind, binding_name) = match namespace {
                "" => ("ClusterRoleBinding", name.clone()),
                namespace => ("RoleBinding", format!("{name}/{namespace}")),
            };
            let origin = format!(
                "{kind} {binding_name:?} of {} {:?} to {}",
                binding.role_kind,
                binding.role_name,
                subject.describe(namespace)
            );
            collected.grants.push(Grant { rules, origin });
        }
        collected
    }

    fn role(&self, kind: &str, name: &str, namespace: &str) -> Option<Arc<[Rule]>> {
        match kind {
            "Role" => self.roles.get(&(namespace.to_owned(), name.to_owned())).cloned(),
            "ClusterRole" => {
                let role = self.cluster_roles.get(name)?;
                if role.aggregates.is_empty() {
                    return Some(role.own_rules.clone());
                }
                let mut rules = Vec::new();
                self.aggregate(name, &mut BTreeSet::new(), &mut rules);
                Some(rules.into())
            }
            _ => None,
        }
    }

    /// Adds the rules of an aggregated role: those of every role it selects, which may be aggregated themselves.
    fn aggregate(&self, name: &str, seen: &mut BTreeSet<String>, rules: &mut Vec<Rule>) {
        let Some(role) = self.cluster_roles.get(name) else { return };
        if !seen.insert(name.to_owned()) {
            return;
        }
        if role.aggregates.is_empty() {
            for rule in role.own_rules.iter().filter(|rule| !rules.contains(rule)).cloned().collect::<Vec<_>>() {
                rules.push(rule);
            }
            return;
        }
        for (other_name, other) in &self.cluster_roles {
            if role.aggregates.iter().any(|selector| selects(selector, &other.labels)) {
                self.aggregate(other_name, seen, rules);
            }
        }
    }

    /// Takes one object in, or out when `object` is none.
    fn change(&mut self, plural: &str, namespace: &str, name: &str, object: Option<&Value>) {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        match (plural, object) {
            ("roles", Some(role)) => {
                self.roles.insert((namespace, name), Rule::of_role(role).into());
            }
            ("roles", None) => {
                self.roles.remove(&(namespace, name));
            }
            ("clusterroles", Some(role)) => {
                let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array().cloned();
                let entry = ClusterRole {
                    own_rules: Rule::of_role(role).into(),
                    labels: role["metadata"]["labels"].clone(),
                    aggregates: selectors.unwrap_or_default(),
                };
                self.cluster_roles.insert(name, entry);
            }
            ("clusterroles", None) => {
                self.cluster_roles.remove(&name);
            }
            (_, Some(binding)) => {
                self.bindings.entry(namespace).or_default().insert(name, Binding::read(binding));
            }
            (_, None) => {
                if let Some(bindings) = self.bindings.get_mut(&namespace) {
                    bindings.remove(&name);
                    if bindings.is_empty() {
                        self.bindings.remove(&namespace);
                    }
                }
            }
        }
    }
}

/// Whether a label selector selects `labels`; an empty one selects everything.
fn selects(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels[key].as_str();
    let exact = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    exact.into_iter().all(|(key, value)| label(key) == value.as_str())
        && expressions.into_iter().all(|expression| {
            let value = label(expression["key"].as_str().unwrap_or_default());
            let is_listed = || {
                let values = expression["values"].as_array().into_iter().flatten();
                values.into_iter().any(|each| value.is_some() && each.as_str() == value)
            };
            match expression["operator"].as_str().unwrap_or_default() {
                "In" => is_listed(),
                "NotIn" => !is_listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

impl Binding {
    fn read(binding: &Value) -> Binding {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subject = |subject: &Value| Subject {
            kind: text(&subject["kind"]),
            name: text(&subject["name"]),
            namespace: text(&subject["namespace"]),
        };
        Binding {
            role_kind: text(&binding["roleRef"]["kind"]),
            role_name: text(&binding["roleRef"]["name"]),
            subjects: binding["subjects"].as_array().into_iter().flatten().map(subject).collect(),
        }
    }
}

impl Subject {
    /// Whether the subject of a binding in `namespace` is this user.
    fn is(&self, user: &UserInfo, namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => user.name == self.name,
            "Group" => user.in_group(&self.name),
            "ServiceAccount" => {
                let own = if self.namespace.is_empty() { namespace } else { &self.namespace };
                let rest = user.name.strip_prefix("system:serviceaccount:");
                !own.is_empty() && rest.and_then(|rest| rest.split_once(':')) == Some((own, self.name.as_str()))
            }
            _ => false,
        }
    }

    fn describe(&self, namespace: &str) -> String {
        match self.kind.as_str() {
            "ServiceAccount" => {
                let own = if self.namespace.is_empty() { namespace } else { &self.namespace };
                format!("ServiceAccount {:?}", format!("{}/{own}", self.name))
            }
            kind => format!("{kind} {:?}", self.name),
        }
    }
}

impl Observer for Rbac {
    fn observe(&self, row: &Row, before: Option<&Object>, after: Option<&Object>) {
        if row.group != GROUP {
            return;
        }
        let Some(key) = after.or(before).map(|object| &object.key) else { return };
        let value = after.map(Object::value);
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.change(&row.plural, &key.namespace, &key.name, value.as_ref());
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The aggregated cluster roles among `objects`, with the rules that they must have.
pub(crate) fn aggregated_rules(objects: &[Value]) -> Vec<(String, Vec<Rule>)> {
    let rbac = Rbac::of_objects(objects);
    let tables = rbac.tables.read().unwrap_or_else(PoisonError::into_inner);
    let aggregated = tables.cluster_roles.iter().filter(|(_, role)| !role.aggregates.is_empty());
    aggregated
        .map(|(name, _)| {
            let mut rules = Vec::new();
            tables.aggregate(name, &mut BTreeSet::new(), &mut rules);
            (name.clone(), rules)
        })
        .collect()
}

impl Rbac {
    /// An index over objects that are given, each with its kind: what tests and the bootstrap policy are judged by.
    pub fn of_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Rbac {
        let rbac = Rbac::default();
        {
            let mut tables = rbac.tables.write().unwrap_or_else(PoisonError::into_inner);
            for object in objects {
                let plural = format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase());
                let metadata = &object["metadata"];
                let (namespace, name) = (metadata["namespace"].as_str(), metadata["name"].as_str());
                tables.change(&plural, namespace.unwrap_or_default(), name.unwrap_or_default(), Some(object));
            }
        }
        rbac
    }
}

#[cfg(test)]
mod tests;
