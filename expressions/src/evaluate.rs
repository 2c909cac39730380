//! Evaluates an expression that was checked.
//!
//! Upstream: cel-go interpreter/interpretable.go, interpreter/attributes.go, apiserver/pkg/apis/cel/config.go
//! Left out: the functions that `functions::UNSUPPORTED` lists; objects that an expression makes; the costs of cel-go's
//! interpreter: steps are counted instead, one for each part that is evaluated and each element that is looked at.

mod functions;
mod operators;
mod value;

use std::{collections::BTreeMap, sync::Arc};

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators as op,
};
use rustc_hash::FxHashMap;

use crate::{
    Checked, STACK_BYTES,
    checker::{absolute, qualified_name},
    declarations,
    types::Type,
};
pub use value::{Key, Value};

/// How many steps an expression may take: what Kubernetes lets one call cost (config.go).
const MAX_STEPS: usize = 1_000_000;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// As cel-go words it.
    Error(String),
    /// The expression needs what is not evaluated here; its name.
    Unsupported(String),
    /// It takes more steps than it may.
    TooExpensive,
}

pub(crate) type Outcome = Result<Value, Failure>;

fn error(message: impl Into<String>) -> Failure {
    Failure::Error(message.into())
}

/// Evaluates an expression with values for its variables. Deep ones need a large stack, so it has a thread of its own.
///
/// # Errors
///
/// Why there is no value.
pub fn evaluate(checked: &Checked, variables: &[(&str, Value)]) -> Outcome {
    evaluate_within(checked, variables, &mut { MAX_STEPS })
}

/// As [`evaluate`], for one of several expressions: the steps it takes are taken from those that all have together.
///
/// # Errors
///
/// Why there is no value.
pub fn evaluate_within(checked: &Checked, variables: &[(&str, Value)], steps: &mut usize) -> Outcome {
    let allowed = MAX_STEPS.min(*steps);
    let run = || {
        let mut evaluation = Evaluation {
            checked,
            variables,
            scopes: Vec::new(),
            steps: Steps { left: allowed, patterns: FxHashMap::default() },
        };
        let outcome = evaluation.evaluate(&checked.expression);
        let left = if matches!(outcome, Err(Failure::TooExpensive)) { 0 } else { evaluation.steps.left };
        (outcome, allowed - left)
    };
    let (outcome, taken) = std::thread::scope(|scope| {
        let evaluating = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK_BYTES);
        match evaluating.spawn_scoped(scope, run) {
            Ok(running) => running.join().unwrap_or_else(|_| (Err(error("the evaluation failed")), allowed)),
            Err(why) => (Err(error(format!("no thread to evaluate it in: {why}"))), 0),
        }
    });
    *steps -= taken;
    outcome
}

/// What may still be done.
pub(crate) struct Steps {
    left: usize,
    /// The patterns that were compiled so far.
    patterns: FxHashMap<String, regex::Regex>,
}

impl Steps {
    pub(crate) fn take(&mut self, steps: usize) -> Result<(), Failure> {
        self.left = self.left.checked_sub(steps).ok_or(Failure::TooExpensive)?;
        Ok(())
    }
}

struct Evaluation<'a> {
    checked: &'a Checked,
    variables: &'a [(&'a str, Value)],
    /// The variables of the macros that are open here, the innermost last. A result so far may be an error, which
    /// what comes later may yet make up for.
    scopes: Vec<(&'a str, Outcome)>,
    steps: Steps,
}

