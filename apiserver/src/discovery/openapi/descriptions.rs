//! What Kubernetes says about its types and fields: collected by `build.rs`, kept compressed, read while a document is
//! made and then dropped.
//!
//! Upstream: the generated openapi of each API package
//! Left out: nothing.

use std::io::Read;

use flate2::read::GzDecoder;

static COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.gz"));

/// The descriptions, found by name. Every text is as it stands in JSON, between the quotes.
pub(super) struct Descriptions {
    /// A type's line, then its fields' lines; sorted by the types' names.
    text: String,
    /// Where the types' lines begin.
    types: Vec<usize>,
}

/// The descriptions of one type.
#[derive(Clone, Copy, Default)]
pub(super) struct OfType<'a> {
    /// "" when there is none.
    pub(super) own: &'a str,
    fields: &'a str,
}

impl Descriptions {
    /// Those that the build collected.
    pub(super) fn read() -> Descriptions {
        let mut text = String::new();
        GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the build compressed a text");
        Descriptions::new(text)
    }

    fn new(text: String) -> Descriptions {
        let first = (!text.is_empty()).then_some(0);
        let types = first.into_iter().chain(text.match_indices("\nio.").map(|(at, _)| at + 1)).collect();
        Descriptions { text, types }
    }

    /// What is said about a type by its full name, `io.k8s.api.core.v1.Pod`.
    pub(super) fn of(&self, name: &str) -> OfType<'_> {
        let name_at = |start: usize| self.text[start..].split(' ').next().unwrap_or_default();
        let Ok(at) = self.types.binary_search_by(|start| name_at(*start).cmp(name)) else { return OfType::default() };
        let (start, end) = (self.types[at], self.types.get(at + 1).copied().unwrap_or(self.text.len()));
        let (head, fields) = self.text[start..end].split_once('\n').unwrap_or_default();
        OfType { own: head.split_once(' ').unwrap_or_default().1, fields }
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
        let descriptions = Descriptions::new(text.to_owned());
        let a = descriptions.of("io.k8s.api.A");
        assert_eq!((a.own, a.field("x"), a.field("xy"), a.field("y")), ("Says \\\"a\\\".", "An x.", "Both.", ""));
        assert_eq!(descriptions.of("io.k8s.api.B").own, "");
        assert_eq!(descriptions.of("io.k8s.api.C").own, "");
    }

    #[test]
    fn the_builds_descriptions_are_there() {
        let descriptions = Descriptions::read();
        let container = descriptions.of("io.k8s.api.core.v1.Container");
        assert!(container.own.starts_with("A single application container"), "{}", container.own);
        assert!(container.field("image").starts_with("Container image name."), "{}", container.field("image"));
        let pods = descriptions.of("io.k8s.api.core.v1.PodList");
        assert_eq!(pods.own, "PodList is a list of Pods.");
        assert!(pods.field("apiVersion").starts_with("APIVersion defines"), "{}", pods.field("apiVersion"));
        let conventions = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
        assert_eq!(pods.field("items"), format!("List of pods. More info: {conventions}"));
        let said = format!("Standard list metadata. More info: {conventions}#types-kinds");
        assert_eq!(pods.field("metadata"), said);
    }
}
