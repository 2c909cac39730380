//! What is wrong with an expression when it is made ready to be evaluated: what has no variables in it is evaluated
//! already then, as conversions of literals, and regular expressions are compiled.
//!
//! Upstream: cel-go interpreter/decorators.go (decOptimize, decRegexOptimizer), common/types (ConvertToType)
//! Left out: what a number with a fraction is as text; hexadecimal fractions.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use crate::{
    Checked,
    literals::{duration, timestamp},
    pattern,
};

const TOO_LARGE: &str = "integer overflow";
const NOT_UNSIGNED: &str = "unsigned integer overflow";

impl Checked {
    /// Whether the expression can be made ready to be evaluated.
    ///
    /// # Errors
    ///
    /// The first part that can't, in cel-go's words.
    pub fn prepare(&self) -> Result<(), String> {
        value(&self.expression).map(|_| ())
    }
}

/// What a part without variables is.
enum Constant {
    Bool,
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Something that nothing is made of that could fail.
    Other,
}

/// The value of a part, if there are no variables in it.
fn value(part: &IdedExpr) -> Result<Option<Constant>, String> {
    match &part.expr {
        Expr::Unspecified | Expr::Ident(_) => Ok(None),
        Expr::Literal(literal) => Ok(Some(of_literal(literal))),
        Expr::Select(select) => value(&select.operand).map(|_| None),
        Expr::Call(call) => called(call),
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => {
            let inside = crate::parts::inside(part);
            let constant = inside.into_iter().try_fold(true, |all, part| Ok(value(part)?.is_some() && all));
            constant.map(|all: bool| (all && !matches!(part.expr, Expr::Struct(_))).then_some(Constant::Other))
        }
        Expr::Comprehension(all) => {
            for part in [&all.accu_init, &all.iter_range, &all.loop_cond, &all.loop_step, &all.result] {
                value(part)?;
            }
            Ok(None)
        }
    }
}

fn of_literal(literal: &LiteralValue) -> Constant {
    match literal {
        LiteralValue::Boolean(_) => Constant::Bool,
        LiteralValue::Int(number) => Constant::Int(*number.inner()),
        LiteralValue::UInt(number) => Constant::Uint(*number.inner()),
        LiteralValue::Double(number) => Constant::Double(*number.inner()),
        LiteralValue::String(text) => Constant::Text(text.inner().to_owned()),
        LiteralValue::Bytes(bytes) => Constant::Bytes(bytes.inner().to_vec()),
        LiteralValue::Null => Constant::Other,
    }
}

fn called(call: &CallExpr) -> Result<Option<Constant>, String> {
    let given = call.target.as_deref().into_iter().chain(&call.args).map(value).collect::<Result<Vec<_>, _>>()?;
    let is_given_pattern = ["matches", "find", "findAll"].contains(&call.func_name.as_str());
    if is_given_pattern && let Some(Some(Constant::Text(text))) = given.get(1) {
        pattern::read(text)?;
    }
    let mut given = given.into_iter();
    match (given.next(), given.next()) {
        (Some(Some(only)), None) if call.target.is_none() => converted(&call.func_name, only),
        _ => Ok(None),
    }
}

/// What a conversion makes of a value; none if the function is no conversion.
fn converted(function: &str, from: Constant) -> Result<Option<Constant>, String> {
    let not = |to: &str| format!("type conversion error from 'string' to '{to}'");
    let to = match (function, from) {
        ("int", Constant::Uint(number)) => Constant::Int(i64::try_from(number).map_err(|_| TOO_LARGE)?),
        ("int", Constant::Double(number)) => Constant::Int(integer(number).ok_or(TOO_LARGE)?),
        ("int", Constant::Text(text)) => Constant::Int(text.parse().map_err(|_| not("int"))?),
        ("uint", Constant::Int(number)) => Constant::Uint(u64::try_from(number).map_err(|_| NOT_UNSIGNED)?),
        ("uint", Constant::Double(number)) => Constant::Uint(unsigned(number).ok_or(NOT_UNSIGNED)?),
        ("uint", Constant::Text(text)) => {
            let number = if text.starts_with('+') { None } else { text.parse().ok() };
            Constant::Uint(number.ok_or_else(|| not("uint"))?)
        }
        ("double", Constant::Text(text)) => double(&text).ok_or_else(|| not("double"))?,
        ("double", Constant::Int(number)) => Constant::Double(number as f64),
        ("double", Constant::Uint(number)) => Constant::Double(number as f64),
        ("bool", Constant::Text(text)) => {
            let known = ["1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"];
            known.contains(&text.as_str()).then_some(Constant::Bool).ok_or_else(|| not("bool"))?
        }
        ("bytes", Constant::Text(text)) => Constant::Bytes(text.into_bytes()),
        ("string", Constant::Bytes(bytes)) => {
            let text = String::from_utf8(bytes);
            Constant::Text(text.map_err(|_| "invalid UTF-8 in bytes, cannot convert to string".to_owned())?)
        }
        ("string", Constant::Int(number)) => Constant::Text(number.to_string()),
        ("string", Constant::Uint(number)) => Constant::Text(number.to_string()),
        ("timestamp", Constant::Int(seconds)) if !timestamp::RANGE.contains(&seconds) => {
            return Err("timestamp overflow".to_owned());
        }
        ("timestamp", Constant::Text(text)) if timestamp::read(&text).is_none() => {
            return Err(not("google.protobuf.Timestamp"));
        }
        ("duration", Constant::Text(text)) if duration::read(&text).is_none() => {
            return Err(not("google.protobuf.Duration"));
        }
        ("string" | "timestamp" | "duration" | "type", _) => Constant::Other,
        ("dyn" | "int" | "uint" | "double" | "bool" | "bytes", same) => same,
        _ => return Ok(None),
    };
    Ok(Some(to))
}

/// A number without its fraction, if it has room.
fn integer(number: f64) -> Option<i64> {
    let limit = i64::MAX as f64;
    (number > -limit && number < limit).then_some(number as i64)
}

fn unsigned(number: f64) -> Option<u64> {
    (number >= 0.0 && number < u64::MAX as f64).then_some(number as u64)
}

/// A number as Go reads it; none if it is no number, or too large.
fn double(text: &str) -> Option<Constant> {
    let digits = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if digits.starts_with("0x") {
        return Some(Constant::Other);
    }
    let number: f64 = text.parse().ok()?;
    let is_named = digits.starts_with("inf");
    (number.is_finite() || number.is_nan() || is_named).then_some(Constant::Double(number))
}
