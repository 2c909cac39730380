//! Makes the StorageClass `local-path`, the default one, in a cluster that has no class at all.
//!
//! Upstream: the manifest of rancher/local-path-provisioner
//! Left out: keeping it: it is the user's then. Who deletes it is not contradicted while the controller manager runs.

use std::collections::BTreeMap;
use std::fmt;

use api::local_path;
use client::{Action, Cache, Controller, Informers, Plan, Watches};
use jiff::Timestamp;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// What is decided from: how many classes there are.
pub struct Input {
    pub classes: usize,
}

/// Makes the class where there is none.
pub fn plan(input: &Input) -> Plan {
    if input.classes > 0 {
        return Plan::nothing();
    }
    let class = StorageClass {
        metadata: ObjectMeta {
            name: Some(local_path::STORAGE_CLASS.into()),
            annotations: Some(BTreeMap::from([(IS_DEFAULT.to_owned(), "true".to_owned())])),
            ..ObjectMeta::default()
        },
        provisioner: local_path::PROVISIONER.into(),
        reclaim_policy: Some("Delete".into()),
        volume_binding_mode: Some("WaitForFirstConsumer".into()),
        ..StorageClass::default()
    };
    vec![Action::create(&class)].into()
}

/// There is one key, and it is woken once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TheClass;

impl fmt::Display for TheClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(local_path::STORAGE_CLASS)
    }
}

pub struct LocalPathClass {
    classes: Cache<StorageClass>,
}

impl LocalPathClass {
    pub fn new(informers: &Informers) -> Self {
        Self { classes: informers.of() }
    }
}

impl Controller for LocalPathClass {
    const NAME: &'static str = "local-path-class";
    type Key = TheClass;
    type Input = Input;

    fn service_account() -> String {
        "local-path-provisioner".into()
    }

    fn watches(&self) -> Watches<TheClass> {
        Watches::new().reads(&self.classes).stream(futures::stream::iter([(TheClass, 0)]))
    }

    async fn gather(&self, _: &TheClass) -> Result<Option<Input>, kube::Error> {
        Ok(Some(Input { classes: self.classes.len() }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_world::{World, in_words, object, settle};

    #[test]
    fn a_cluster_without_a_class_gets_one_default_and_no_more() {
        let mut world = World::default();
        let plan = |world: &World| plan(&Input { classes: world.all::<StorageClass>().len() });
        assert_eq!(in_words(&plan(&world)), "create StorageClass local-path");
        settle(&mut world, plan);
        let classes = world.all::<StorageClass>();
        let annotations = classes[0].metadata.annotations.as_ref().unwrap();
        assert_eq!((classes.len(), annotations[IS_DEFAULT].as_str()), (1, "true"));
    }

    #[test]
    fn a_class_of_the_users_own_is_enough() {
        let theirs = object::<StorageClass>(json!({"metadata": {"name": "fast"}, "provisioner": "example.com/fast"}));
        let mut world = World::default().with(&theirs);
        assert_eq!(settle(&mut world, |world| plan(&Input { classes: world.all::<StorageClass>().len() })), 0);
    }
}
