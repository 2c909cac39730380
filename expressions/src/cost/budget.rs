//! What the rules of a custom resource may cost, each and together, and what is told when they cost more.
//!
//! A rule costs as much as there can be values that it is about: those are limited by the lists and maps around it, or
//! if one of them has no limit, by the size of a request.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/cel_validation.go, validation.go;
//! pkg/apiserver/schema/cel/compilation.go (maxCardinality)

use super::bounds::MAX_REQUEST_BYTES;

/// What a rule may cost (StaticEstimatedCostLimit).
pub const RULE: u64 = 10_000_000;
/// What all rules of a schema may cost (StaticEstimatedCRDCostLimit).
pub const SCHEMA: u64 = 100_000_000;
/// So many of the most expensive rules are told if all cost too much.
const TOLD: usize = 4;

/// How many values there can be at most where a schema is: 1 at its root. None if only requests limit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cardinality(pub Option<u64>);

impl Cardinality {
    pub const ROOT: Cardinality = Cardinality(Some(1));

    /// That of the values in a list or map with a limit, or without.
    pub fn within(self, limit: Option<i64>) -> Cardinality {
        let limit = limit.map(|limit| u64::try_from(limit).unwrap_or(0));
        Cardinality(self.0.zip(limit).map(|(outside, limit)| outside.saturating_mul(limit)))
    }

    /// What a rule costs for all values. `min_bytes` is the smallest that a value can be in JSON.
    pub fn cost_of(self, rule: u64, min_bytes: u64) -> u64 {
        // With a comma after each.
        rule.saturating_mul(self.0.unwrap_or(MAX_REQUEST_BYTES / (min_bytes + 1)))
    }
}

/// What the rules of a schema cost together.
#[derive(Debug)]
pub struct Total<Path> {
    cost: u64,
    most_expensive: Vec<(Path, u64)>,
}

impl<Path> Default for Total<Path> {
    fn default() -> Total<Path> {
        Total { cost: 0, most_expensive: Vec::new() }
    }
}

impl<Path> Total<Path> {
    pub fn add(&mut self, path: Path, cost: u64) {
        self.cost = self.cost.saturating_add(cost);
        if cost >= SCHEMA / 100 {
            self.most_expensive.push((path, cost));
            self.most_expensive.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
            self.most_expensive.truncate(TOLD);
        }
    }

    /// Where the most expensive rules are, and what is told of all, if they cost too much.
    pub fn excess(&self) -> Option<(impl Iterator<Item = &Path>, String)> {
        let message = excess(
            "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
            self.cost,
            SCHEMA,
        )?;
        Some((self.most_expensive.iter().map(|(path, _)| path), message))
    }
}

/// What is told of each of the most expensive rules.
pub const CONTRIBUTED: &str =
    "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";

pub fn excess_of_rule(cost: u64) -> Option<String> {
    excess("estimated rule cost", cost, RULE)
}

pub fn excess_of_message_expression(cost: u64) -> Option<String> {
    excess("estimated messageExpression cost", cost, RULE)
}

fn excess(what: &str, cost: u64, limit: u64) -> Option<String> {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        _ if cost <= limit => return None,
        _ if factor > 100.0 => "more than 100x".to_owned(),
        // One digit after the point may say 1.0.
        _ if factor < 1.5 => format!("{factor:.6}x"),
        _ => format!("{factor:.1}x"),
    };
    Some(format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excess_is_told_as_a_factor() {
        let told = |cost| excess_of_rule(cost).map(|message| message.split(" (").next().unwrap().to_owned());
        assert_eq!(told(RULE), None);
        for (cost, factor) in [
            (10_000_001, "1.000000x"),
            (14_999_999, "1.500000x"),
            (15_000_000, "1.5x"),
            (33_600_000, "3.4x"),
            (1_000_000_000, "100.0x"),
            (1_000_000_001, "more than 100x"),
        ] {
            assert_eq!(told(cost).unwrap(), format!("estimated rule cost exceeds budget by factor of {factor}"));
        }
        assert_eq!(
            excess_of_message_expression(u64::MAX).unwrap(),
            "estimated messageExpression cost exceeds budget by factor of more than 100x (try simplifying the rule, or \
             adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
        );
    }

    #[test]
    fn a_rule_costs_as_much_as_there_can_be_values() {
        let within = Cardinality::ROOT.within(Some(10)).within(Some(20));
        assert_eq!(within.cost_of(3, 1), 600);
        assert_eq!(within.within(Some(-1)).cost_of(3, 1), 0);
        let unlimited = within.within(None).within(Some(5));
        assert_eq!(unlimited.cost_of(3, 1), 3 * 1_572_864);
        assert_eq!(unlimited.cost_of(3, 20), 3 * 149_796);
        assert_eq!(unlimited.cost_of(u64::MAX, 2), u64::MAX);
    }

    #[test]
    fn the_four_most_expensive_rules_are_told() {
        let mut total = Total::default();
        for (path, cost) in [("a", 1_000_000), ("b", 999_999), ("c", 3_000_000), ("d", 2_000_000), ("e", 1_000_000)] {
            total.add(path, cost);
        }
        assert!(total.excess().is_none());
        total.add("f", 1_000_000);
        total.add("g", 91_000_000);
        total.add("h", 2);
        let (told, message) = total.excess().unwrap();
        assert_eq!(told.copied().collect::<Vec<_>>(), ["g", "c", "d", "a"]);
        assert_eq!(
            message,
            "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of \
             1.000000x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, \
             and strings are declared)"
        );
    }
}
