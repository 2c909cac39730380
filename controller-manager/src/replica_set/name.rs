//! The names of a ReplicaSet's pods.
//!
//! Upstream: the API server, by `generateName`
//! Left out: chance. A name follows from the ReplicaSet's uid and version, so who stopped between a create and its
//! answer asks for the same pod again, and gets "already exists" instead of a second one.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

/// The characters of generated names, and how many follow the prefix.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
/// The API server cuts a prefix to this, so that names keep within 63 characters.
const PREFIX: usize = 58;

/// Names that none of `pods` has, without end.
pub fn free_names<'a>(replica_set: &'a ReplicaSet, pods: &'a [Arc<Pod>]) -> impl Iterator<Item = String> + 'a {
    let prefix = format!("{}-", replica_set.metadata.name.as_deref().unwrap_or(""));
    let prefix: String = prefix.chars().take(PREFIX).collect();
    let taken: HashSet<&str> = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    let uid = replica_set.metadata.uid.as_deref().unwrap_or("");
    let version = replica_set.metadata.resource_version.as_deref().unwrap_or("");
    let names = (0u64..).map(move |index| format!("{prefix}{}", suffix(&format!("{uid}/{version}/{index}"))));
    names.filter(move |name| !taken.contains(name.as_str()))
}

fn suffix(seed: &str) -> String {
    let mut rest = mix(seed.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| mix(hash ^ u64::from(byte))));
    let base = ALPHABET.len() as u64;
    let mut letters = String::new();
    for _ in 0..SUFFIX {
        letters.push(char::from(ALPHABET[(rest % base) as usize]));
        rest /= base;
    }
    letters
}

/// Spreads every bit over all others (the finalizer of splitmix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
