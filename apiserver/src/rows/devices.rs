//! The rows of resource.k8s.io: devices of nodes, and claims on them.
//!
//! Upstream: pkg/registry/resource/rest/storage_resource.go
//! Left out: what schedules and prepares devices; device taint rules (alpha).

use std::sync::Arc;

use crate::{
    row::{DeleteAnswer, Row, Subresource::*},
    strategy::devices,
};

use super::{cluster_scoped, field, idle, namespaced, print};

const RESOURCE: &str = "resource.k8s.io";

pub(super) fn rows() -> Vec<Row> {
    let of_all = [
        Row {
            strategy: Arc::new(devices::DeviceClasses),
            ..cluster_scoped(RESOURCE, "v1", "DeviceClass", "deviceclasses")
        }
        .shown_as(print::devices::NAME_AND_AGE),
        Row {
            subresources: vec![Status],
            strategy: Arc::new(devices::Claims),
            ..namespaced(RESOURCE, "v1", "ResourceClaim", "resourceclaims")
        }
        .shown_as(print::devices::RESOURCE_CLAIMS),
        Row {
            strategy: Arc::new(devices::ClaimTemplates),
            ..namespaced(RESOURCE, "v1", "ResourceClaimTemplate", "resourceclaimtemplates")
        }
        .shown_as(print::devices::NAME_AND_AGE),
        Row {
            selectable_fields: vec![field!("spec.driver"), field!("spec.nodeName")],
            strategy: Arc::new(devices::Slices),
            ..cluster_scoped(RESOURCE, "v1", "ResourceSlice", "resourceslices")
        }
        .shown_as(print::devices::RESOURCE_SLICES),
    ];
    of_all.into_iter().map(|row| idle(Row { delete_answer: DeleteAnswer::Object, ..row })).collect()
}
