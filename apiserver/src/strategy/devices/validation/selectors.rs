//! The expressions that select devices.
//!
//! Upstream: pkg/apis/resource/validation/validation.go (validateCELSelector), dynamic-resource-allocation/cel/compile.go
//! Left out: nothing.

use api::field::Field;
use expressions::{
    Environment, Type,
    cost::{self, device},
};

use super::{Age, each};
use crate::strategy::validation::{
    Errors,
    expressions::{compile, is_ready, name},
};

const MAX_SELECTORS: usize = 32;
const MAX_EXPRESSION_BYTES: usize = 10 << 10;

/// Each selector is an expression; there are not too many.
pub(super) fn selectors(selectors: &Field<'_>, age: Age, errors: &mut Errors) {
    let environment = environment(age);
    each(selectors, MAX_SELECTORS, errors, |selector, errors| {
        let cel = selector.child("cel");
        if cel.is_absent() {
            errors.push(cel.required(""));
        } else {
            selects(&cel.child("expression"), &environment, errors);
        }
    });
}

fn selects(expression: &Field<'_>, environment: &Environment, errors: &mut Errors) {
    if expression.str().len() > MAX_EXPRESSION_BYTES {
        errors.push(expression.too_long(MAX_EXPRESSION_BYTES));
        return;
    }
    let Some(checked) = compile(expression, expression.str(), environment, errors) else { return };
    // An attribute alone may turn out to be true or false.
    if ![Type::Bool, Type::Any].contains(checked.result()) {
        let found = name(checked.result());
        errors.push(expression.invalid(format!("must evaluate to bool or the unknown type, not {found}")));
    } else if is_ready(expression, &checked, errors)
        && cost::estimate(&checked, &|variable| device::bounds_of(variable)).max > device::LIMIT
    {
        errors.push(expression.forbidden("too complex, exceeds cost limit"));
    }
}

/// What is known of a device. Expressions that are stored may refer to a field that only features bring which are off
/// (`gates.rs`).
fn environment(age: Age) -> Environment {
    let of_domains = |value: Type| Type::map(Type::String, Type::map(Type::String, value));
    let mut fields = vec![
        ("driver".to_owned(), Type::String),
        ("attributes".to_owned(), of_domains(Type::Any)),
        ("capacity".to_owned(), of_domains(Type::closed("kubernetes.Quantity"))),
    ];
    if age == Age::Stored {
        fields.push(("allowMultipleAllocations".to_owned(), Type::Bool));
    }
    Environment::new().with("device", Type::object("kubernetes.DRADevice", fields)).with_bindings()
}
