//! The short hash that tells the ReplicaSets of one Deployment apart.
//!
//! Upstream: pkg/controller/controller_utils.go (ComputeHash), apimachinery/pkg/util/rand (SafeEncodeString)
//! Left out: upstream's exact numbers. It hashes a dump of Go structs, which nothing outside Go can repeat; ours hashes
//! the template's JSON. A ReplicaSet is found by its template, never by its hash, so nobody sees the difference.

use k8s_openapi::api::core::v1::PodTemplateSpec;

pub const LABEL: &str = "pod-template-hash";

/// No vowels, and nothing that reads like another letter: names made of these spell nothing.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a template. `collisions` counts how often a ReplicaSet with another template had the name already.
pub fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut bytes = serde_json::to_vec(template).expect("a typed template is always JSON");
    if let Some(collisions) = collisions {
        bytes.extend_from_slice(&i64::from(collisions).to_le_bytes());
    }
    let digits = fnv1a(&bytes).to_string();
    digits.bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

/// Are two templates the same but for the hash label that the controller itself adds?
pub fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    without_hash(a) == without_hash(b)
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let metadata = template.metadata.get_or_insert_default();
    metadata.creation_timestamp = None;
    let labels = metadata.labels.get_or_insert_default();
    labels.remove(LABEL);
    template
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
