//! Replaces `$(NAME)` in commands, arguments and environment values; `$$` is a plain `$`.
//!
//! Upstream: third_party/forked/golang/expansion
//! Left out: nothing.

use std::collections::BTreeMap;

/// Expands the references to known variables. An unknown one stays as it is written.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let variables = BTreeMap::from([("A".into(), "1".into()), ("B".into(), "$(A)".into())]);
        assert_eq!(expand(text, &variables), expected);
    }

    #[test]
    fn known_variables_are_replaced_and_unknown_ones_stay() {
        check("x-$(A)-$(C)", "x-1-$(C)");
    }

    #[test]
    fn a_double_dollar_escapes() {
        check("$$(A) $$$(A) $", "$(A) $1 $");
    }

    #[test]
    fn what_was_put_in_is_not_expanded_again() {
        check("$(B)", "$(A)");
    }

    #[test]
    fn an_unclosed_reference_stays() {
        check("$(A", "$(A");
    }
}
