//! What an expression may cost to evaluate, told from what is written and from how large its variables may be.
//!
//! A unit of cost is about 50 nanoseconds. Every part of an expression gets a cost and, where it can be told, a size:
//! the characters of a string, the bytes of bytes, the elements of a list, the entries of a map. Both are ranges, and
//! what decides is how much they may be at most. `estimate(&checked, &|variable| ...)` asks for the bounds of every
//! name that an expression begins with; for the rules of custom resources that is `&|_| Some(&bounds)`, for `self`
//! and `oldSelf` have the same, and for device selectors `&device::bounds_of`.
//!
//! Upstream: cel-go checker/cost.go, common/cost.go; apiserver/pkg/cel/library/cost.go
//! Left out: costs of presence tests, which Kubernetes turns off; the cost that is counted while evaluating; upstream's
//! taking one `x` for another in `cel.bind(x, y, x)` and `x.all(x, y, true)`.

mod bounds;
pub mod budget;
pub mod device;
mod functions;
mod libraries;
mod range;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr, StructExpr,
    operators,
};

use crate::{
    Checked, checker,
    types::{Constructor, Type},
};
pub use bounds::{Bounds, Field};
use bounds::{ELEMENTS, KEYS, POSITIONS, VALUES};
use functions::{Call, Outcome};
pub use range::Range;

/// Looking at a variable or a field.
const LOOK: Range = Range::exactly(1);
const LIST: Range = Range::exactly(10);
const MAP: Range = Range::exactly(30);
const OBJECT: Range = Range::exactly(40);

/// What an expression costs. `bounds_of` knows the bounds of a variable; of a part that is in no variable it is asked
/// by the step into it: `b` for `a().b`, and `@items` for the elements of `a()`.
pub fn estimate<'a>(checked: &'a Checked, bounds_of: &dyn Fn(&str) -> Option<&'a Bounds>) -> Range {
    let mut estimator = Estimator { checked, bounds_of, locals: Vec::new() };
    estimator.visit(&checked.expression).cost
}

struct Estimator<'a, 'v> {
    checked: &'a Checked,
    bounds_of: &'v dyn Fn(&str) -> Option<&'a Bounds>,
    /// The variables of the macros that are open here, the innermost last.
    locals: Vec<(&'a str, Local<'a>)>,
}

/// What is known of a part of an expression.
pub(crate) struct Part<'a> {
    pub expression: &'a Expr,
    pub of: &'a Type,
    pub cost: Range,
    pub size: Option<Range>,
    pub entries: Option<Entries>,
    pub place: Place<'a>,
}

/// How large what is in a list or map is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries {
    is_list: bool,
    keys: Range,
    values: Range,
}

/// Where in the variables a part is.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In none of them: `[1]`.
    Outside,
    At(&'a Bounds),
    /// In one, but nothing is known about it there.
    Unknown,
}

/// What is known of a variable of a macro.
#[derive(Clone, Copy)]
struct Local<'a> {
    size: Option<Range>,
    entries: Option<Entries>,
    place: Place<'a>,
}

impl Part<'_> {
    pub fn size_or_any(&self) -> Range {
        self.size.unwrap_or(Range::ANY)
    }

    /// How large each element of a list is, by what is known of the variable that the list is in.
    pub fn size_of_elements(&self) -> Range {
        let elements = match self.place {
            Place::At(bounds) => bounds.within(ELEMENTS),
            Place::Outside | Place::Unknown => None,
        };
        elements.map_or(Range::ANY, |elements| Range { min: 0, max: elements.max })
    }
}

impl Entries {
    /// Those of what is one or the other.
    pub fn either(one: Option<Entries>, other: Option<Entries>) -> Option<Entries> {
        let (one, other) = (one?, other?);
        Some(Entries { is_list: one.is_list, keys: one.keys | other.keys, values: one.values | other.values })
    }
}

impl Place<'_> {
    fn size(&self) -> Option<Range> {
        match self {
            Place::At(bounds) => Some(Range { min: 0, max: bounds.max }),
            Place::Outside | Place::Unknown => None,
        }
    }
}

