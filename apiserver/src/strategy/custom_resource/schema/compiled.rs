//! The expressions of x-kubernetes-validations: each compiles, is of the right type, refers to an old value only where
//! there can be one, and costs no more than is set aside for it.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (ValidateCustomResourceDefinitionOpenAPISchema), cel_validation.go beside it,
//!   apiextensions-apiserver/pkg/apiserver/schema/cel/compilation.go
//! Left out: a second environment for expressions that are stored already; there is only one.

use api::field::{ErrorType, Field, FieldError};
use expressions::{
    Checked, Environment, Type,
    cost::{self, budget, budget::Cardinality},
};
use serde_json::Value;

use super::{
    declared::{Declared, declared, is_declared},
    embedded::Whole,
};
use crate::strategy::validation::Errors;

/// Whether each expression by itself has to keep to its limit: not in a schema that was accepted before.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::strategy::custom_resource) enum EachCost {
    IsLimited,
    IsAccepted,
}

/// What the expressions of a schema came to.
pub(super) struct Judged {
    pub(super) errors: Errors,
    total: budget::Total<String>,
    each_cost: EachCost,
}

impl Judged {
    pub(super) fn new(each_cost: EachCost) -> Judged {
        Judged { errors: Errors::new(), total: budget::Total::default(), each_cost }
    }

    /// The mistake that all expressions of a schema together are, if they cost too much.
    pub(super) fn together(&self, root: &Field<'_>, errors: &mut Errors) {
        let Some((most_expensive, why)) = self.total.excess() else { return };
        errors.extend(most_expensive.map(|path| FieldError {
            kind: ErrorType::Forbidden,
            field: path.clone(),
            value: Value::Null,
            detail: budget::CONTRIBUTED.to_owned(),
        }));
        errors.push(root.forbidden(why));
    }

    fn count(&mut self, expression: &Field<'_>, cost: u64, why: Option<String>) {
        if let Some(why) = why.filter(|_| self.each_cost == EachCost::IsLimited) {
            self.errors.push(expression.forbidden(why));
        }
        self.total.add(expression.path(), cost);
    }
}

/// What the rules of a schema depend on beside the schema.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    whole: Whole,
    /// A schema around has rules.
    within_rules: bool,
    /// Nothing is seen of the values of a schema around that is within rules.
    is_hidden: bool,
    /// The first list or map around whose items cannot be told to be those of before.
    uncorrelatable: Option<&'a Field<'a>>,
    /// How many such values there can be in an object.
    cardinality: Cardinality,
}

impl<'a> Scope<'a> {
    pub(super) fn of_root() -> Scope<'a> {
        Scope {
            whole: Whole::IsResource,
            within_rules: false,
            is_hidden: false,
            uncorrelatable: None,
            cardinality: Cardinality::ROOT,
        }
    }

    /// The scope of what stands directly in this schema.
    pub(super) fn below(self, schema: &Field<'_>) -> Scope<'a> {
        let within_rules = self.within_rules || !schema.child("x-kubernetes-validations").is_empty();
        Scope {
            whole: Whole::IsAsSaid,
            within_rules,
            is_hidden: self.is_hidden || (within_rules && !is_declared(schema.value)),
            cardinality: self.cardinality.within(most_inside(schema)),
            ..self
        }
    }

    /// The scope of values in this list or map, if they cannot be told to be those of before.
    pub(super) fn uncorrelatable_in<'b>(self, container: &'b Field<'b>) -> Scope<'b>
    where
        'a: 'b,
    {
        Scope { uncorrelatable: self.uncorrelatable.or(Some(container)), ..self }
    }
}

/// How many values there are at most in a list or map; in everything else there is one.
fn most_inside(schema: &Field<'_>) -> Option<i64> {
    match schema.child("type").str() {
        "array" => schema.value["maxItems"].as_i64(),
        "object" if !schema.child("additionalProperties").is_absent() => schema.value["maxProperties"].as_i64(),
        _ => Some(1),
    }
}

