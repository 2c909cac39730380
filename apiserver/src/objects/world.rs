//! A handful of objects that tests put in place of the memory.
//!
//! Upstream: client-go/kubernetes/fake
//! Left out: changes; a test makes another world.

use std::sync::Arc;

use serde_json::Value;
use store::Revision;

use super::Objects;
use crate::{
    authorization::{Authorizer, Mode},
    memory::Observer,
    object::{Draft, Object, ObjectKey},
    registry::Registry,
    row::{Row, Scope},
    rows,
};

/// The objects, of kinds that have a row.
pub(crate) struct World {
    registry: Registry,
    objects: Vec<(Arc<Row>, Arc<Object>)>,
}

impl World {
    pub(crate) fn new(objects: impl IntoIterator<Item = Value>) -> World {
        let registry = Registry::new(rows::rows());
        let held = objects.into_iter().map(|value| {
            let row = registry.rows().iter().find(|row| row.kind == value["kind"].as_str().unwrap()).unwrap().clone();
            let object = Arc::new(make(&row, &value));
            (row, object)
        });
        let objects = held.collect();
        World { registry, objects }
    }

    /// An authorizer that has seen the objects.
    pub(crate) fn authorizer(&self) -> Authorizer {
        let authorizer = Authorizer::new(vec![Mode::Node, Mode::Rbac]);
        for observer in authorizer.observers() {
            for (row, object) in &self.objects {
                observer.observe(row, None, Some(object));
            }
        }
        authorizer
    }

    /// Shows an observer that everything is gone.
    pub(crate) fn forget(&self, observer: &dyn Observer) {
        for (row, object) in &self.objects {
            observer.observe(row, Some(object), None);
        }
    }
}

fn make(row: &Row, value: &Value) -> Object {
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default();
    let key = ObjectKey::new(text("namespace"), text("name"));
    Draft::of(row, value).at(key, Revision(1))
}

impl Objects for World {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let listed = self.list(group, resource, namespace);
        listed.into_iter().find(|object| *object.key.name == *name && *object.key.namespace == *namespace)
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>> {
        let fits = |row: &Row, object: &Object| {
            row.group == group
                && row.plural == resource
                && (namespace.is_empty() || *object.key.namespace == *namespace)
        };
        self.objects.iter().filter(|(row, object)| fits(row, object)).map(|(_, object)| object.clone()).collect()
    }

    fn resource_of(&self, group: &str, kind: &str) -> Option<(String, Scope)> {
        let row = self.registry.rows().iter().find(|row| row.group == group && row.kind == kind)?;
        Some((row.plural.to_string(), row.scope))
    }
}
