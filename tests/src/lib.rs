//! What the tests of the whole system share: nodes and clusters of real parts, which leave nothing behind.
//!
//! Upstream: test/e2e/framework

pub mod application;
pub mod history;
pub mod metrics;
pub mod rig;
pub mod script;
pub mod tagged;
