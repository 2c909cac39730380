//! The parts that every object has: reading and writing `metadata` in its JSON.
//!
//! Upstream: apimachinery/pkg/api/meta/meta.go, apiserver/pkg/storage/names/generate.go
//! Left out: accessors for what nothing reads (selfLink, generation of lists).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Reads `metadata` of an object's JSON. What is absent reads as "".
pub trait Object {
    fn metadata(&self) -> &Map<String, Value>;
    /// `metadata`, made if it is not there.
    fn metadata_mut(&mut self) -> &mut Map<String, Value>;
    fn api_version(&self) -> &str;
    fn kind(&self) -> &str;

    fn meta_str(&self, field: &str) -> &str {
        self.metadata().get(field).and_then(Value::as_str).unwrap_or_default()
    }
    fn name(&self) -> &str {
        self.meta_str("name")
    }
    fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }
    fn uid(&self) -> &str {
        self.meta_str("uid")
    }
    fn resource_version(&self) -> &str {
        self.meta_str("resourceVersion")
    }
    fn generation(&self) -> i64 {
        self.metadata().get("generation").and_then(Value::as_i64).unwrap_or_default()
    }
    fn label(&self, key: &str) -> Option<&str> {
        self.metadata().get("labels")?.get(key)?.as_str()
    }
    fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata().get("annotations")?.get(key)?.as_str()
    }
    /// The labels as a map of their own.
    fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.metadata().get("labels").and_then(Value::as_object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        labels.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
    }
    fn finalizers(&self) -> Vec<&str> {
        let finalizers = self.metadata().get("finalizers").and_then(Value::as_array);
        finalizers.into_iter().flatten().filter_map(Value::as_str).collect()
    }
    /// Whether somebody has asked for the object to be deleted.
    fn is_terminating(&self) -> bool {
        !self.meta_str("deletionTimestamp").is_empty()
    }
    fn owner_references(&self) -> &[Value] {
        let owners = self.metadata().get("ownerReferences").and_then(Value::as_array);
        owners.map(Vec::as_slice).unwrap_or_default()
    }
}

static NO_METADATA: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl Object for Value {
    fn metadata(&self) -> &Map<String, Value> {
        self.get("metadata").and_then(Value::as_object).unwrap_or(&NO_METADATA)
    }

    /// # Panics
    /// When the value is not a JSON object: decoding refuses such bodies.
    fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        let object = self.as_object_mut().expect("an API object is a JSON object");
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        metadata.as_object_mut().expect("it was just made an object")
    }

    fn api_version(&self) -> &str {
        self.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.get("kind").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The group and version of an apiVersion: `apps/v1`, or `v1` of the core group "".
pub fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The apiVersion of a group and version; the inverse of [`group_version`].
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// The length of the random end of a generated name.
pub const SUFFIX_LENGTH: usize = 5;

/// No vowels and nothing that looks like them: a generated name spells no word.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The random end of a generated name; `random` is as many random bits as there are.
pub fn name_suffix(random: u64) -> String {
    let mut rest = random;
    let mut suffix = String::with_capacity(SUFFIX_LENGTH);
    for _ in 0..SUFFIX_LENGTH {
        suffix.push(char::from(SUFFIX_ALPHABET[(rest % 27) as usize]));
        rest /= 27;
    }
    suffix
}

/// The name generated from `generateName`: at most 63 characters, the base cut when it is too long.
pub fn generate_name(base: &str, random: u64) -> String {
    let mut end = base.len().min(63 - SUFFIX_LENGTH);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &base[..end], name_suffix(random))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_reads_as_empty() {
        let mut pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"x": "y"}}});
        assert_eq!((pod.name(), pod.namespace(), pod.label("x"), pod.label("z")), ("a", "", Some("y"), None));
        assert_eq!(json!(3).name(), "");
        pod.metadata_mut().insert("namespace".into(), "default".into());
        assert_eq!(pod.namespace(), "default");
        assert_eq!(group_version("apps/v1"), ("apps", "v1"));
        assert_eq!(group_version(pod.api_version()), ("", "v1"));
    }

    #[test]
    fn a_generated_name_fits_and_has_no_vowels() {
        let name = generate_name(&"a-".repeat(40), u64::MAX);
        assert_eq!(name.len(), 63);
        assert!(name_suffix(123_456_789).bytes().all(|letter| SUFFIX_ALPHABET.contains(&letter)));
        assert_eq!(name_suffix(0), "bbbbb");
    }
}