impl<'a> Evaluation<'a> {
    fn evaluate(&mut self, part: &'a IdedExpr) -> Outcome {
        self.steps.take(1)?;
        match &part.expr {
            Expr::Unspecified => Err(error("unspecified expression")),
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Ident(name) => {
                self.named(name).unwrap_or_else(|| Err(error(format!("no such attribute(s): {name}"))))
            }
            Expr::Select(select) => self.selection(part, select),
            Expr::Call(call) => self.call(part, call),
            Expr::List(list) => {
                let mut elements = Vec::new();
                for (position, element) in list.elements.iter().enumerate() {
                    let element = self.evaluate(element)?;
                    if list.optional_indices.contains(&position) {
                        elements.extend(optional_value(element)?);
                    } else {
                        elements.push(element);
                    }
                }
                Ok(Value::list(elements))
            }
            Expr::Map(map) => {
                let mut entries = BTreeMap::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    let key = self.evaluate(&entry.key)?;
                    let key = key.key().ok_or_else(|| error("unsupported key type"))?;
                    let value = self.evaluate(&entry.value)?;
                    let value = if entry.optional { optional_value(value)? } else { Some(value) };
                    if let Some(value) = value {
                        entries.insert(key, value);
                    }
                }
                Ok(Value::Map(Arc::new(entries)))
            }
            Expr::Struct(object) => Err(Failure::Unsupported(object.type_name.clone())),
            Expr::Comprehension(all) => self.comprehension(all),
        }
    }

    /// The value of a variable of a macro, of one that was given, or of the name of a type.
    fn named(&self, name: &str) -> Option<Outcome> {
        if let Some((_, found)) = self.scopes.iter().rev().find(|(scoped, _)| *scoped == name) {
            return Some(found.clone());
        }
        let name = absolute(name);
        if let Some((_, found)) = self.variables.iter().find(|(variable, _)| *variable == name) {
            return Some(Ok(found.clone()));
        }
        let (name, _) = declarations::kubernetes().types.get_key_value(name)?;
        Some(Ok(Value::Type(name.as_str().into())))
    }

    fn selection(&mut self, part: &'a IdedExpr, select: &'a SelectExpr) -> Outcome {
        if let Some(found) = qualified_name(part).and_then(|name| self.named(&name)) {
            return found;
        }
        let operand = self.evaluate(&select.operand)?;
        let key = Value::string(select.field.as_str());
        if select.test {
            return Ok(Value::Bool(operators::found(&operand, &key)?.is_some()));
        }
        operators::index(&operand, &key)
    }

    fn call(&mut self, part: &'a IdedExpr, call: &'a CallExpr) -> Outcome {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_AND, [one, other]) => return self.logic(one, other, false),
            (op::LOGICAL_OR, [one, other]) => return self.logic(one, other, true),
            (op::CONDITIONAL, [condition, yes, no]) => {
                return match self.evaluate(condition)? {
                    Value::Bool(true) => self.evaluate(yes),
                    Value::Bool(false) => self.evaluate(no),
                    other => Err(functions::no_overload(op::CONDITIONAL, &[other])),
                };
            }
            (op::NOT_STRICTLY_FALSE, [argument]) => {
                return match self.evaluate(argument) {
                    Ok(Value::Bool(false)) => Ok(Value::Bool(false)),
                    Err(Failure::TooExpensive) => Err(Failure::TooExpensive),
                    _ => Ok(Value::Bool(true)),
                };
            }
            (op::ADD, [sum, added]) if matches!(&sum.expr, Expr::Ident(name) if name.starts_with('@')) => {
                return self.append(sum, added);
            }
            ("cel.@mapInsert", [map, rest @ ..]) => return self.insert(map, rest),
            _ => {}
        }
        let name = self.checked.functions.get(&part.id).map_or(call.func_name.as_str(), String::as_str);
        let mut arguments = Vec::new();
        // What has a longer name than the parser saw is not called on a value.
        if let Some(target) = call.target.as_ref().filter(|_| name == call.func_name) {
            arguments.push(self.evaluate(target)?);
        }
        for argument in &call.args {
            arguments.push(self.evaluate(argument)?);
        }
        if let ("sum", [Value::List(elements)]) = (name, arguments.as_slice())
            && elements.is_empty()
        {
            return Ok(zero(self.checked.type_of(part)));
        }
        functions::call(name, &arguments, &mut self.steps)
    }

    /// `&&`, which `false` decides, and `||`, which `true` does, whatever the other side is.
    fn logic(&mut self, one: &'a IdedExpr, other: &'a IdedExpr, decisive: bool) -> Outcome {
        let mut outcomes = Vec::new();
        for side in [one, other] {
            let outcome = match self.evaluate(side) {
                Ok(Value::Bool(value)) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => continue,
                Ok(_) => error("no such overload"),
                Err(Failure::TooExpensive) => return Err(Failure::TooExpensive),
                Err(failure) => failure,
            };
            outcomes.push(outcome);
        }
        // What is not supported might have decided.
        let unsupported = outcomes.iter().position(|failure| matches!(failure, Failure::Unsupported(_)));
        match outcomes.into_iter().nth(unsupported.unwrap_or(0)) {
            Some(failure) => Err(failure),
            None => Ok(Value::Bool(!decisive)),
        }
    }

    fn comprehension(&mut self, all: &'a ComprehensionExpr) -> Outcome {
        let range = self.evaluate(&all.iter_range)?;
        let initial = self.evaluate(&all.accu_init);
        if matches!(initial, Err(Failure::TooExpensive)) {
            return initial;
        }
        let outside = self.scopes.len();
        self.scopes.push((&all.accu_var, initial));
        let result = self.looped(all, &range, outside);
        self.scopes.truncate(outside);
        result
    }

    fn looped(&mut self, all: &'a ComprehensionExpr, range: &Value, outside: usize) -> Outcome {
        let has_two = all.iter_var2.is_some();
        let items: Box<dyn Iterator<Item = (Value, Value)>> = match range {
            Value::List(elements) => Box::new(elements.iter().enumerate().map(move |(position, element)| {
                (if has_two { Value::Int(position as i64) } else { element.clone() }, element.clone())
            })),
            Value::Map(entries) => Box::new(entries.iter().map(|(key, value)| (key.value(), value.clone()))),
            other => return Err(error(format!("got '{}', expected iterable type", other.type_name()))),
        };
        for (first, second) in items {
            self.scopes.push((&all.iter_var, Ok(first)));
            if let Some(name) = &all.iter_var2 {
                self.scopes.push((name, Ok(second)));
            }
            let goes_on = self.evaluate(&all.loop_cond)?;
            if matches!(goes_on, Value::Bool(false)) {
                break;
            }
            let step = self.evaluate(&all.loop_step);
            if matches!(step, Err(Failure::TooExpensive)) {
                return step;
            }
            self.scopes.truncate(outside + 1);
            self.scopes[outside].1 = step;
        }
        self.scopes.truncate(outside + 1);
        self.evaluate(&all.result)
    }

    /// Takes the result of a loop so far out of its variable, so that it can be added to where it is.
    fn take(&mut self, name: &IdedExpr) -> Outcome {
        let Expr::Ident(name) = &name.expr else { return Err(error("no such attribute(s)")) };
        match self.scopes.iter_mut().rev().find(|(scoped, _)| scoped == name) {
            Some((_, found)) => std::mem::replace(found, Ok(Value::Null)),
            None => Err(error(format!("no such attribute(s): {name}"))),
        }
    }

    fn append(&mut self, sum: &'a IdedExpr, added: &'a IdedExpr) -> Outcome {
        let added = self.evaluate(added);
        match (self.take(sum)?, added?) {
            (Value::List(mut sum), Value::List(added)) => {
                self.steps.take(added.len())?;
                Arc::make_mut(&mut sum).extend(added.iter().cloned());
                Ok(Value::List(sum))
            }
            (sum, added) => functions::call(op::ADD, &[sum, added], &mut self.steps),
        }
    }

    fn insert(&mut self, map: &'a IdedExpr, rest: &'a [IdedExpr]) -> Outcome {
        let rest: Result<Vec<Value>, Failure> = rest.iter().map(|part| self.evaluate(part)).collect();
        let (Value::Map(mut map), rest) = (self.take(map)?, rest?) else { return Err(error("no such overload")) };
        let entries = match rest.as_slice() {
            [key, value] => vec![(key.key().ok_or_else(|| error("unsupported key type"))?, value.clone())],
            [Value::Map(more)] => more.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            _ => return Err(error("no such overload")),
        };
        self.steps.take(entries.len())?;
        let into = Arc::make_mut(&mut map);
        for (key, value) in entries {
            if into.contains_key(&key) {
                let key = functions::text(&key.value()).unwrap_or_default();
                return Err(error(format!("insert failed: key {key} already exists")));
            }
            into.insert(key, value);
        }
        Ok(Value::Map(map))
    }
}

fn of_literal(literal: &LiteralValue) -> Value {
    match literal {
        LiteralValue::Null => Value::Null,
        LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
        LiteralValue::Int(value) => Value::Int(*value.inner()),
        LiteralValue::UInt(value) => Value::Uint(*value.inner()),
        LiteralValue::Double(value) => Value::Double(*value.inner()),
        LiteralValue::String(value) => Value::string(value.inner()),
        LiteralValue::Bytes(value) => Value::Bytes(value.inner().into()),
    }
}

fn zero(of: &Type) -> Value {
    match of {
        Type::Uint => Value::Uint(0),
        Type::Double => Value::Double(0.0),
        Type::Duration => Value::Duration(0),
        _ => Value::Int(0),
    }
}

fn optional_value(value: Value) -> Result<Option<Value>, Failure> {
    match value {
        Value::Optional(value) => Ok(value.map(|value| (*value).clone())),
        _ => Err(error("no such overload")),
    }
}

#[cfg(test)]
mod tests;
