//! What authentication, authorization and admission ask of the objects in memory.
//!
//! Upstream: the shared informers and listers that those parts of kube-apiserver are given
//! Left out: waiting until the caches have synced; memory is complete before the first request is served.

#[cfg(test)]
pub(crate) mod world;

use std::sync::Arc;

use crate::{memory::Memory, object::Object, row::Scope};

/// Reads of current objects. Synchronous: everything is in memory. Tests answer it from a handful of objects.
pub trait Objects: Send + Sync {
    /// The object, if it exists. `namespace` is "" for cluster-scoped kinds; `resource` is the plural.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>>;

    /// The objects of a kind, ordered by namespace and name; in all namespaces when `namespace` is "".
    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>>;

    /// The plural and the scope of a kind that is served; owner references name kinds.
    fn resource_of(&self, group: &str, kind: &str) -> Option<(String, Scope)>;
}

impl Objects for Memory {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        Memory::get(self, group, resource, namespace, name)
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>> {
        Memory::list(self, group, resource, namespace)
    }

    fn resource_of(&self, group: &str, kind: &str) -> Option<(String, Scope)> {
        let row = self.rows().find(|row| row.group == group && row.kind == kind)?;
        Some((row.plural.to_string(), row.scope))
    }
}