impl<'a> Estimator<'a, '_> {
    fn visit(&mut self, part: &'a IdedExpr) -> Part<'a> {
        match &part.expr {
            Expr::Unspecified => self.part(part, Range::ZERO, Place::Outside),
            Expr::Literal(literal) => {
                let size = Some(size_of_literal(literal));
                Part { size, ..self.part(part, Range::ZERO, Place::Outside) }
            }
            Expr::Ident(name) => self.name(part, name),
            Expr::Select(select) => self.selection(part, select),
            Expr::Call(call) => self.call(part, call),
            Expr::List(list) => self.list(part, list),
            Expr::Map(map) => self.map(part, map),
            Expr::Struct(object) => self.object(part, object),
            Expr::Comprehension(all) if is_bind(all) => self.bind(part, all),
            Expr::Comprehension(all) => self.comprehension(part, all),
        }
    }

    /// A part of which nothing is known but its place and its type.
    fn part(&self, part: &'a IdedExpr, cost: Range, place: Place<'a>) -> Part<'a> {
        let of = self.checked.type_of(part);
        let size = place.size().or_else(|| is_scalar(of).then_some(Range::exactly(1)));
        Part { expression: &part.expr, of, cost, size, entries: None, place }
    }

    /// What is one step into a place.
    fn step_into(&self, place: Place<'a>, step: &str) -> Place<'a> {
        let found = match place {
            Place::Outside => (self.bounds_of)(step),
            Place::At(bounds) => bounds.within(step),
            Place::Unknown => None,
        };
        found.map_or(Place::Unknown, Place::At)
    }

    fn name(&self, part: &'a IdedExpr, name: &str) -> Part<'a> {
        let name = checker::absolute(name);
        let Some((_, local)) = self.locals.iter().rev().find(|(known, _)| *known == name) else {
            return self.part(part, LOOK, self.step_into(Place::Outside, name));
        };
        let found = self.part(part, LOOK, local.place);
        Part { size: found.size.or(local.size), entries: local.entries, ..found }
    }

    fn selection(&mut self, part: &'a IdedExpr, select: &'a SelectExpr) -> Part<'a> {
        // A variable with dots in its name: what is before the last dot has no type of its own.
        if !self.checked.types.contains_key(&select.operand.id) {
            let name = checker::qualified_name(part).unwrap_or_default();
            return self.name(part, &name);
        }
        let operand = self.visit(&select.operand);
        if select.test {
            return self.part(part, operand.cost, Place::Outside);
        }
        let is_looked_up = matches!(operand.of, Type::Object(_)) || operand.of.arguments(Constructor::Map).is_some();
        let cost = if is_looked_up { operand.cost + LOOK } else { operand.cost };
        self.part(part, cost, self.step_into(operand.place, &select.field))
    }

    fn call(&mut self, part: &'a IdedExpr, call: &'a CallExpr) -> Part<'a> {
        let function = self.checked.functions.get(&part.id).map_or(call.func_name.as_str(), String::as_str);
        // The target of `optional.of(1)` is a part of the function's name.
        let target = call.target.as_deref().filter(|_| function == call.func_name);
        let arguments: Vec<Part> = call.args.iter().map(|argument| self.visit(argument)).collect();
        let target = target.map(|target| self.visit(target));
        self.called(part, function, &Call { target: target.as_ref(), arguments: &arguments })
    }

    fn called(&self, part: &'a IdedExpr, function: &str, call: &Call<'_, 'a>) -> Part<'a> {
        let spent: Range = call.arguments.iter().chain(call.target).map(|part| part.cost).sum();
        match (function, call.arguments) {
            ("dyn", [value]) => {
                let (size, entries) = (value.size, value.entries);
                Part { size, entries, ..self.part(part, spent + LOOK, Place::Outside) }
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [first, ..]) => {
                let cost = Range { min: first.cost.min, max: spent.max };
                self.part(part, cost, Place::Outside)
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let size = Some(yes.size_or_any() | no.size_or_any());
                let entries = Entries::either(yes.entries, no.entries);
                let cost = condition.cost + (yes.cost | no.cost);
                Part { size, entries, ..self.part(part, cost, Place::Outside) }
            }
            (operators::INDEX, [container, _]) => {
                let place = match step_to_values(container) {
                    Some(step) => self.step_into(container.place, step),
                    None => Place::Outside,
                };
                let found = self.part(part, spent + LOOK, place);
                Part { size: container.entries.map(|entries| entries.values).or(found.size), ..found }
            }
            _ => {
                let Outcome { cost, size, entries } = functions::outcome(function, call);
                let found = self.part(part, spent + cost, Place::Outside);
                Part { size: size.or(found.size), entries, ..found }
            }
        }
    }

    fn list(&mut self, part: &'a IdedExpr, list: &'a ListExpr) -> Part<'a> {
        let mut cost = LIST;
        let mut values = None;
        for element in &list.elements {
            let element = self.visit(element);
            cost = cost + element.cost;
            values = Some(Range::including(values, element.size_or_any()));
        }
        let entries = Entries { is_list: true, keys: Range::exactly(1), values: values.unwrap_or(Range::ZERO) };
        let size = Some(Range::exactly(list.elements.len() as u64));
        Part { size, entries: Some(entries), ..self.part(part, cost, Place::Outside) }
    }

    fn map(&mut self, part: &'a IdedExpr, map: &'a MapExpr) -> Part<'a> {
        let mut cost = MAP;
        let (mut keys, mut values) = (None, None);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let (key, value) = (self.visit(&entry.key), self.visit(&entry.value));
            cost = cost + key.cost + value.cost;
            keys = Some(Range::including(keys, key.size_or_any()));
            values = Some(Range::including(values, value.size_or_any()));
        }
        let (keys, values) = (keys.unwrap_or(Range::ZERO), values.unwrap_or(Range::ZERO));
        let entries = Entries { is_list: false, keys, values };
        let size = Some(Range::exactly(map.entries.len() as u64));
        Part { size, entries: Some(entries), ..self.part(part, cost, Place::Outside) }
    }

    fn object(&mut self, part: &'a IdedExpr, object: &'a StructExpr) -> Part<'a> {
        let mut cost = OBJECT;
        for entry in &object.entries {
            let EntryExpr::StructField(field) = &entry.expr else { continue };
            cost = cost + self.visit(&field.value).cost;
        }
        self.part(part, cost, Place::Outside)
    }

    /// What a macro over a list or map became: as many steps as the list or map has entries.
    fn comprehension(&mut self, part: &'a IdedExpr, all: &'a ComprehensionExpr) -> Part<'a> {
        let range = self.visit(&all.iter_range);
        let accumulated = self.visit(&all.accu_init);
        let outside = self.locals.len();
        self.locals.push((&all.accu_var, Local::of(&accumulated)));
        self.iterate(all, &range);
        let condition = self.visit(&all.loop_cond);
        let step = self.visit(&all.loop_step);
        self.locals.truncate(outside + 1);
        let result = self.visit(&all.result);
        self.locals.truncate(outside);
        let count = range.size_or_any();
        let cost = range.cost + accumulated.cost + result.cost + count * (condition.cost + step.cost);
        let found = self.part(part, cost, Place::Outside);
        match &all.accu_init.expr {
            Expr::Literal(_) => Part { size: accumulated.size, ..found },
            Expr::List(_) | Expr::Map(_) => Part { size: Some(count), entries: step.entries, ..found },
            _ => found,
        }
    }

    /// Adds the variables that go through a list or map: elements or keys; with two variables, positions or keys, and
    /// elements or values.
    fn iterate(&mut self, all: &'a ComprehensionExpr, range: &Part<'a>) {
        let is_list = match &range.entries {
            Some(entries) => entries.is_list,
            None => range.of.arguments(Constructor::List).is_some(),
        };
        let keys = range.entries.map(|entries| entries.keys);
        let values = range.entries.map(|entries| entries.values);
        let local = |step: &str, size| Local { size, entries: None, place: self.step_into(range.place, step) };
        let (first, second) = match (&all.iter_var2, is_list) {
            (None, true) => (local(ELEMENTS, values), None),
            (None, false) => (local(KEYS, keys), None),
            (Some(name), true) => (local(POSITIONS, keys), Some((name.as_str(), local(ELEMENTS, values)))),
            (Some(name), false) => (local(KEYS, keys), Some((name.as_str(), local(VALUES, values)))),
        };
        self.locals.push((&all.iter_var, first));
        self.locals.extend(second);
    }

    /// `cel.bind(name, value, result)`, which is a macro over an empty list.
    fn bind(&mut self, part: &'a IdedExpr, all: &'a ComprehensionExpr) -> Part<'a> {
        let empty = self.visit(&all.iter_range);
        let value = self.visit(&all.accu_init);
        self.locals.push((&all.accu_var, Local::of(&value)));
        let result = self.visit(&all.result);
        self.locals.pop();
        let cost = empty.cost + value.cost + result.cost;
        Part { size: result.size, entries: result.entries, ..self.part(part, cost, Place::Outside) }
    }
}

