//! The tables of volumes, claims and storage.k8s.io.
//!
//! Upstream: pkg/printers/internalversion/printers.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{
    NONE, Table, UNSET, ages, boolean, integer, items, joined, name, name_of, name_of_other, text, text_or, wide,
};

pub const PERSISTENT_VOLUMES: Table = Table {
    headings: &[
        name(),
        text("Capacity"),
        text("Access Modes"),
        text("Reclaim Policy"),
        text("Status"),
        text("Claim"),
        text("StorageClass"),
        text("VolumeAttributesClass"),
        text("Reason"),
        text("Age"),
        wide(text("VolumeMode")),
    ],
    cells: |object, now| {
        let claim = match text_or(object, "/spec/claimRef/name", "") {
            "" => String::new(),
            name => format!("{}/{name}", text_or(object, "/spec/claimRef/namespace", "")),
        };
        vec![
            name_of(object),
            json!(text_or(object, "/spec/capacity/storage", "0")),
            json!(access_modes(object, "/spec/accessModes")),
            json!(text_or(object, "/spec/persistentVolumeReclaimPolicy", "")),
            json!(phase(object)),
            json!(claim),
            json!(storage_class(object)),
            json!(text_or(object, "/spec/volumeAttributesClassName", UNSET)),
            json!(text_or(object, "/status/reason", "")),
            ages::age(object, now),
            json!(text_or(object, "/spec/volumeMode", UNSET)),
        ]
    },
};

pub const PERSISTENT_VOLUME_CLAIMS: Table = Table {
    headings: &[
        name(),
        text("Status"),
        text("Volume"),
        text("Capacity"),
        text("Access Modes"),
        text("StorageClass"),
        text("VolumeAttributesClass"),
        text("Age"),
        wide(text("VolumeMode")),
    ],
    cells: |object, now| {
        let volume = text_or(object, "/spec/volumeName", "");
        let (capacity, modes) = match volume {
            "" => ("", String::new()),
            _ => (text_or(object, "/status/capacity/storage", "0"), access_modes(object, "/status/accessModes")),
        };
        vec![
            name_of(object),
            json!(phase(object)),
            json!(volume),
            json!(capacity),
            json!(modes),
            json!(storage_class(object)),
            json!(text_or(object, "/spec/volumeAttributesClassName", UNSET)),
            ages::age(object, now),
            json!(text_or(object, "/spec/volumeMode", UNSET)),
        ]
    },
};

fn phase(object: &Value) -> &str {
    if object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string) {
        return "Terminating";
    }
    text_or(object, "/status/phase", "")
}

/// The class of a volume or claim: the beta annotation's, while it is there, or the spec's.
fn storage_class(object: &Value) -> &str {
    let spec = text_or(object, "/spec/storageClassName", "");
    let annotation = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
    object.pointer(annotation).and_then(Value::as_str).unwrap_or(spec)
}

/// Short forms, in upstream's order: `RWO,ROX,RWX,RWOP`.
fn access_modes(object: &Value, pointer: &str) -> String {
    let modes = items(object, pointer);
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let present: Vec<&str> =
        short.iter().filter(|(long, _)| modes.iter().any(|mode| mode == long)).map(|(_, short)| *short).collect();
    present.join(",")
}

pub const STORAGE_CLASSES: Table = Table {
    headings: &[
        name(),
        text("Provisioner"),
        text("ReclaimPolicy"),
        text("VolumeBindingMode"),
        text("AllowVolumeExpansion"),
        text("Age"),
    ],
    cells: |object, now| {
        let annotations = &object["metadata"]["annotations"];
        let is_default =
            ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
                .iter()
                .any(|key| annotations[*key] == "true");
        let name = text_or(object, "/metadata/name", "");
        vec![
            json!(if is_default { format!("{name} (default)") } else { name.to_owned() }),
            json!(text_or(object, "/provisioner", "")),
            json!(text_or(object, "/reclaimPolicy", "Delete")),
            json!(text_or(object, "/volumeBindingMode", "Immediate")),
            json!(object["allowVolumeExpansion"] == true),
            ages::age(object, now),
        ]
    },
};

pub const CSI_DRIVERS: Table = Table {
    headings: &[
        name(),
        boolean("AttachRequired"),
        boolean("PodInfoOnMount"),
        boolean("StorageCapacity"),
        text("TokenRequests"),
        boolean("RequiresRepublish"),
        text("Modes"),
        text("Age"),
    ],
    cells: |object, now| {
        let spec = &object["spec"];
        let audiences: Vec<&str> =
            items(spec, "/tokenRequests").iter().map(|request| text_or(request, "/audience", "")).collect();
        let modes = joined(spec, "/volumeLifecycleModes");
        vec![
            name_of(object),
            json!(spec["attachRequired"] != false),
            json!(spec["podInfoOnMount"] == true),
            json!(spec["storageCapacity"] == true),
            json!(if audiences.is_empty() { UNSET.to_owned() } else { audiences.join(",") }),
            json!(spec["requiresRepublish"] == true),
            json!(if modes.is_empty() { NONE.to_owned() } else { modes }),
            ages::age(object, now),
        ]
    },
};

pub const CSI_NODES: Table = Table {
    headings: &[name(), integer("Drivers"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(items(object, "/spec/drivers").len()), ages::age(object, now)],
};

pub const VOLUME_ATTRIBUTES_CLASSES: Table = Table {
    headings: &[name(), text("DriverName"), text("Age")],
    cells: |object, now| {
        let default =
            text_or(object, "/metadata/annotations/volumeattributesclass.kubernetes.io~1is-default-class", "");
        let name = text_or(object, "/metadata/name", "");
        let shown = if default == "true" { format!("{name} (default)") } else { name.to_owned() };
        vec![json!(shown), json!(text_or(object, "/driverName", "")), ages::age(object, now)]
    },
};

pub const CSI_STORAGE_CAPACITIES: Table = Table {
    headings: &[name(), text("StorageClassName"), text("Capacity")],
    cells: |object, _| {
        vec![
            name_of(object),
            json!(text_or(object, "/storageClassName", "")),
            json!(text_or(object, "/capacity", UNSET)),
        ]
    },
};

pub const VOLUME_ATTACHMENTS: Table = Table {
    headings: &[name(), name_of_other("Attacher"), text("PV"), text("Node"), boolean("Attached"), text("Age")],
    cells: |object, now| {
        vec![
            name_of(object),
            json!(text_or(object, "/spec/attacher", "")),
            json!(text_or(object, "/spec/source/persistentVolumeName", "")),
            json!(text_or(object, "/spec/nodeName", "")),
            json!(object.pointer("/status/attached") == Some(&Value::Bool(true))),
            ages::age(object, now),
        ]
    },
};
