//! The periodic table of the cluster: all rows, found by path, kind or resource name.
//!
//! Upstream: pkg/controlplane/instance.go, apiserver/pkg/server/genericapiserver.go (InstallAPIGroups)
//! Left out: rows made at run time (custom resource definitions).

use std::{collections::HashMap, sync::Arc};

use crate::row::Row;

/// The groups by priority (upstream: pkg/controlplane/apiserver/aggregator.go); others follow them.
const GROUPS: [&str; 19] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
];

/// All rows. Immutable.
pub struct Registry {
    rows: Vec<Arc<Row>>,
    by_resource: HashMap<(String, String), Arc<Row>>,
}

impl Registry {
    pub fn new(rows: Vec<Row>) -> Registry {
        let rows: Vec<Arc<Row>> = rows.into_iter().map(Arc::new).collect();
        let by_resource =
            rows.iter().map(|row| ((row.group.to_string(), row.plural.to_string()), row.clone())).collect();
        Registry { rows, by_resource }
    }

    /// All rows, in the order of the table.
    pub fn rows(&self) -> &[Arc<Row>] {
        &self.rows
    }

    /// The row of a group-resource.
    pub fn resource(&self, group: &str, resource: &str) -> Option<&Arc<Row>> {
        self.by_resource.get(&(group.to_owned(), resource.to_owned()))
    }

    /// The row of a resource in a version that it is served in.
    pub fn served(&self, group: &str, version: &str, resource: &str) -> Option<&Arc<Row>> {
        self.resource(group, resource).filter(|row| row.versions.iter().any(|each| each == version))
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
        let place = |group: &str| GROUPS.iter().position(|each| *each == group).unwrap_or(GROUPS.len());
        found.sort_by_key(|(group, _)| place(group));
        found
    }

    /// Whether any row is served in this group-version.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.rows.iter().any(|row| row.group == group && row.versions.iter().any(|each| each == version))
    }
}
