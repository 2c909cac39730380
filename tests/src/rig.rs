//! Real parts for tests: a network namespace, images made on the spot, the programs of this workspace.
//!
//! Everything lives below one temporary folder and one network namespace, and goes with the value that holds it.
//!
//! Upstream: test/e2e_node/services
//! Left out: machines. A node is a network namespace here.

pub mod images;
pub mod namespace;
pub mod program;

pub use images::Image;
pub use namespace::Namespace;
