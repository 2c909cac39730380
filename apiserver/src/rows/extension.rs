//! The rows that extend the API server or steer it: admissionregistration.k8s.io, apiextensions.k8s.io,
//! apiregistration.k8s.io and flowcontrol.apiserver.k8s.io.
//!
//! Upstream: pkg/registry/{admissionregistration,flowcontrol}/rest, apiextensions-apiserver/pkg/registry,
//!   kube-aggregator/pkg/registry
//! Left out: what the objects ask for: calling webhooks, serving custom resources and other servers' groups, and
//!   queueing requests. They are kept, shown and validated.

use std::sync::Arc;

use crate::{
    row::{Row, Subresource::*},
    strategy::{admission_policy, api_service, custom_resource, flow_control, webhooks},
};

use super::{cluster_scoped, idle, names, print};

const ADMISSION: &str = "admissionregistration.k8s.io";
const FLOW_CONTROL: &str = "flowcontrol.apiserver.k8s.io";

pub(super) fn rows() -> Vec<Row> {
    let extension = || names(&["api-extensions"]);
    let of_all = [
        Row {
            categories: extension(),
            strategy: Arc::new(webhooks::Mutating),
            ..cluster_scoped(ADMISSION, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
        }
        .shown_as(print::extension::WEBHOOK_CONFIGURATIONS),
        Row {
            categories: extension(),
            strategy: Arc::new(webhooks::Validating),
            ..cluster_scoped(ADMISSION, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
        }
        .shown_as(print::extension::WEBHOOK_CONFIGURATIONS),
        Row {
            categories: extension(),
            subresources: vec![Status],
            strategy: Arc::new(admission_policy::Policies),
            ..cluster_scoped(ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
        }
        .shown_as(print::extension::ADMISSION_POLICIES),
        Row {
            categories: extension(),
            strategy: Arc::new(admission_policy::Bindings),
            ..cluster_scoped(ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")
        }
        .shown_as(print::extension::ADMISSION_POLICY_BINDINGS),
        Row {
            short_names: names(&["crd", "crds"]),
            categories: extension(),
            subresources: vec![Status],
            strategy: Arc::new(custom_resource::Definitions),
            ..cluster_scoped("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
        },
        Row {
            categories: extension(),
            subresources: vec![Status],
            strategy: Arc::new(api_service::ApiServices),
            ..cluster_scoped("apiregistration.k8s.io", "v1", "APIService", "apiservices")
        }
        .shown_as(print::extension::API_SERVICES),
        Row {
            subresources: vec![Status],
            strategy: Arc::new(flow_control::FlowSchemas),
            ..cluster_scoped(FLOW_CONTROL, "v1", "FlowSchema", "flowschemas")
        }
        .shown_as(print::extension::FLOW_SCHEMAS),
        Row {
            subresources: vec![Status],
            strategy: Arc::new(flow_control::PriorityLevels),
            ..cluster_scoped(FLOW_CONTROL, "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations")
        }
        .shown_as(print::extension::PRIORITY_LEVELS),
    ];
    of_all.into_iter().map(|row| idle(Row { unconditional_update: false, ..row })).collect()
}
