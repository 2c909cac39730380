//! Secrets.
//!
//! Upstream: pkg/registry/core/secret/strategy.go, pkg/apis/core/v1/{defaults,conversion}.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    Strategy,
    filling::{fill_text, object_or_empty},
};

pub(crate) struct Secrets;

impl Strategy for Secrets {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        fill_text(fields, "type", "Opaque");
        // stringData is only for writing: it overrides what `data` has under the same keys.
        let Some(Value::Object(plain)) = fields.remove("stringData") else { return };
        if plain.is_empty() {
            return;
        }
        let data = object_or_empty(fields, "data");
        for (key, text) in plain {
            data.insert(key, STANDARD.encode(text.as_str().unwrap_or_default()).into());
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::secret(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}