impl<'a> Local<'a> {
    fn of(part: &Part<'a>) -> Local<'a> {
        Local { size: part.size, entries: part.entries, place: part.place }
    }
}

fn is_bind(all: &ComprehensionExpr) -> bool {
    matches!(&all.iter_range.expr, Expr::List(list) if list.elements.is_empty())
        && matches!(&all.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(condition)) if !*condition.inner())
}

/// None if what is indexed is an optional.
fn step_to_values(container: &Part) -> Option<&'static str> {
    match container.of {
        Type::Compound(compound) => match compound.constructor {
            Constructor::List => Some(ELEMENTS),
            Constructor::Map => Some(VALUES),
            Constructor::Optional | Constructor::Type => None,
        },
        _ => Some(VALUES),
    }
}

fn size_of_literal(literal: &LiteralValue) -> Range {
    Range::exactly(match literal {
        LiteralValue::String(text) => text.inner().chars().count() as u64,
        LiteralValue::Bytes(bytes) => bytes.inner().len() as u64,
        _ => 1,
    })
}

/// Whether every value of a type is equally large.
fn is_scalar(of: &Type) -> bool {
    match of {
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Duration | Type::Timestamp => true,
        _ => of.arguments(Constructor::Optional).is_some_and(|arguments| arguments.iter().all(is_scalar)),
    }
}

#[cfg(test)]
mod tests;
