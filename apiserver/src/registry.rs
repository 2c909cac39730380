//! The periodic table of the cluster: all rows, found by path, kind or resource name.
//!
//! Upstream: pkg/controlplane/instance.go, apiserver/pkg/server/genericapiserver.go (InstallAPIGroups)
//! Left out: rows made at run time (custom resource definitions).

use std::{collections::HashMap, sync::Arc};

use crate::row::Row;

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

    /// Whether any row is served in this group-version.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.rows.iter().any(|row| row.group == group && row.versions.iter().any(|each| each == version))
    }
}
