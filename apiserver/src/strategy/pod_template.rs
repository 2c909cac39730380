//! The pod template inside a workload.
//!
//! Upstream: pkg/apis/core/v1/defaults.go (SetDefaults_PodSpec), pkg/apis/apps/v1/zz_generated.defaults.go
//! Left out: nothing.

use super::{
    filling::{Fields, object_or_empty},
    pod,
};

/// Fills in the template at `name` of a workload's spec.
pub(crate) fn defaults(workload_spec: &mut Fields, name: &str) {
    let template = object_or_empty(workload_spec, name);
    object_or_empty(template, "metadata");
    pod::defaults::pod_spec(object_or_empty(template, "spec"));
}
