//! Whether the values given to `'…'.format([…])` are what its text asks for.
//!
//! Upstream: cel-go ext/formatting.go (stringFormatValidator)

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use crate::{
    Checked,
    types::{Constructor, Type},
};

/// What is wrong with a call and the part it is wrong with, if both the text and the list stand in the expression.
pub(super) fn check(checked: &Checked, part: &IdedExpr, call: &CallExpr) -> Option<(u64, String)> {
    let Expr::Literal(LiteralValue::String(text)) = &call.target.as_ref()?.expr else { return None };
    let [IdedExpr { expr: Expr::List(list), .. }] = call.args.as_slice() else { return None };
    let values = &list.elements;
    let given = values.len();
    match clauses(text.inner(), values, checked) {
        Err(Wrong { at, message }) => Some((at.unwrap_or(part.id), message)),
        Ok(expected) if given > expected => {
            let message = "too many arguments supplied to string.format";
            Some((part.id, format!("{message} (expected {expected}, got {given})")))
        }
        Ok(_) => None,
    }
}

struct Wrong {
    /// The part it is wrong with; none for the call itself.
    at: Option<u64>,
    message: String,
}

impl Wrong {
    fn text(message: impl Into<String>) -> Wrong {
        Wrong { at: None, message: message.into() }
    }

    fn clause(message: impl std::fmt::Display) -> Wrong {
        Wrong { at: None, message: format!("could not parse formatting clause: {message}") }
    }
}

/// How many values a text asks for, the first of them right.
fn clauses(text: &str, values: &[IdedExpr], checked: &Checked) -> Result<usize, Wrong> {
    let mut rest = text.as_bytes();
    let mut asked_for = 0;
    while let Some(percent) = rest.iter().position(|byte| *byte == b'%') {
        rest = &rest[percent + 1..];
        match rest.first() {
            Some(b'%') => rest = &rest[1..],
            None => return Err(Wrong::text("unexpected end of string")),
            Some(_) => {
                let Some(value) = values.get(asked_for) else {
                    return Err(Wrong::text(format!("index {asked_for} out of range")));
                };
                asked_for += 1;
                let (clause, after) = clause(rest)?;
                rest = after;
                fits(clause, value, checked)?;
            }
        }
    }
    Ok(asked_for)
}

/// The letter of a clause, after a precision as `.3`, and the rest of the text.
fn clause(text: &[u8]) -> Result<(u8, &[u8]), Wrong> {
    let Some(precise) = text.strip_prefix(b".") else { return Ok((text[0], &text[1..])) };
    let wrong = |message: String| Wrong::clause(format_args!("error while parsing precision: {message}"));
    let Some(end) = precise.iter().position(|byte| !byte.is_ascii_digit()) else {
        return Err(wrong("could not find end of precision specifier".to_owned()));
    };
    let (digits, rest) = precise.split_at(end);
    let digits = String::from_utf8_lossy(digits);
    if digits.parse::<i64>().is_err() {
        let why = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
        return Err(wrong(format!(
            "error while converting precision to integer: strconv.Atoi: parsing \"{digits}\": {why}"
        )));
    }
    Ok((rest[0], &rest[1..]))
}

fn fits(clause: u8, value: &IdedExpr, checked: &Checked) -> Result<(), Wrong> {
    let wanted = match clause {
        b's' => return as_string(value, checked),
        b'd' => "decimal clause can only be used on integers",
        b'f' => "fixed-point clause can only be used on doubles",
        b'e' => "scientific clause can only be used on doubles",
        b'b' => "only integers and bools can be formatted as binary",
        b'x' | b'X' => "only integers, byte buffers, and strings can be formatted as hex",
        b'o' => "octal clause can only be used on integers",
        other => {
            return Err(Wrong::clause(format_args!("unrecognized formatting clause \"{}\"", char::from(other))));
        }
    };
    let of = checked.type_of(value);
    let fits = match (of, clause) {
        (Type::Dyn, _) | (Type::Int | Type::Uint, b'd' | b'b' | b'x' | b'X' | b'o') => true,
        // Also `Infinity` and the like.
        (Type::Double | Type::String, b'f' | b'e') => true,
        (Type::Bool, b'b') | (Type::String | Type::Bytes, b'x' | b'X') => true,
        _ => false,
    };
    if fits { Ok(()) } else { Err(not(wanted, value, of)) }
}

/// Whether something can be written as text, and what is in it if that stands in the expression.
fn as_string(value: &IdedExpr, checked: &Checked) -> Result<(), Wrong> {
    let of = checked.type_of(value);
    let fits = match of {
        Type::Any | Type::Object(_) | Type::Error | Type::Parameter(_) | Type::Variable(_) => false,
        Type::Compound(compound) => compound.constructor != Constructor::Optional,
        _ => true,
    };
    if !fits {
        let wanted = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                      durations, and timestamps";
        return Err(not(wanted, value, of));
    }
    match &value.expr {
        Expr::List(list) => list.elements.iter().try_for_each(|element| as_string(element, checked)),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                as_string(&entry.key, checked)?;
                as_string(&entry.value, checked)
            }
            EntryExpr::StructField(_) => Ok(()),
        }),
        _ => Ok(()),
    }
}

fn not(wanted: &str, value: &IdedExpr, of: &Type) -> Wrong {
    let message = format!("error during formatting: {wanted}, was given {}", runtime_name(of));
    Wrong { at: Some(value.id), message }
}

/// What the type of a value is called when the expression runs, where nothing is known of its parts.
fn runtime_name(of: &Type) -> String {
    match of {
        Type::Null => "null_type".to_owned(),
        Type::Any => "google.protobuf.Any".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::Compound(compound) => compound.constructor.name().to_owned(),
        _ => of.to_string(),
    }
}
