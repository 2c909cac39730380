//! What Kubernetes says about its types and fields: collected by `build.rs`, kept compressed, read while a document is
//! made and then dropped.
//!
//! Upstream: the generated openapi of each API package
//! Left out: the kinds that are lists, which the build's source lacks.

use std::io::Read;

use flate2::read::GzDecoder;
use rustc_hash::FxHashMap;

static COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.gz"));

/// All descriptions, as one text: a type's line, then its fields' lines.
pub(super) fn text() -> String {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the build compressed a text");
    text
}

/// The descriptions, found by name. Every text is as it stands in JSON, between the quotes.
pub(super) struct Descriptions<'a> {
    types: FxHashMap<&'a str, (&'a str, &'a str)>,
}

/// The descriptions of one type.
#[derive(Clone, Copy, Default)]
pub(super) struct OfType<'a> {
    /// "" when there is none.
    pub(super) own: &'a str,
    fields: &'a str,
}

impl<'a> Descriptions<'a> {
    pub(super) fn new(text: &'a str) -> Descriptions<'a> {
        let mut types = FxHashMap::default();
        for block in text.split("\nio.").map(|block| block.strip_prefix("io.").unwrap_or(block)) {
            let (head, fields) = block.split_once('\n').unwrap_or((block, ""));
            let (name, own) = head.split_once(' ').unwrap_or((head, ""));
            types.insert(name, (own, fields));
        }
        Descriptions { types }
    }

    /// What is said about a type by its full name, `io.k8s.api.core.v1.Pod`.
    pub(super) fn of(&self, name: &str) -> OfType<'a> {
        let found = name.strip_prefix("io.").and_then(|name| self.types.get(name));
        found.map_or_else(OfType::default, |(own, fields)| OfType { own, fields })
    }
}

impl<'a> OfType<'a> {
    /// What is said about a field; "" when there is nothing.
    pub(super) fn field(&self, name: &str) -> &'a str {
        let of_field = |line: &'a str| line.strip_prefix(' ')?.strip_prefix(name)?.strip_prefix(' ');
        self.fields.lines().find_map(of_field).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_and_its_fields_are_found_by_name() {
        let text = "io.k8s.api.A Says \\\"a\\\".\n x An x.\n xy Both.\nio.k8s.api.B \n";
        let descriptions = Descriptions::new(text);
        let a = descriptions.of("io.k8s.api.A");
        assert_eq!((a.own, a.field("x"), a.field("xy"), a.field("y")), ("Says \\\"a\\\".", "An x.", "Both.", ""));
        assert_eq!(descriptions.of("io.k8s.api.B").own, "");
        assert_eq!(descriptions.of("io.k8s.api.C").own, "");
    }

    #[test]
    fn the_builds_descriptions_are_there() {
        let text = text();
        let descriptions = Descriptions::new(&text);
        let container = descriptions.of("io.k8s.api.core.v1.Container");
        assert!(container.own.starts_with("A single application container"), "{}", container.own);
        assert!(container.field("image").starts_with("Container image name."), "{}", container.field("image"));
    }
}
