//! Names on which the controller that provisions local volumes and the node that keeps them agree.
//!
//! The controller makes a PersistentVolume with [`FINALIZER`] for a claim whose pod was given a node. The node makes
//! the directory when a pod first mounts it. When the claim is gone the controller deletes the volume; the node then
//! removes the directory and, when it is gone, the finalizer. docs/local-volumes.md tells the whole story.
//!
//! Upstream: rancher/local-path-provisioner (a volume of type `local` per claim)
//! Left out: limits on what a volume really uses.

/// The provisioner that a StorageClass names.
pub const PROVISIONER: &str = "skiff.dev/local-path";
/// The StorageClass that a new cluster has.
pub const STORAGE_CLASS: &str = "local-path";
/// The finalizer that keeps a volume until its directory is gone.
pub const FINALIZER: &str = "skiff.dev/local-path";
/// The directory on each node below which every volume has one, named after the volume, unless flags say otherwise.
pub const DIRECTORY: &str = "/var/lib/skiff/volumes";
/// The label of a volume that names its node: a node may see and release the volumes that carry its own name.
pub const VOLUME_LABEL: &str = "skiff.dev/local-path-node";
/// The node label by whose value a volume says where it is.
pub const NODE_LABEL: &str = "kubernetes.io/hostname";
