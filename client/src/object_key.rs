//! The name of an object within its kind: namespace and name.
//!
//! Upstream: client-go/tools/cache/store.go (MetaNamespaceKeyFunc), apimachinery/pkg/types/namespacedname.go
//! Left out: parsing a key from text; keys are values here, never strings.

use std::fmt;

use kube::Resource;

/// Namespace and name. The namespace is "" for an object that lives outside of namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    /// The key of a namespaced object.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object outside of namespaces: a Node, a PersistentVolume.
    pub fn cluster(name: impl Into<String>) -> ObjectKey {
        ObjectKey::new("", name)
    }

    /// The key of an object.
    pub fn of<K: Resource>(object: &K) -> ObjectKey {
        let meta = object.meta();
        ObjectKey::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}
