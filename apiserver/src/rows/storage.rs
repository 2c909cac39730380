//! The rows of storage.k8s.io.
//!
//! Upstream: pkg/registry/storage/rest/storage_storage.go
//! Left out: volume attributes classes.

use crate::row::{Row, Subresource::*};

use super::{cluster_scoped, names, namespaced};

const STORAGE: &str = "storage.k8s.io";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row { short_names: names(&["sc"]), ..cluster_scoped(STORAGE, "v1", "StorageClass", "storageclasses") },
        Row { unconditional_update: false, ..cluster_scoped(STORAGE, "v1", "CSIDriver", "csidrivers") },
        Row { unconditional_update: false, ..cluster_scoped(STORAGE, "v1", "CSINode", "csinodes") },
        Row {
            subresources: vec![Status],
            unconditional_update: false,
            ..cluster_scoped(STORAGE, "v1", "VolumeAttachment", "volumeattachments")
        },
        Row { unconditional_update: false, ..namespaced(STORAGE, "v1", "CSIStorageCapacity", "csistoragecapacities") },
    ]
}
