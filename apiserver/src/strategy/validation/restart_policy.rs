//! When a single container is started again: its own policy, and rules about its exit codes.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validateContainerRestartPolicy, validateInitContainerRestartPolicy)
//! Left out: the action RestartAllContainers and rules of sidecars, whose gate is off by default.

use api::field::Field;

use super::{Errors, one_of, optional_one_of};

const POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];
const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;

/// Checks the policy and rules of a regular container.
pub(crate) fn regular(container: &Field<'_>, errors: &mut Errors) {
    let (policy, rules) = (container.child("restartPolicy"), container.child("restartPolicyRules"));
    if policy.is_absent() && !rules.is_empty() {
        errors.push(policy.required("must specify restartPolicy when restart rules are used"));
    }
    optional_one_of(&policy, &POLICIES, errors);
    if rules.len() > MAX_RULES {
        // Upstream's 1.35 counts bytes here and below, though it means items.
        errors.push(rules.too_long(MAX_RULES));
    }
    for rule in rules.items() {
        one_of(&rule.child("action"), &["Restart"], errors);
        let codes = rule.child("exitCodes");
        if codes.is_absent() {
            errors.push(codes.required("must be specified"));
            continue;
        }
        one_of(&codes.child("operator"), &["In", "NotIn"], errors);
        let values = codes.child("values");
        if values.len() > MAX_EXIT_CODES {
            errors.push(values.too_long(MAX_EXIT_CODES));
        }
    }
}

/// Checks the policy and rules of an init container. Without a policy its rules are not looked at.
pub(crate) fn init(container: &Field<'_>, errors: &mut Errors) {
    let (policy, rules) = (container.child("restartPolicy"), container.child("restartPolicyRules"));
    if policy.is_absent() {
        if !rules.is_empty() {
            errors.push(policy.required("must specify restartPolicy when restart rules are used"));
        }
    } else if policy.str() != "Always" {
        regular(container, errors);
    } else if !rules.is_empty() {
        let detail = "restartPolicyRules are not allowed for init containers with restart policy Always";
        errors.push(rules.forbidden(detail));
    }
}
