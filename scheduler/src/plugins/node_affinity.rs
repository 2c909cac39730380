//! A pod goes where its node selector and its node affinity let it, and rather where it prefers.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodeaffinity, component-helpers/scheduling/corev1/nodeaffinity
//! Left out: affinity added for all pods by the configuration.

use api::selector::{Operator, Requirement};
use k8s_openapi::api::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod};

use super::Rejection;

pub const NAME: &str = "NodeAffinity";

pub fn filter(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    let Some(spec) = &pod.spec else { return Ok(()) };
    let labels = node.metadata.labels.as_ref();
    let selected = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    if selected && required.is_none_or(|selector| matches(selector, node)) {
        return Ok(());
    }
    Err(Rejection::final_for_node(NAME, "node(s) didn't match Pod's node affinity/selector"))
}

/// The weights of the preferences that the node meets.
pub fn score(pod: &Pod, node: &Node) -> i64 {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
    let preferences =
        affinity.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    let met = preferences.into_iter().flatten().filter(|preference| term_matches(&preference.preference, node));
    met.map(|preference| i64::from(preference.weight)).sum()
}

/// Whether one of the selector's terms matches the node.
pub fn matches(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| term_matches(term, node))
}

/// A term without any requirement matches nothing.
fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let labels = node.metadata.labels.as_ref();
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|expression| {
            requirement_matches(expression, labels.and_then(|labels| labels.get(&expression.key)).map(String::as_str))
        })
        && fields
            .iter()
            .all(|field| field.key == "metadata.name" && requirement_matches(field, node.metadata.name.as_deref()))
}

fn requirement_matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return false,
    };
    let values = requirement.values.clone().unwrap_or_default();
    Requirement { key: requirement.key.clone(), operator, values }.matches(value)
}
