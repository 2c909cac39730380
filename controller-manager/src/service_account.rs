//! Gives every namespace its `default` ServiceAccount.
//!
//! Upstream: pkg/controller/serviceaccount/serviceaccounts_controller.go
//! Left out: token Secrets: pods get bound tokens from the TokenRequest API.

use std::sync::Arc;

use client::{Cache, Controller, Informers, ObjectKey, Selector, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::actions::{Action, Plan};
use crate::namespace::is_terminating;
use crate::waking;

pub const NAME: &str = "default";

/// What is decided from.
pub struct Input {
    pub namespace: Arc<Namespace>,
    /// The account named `default`, if it is there.
    pub account: Option<Arc<ServiceAccount>>,
}

/// Makes the account when it is missing. One that is being deleted is made anew when it is gone.
pub fn plan(input: &Input) -> Plan {
    if input.account.is_some() || is_terminating(&input.namespace) {
        return Plan::default();
    }
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(NAME.into()),
            namespace: input.namespace.metadata.name.clone(),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    Plan { actions: vec![Action::create(&account)], ..Plan::default() }
}

pub struct ServiceAccounts {
    namespaces: Cache<Namespace>,
    accounts: Cache<ServiceAccount>,
}

impl ServiceAccounts {
    pub fn new(informers: &Informers) -> Self {
        let accounts = informers.selected(Selector::fields(format!("metadata.name={NAME}")));
        Self { namespaces: informers.of(), accounts }
    }
}

impl Controller for ServiceAccounts {
    const NAME: &'static str = "service-account";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        Watches::new().map(&self.namespaces, waking::namespace_phase).map(&self.accounts, waking::own_namespace)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let account = self.accounts.get(&ObjectKey::new(&key.name, NAME));
        Ok(self.namespaces.get(key).map(|namespace| Input { namespace, account }))
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

    fn words(namespace: serde_json::Value) -> String {
        let mut world = World::default().with(&object::<Namespace>(namespace));
        let gather =
            |world: &World| Input { namespace: world.all::<Namespace>()[0].clone(), account: world.all().pop() };
        let words = in_words(&plan(&gather(&world)));
        settle(&mut world, |world| plan(&gather(world)));
        words
    }

    #[test]
    fn a_namespace_gets_its_account_unless_it_is_going() {
        assert_eq!(words(json!({"metadata": {"name": "n"}})), "create ServiceAccount n/default");
        let leaving = json!({"metadata": {"name": "n"}, "status": {"phase": "Terminating"}});
        assert_eq!(words(leaving), "");
    }
}
