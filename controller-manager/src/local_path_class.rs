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