/// Judges the expressions of a schema, which itself has no mistakes.
pub(super) fn expressions(schema: &Field<'_>, scope: Scope<'_>, judged: &mut Judged) {
    let rules = schema.child("x-kubernetes-validations");
    if rules.is_empty() {
        return;
    }
    let seen = declared(schema.value, scope.whole, "selfType").filter(|_| !scope.is_hidden);
    let Some(seen) = seen else {
        judged.errors.push(rules.internal(
            "internal error: failed to construct type information for x-kubernetes-validations rules: unable to \
             convert structural schema to CEL declarations",
        ));
        return;
    };
    for rule in rules.items() {
        let environment = environment(&rule, &seen);
        let compiled = expression(&rule, &environment, &seen, scope.cardinality, judged);
        if compiled.is_some() {
            message(&rule, &environment, &seen, judged);
        }
        old_value(&rule, compiled.as_ref(), scope, &mut judged.errors);
    }
}

pub(super) fn environment(rule: &Field<'_>, seen: &Declared) -> Environment {
    let old = if rule.child("optionalOldSelf").bool() { Type::optional(seen.of.clone()) } else { seen.of.clone() };
    Environment::new().with("self", seen.of.clone()).with("oldSelf", old)
}

fn expression(
    rule: &Field<'_>,
    environment: &Environment,
    seen: &Declared,
    cardinality: Cardinality,
    judged: &mut Judged,
) -> Option<Checked> {
    let expression = rule.child("rule");
    match condition(expression.str(), environment) {
        Ok(checked) => {
            let cost = cardinality.cost_of(cost_of(&checked, seen), seen.bounds.min_bytes);
            judged.count(&expression, cost, budget::excess_of_rule(cost));
            Some(checked)
        }
        Err(why) => {
            judged.errors.push(expression.invalid_value(rule.value.clone(), why));
            None
        }
    }
}

/// Compiles the expression of a rule.
///
/// # Errors
///
/// What is wrong with it, in upstream's words.
pub(super) fn condition(expression: &str, environment: &Environment) -> Result<Checked, String> {
    let checked = expressions::compile(expression, environment).map_err(|why| format!("compilation failed: {why}"))?;
    if *checked.result() != Type::Bool {
        return Err("cel expression must evaluate to a bool".to_owned());
    }
    checked.prepare().map_err(|why| format!("program instantiation failed: {why}"))?;
    Ok(checked)
}

fn message(rule: &Field<'_>, environment: &Environment, seen: &Declared, judged: &mut Judged) {
    let expression = rule.child("messageExpression");
    if expression.is_empty() {
        return;
    }
    let why = match expressions::compile(expression.str(), environment) {
        Ok(checked) if *checked.result() == Type::String => match checked.prepare() {
            Ok(()) => {
                let cost = cost_of(&checked, seen);
                judged.count(&expression, cost, budget::excess_of_message_expression(cost));
                return;
            }
            Err(why) => format!("messageExpression instantiation failed: {why}"),
        },
        Ok(_) => "messageExpression must evaluate to a string".to_owned(),
        Err(mistakes) => format!("messageExpression compilation failed: {mistakes}"),
    };
    judged.errors.push(expression.invalid_value(rule.value.clone(), why));
}

/// What an expression costs at most for one value.
fn cost_of(checked: &Checked, seen: &Declared) -> u64 {
    cost::estimate(checked, &|_| Some(&seen.bounds)).max
}

fn old_value(rule: &Field<'_>, compiled: Option<&Checked>, scope: Scope<'_>, errors: &mut Errors) {
    let optional = rule.child("optionalOldSelf");
    if compiled.is_some_and(|checked| checked.mentions("oldSelf")) {
        if let Some(around) = scope.uncorrelatable {
            errors.push(rule.child("rule").invalid(format!(
                "oldSelf cannot be used on the uncorrelatable portion of the schema within {around}"
            )));
        }
    } else if !optional.is_absent() {
        errors.push(optional.invalid("may not be set if oldSelf is not used in rule"));
    }
}
