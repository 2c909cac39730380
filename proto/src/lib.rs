//! The gRPC contracts of the node: the container runtime interface, and containerd's event stream.
//!
//! The bindings are generated and checked in, so that building skiff needs no protobuf compiler:
//! change `protos/`, then `cargo run` in `generator/`.
//!
//! Upstream: staging/src/k8s.io/cri-api
//! Left out: CRI v1alpha2, whatever only Windows or checkpoints need, and container events over CRI (containerd before 1.7
//! has none; its own event service says the same).

#[allow(clippy::all)]
#[path = "generated/containerd.rs"]
pub mod containerd;

#[allow(clippy::all)]
#[path = "generated/cri.rs"]
pub mod cri;
