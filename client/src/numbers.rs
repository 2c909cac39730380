//! What every component counts, and the registry that it shows at /metrics; its own numbers come to these.
//!
//! Upstream: component-base/metrics/legacyregistry

use prometheus_client::registry::Registry;

use crate::Metrics;

/// The numbers of a component: of its process, of its build and of its clients from the beginning on.
#[derive(Debug)]
pub struct Numbers {
    pub registry: Registry,
    /// What its clients, its work queues and its standing for election count.
    pub metrics: Metrics,
}

impl Default for Numbers {
    fn default() -> Numbers {
        let mut registry = Registry::default();
        component::process::register(&mut registry);
        let metrics = Metrics::new(&mut registry);
        Numbers { registry, metrics }
    }
}
