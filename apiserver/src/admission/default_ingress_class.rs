//! An Ingress that names no class gets the default one.
//!
//! Upstream: plugin/pkg/admission/network/defaultingressclass/admission.go
//! Left out: nothing.

use std::cmp::Reverse;

use api::{object::Object as _, status::Status};
use serde_json::Value;

use super::{Admission, Operation, Request};

const GROUP: &str = "networking.k8s.io";

pub(super) struct DefaultIngressClass;

impl Admission for DefaultIngressClass {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let objects = request.objects;
        let Some(ingress) = request.object_of(Operation::Create, GROUP, "ingresses") else { return Ok(()) };
        let is_named = !ingress["spec"]["ingressClassName"].is_null();
        if is_named || ingress.annotation("kubernetes.io/ingress.class").is_some() {
            return Ok(());
        }
        let classes = objects.list(GROUP, "ingressclasses", "");
        let classes = classes.iter().map(|class| class.value());
        let is_default =
            |class: &Value| class.annotation("ingressclass.kubernetes.io/is-default-class") == Some("true");
        // Of several the newest is taken, and of those the first by name.
        let key = |class: &Value| (Reverse(class.meta_str("creationTimestamp").to_owned()), class.name().to_owned());
        if let Some(class) = classes.filter(is_default).min_by_key(key) {
            ingress["spec"]["ingressClassName"] = class.name().into();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{admin, send};
    use super::*;
    use crate::objects::world::World;

    #[test]
    fn an_ingress_gets_the_newest_default_class() {
        let class = |name: &str, created: &str, default: &str| {
            json!({"kind": "IngressClass", "metadata": {"name": name, "creationTimestamp": created,
                "annotations": {"ingressclass.kubernetes.io/is-default-class": default}}})
        };
        let world = World::new([
            json!({"kind": "Namespace", "metadata": {"name": "ns"}}),
            class("old", "2026-01-01T00:00:00Z", "true"),
            class("b", "2026-02-01T00:00:00Z", "true"),
            class("a", "2026-02-01T00:00:00Z", "true"),
            class("newest", "2026-03-01T00:00:00Z", "false"),
        ]);
        let create = |ingress: Value| {
            let made =
                send(&world, &admin(), Operation::Create, "networking.k8s.io/ingresses/ns//", Some(ingress), None);
            made.unwrap()["spec"]["ingressClassName"].clone()
        };
        assert_eq!(create(json!({"metadata": {"name": "x"}, "spec": {}})), "a");
        assert_eq!(create(json!({"metadata": {"name": "x"}, "spec": {"ingressClassName": "mine"}})), "mine");
        let annotated = json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "n"}}, "spec": {}});
        assert_eq!(create(annotated), Value::Null);
    }
}
