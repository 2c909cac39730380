//! What calls of the functions that Kubernetes adds cost, and of some of the language that it reckons otherwise.
//!
//! Every change of a formula changes which custom resources can be created.
//!
//! Upstream: apiserver/pkg/cel/library/cost.go
//! Left out: the many functions of which upstream says that they cost 1, for that is what functions cost.

use cel::common::ast::{Expr, LiteralValue};

use super::{
    Part,
    functions::{CHARACTER, Call, Formula, Outcome, STEP, cost_of_matching, is_text, may_be},
    range::Range,
};
use crate::types::Type;

const ONE: Range = Range::exactly(1);
/// So that two questions to an authorizer fit into one expression.
const CHECK: Range = Range::exactly(350_000);
/// A list, and for each requirement in it a list and an object.
const SELECTOR: Range = Range::exactly(10);
const REQUIREMENT: f64 = 50.0;
/// Requirements in a character of a selector: the shortest is `k,`.
const REQUIREMENTS: f64 = 0.5;
/// The bytes of an address.
const ADDRESS: Range = Range { min: 4, max: 16 };
/// The longest regular expression of a named format.
const FORMAT_EXPRESSION: f64 = 128.0;
const LONGEST_FORMAT: u64 = 64;

pub(super) const FORMULAS: &[(&str, Formula)] = &[
    ("check", |_| Some(CHECK.into())),
    ("fieldSelector", selector),
    ("labelSelector", selector),
    ("isSorted", every_element),
    ("sum", every_element),
    ("max", every_element),
    ("min", every_element),
    ("indexOf", every_element),
    ("lastIndexOf", every_element),
    ("url", parsed_into_as_much),
    ("lowerAscii", copy),
    ("upperAscii", copy),
    ("substring", copy),
    ("trim", copy),
    ("replace", replace),
    ("split", split),
    ("join", join),
    ("find", find),
    ("findAll", find),
    ("ip", parsed),
    ("isIP", parsed),
    ("cidr", parsed),
    ("isCIDR", parsed),
    ("quantity", parsed),
    ("isQuantity", parsed),
    ("semver", parsed),
    ("isSemver", parsed),
    ("ip.isCanonical", parsed_and_written),
    ("containsIP", contains_ip),
    ("containsCIDR", contains_cidr),
    ("validate", validate),
];

/// What comparing values of the types of Kubernetes costs. None for all others.
pub(super) fn equality(call: &Call) -> Option<Outcome> {
    let [left, right] = call.arguments else { return None };
    let (Type::Object(of), true) = (left.of, left.of == right.of) else { return None };
    let cost = match of.name.as_str() {
        "net.IP"
        | "net.CIDR"
        | "kubernetes.Quantity"
        | "kubernetes.Semver"
        | "kubernetes.authorization.Authorizer"
        | "kubernetes.authorization.PathCheck"
        | "kubernetes.authorization.GroupCheck"
        | "kubernetes.authorization.ResourceCheck"
        | "kubernetes.authorization.Decision" => ONE,
        "kubernetes.NamedFormat" => Range { min: 1, max: LONGEST_FORMAT }.times(CHARACTER),
        // Only the right one is looked at, as upstream.
        "kubernetes.URL" => Range { min: 1, max: right.size.map_or(1, |size| size.max) }.times(CHARACTER),
        _ => return None,
    };
    Some(cost.into())
}

fn selector(call: &Call) -> Option<Outcome> {
    let [text] = call.arguments else { return None };
    let size = text.size_or_any();
    Some((SELECTOR + size.times(CHARACTER) + size.times(REQUIREMENTS).times(REQUIREMENT)).into())
}

/// Every element of a list is looked at, and every character of those that are text; of a text every character.
fn every_element(call: &Call) -> Option<Outcome> {
    let target = call.target?;
    let size = target.size_or_any();
    let cost = match target.of {
        Type::Compound(list) => match list.arguments.first() {
            Some(element) if is_text(element) => size * (ONE + target.size_of_elements().times(CHARACTER)),
            _ => size * ONE,
        },
        _ => size.times(CHARACTER),
    };
    Some(cost.into())
}

