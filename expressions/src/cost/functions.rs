//! What calls of the functions of the language cost. A function that has no formula, here or in `libraries.rs`,
//! costs 1.
//!
//! Upstream: cel-go checker/cost.go (functionCost), ext/sets.go

use std::sync::LazyLock;

use cel::common::ast::operators;
use rustc_hash::FxHashMap;

use super::{Entries, Part, libraries, range::Range};
use crate::types::{Constructor, Type};

/// What looking at each character costs, as a part of the characters.
pub(super) const CHARACTER: f64 = 0.1;
/// How many steps a regular expression is, as a part of its characters.
pub(super) const STEP: f64 = 0.25;
const ONE: Range = Range::exactly(1);

/// A call, and what it is of.
pub(super) struct Call<'p, 'a> {
    /// What it is called on, if it is.
    pub target: Option<&'p Part<'a>>,
    pub arguments: &'p [Part<'a>],
}

pub(super) struct Outcome {
    /// Without what the arguments cost.
    pub cost: Range,
    /// How large the result is.
    pub size: Option<Range>,
    pub entries: Option<Entries>,
}

/// None if it costs 1: a formula is for all functions with a name, but perhaps not for every way to call them.
pub(super) type Formula = fn(&Call) -> Option<Outcome>;

/// The cost of a call.
pub(super) fn outcome(function: &str, call: &Call) -> Outcome {
    let formula = BY_NAME.get(function);
    formula.and_then(|formula| formula(call)).unwrap_or(ONE.into())
}

static BY_NAME: LazyLock<FxHashMap<&str, Formula>> =
    LazyLock::new(|| FORMULAS.iter().chain(libraries::FORMULAS).copied().collect());

const FORMULAS: &[(&str, Formula)] = &[
    (operators::EQUALS, equality),
    (operators::NOT_EQUALS, comparison_of_all),
    (operators::LESS, comparison_of_text),
    (operators::LESS_EQUALS, comparison_of_text),
    (operators::GREATER, comparison_of_text),
    (operators::GREATER_EQUALS, comparison_of_text),
    (operators::ADD, sum),
    (operators::IN, search),
    ("startsWith", reading_the_argument),
    ("endsWith", reading_the_argument),
    ("contains", search_in_text),
    ("matches", matching),
    ("bytes", text_to_bytes),
    ("string", bytes_to_text),
    ("format", reading_the_target),
    ("strings.quote", quote),
    ("sets.contains", pairs),
    ("sets.intersects", pairs),
    ("sets.equivalent", pairs_twice),
];

impl Outcome {
    pub fn with_size(self, size: Range) -> Outcome {
        Outcome { size: Some(size), ..self }
    }
}

impl From<Range> for Outcome {
    fn from(cost: Range) -> Outcome {
        Outcome { cost, size: None, entries: None }
    }
}

fn equality(call: &Call) -> Option<Outcome> {
    libraries::equality(call).or_else(|| comparison_of_all(call))
}

/// As much as there is to compare before one of the two ends.
fn comparison_of_all(call: &Call) -> Option<Outcome> {
    let [left, right] = call.arguments else { return None };
    let shorter = left.size_or_any().max.min(right.size_or_any().max);
    Some(Range { min: shorter.min(1), max: shorter }.times(CHARACTER).into())
}

fn comparison_of_text(call: &Call) -> Option<Outcome> {
    let Outcome { cost, .. } = comparison_of_all(call)?;
    cost_of_either(may_all_be(call.arguments, is_text), may_all_be(call.arguments, is_no_text), cost).map(Outcome::from)
}

/// Texts are copied; lists are not.
fn sum(call: &Call) -> Option<Outcome> {
    let [left, right] = call.arguments else { return None };
    let size = left.size_or_any() + right.size_or_any();
    let are_texts = may_all_be(call.arguments, is_text);
    let are_others = may_all_be(call.arguments, is_no_text);
    let cost = cost_of_either(are_texts, are_others, size.times(CHARACTER)).unwrap_or(ONE);
    let entries = Entries::either(left.entries, right.entries);
    let has_size = are_texts || may_all_be(call.arguments, is_list);
    Some(Outcome { cost, size: has_size.then_some(size), entries })
}

