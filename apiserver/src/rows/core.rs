//! The rows of the core group.
//!
//! Upstream: pkg/registry/core/rest/storage_core.go
//! Left out: nothing.

use std::sync::Arc;

use crate::{
    row::{DeleteAnswer, Row, Subresource::*, Verbs},
    strategy::{
        config_map, endpoints, limits, namespace, node, persistent_volume, persistent_volume_claim, pod,
        replication_controller, secret, service, service_account,
    },
};

use super::{all, cluster_scoped, create_only, field, names, namespaced, print, text_or};

pub(super) fn rows() -> Vec<Row> {
    vec![
        pods(),
        Row {
            short_names: names(&["svc"]),
            categories: all(),
            subresources: vec![Status, Proxy],
            delete_answer: DeleteAnswer::Object,
            selectable_fields: vec![field!("spec.clusterIP"), field!("spec.type")],
            strategy: Arc::new(service::Services),
            ..namespaced("", "v1", "Service", "services")
        }
        .shown_as(print::networking::SERVICES),
        Row {
            short_names: names(&["ep"]),
            create_on_update: true,
            deprecated: Some("v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
            strategy: Arc::new(endpoints::Endpoints),
            ..namespaced("", "v1", "Endpoints", "endpoints")
        }
        .shown_as(print::networking::ENDPOINTS),
        Row {
            short_names: names(&["cm"]),
            strategy: Arc::new(config_map::ConfigMaps),
            ..namespaced("", "v1", "ConfigMap", "configmaps")
        }
        .shown_as(print::core::CONFIG_MAPS),
        Row {
            selectable_fields: vec![field!("type")],
            strategy: Arc::new(secret::Secrets),
            ..namespaced("", "v1", "Secret", "secrets")
        }
        .shown_as(print::core::SECRETS),
        Row {
            short_names: names(&["sa"]),
            subresources: vec![Token],
            delete_answer: DeleteAnswer::Object,
            strategy: Arc::new(service_account::ServiceAccounts),
            ..namespaced("", "v1", "ServiceAccount", "serviceaccounts")
        }
        .shown_as(print::core::SERVICE_ACCOUNTS),
        Row {
            short_names: names(&["ns"]),
            verbs: Verbs::NoDeleteCollection,
            subresources: vec![Status, Finalize],
            selectable_fields: vec![field!("status.phase")],
            strategy: Arc::new(namespace::Namespaces),
            ..cluster_scoped("", "v1", "Namespace", "namespaces")
        }
        .shown_as(print::core::NAMESPACES),
        Row {
            short_names: names(&["no"]),
            subresources: vec![Status, Proxy],
            selectable_fields: vec![crate::row::SelectableField {
                label: "spec.unschedulable",
                read: |object| text_or(object, "spec.unschedulable", "false"),
            }],
            strategy: Arc::new(node::Nodes),
            ..cluster_scoped("", "v1", "Node", "nodes")
        }
        .shown_as(print::nodes::NODES),
        Row {
            short_names: names(&["pv"]),
            subresources: vec![Status],
            delete_answer: DeleteAnswer::Object,
            strategy: Arc::new(persistent_volume::Volumes),
            ..cluster_scoped("", "v1", "PersistentVolume", "persistentvolumes")
        }
        .shown_as(print::storage::PERSISTENT_VOLUMES),
        Row {
            short_names: names(&["pvc"]),
            subresources: vec![Status],
            delete_answer: DeleteAnswer::Object,
            strategy: Arc::new(persistent_volume_claim::Claims),
            ..namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
        }
        .shown_as(print::storage::PERSISTENT_VOLUME_CLAIMS),
        Row {
            short_names: names(&["rc"]),
            categories: all(),
            subresources: vec![Status, Scale],
            selectable_fields: vec![crate::row::SelectableField {
                label: "status.replicas",
                read: |object| text_or(object, "status.replicas", "0"),
            }],
            orphans_by_default: true,
            lies_idle: true,
            strategy: Arc::new(replication_controller::ReplicationControllers),
            ..namespaced("", "v1", "ReplicationController", "replicationcontrollers")
        }
        .shown_as(print::workloads::REPLICATION_CONTROLLERS),
        Row {
            short_names: names(&["cs"]),
            verbs: Verbs::ReadOnly,
            deprecated: Some("v1.19+"),
            ..cluster_scoped("", "v1", "ComponentStatus", "componentstatuses")
        }
        .shown_as(print::core::COMPONENT_STATUSES),
        Row {
            delete_answer: DeleteAnswer::Object,
            strategy: Arc::new(replication_controller::PodTemplates),
            ..namespaced("", "v1", "PodTemplate", "podtemplates")
        }
        .shown_as(print::workloads::POD_TEMPLATES),
        Row {
            short_names: names(&["limits"]),
            create_on_update: true,
            strategy: Arc::new(limits::LimitRanges),
            ..namespaced("", "v1", "LimitRange", "limitranges")
        },
        Row {
            short_names: names(&["quota"]),
            subresources: vec![Status],
            delete_answer: DeleteAnswer::Object,
            strategy: Arc::new(limits::ResourceQuotas),
            ..namespaced("", "v1", "ResourceQuota", "resourcequotas")
        }
        .shown_as(print::core::RESOURCE_QUOTAS),
        create_only(namespaced("", "v1", "Binding", "bindings")),
    ]
}

fn pods() -> Row {
    Row {
        short_names: names(&["po"]),
        categories: all(),
        subresources: vec![
            Status,
            Attach,
            Binding,
            EphemeralContainers,
            Eviction,
            Exec,
            Log,
            PortForward,
            Proxy,
            Resize,
        ],
        selectable_fields: vec![
            field!("spec.nodeName"),
            field!("spec.restartPolicy"),
            field!("spec.schedulerName"),
            field!("spec.serviceAccountName"),
            crate::row::SelectableField {
                label: "spec.hostNetwork",
                read: |object| text_or(object, "spec.hostNetwork", "false"),
            },
            field!("status.phase"),
            field!("status.podIP"),
            field!("status.nominatedNodeName"),
        ],
        delete_answer: DeleteAnswer::Object,
        graceful_deletion: true,
        strategy: Arc::new(pod::Pods),
        ..namespaced("", "v1", "Pod", "pods")
    }
    .shown_as(print::pods::PODS)
}
