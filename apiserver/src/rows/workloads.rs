//! The rows of apps, batch, autoscaling and policy.
//!
//! Upstream: pkg/registry/{apps,batch,autoscaling,policy}/rest
//! Left out: nothing of 1.35's GA kinds.

use std::sync::Arc;

use crate::{
    row::{Row, SelectableField, Subresource::*},
    strategy::{autoscaler, cron_job, daemon_set, deployment, disruption_budget, job, replica_set, stateful_set},
};

use super::{all, autoscaling_v1, names, namespaced, print, text_or};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            short_names: names(&["deploy"]),
            categories: all(),
            subresources: vec![Status, Scale],
            strategy: Arc::new(deployment::Deployments),
            ..namespaced("apps", "v1", "Deployment", "deployments")
        }
        .shown_as(print::workloads::DEPLOYMENTS),
        Row {
            short_names: names(&["rs"]),
            categories: all(),
            subresources: vec![Status, Scale],
            strategy: Arc::new(replica_set::ReplicaSets),
            ..namespaced("apps", "v1", "ReplicaSet", "replicasets")
        }
        .shown_as(print::workloads::REPLICA_SETS),
        Row {
            short_names: names(&["sts"]),
            categories: all(),
            subresources: vec![Status, Scale],
            lies_idle: true,
            strategy: Arc::new(stateful_set::StatefulSets),
            ..namespaced("apps", "v1", "StatefulSet", "statefulsets")
        }
        .shown_as(print::workloads::STATEFUL_SETS),
        Row {
            short_names: names(&["ds"]),
            categories: all(),
            subresources: vec![Status],
            lies_idle: true,
            strategy: Arc::new(daemon_set::DaemonSets),
            ..namespaced("apps", "v1", "DaemonSet", "daemonsets")
        }
        .shown_as(print::workloads::DAEMON_SETS),
        Row {
            strategy: Arc::new(stateful_set::ControllerRevisions),
            ..namespaced("apps", "v1", "ControllerRevision", "controllerrevisions")
        }
        .shown_as(print::workloads::CONTROLLER_REVISIONS),
        Row {
            categories: all(),
            subresources: vec![Status],
            selectable_fields: vec![SelectableField {
                label: "status.successful",
                read: |object| text_or(object, "status.succeeded", "0"),
            }],
            orphans_by_default: true,
            lies_idle: true,
            strategy: Arc::new(job::Jobs),
            ..namespaced("batch", "v1", "Job", "jobs")
        }
        .shown_as(print::workloads::JOBS),
        Row {
            short_names: names(&["cj"]),
            categories: all(),
            subresources: vec![Status],
            lies_idle: true,
            strategy: Arc::new(cron_job::CronJobs),
            ..namespaced("batch", "v1", "CronJob", "cronjobs")
        }
        .shown_as(print::workloads::CRON_JOBS),
        Row {
            short_names: names(&["hpa"]),
            categories: all(),
            subresources: vec![Status],
            lies_idle: true,
            strategy: Arc::new(autoscaler::Autoscalers),
            ..namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
        }
        .shown_as(print::workloads::HORIZONTAL_POD_AUTOSCALERS),
        Row {
            short_names: names(&["hpa"]),
            categories: all(),
            subresources: vec![Status],
            stored_as: Some(autoscaling_v1::STORED_AS),
            lies_idle: true,
            strategy: Arc::new(autoscaler::Autoscalers),
            ..namespaced("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
        }
        .shown_as(print::workloads::HORIZONTAL_POD_AUTOSCALERS),
        Row {
            short_names: names(&["pdb"]),
            subresources: vec![Status],
            unconditional_update: false,
            lies_idle: true,
            strategy: Arc::new(disruption_budget::DisruptionBudgets),
            ..namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
        }
        .shown_as(print::workloads::POD_DISRUPTION_BUDGETS),
    ]
}