/// A text that is read once.
fn parsed(call: &Call) -> Option<Outcome> {
    Some(call.arguments.first()?.size_or_any().times(CHARACTER).into())
}

fn parsed_into_as_much(call: &Call) -> Option<Outcome> {
    let [text] = call.arguments else { return None };
    Some(parsed(call)?.with_size(text.size_or_any()))
}

fn parsed_and_written(call: &Call) -> Option<Outcome> {
    Some(call.arguments.first()?.size_or_any().times(2.0 * CHARACTER).into())
}

fn copy(call: &Call) -> Option<Outcome> {
    let size = call.target?.size_or_any();
    Some(Outcome::from(size.times(CHARACTER)).with_size(size))
}

fn replace(call: &Call) -> Option<Outcome> {
    let (target, [old, new, ..]) = (call.target?, call.arguments) else { return None };
    let (text, old, new) = (target.size_or_any(), old.size_or_any(), new.size_or_any());
    let max = replaced(text.max, old.min, new.max, |old, new| new <= old);
    let min = replaced(text.min, old.max, new.min, |old, new| old <= new);
    Some(Outcome::from(text.times(2.0 * CHARACTER)).with_size(Range { min, max }))
}

/// How long a text can get if each of the shortest texts in it becomes the longest; or, the other way round, how short.
/// `is_kept`: whether it is best to replace nothing.
fn replaced(text: u64, old: u64, new: u64, is_kept: fn(u64, u64) -> bool) -> u64 {
    if old == 0 {
        // Before every character, and at the end.
        text.saturating_add(1).saturating_mul(new).saturating_add(text)
    } else if is_kept(old, new) {
        text
    } else {
        ((text as f64 / old as f64).ceil() as u64).saturating_mul(new)
    }
}

/// A text may be split into its characters, or into as many parts as are asked for.
fn split(call: &Call) -> Option<Outcome> {
    let size = call.target?.size_or_any();
    let limit = call.arguments.get(1).and_then(|limit| match limit.expression {
        Expr::Literal(LiteralValue::Int(limit)) => Some(*limit.inner() as u64),
        _ => None,
    });
    let parts = Range { min: 0, max: limit.unwrap_or(size.max) };
    Some(Outcome::from(size.times(2.0 * CHARACTER)).with_size(parts))
}

fn join(call: &Call) -> Option<Outcome> {
    let target = call.target?;
    let count = target.size_or_any();
    let elements = match target.of {
        Type::Compound(_) => count * target.size_of_elements(),
        _ => Range::ZERO,
    };
    let separators = Range { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
    let between = call.arguments.first().map_or(Range::ZERO, |separator| separator.size_or_any() * separators);
    let size = elements + between;
    Some(Outcome::from(size.times(CHARACTER)).with_size(size))
}

/// What is found may be the whole text, or every character of it.
fn find(call: &Call) -> Option<Outcome> {
    let (target, [expression, ..]) = (call.target?, call.arguments) else { return None };
    let found = Range { min: 0, max: target.size_or_any().max };
    Some(Outcome::from(cost_of_matching(target, expression)).with_size(found))
}

fn contains_ip(call: &Call) -> Option<Outcome> {
    Some(contained((ADDRESS + ADDRESS).times(CHARACTER), call.arguments.first()?))
}

/// The base is masked too, and the lengths of the prefixes are compared.
fn contains_cidr(call: &Call) -> Option<Outcome> {
    let cost = (ADDRESS + ADDRESS).times(CHARACTER) + ADDRESS.times(CHARACTER) + ONE;
    Some(contained(cost, call.arguments.first()?))
}

/// What is looked for may be a text, which has to be read first.
fn contained(cost: Range, part: &Part) -> Outcome {
    let read = cost + part.size_or_any().times(CHARACTER);
    match part.of {
        Type::Dyn | Type::Any | Type::Error => (cost | read).into(),
        _ if may_be(part, is_text) => read.into(),
        _ => cost.into(),
    }
}

fn validate(call: &Call) -> Option<Outcome> {
    let (_, [text]) = (call.target?, call.arguments) else { return None };
    Some(text.size_or_any().times(CHARACTER).times(FORMAT_EXPRESSION * STEP).into())
}
