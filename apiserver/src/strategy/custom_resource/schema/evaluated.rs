//! Whether a default keeps the rules of its schema.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go
//! Left out: what the evaluation of expressions leaves out: a rule that needs it counts as kept; rules of conditions.

use api::field::{ErrorType, Field, FieldError};
use expressions::{
    Environment,
    evaluate::{Failure, Value as Seen, evaluate_within},
};
use serde_json::Value;

use super::{
    compiled::{condition, environment},
    declared::declared,
    embedded::Whole,
    field_path::{self, Notation},
};
use crate::strategy::validation::Errors;

/// The steps that all rules of a schema's defaults may take together (apiserver/pkg/apis/cel/config.go).
pub(super) const MAX_STEPS: usize = 10_000_000;
/// What a rule takes beside its own steps: a thread.
const STEPS_OF_A_RULE: usize = 1_000;
/// The longest text that a rule's message may be.
const MAX_MESSAGE_BYTES: usize = 5 << 10;

/// Whether what was there before can be told: of a default it is the default itself.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    IsTheSame,
    IsUnknown,
}

/// The rules that a default breaks, with those of everything inside it.
pub(super) fn broken(default: &Field<'_>, schema: &Value, steps: &mut usize) -> Errors {
    let mut errors = Errors::new();
    value(default, schema, Before::IsTheSame, steps, &mut errors);
    errors
}

fn value(value: &Field<'_>, schema: &Value, before: Before, steps: &mut usize, errors: &mut Errors) {
    if value.is_absent() {
        return;
    }
    rules(value, schema, before, steps, errors);
    let inside = |inner: &Field<'_>, schema: &Value, before, steps: &mut usize, errors: &mut Errors| {
        if *steps > 0 && schema.is_object() {
            self::value(inner, schema, before, steps, errors);
        }
    };
    for (name, _) in value.entries() {
        match schema["properties"].get(name) {
            Some(property) => inside(&value.child(name), property, before, steps, errors),
            None => inside(&value.key(name), &schema["additionalProperties"], before, steps, errors),
        }
    }
    let is_known = schema["x-kubernetes-list-type"] == "map";
    for item in value.items() {
        inside(&item, &schema["items"], if is_known { before } else { Before::IsUnknown }, steps, errors);
    }
}

fn rules(value: &Field<'_>, schema: &Value, before: Before, steps: &mut usize, errors: &mut Errors) {
    let schema_field = Field::root(schema);
    let list = schema_field.child("x-kubernetes-validations");
    let Some(declared) = (!list.is_empty()).then(|| declared(schema, Whole::IsAsSaid, "selfType")).flatten() else {
        return;
    };
    let Ok(seen) = Seen::from_json(value.value, &declared.of) else { return };
    for rule in list.items() {
        let environment = environment(&rule, &declared);
        let mut invalid = |why: String| errors.push(value.invalid_value(schema["type"].clone(), why));
        let expression = rule.child("rule");
        if expression.str().trim().is_empty() {
            continue;
        }
        let checked = match condition(expression.str(), &environment) {
            Ok(checked) => checked,
            Err(why) => {
                invalid(format!("rule compile error: {why}"));
                continue;
            }
        };
        let is_optional = rule.child("optionalOldSelf").bool();
        if before == Before::IsUnknown && !is_optional && checked.mentions("oldSelf") {
            continue;
        }
        let old = match (is_optional, before) {
            (false, _) => seen.clone(),
            (true, Before::IsTheSame) => Seen::Optional(Some(seen.clone().into())),
            (true, Before::IsUnknown) => Seen::Optional(None),
        };
        let variables = [("self", seen.clone()), ("oldSelf", old)];
        *steps = steps.saturating_sub(STEPS_OF_A_RULE);
        let name = rule_name(&rule);
        match evaluate_within(&checked, &variables, steps) {
            Ok(Seen::Bool(true)) | Err(Failure::Unsupported(_)) => {}
            Ok(_) => errors.push(refusal(value, schema, &rule, &environment, &variables, steps)),
            Err(Failure::TooExpensive) if *steps == 0 => {
                invalid(
                    "validation failed due to running out of cost budget, no further validation rules will be run"
                        .to_owned(),
                );
                return;
            }
            Err(Failure::TooExpensive) => {
                let limit = "'operation cancelled: actual cost limit exceeded'";
                let rest = "no further validation rules will be run due to call cost exceeds limit for rule";
                invalid(format!("{limit}: {rest}: {name}"));
                *steps = 0;
                return;
            }
            Err(Failure::Error(why)) if why.starts_with("no such overload") => {
                let rest = "call arguments did not match a supported operator, function or macro signature for rule";
                invalid(format!("'{why}': {rest}: {name}"));
            }
            Err(Failure::Error(why)) => invalid(format!("{why} evaluating rule: {name}")),
        }
    }
}

/// What is said of a value that breaks a rule.
fn refusal(
    value: &Field<'_>,
    schema: &Value,
    rule: &Field<'_>,
    environment: &Environment,
    variables: &[(&str, Seen)],
    steps: &mut usize,
) -> FieldError {
    let message = rule.child("message").str().trim();
    let detail = own_message(rule.child("messageExpression").str(), environment, variables, steps);
    let detail = detail.unwrap_or_else(|| match message {
        "" => format!("failed rule: {}", rule.child("rule").str().trim()),
        message => message.to_owned(),
    });
    let is_shown = !matches!(schema["type"].as_str(), Some("object" | "array"));
    let kind = match rule.child("reason").str() {
        "FieldValueForbidden" => ErrorType::Forbidden,
        "FieldValueRequired" => ErrorType::Required,
        "FieldValueDuplicate" => ErrorType::Duplicate,
        _ if is_shown => ErrorType::Invalid,
        _ => ErrorType::InvalidUnshown,
    };
    let detail = if kind == ErrorType::Duplicate { String::new() } else { detail };
    let shown = if is_shown { value.value.clone() } else { Value::Null };
    let way = below(rule.child("fieldPath").str(), schema);
    FieldError { kind, field: format!("{value}{way}"), value: shown, detail }
}

/// What the rule's own expression says, if it is one line that is not too long.
fn own_message(
    expression: &str,
    environment: &Environment,
    variables: &[(&str, Seen)],
    steps: &mut usize,
) -> Option<String> {
    let checked = (!expression.is_empty()).then(|| expressions::compile(expression, environment).ok()).flatten()?;
    let Ok(Seen::String(text)) = evaluate_within(&checked, variables, steps) else { return None };
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_MESSAGE_BYTES && !text.contains('\n')).then(|| text.to_owned())
}

/// The way from a value to the field that a rule is about, as paths are written in mistakes.
fn below(path: &str, schema: &Value) -> String {
    let Ok(found) = field_path::resolve(path, schema, Notation::DotsAndBrackets) else { return String::new() };
    let mut here = schema;
    let mut way = String::new();
    for step in found.steps {
        if here["properties"].is_object() {
            way.push_str(&format!(".{step}"));
            here = &here["properties"][&step];
        } else {
            way.push_str(&format!("[{step}]"));
            here = &here["additionalProperties"];
        }
    }
    way
}

/// A rule as mistakes name it.
fn rule_name<'a>(rule: &Field<'a>) -> &'a str {
    let text = |name: &str| rule.value[name].as_str().unwrap_or_default();
    let message = text("message");
    if message.is_empty() { text("rule").trim() } else { message.trim() }
}
