//! The rows of storage.k8s.io.
//!
//! Upstream: pkg/registry/storage/rest/storage_storage.go
//! Left out: nothing of 1.35's GA kinds.

use std::sync::Arc;

use crate::{
    row::{DeleteAnswer, Row, Subresource::*},
    strategy::storage,
};

use super::{cluster_scoped, names, namespaced, print};

const STORAGE: &str = "storage.k8s.io";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            short_names: names(&["sc"]),
            delete_answer: DeleteAnswer::Object,
            strategy: Arc::new(storage::StorageClasses),
            ..cluster_scoped(STORAGE, "v1", "StorageClass", "storageclasses")
        }
        .shown_as(print::storage::STORAGE_CLASSES),
        Row {
            unconditional_update: false,
            delete_answer: DeleteAnswer::Object,
            lies_idle: true,
            strategy: Arc::new(storage::CsiDrivers),
            ..cluster_scoped(STORAGE, "v1", "CSIDriver", "csidrivers")
        }
        .shown_as(print::storage::CSI_DRIVERS),
        Row {
            unconditional_update: false,
            delete_answer: DeleteAnswer::Object,
            lies_idle: true,
            strategy: Arc::new(storage::CsiNodes),
            ..cluster_scoped(STORAGE, "v1", "CSINode", "csinodes")
        }
        .shown_as(print::storage::CSI_NODES),
        Row {
            subresources: vec![Status],
            unconditional_update: false,
            delete_answer: DeleteAnswer::Object,
            lies_idle: true,
            strategy: Arc::new(storage::VolumeAttachments),
            ..cluster_scoped(STORAGE, "v1", "VolumeAttachment", "volumeattachments")
        }
        .shown_as(print::storage::VOLUME_ATTACHMENTS),
        Row {
            unconditional_update: false,
            lies_idle: true,
            strategy: Arc::new(storage::CsiStorageCapacities),
            ..namespaced(STORAGE, "v1", "CSIStorageCapacity", "csistoragecapacities")
        }
        .shown_as(print::storage::CSI_STORAGE_CAPACITIES),
        Row {
            short_names: names(&["vac"]),
            delete_answer: DeleteAnswer::Object,
            lies_idle: true,
            strategy: Arc::new(storage::VolumeAttributesClasses),
            ..cluster_scoped(STORAGE, "v1", "VolumeAttributesClass", "volumeattributesclasses")
        }
        .shown_as(print::storage::VOLUME_ATTRIBUTES_CLASSES),
    ]
}
