//! Real parts for tests: a network namespace, a containerd, images made on the spot, an API server, a kubelet.
//!
//! Everything lives below one temporary folder and one network namespace, and goes with the value that holds it.
//!
//! Upstream: test/e2e_node/services
//! Left out: machines. A node is a network namespace here.

pub mod images;
pub mod namespace;
pub mod node;
pub mod program;

pub use images::Image;
pub use namespace::Namespace;
pub use node::Node;
