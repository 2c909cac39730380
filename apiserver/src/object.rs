//! An object as the API server holds it in memory: its encoded bytes, and the little that is asked of it often.
//!
//! Upstream: apiserver/pkg/storage/cacher (store.go, watch_cache.go), where objects are decoded structs
//! Left out: bytes in other encodings; answers are JSON.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use store::Revision;

/// A namespace ("" for cluster-scoped kinds) and a name; ordered as lists are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectKey {
    pub fn new(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }
}

/// One version of one object. Immutable; shared by every list, watch and index that shows it.
#[derive(Debug)]
pub struct Object {
    pub key: ObjectKey,
    pub revision: Revision,
    /// The whole object as JSON, with its resourceVersion.
    pub bytes: Bytes,
    pub meta: Meta,
}

/// What selectors, indexes and authorizers read of an object without decoding it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Meta {
    pub uid: Box<str>,
    /// Sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// The values of the row's `selectable_fields`, in its order.
    pub fields: Box<[Box<str>]>,
    pub deleting: bool,
}

impl Object {
    /// The object decoded. Costs microseconds; hot paths read `meta` instead.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("only JSON that we encoded ourselves is stored")
    }
}
