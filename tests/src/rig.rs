//! Real parts for tests: a network namespace, a containerd, images made on the spot, an API server, a kubelet.
//!
//! Everything lives below one temporary folder and one network namespace, and goes with the value that holds it.
//!
//! Upstream: test/e2e_node/services
//! Left out: machines. A node is a network namespace here.

pub mod containerd;
pub mod control_plane;
pub mod images;
pub mod kubelet;
pub mod namespace;
pub mod program;

pub use containerd::Containerd;
pub use control_plane::ControlPlane;
pub use images::Image;
pub use kubelet::{KubeletProcess, Node};
pub use namespace::Namespace;
