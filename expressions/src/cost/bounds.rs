//! How large a variable may be, and what is in it, as its schema says: a tree like the variable's own.
//!
//! What a schema does not say follows from the largest request that is accepted: it can't hold more.
//!
//! Upstream: apiserver/pkg/cel/common/schemas.go, apiserver/pkg/cel/types.go (DeclType), apiserver/pkg/cel/limits.go
//! Left out: lengths of patterns.

use std::collections::BTreeMap;

/// The largest request that expressions reckon with (apiserver/pkg/apis/cel/config.go).
pub(super) const MAX_REQUEST_BYTES: u64 = 3 << 20;
/// Without the quotes or brackets around it.
const MAX_VALUE_BYTES: u64 = MAX_REQUEST_BYTES - 2;
/// The longest code point.
const CHARACTER_BYTES: u64 = 4;

/// Steps into a list or map that are not names of fields.
pub(super) const ELEMENTS: &str = "@items";
pub(super) const POSITIONS: &str = "@indices";
pub(super) const KEYS: &str = "@keys";
pub(super) const VALUES: &str = "@values";

#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// The most characters, bytes, elements or entries. 0 for what has none: a number, or an object.
    pub max: u64,
    /// The smallest it can be in JSON.
    pub min_bytes: u64,
    pub keys: Option<Box<Bounds>>,
    /// The elements of a list, or the values of a map.
    pub values: Option<Box<Bounds>>,
    pub fields: BTreeMap<String, Bounds>,
    /// Whether each value of a map may also be read as a field.
    pub has_values_as_fields: bool,
}

/// A field of an object in a schema.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    /// What an expression calls it: `__if__` for `if`. None if it can't.
    pub name_in_expressions: Option<String>,
    /// Whether a request must have it: it is required, and there is no default for it.
    pub must_be_sent: bool,
    pub bounds: Bounds,
}

impl Bounds {
    pub fn boolean() -> Bounds {
        Bounds { min_bytes: 4, ..Bounds::default() }
    }

    pub fn number() -> Bounds {
        Bounds { min_bytes: 1, ..Bounds::default() }
    }

    /// A string in a schema. `longest_choice` is the length in bytes of the longest of the values that it is limited
    /// to, if it is.
    pub fn string(format: &str, max_length: Option<i64>, longest_choice: Option<u64>) -> Bounds {
        let (max, min_bytes) = match format {
            "byte" => (max_length.map_or(MAX_VALUE_BYTES, no_less_than_zero), 2),
            "duration" => (32, 3),
            "date" => (12, 12),
            "date-time" => (32, 21),
            _ => {
                let max = max_length.map(bytes_of_characters).or(longest_choice);
                (max.unwrap_or(MAX_VALUE_BYTES), 2)
            }
        };
        Bounds { max, min_bytes, ..Bounds::default() }
    }

    pub fn int_or_string(max_length: Option<i64>) -> Bounds {
        let max = max_length.map_or(MAX_VALUE_BYTES, bytes_of_characters);
        Bounds { max, min_bytes: 1, ..Bounds::default() }
    }

    /// A list. An element and a comma are the least that each takes.
    pub fn list(elements: Bounds, max_items: Option<i64>) -> Bounds {
        let max = max_items.map_or(MAX_VALUE_BYTES / (elements.min_bytes + 1), no_less_than_zero);
        Bounds { max, min_bytes: 2, values: Some(Box::new(elements)), ..Bounds::default() }
    }

    /// A map with strings as keys. A key of two characters with quotes, a colon, a value and a comma are the least that
    /// each entry takes.
    pub fn map(values: Bounds, max_properties: Option<i64>) -> Bounds {
        let max = max_properties.map_or(MAX_VALUE_BYTES / (values.min_bytes + 6), no_less_than_zero);
        Bounds::map_of(Bounds { min_bytes: 2, ..Bounds::default() }, values, max)
    }

    pub(super) fn map_of(keys: Bounds, values: Bounds, max: u64) -> Bounds {
        let (keys, values) = (Some(Box::new(keys)), Some(Box::new(values)));
        Bounds { max, min_bytes: 2, keys, values, ..Bounds::default() }
    }

    pub fn object(fields: impl IntoIterator<Item = Field>) -> Bounds {
        let mut object = Bounds { min_bytes: 2, ..Bounds::default() };
        for field in fields {
            if field.must_be_sent {
                // With quotes around the name, a colon and a comma.
                object.min_bytes += field.name.len() as u64 + field.bounds.min_bytes + 4;
            }
            object.fields.extend(field.name_in_expressions.map(|name| (name, field.bounds)));
        }
        object
    }

    /// What is one step into it.
    pub(super) fn within(&self, step: &str) -> Option<&Bounds> {
        match step {
            ELEMENTS | VALUES => self.values.as_deref(),
            KEYS => self.keys.as_deref(),
            _ => self.fields.get(step).or_else(|| self.values.as_deref().filter(|_| self.has_values_as_fields)),
        }
    }
}

/// A schema counts characters, a request has bytes.
fn bytes_of_characters(length: i64) -> u64 {
    no_less_than_zero(length).saturating_mul(CHARACTER_BYTES)
}

fn no_less_than_zero(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(0)
}
