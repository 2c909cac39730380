//! The periodic table of the cluster: all rows, found by path, kind or resource name.
//!
//! Upstream: pkg/controlplane/instance.go, apiserver/pkg/server/genericapiserver.go (InstallAPIGroups)
//! Left out: rows made at run time (custom resource definitions).

use std::{collections::HashMap, sync::Arc};

use crate::row::Row;

/// A group, its priority, and its versions with theirs.
type GroupPriority = (&'static str, i64, &'static [(&'static str, i64)]);

/// The groups, each with its priority and those of its versions, which clients try in falling order
/// (upstream: pkg/controlplane/apiserver/aggregator.go, pkg/controlplane/server.go). Others follow them.
const PRIORITIES: [GroupPriority; 22] = [
    ("apiregistration.k8s.io", 20_000, &[]),
    ("", 18_000, &[("v1", 1)]),
    ("apps", 17_800, &[("v1", 15)]),
    ("events.k8s.io", 17_750, &[("v1", 15)]),
    ("authentication.k8s.io", 17_700, &[("v1", 15)]),
    ("authorization.k8s.io", 17_600, &[("v1", 15)]),
    ("autoscaling", 17_500, &[("v2", 30), ("v1", 15)]),
    ("batch", 17_400, &[("v1", 15)]),
    ("certificates.k8s.io", 17_300, &[("v1", 15)]),
    ("networking.k8s.io", 17_200, &[("v1", 15)]),
    ("policy", 17_100, &[("v1", 15)]),
    ("rbac.authorization.k8s.io", 17_000, &[("v1", 15)]),
    ("storage.k8s.io", 16_800, &[("v1", 15)]),
    ("admissionregistration.k8s.io", 16_700, &[("v1", 15)]),
    ("apiextensions.k8s.io", 16_700, &[("v1", 15)]),
    ("scheduling.k8s.io", 16_600, &[("v1", 15)]),
    ("coordination.k8s.io", 16_500, &[("v1", 15)]),
    ("node.k8s.io", 16_300, &[("v1", 15)]),
    ("discovery.k8s.io", 16_200, &[("v1", 15)]),
    ("flowcontrol.apiserver.k8s.io", 16_100, &[("v1", 21)]),
    ("internal.apiserver.k8s.io", 16_000, &[]),
    ("resource.k8s.io", 15_900, &[("v1", 15)]),
];

/// How clients rank a built-in group-version: the priority of its group, and its own within the group.
pub fn priority(group: &str, version: &str) -> Option<(i64, i64)> {
    let (_, of_group, versions) = PRIORITIES.iter().find(|(name, ..)| *name == group)?;
    let (_, of_version) = versions.iter().find(|(name, _)| *name == version)?;
    Some((*of_group, *of_version))
}

/// All rows. Immutable.
pub struct Registry {
    rows: Vec<Arc<Row>>,
    by_resource: HashMap<(String, String), Arc<Row>>,
}

impl Registry {
    pub fn new(rows: Vec<Row>) -> Registry {
        let rows: Vec<Arc<Row>> = rows.into_iter().map(Arc::new).collect();
        let stored = rows.iter().filter(|row| row.stored_as.as_ref().is_none_or(|other| other.group != row.group));
        let by_resource = stored.map(|row| ((row.group.to_string(), row.plural.to_string()), row.clone())).collect();
        Registry { rows, by_resource }
    }

    /// All rows, in the order of the table.
    pub fn rows(&self) -> &[Arc<Row>] {
        &self.rows
    }

    /// The row of a group-resource; where versions have rows of their own, the one whose objects are stored.
    pub fn resource(&self, group: &str, resource: &str) -> Option<&Arc<Row>> {
        self.by_resource.get(&(group.to_owned(), resource.to_owned()))
    }

    /// The row of a resource in a version that it is served in.
    pub fn served(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<Row>> {
        let row = self.resource(group, resource)?;
        if row.versions.iter().any(|each| each == version) {
            return Some(row);
        }
        let of_this_version = |row: &&Arc<Row>| {
            row.group == group && row.plural == resource && row.versions.iter().any(|each| each == version)
        };
        self.rows.iter().find(of_this_version)
    }

    /// The rows that are served in a group-version.
    pub fn served_in<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Row>> {
        self.rows.iter().filter(move |row| row.group == group && row.versions.iter().any(|each| each == version))
    }

    /// All group-versions that are served, the groups in the order that clients shall try them in, the preferred
    /// version of each first.
    pub fn group_versions(&self) -> Vec<(&str, &str)> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        for row in &self.rows {
            for version in &row.versions {
                if !found.contains(&(&row.group, version)) {
                    found.push((&row.group, version));
                }
            }
        }
        let place = |group: &str| PRIORITIES.iter().position(|(name, ..)| *name == group).unwrap_or(PRIORITIES.len());
        found.sort_by_key(|(group, _)| place(group));
        found
    }

    /// Whether any row is served in this group-version.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.rows.iter().any(|row| row.group == group && row.versions.iter().any(|each| each == version))
    }
}
