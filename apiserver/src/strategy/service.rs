//! Services.
//!
//! Upstream: pkg/registry/core/service/{strategy.go,storage/storage.go}, pkg/apis/core/v1/defaults.go
//! Left out: nothing.

pub(crate) mod defaults;
pub(crate) mod families;
mod type_change;
pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{NameRule, Strategy, keep_status};

use crate::row::Subresource;

pub(crate) struct Services;

impl Strategy for Services {
    fn defaults(&self, object: &mut Value) {
        defaults::service(object);
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"loadBalancer": {}});
        defaults::normalise_cluster_ips(object, None);
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
        defaults::normalise_cluster_ips(object, Some(current));
        type_change::keep_allocated(object, current);
        type_change::drop_what_the_new_type_has_not(object, current);
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Dns1035Label
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::create(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}
