//! Publishes the API server's CA certificate in every namespace, where pods mount it from.
//!
//! Upstream: pkg/controller/certificates/rootcacertpublisher/publisher.go
//! Left out: nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Cache, Controller, Informers, ObjectKey, Selector, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::actions::{self, Action, Plan};
use crate::namespace::is_terminating;
use crate::waking;

pub const NAME: &str = "kube-root-ca.crt";
const CERTIFICATE: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);

/// What is decided from.
pub struct Input {
    pub namespace: Arc<Namespace>,
    /// The ConfigMap named `kube-root-ca.crt`, if it is there.
    pub config_map: Option<Arc<ConfigMap>>,
    /// The CA bundle, PEM.
    pub root_ca: Arc<str>,
}

/// Makes the ConfigMap, or restores one that somebody altered.
pub fn plan(input: &Input) -> Plan {
    if is_terminating(&input.namespace) {
        return Plan::default();
    }
    let wanted = BTreeMap::from([(CERTIFICATE.to_owned(), input.root_ca.to_string())]);
    let action = match &input.config_map {
        None => Action::create(&config_map(input, wanted)),
        Some(current) => {
            let annotations = current.metadata.annotations.as_ref();
            let described = annotations.is_some_and(|annotations| annotations.contains_key(DESCRIPTION.0));
            if current.data.as_ref() == Some(&wanted) && described {
                return Plan::default();
            }
            // Keys that are not ours go: a merge patch removes what it sets to null.
            let strange = current.data.iter().flatten().map(|(key, _)| (key.clone(), serde_json::Value::Null));
            let mut data: serde_json::Map<_, _> = strange.collect();
            data.insert(CERTIFICATE.into(), (*input.root_ca).into());
            let annotations = json!({DESCRIPTION.0: DESCRIPTION.1});
            actions::merge_patch(current.as_ref(), json!({"metadata": {"annotations": annotations}, "data": data}))
        }
    };
    Plan { actions: vec![action], ..Plan::default() }
}

fn config_map(input: &Input, data: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.into()),
            namespace: input.namespace.metadata.name.clone(),
            annotations: Some(BTreeMap::from([(DESCRIPTION.0.to_owned(), DESCRIPTION.1.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    }
}

pub struct RootCa {
    namespaces: Cache<Namespace>,
    config_maps: Cache<ConfigMap>,
    root_ca: Arc<str>,
}

impl RootCa {
    pub fn new(informers: &Informers, root_ca: Arc<str>) -> Self {
        let config_maps = informers.selected(Selector::fields(format!("metadata.name={NAME}")));
        Self { namespaces: informers.of(), config_maps, root_ca }
    }
}

impl Controller for RootCa {
    const NAME: &'static str = "root-ca-certificate-publisher";
    type Key = ObjectKey;
    type Input = Input;

    fn service_account() -> String {
        "root-ca-cert-publisher".into()
    }

    fn watches(&self) -> Watches<ObjectKey> {
        Watches::new().map(&self.namespaces, waking::namespace_phase).map(&self.config_maps, waking::own_namespace)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let config_map = self.config_maps.get(&ObjectKey::new(&key.name, NAME));
        let root_ca = self.root_ca.clone();
        Ok(self.namespaces.get(key).map(|namespace| Input { namespace, config_map, root_ca }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{World, in_words, object, settle};

    fn check(data: Option<serde_json::Value>, expected: &str) {
        let mut world = World::default().with(&object::<Namespace>(json!({"metadata": {"name": "n"}})));
        if let Some(data) = data {
            let altered = json!({"metadata": {"name": NAME, "namespace": "n"}, "data": data});
            world = world.with(&object::<ConfigMap>(altered));
        }
        let gather = |world: &World| Input {
            namespace: world.all::<Namespace>()[0].clone(),
            config_map: world.all().pop(),
            root_ca: "PEM".into(),
        };
        assert_eq!(in_words(&plan(&gather(&world))), expected);
        settle(&mut world, |world| plan(&gather(world)));
        let data = world.all::<ConfigMap>()[0].data.clone().unwrap();
        assert_eq!(data, BTreeMap::from([("ca.crt".to_owned(), "PEM".to_owned())]));
    }

    #[test]
    fn the_certificate_is_published_and_restored() {
        check(None, "create ConfigMap n/kube-root-ca.crt");
        check(Some(json!({"ca.crt": "other", "more": "x"})), "patch ConfigMap n/kube-root-ca.crt");
    }
}