/// `1 in [1, 2]`: every element of a list is looked at, but no entry of a map.
fn search(call: &Call) -> Option<Outcome> {
    let [_, container] = call.arguments else { return None };
    let is_other = matches!(container.of, Type::Dyn | Type::Any | Type::Error);
    cost_of_either(may_be(container, is_list), is_other, container.size_or_any()).map(Outcome::from)
}

fn reading_the_argument(call: &Call) -> Option<Outcome> {
    let [argument] = call.arguments else { return None };
    Some(argument.size_or_any().times(CHARACTER).into())
}

fn reading_the_target(call: &Call) -> Option<Outcome> {
    Some(call.target?.size_or_any().times(CHARACTER).into())
}

fn search_in_text(call: &Call) -> Option<Outcome> {
    let (target, [argument]) = (call.target?, call.arguments) else { return None };
    Some((target.size_or_any().times(CHARACTER) * argument.size_or_any().times(CHARACTER)).into())
}

fn matching(call: &Call) -> Option<Outcome> {
    let (target, [expression]) = (call.target?, call.arguments) else { return None };
    Some(cost_of_matching(target, expression).into())
}

/// An empty string too costs something, for a regular expression may be long.
pub(super) fn cost_of_matching(text: &Part, expression: &Part) -> Range {
    (text.size_or_any() + ONE).times(CHARACTER) * expression.size_or_any().times(STEP)
}

/// A character may be four bytes. What is too large starts again at zero here and below, as upstream.
fn text_to_bytes(call: &Call) -> Option<Outcome> {
    let [text] = call.arguments else { return None };
    let size = text.size_or_any();
    let is_other = may_be(text, |of| !matches!(of, Type::String));
    let cost = cost_of_either(may_be(text, |of| matches!(of, Type::String)), is_other, size.times(CHARACTER))?;
    Some(Outcome::from(cost).with_size(Range { min: size.min, max: size.max.wrapping_mul(4) }))
}

fn bytes_to_text(call: &Call) -> Option<Outcome> {
    let [bytes] = call.arguments else { return None };
    let size = bytes.size_or_any();
    let is_other = may_be(bytes, |of| !matches!(of, Type::Bytes));
    let cost = cost_of_either(may_be(bytes, |of| matches!(of, Type::Bytes)), is_other, size.times(CHARACTER))?;
    Some(Outcome::from(cost).with_size(Range { min: size.min / 4, max: size.max }))
}

/// Every character may need a backslash.
fn quote(call: &Call) -> Option<Outcome> {
    let [text] = call.arguments else { return None };
    let size = text.size_or_any();
    let quoted = Range { min: size.min.wrapping_add(2), max: size.max.wrapping_mul(2).wrapping_add(2) };
    Some(Outcome::from(size.times(CHARACTER)).with_size(quoted))
}

fn pairs(call: &Call) -> Option<Outcome> {
    let [left, right] = call.arguments else { return None };
    Some((left.size_or_any() * right.size_or_any() + ONE).into())
}

fn pairs_twice(call: &Call) -> Option<Outcome> {
    let [left, right] = call.arguments else { return None };
    Some(((left.size_or_any() * right.size_or_any()).times(2.0) + ONE).into())
}

/// The cost of a function that may be called on texts or lists, and may be called on something else: then it costs 1.
/// Both are possible for what is known only when it is evaluated. None if only something else is possible.
fn cost_of_either(is_wanted: bool, is_other: bool, cost: Range) -> Option<Range> {
    is_wanted.then_some(if is_other { cost | ONE } else { cost })
}

fn may_all_be(parts: &[Part], wanted: fn(&Type) -> bool) -> bool {
    parts.iter().all(|part| may_be(part, wanted))
}

pub(super) fn may_be(part: &Part, wanted: impl Fn(&Type) -> bool) -> bool {
    matches!(part.of, Type::Dyn | Type::Any | Type::Error) || wanted(part.of)
}

pub(super) fn is_text(of: &Type) -> bool {
    matches!(of, Type::String | Type::Bytes)
}

fn is_no_text(of: &Type) -> bool {
    !is_text(of)
}

fn is_list(of: &Type) -> bool {
    of.arguments(Constructor::List).is_some()
}
