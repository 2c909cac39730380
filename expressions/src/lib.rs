//! Expressions in CEL: parsed, checked against what they may refer to, and evaluated.
//!
//! Upstream: cel-go (cel/env.go), apiserver/pkg/cel/environment/base.go
//! Left out: messages of protobuf; containers, for nothing in Kubernetes sets one.

mod checker;
mod constants;
pub mod cost;
mod declarations;
mod escaping;
pub mod evaluate;
mod literals;
mod macros;
mod parts;
pub mod pattern;
mod report;
mod types;

use std::collections::BTreeMap;

use cel::{
    common::ast::{Expr, IdedExpr, LiteralValue, SourceInfo},
    parser::Parser,
};
use rustc_hash::FxHashMap;

pub use escaping::{escape, is_reserved};
use macros::Bindings;
pub use types::{Compound, Constructor, Object, Type};

/// The longest expression that is read, in characters (cel-go parser/options.go).
const MAX_CHARACTERS: usize = 100_000;
/// How deep an expression may be nested (cel-go parser/options.go).
const MAX_DEPTH: usize = 250;
/// The parser goes into one call for each level of what is written, before anything can count the levels; of this only
/// what is used is ever taken from the machine.
const STACK_BYTES: usize = 256 << 20;

/// What an expression may refer to, besides the functions that every expression knows.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, Type>,
    bindings: Bindings,
}

impl Environment {
    pub fn new() -> Environment {
        Environment::default()
    }

    /// Adds a variable. Its name may have dots, as in `authorizer.requestResource`.
    pub fn with(mut self, name: impl Into<String>, of: Type) -> Environment {
        self.variables.insert(name.into(), of);
        self
    }

    /// Adds the macro `cel.bind`, which selectors of devices may use.
    pub fn with_bindings(mut self) -> Environment {
        self.bindings = Bindings::Known;
        self
    }
}

/// An expression without mistakes, and what each of its parts is.
#[derive(Debug)]
pub struct Checked {
    pub expression: IdedExpr,
    /// By the number of a part. Open types are `dyn` here.
    pub types: FxHashMap<u64, Type>,
    /// What each call calls, by the number of the call: `optional.of` for `optional.of(1)`, which is a call of `of` on
    /// `optional` as far as the parser knows.
    pub functions: FxHashMap<u64, String>,
    pub source: SourceInfo,
}

impl Checked {
    /// What the expression evaluates to.
    pub fn result(&self) -> &Type {
        self.type_of(&self.expression)
    }

    /// Whether a name stands anywhere in the expression.
    pub fn mentions(&self, name: &str) -> bool {
        parts::mentions(&self.expression, name)
    }

    pub fn type_of(&self, part: &IdedExpr) -> &Type {
        self.types.get(&part.id).unwrap_or(&Type::Dyn)
    }
}

/// Parses and checks an expression.
///
/// # Errors
///
/// The mistakes as cel-go displays them, one below the other, each with the line it is in.
pub fn compile(source: &str, environment: &Environment) -> Result<Checked, String> {
    let characters = source.chars().count();
    if characters > MAX_CHARACTERS {
        return Err(report::without_place(&format!(
            "expression code point size exceeds limit: size: {characters}, limit {MAX_CHARACTERS}"
        )));
    }
    let compile = || {
        let (expression, info) = parse(source, environment.bindings)?;
        checker::check(expression, info, environment).and_then(literals::check)
    };
    std::thread::scope(|scope| {
        let compiling = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK_BYTES);
        match compiling.spawn_scoped(scope, compile) {
            Ok(running) => running.join().unwrap_or_else(|_| Err(report::without_place("the parser failed"))),
            Err(error) => Err(report::without_place(&format!("no thread to parse it in: {error}"))),
        }
    })
}

fn parse(source: &str, bindings: Bindings) -> Result<(IdedExpr, SourceInfo), String> {
    // The parser lets in one level more than it is told.
    let parser = macros::parser(bindings).max_recursion_depth(MAX_DEPTH as u16 - 1);
    let (expression, mut info) =
        Parser::parse_with_source_info(parser, source).map_err(|errors| report::of_syntax(source, &errors))?;
    if parts::is_deeper_than(&expression, MAX_DEPTH) {
        return Err(report::too_deep(MAX_DEPTH));
    }
    place_signs(&expression, &mut info);
    Ok((expression, info))
}

/// Puts negative numbers where their signs are. The parser puts them where their digits are.
fn place_signs(expression: &IdedExpr, info: &mut SourceInfo) {
    for part in parts::all(expression) {
        let is_negative = match &part.expr {
            Expr::Literal(LiteralValue::Int(number)) => *number.inner() < 0,
            Expr::Literal(LiteralValue::Double(number)) => *number.inner() < 0.0,
            _ => false,
        };
        if is_negative
            && let Some((start, stop)) = info.offset_for(part.id)
            && let Some((before, number)) = info.source.split_at_checked(start as usize)
            && let Some(before) = before.trim_end().strip_suffix('-')
            && !number.starts_with('-')
        {
            info.add_offset(part.id, before.len() as u32, stop);
        }
    }
}

#[cfg(test)]
mod tests;
