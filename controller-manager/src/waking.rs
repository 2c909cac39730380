//! Which keys a change wakes, in the forms that several controllers share.
//!
//! Upstream: the event handlers of every controller in pkg/controller
//! Left out: nothing.

use std::sync::Arc;

use client::{Cache, Change, ObjectKey};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Resource;

use crate::owner;

/// Keys for an object that nobody controls: those that `matching` finds for what it was and for what it is.
pub fn orphans<K: Resource>(matching: impl Fn(&K) -> Vec<ObjectKey>) -> impl Fn(&Change<K>) -> Vec<ObjectKey> {
    move |change| {
        let Some(after) = change.after.as_ref().filter(|after| owner::controller_of(after.meta()).is_none()) else {
            return Vec::new();
        };
        let labels_changed = change.before.as_ref().is_none_or(|before| before.meta().labels != after.meta().labels);
        let released = change.before.as_ref().is_some_and(|before| owner::controller_of(before.meta()).is_some());
        if labels_changed || released { matching(after) } else { Vec::new() }
    }
}

/// Keys that `matching` finds for what the object was and for what it is, each once.
pub fn both<K>(matching: impl Fn(&K) -> Vec<ObjectKey>) -> impl Fn(&Change<K>) -> Vec<ObjectKey> {
    move |change| {
        let mut keys: Vec<ObjectKey> =
            change.before.iter().chain(&change.after).flat_map(|object| matching(object)).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// The pods in a namespace that nobody controls.
pub fn orphans_in(pods: &Cache<Pod>, namespace: &str) -> Vec<Arc<Pod>> {
    pods.index("orphans of namespace", |pod| {
        let is_orphan = owner::controller_of(&pod.metadata).is_none();
        pod.metadata.namespace.iter().filter(|_| is_orphan).cloned().collect()
    });
    pods.by_index("orphans of namespace", namespace)
}

/// The key of what is made in a namespace: the namespace's own, outside of namespaces.
pub fn own_namespace<K: Resource>(change: &Change<K>) -> Option<ObjectKey> {
    change.object().meta().namespace.as_ref().map(ObjectKey::cluster)
}

/// Wakes a namespace when it comes, and when it begins to go.
pub fn namespace_phase(change: &Change<Namespace>) -> Option<ObjectKey> {
    let leaving = |namespace: &Arc<Namespace>| namespace.metadata.deletion_timestamp.is_some();
    let same = change.before.as_ref().zip(change.after.as_ref()).is_some_and(|(a, b)| leaving(a) == leaving(b));
    (!same).then(|| ObjectKey::of(change.object().as_ref()))
}
