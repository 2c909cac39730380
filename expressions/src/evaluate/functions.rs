//! What each function makes of its arguments.
//!
//! Upstream: cel-go common/stdlib/standard.go, common/types, cel/library.go (OptionalTypes), ext/sets.go
//! Left out: what `UNSUPPORTED` lists; the names of time zones.

mod lists;
mod strings;
mod times;

use std::sync::Arc;

use cel::common::ast::operators as op;

use super::{Failure, Outcome, Steps, Value, error, operators, value::nanoseconds};
use crate::literals::{duration, timestamp};

/// The functions that are declared and not evaluated.
pub(super) const UNSUPPORTED: &[&str] = &[
    "add",
    "allowed",
    "asApproximateFloat",
    "asInteger",
    "check",
    "cidr",
    "compareTo",
    "containsCIDR",
    "containsIP",
    "error",
    "errored",
    "family",
    "fieldSelector",
    "format",
    "format.byte",
    "format.date",
    "format.datetime",
    "format.dns1035Label",
    "format.dns1035LabelPrefix",
    "format.dns1123Label",
    "format.dns1123LabelPrefix",
    "format.dns1123Subdomain",
    "format.dns1123SubdomainPrefix",
    "format.labelValue",
    "format.named",
    "format.qualifiedName",
    "format.uri",
    "format.uuid",
    "getEscapedPath",
    "getHost",
    "getHostname",
    "getPort",
    "getQuery",
    "getScheme",
    "group",
    "ip",
    "ip.isCanonical",
    "isCIDR",
    "isGlobalUnicast",
    "isGreaterThan",
    "isIP",
    "isInteger",
    "isLessThan",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isQuantity",
    "isSemver",
    "isURL",
    "isUnspecified",
    "labelSelector",
    "major",
    "masked",
    "minor",
    "name",
    "namespace",
    "patch",
    "path",
    "prefixLength",
    "quantity",
    "reason",
    "resource",
    "semver",
    "serviceAccount",
    "sign",
    "sub",
    "subresource",
    "url",
    "validate",
];

pub(super) fn no_overload(name: &str, arguments: &[Value]) -> Failure {
    let types: Vec<&str> = arguments.iter().map(Value::type_name).collect();
    error(format!("no such overload: {name}({})", types.join(", ")))
}

pub(super) fn call(name: &str, arguments: &[Value], steps: &mut Steps) -> Outcome {
    if UNSUPPORTED.contains(&name) {
        return Err(Failure::Unsupported(name.to_owned()));
    }
    // What a function reads of its arguments.
    for argument in arguments {
        steps.take(match argument {
            Value::String(text) => text.len() / 10,
            Value::Bytes(bytes) => bytes.len() / 10,
            _ => 0,
        })?;
    }
    let found = match operator(name, arguments, steps) {
        None => optional(name, arguments, steps),
        found => found,
    };
    let found = found.or_else(|| conversion(name, arguments));
    let found = match found {
        None => strings::call(name, arguments, steps),
        found => found,
    };
    let found = match found {
        None => lists::call(name, arguments, steps),
        found => found,
    };
    found.or_else(|| times::call(name, arguments)).unwrap_or_else(|| Err(no_overload(name, arguments)))
}

fn operator(name: &str, arguments: &[Value], steps: &mut Steps) -> Option<Outcome> {
    Some(match (name, arguments) {
        (op::LOGICAL_NOT, [Value::Bool(value)]) => Ok(Value::Bool(!value)),
        (op::NEGATE, [Value::Int(value)]) => {
            value.checked_neg().map(Value::Int).ok_or_else(|| error("integer overflow"))
        }
        (op::NEGATE, [Value::Double(value)]) => Ok(Value::Double(-value)),
        (op::EQUALS, [one, other]) => operators::equal(one, other, steps).map(Value::Bool),
        (op::NOT_EQUALS, [one, other]) => operators::equal(one, other, steps).map(|equal| Value::Bool(!equal)),
        (op::INDEX, [operand, key]) => operators::index(operand, key),
        (op::OPT_INDEX | op::OPT_SELECT, [operand, key]) => {
            operators::found(operand, key).map(|found| Value::Optional(found.map(Arc::new)))
        }
        (op::IN, [key, Value::Map(_)]) => {
            operators::found(&arguments[1], key).map(|found| Value::Bool(found.is_some()))
        }
        (op::IN, [element, Value::List(elements)]) => lists::contains(elements, element, steps).map(Value::Bool),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [one, other]) => {
            Ok(Value::Bool(operators::ordered(name, one, other)?))
        }
        (_, [one, other]) => operators::calculate(name, one, other)?,
        _ => return None,
    })
}

fn optional(name: &str, arguments: &[Value], steps: &mut Steps) -> Option<Outcome> {
    Some(match (name, arguments) {
        ("optional.none", []) => Ok(Value::Optional(None)),
        ("optional.of", [value]) => Ok(Value::Optional(Some(Arc::new(value.clone())))),
        ("optional.ofNonZeroValue", [value]) => Ok(Value::Optional((!is_zero(value)).then(|| Arc::new(value.clone())))),
        ("hasValue", [Value::Optional(value)]) => Ok(Value::Bool(value.is_some())),
        ("value", [Value::Optional(value)]) => {
            value.as_deref().cloned().ok_or_else(|| error("optional.none() dereference"))
        }
        ("or", [Value::Optional(value), other @ Value::Optional(_)]) => {
            Ok(if value.is_some() { arguments[0].clone() } else { other.clone() })
        }
        ("orValue", [Value::Optional(value), other]) => Ok(value.as_deref().unwrap_or(other).clone()),
        ("optional.unwrap" | "unwrapOpt", [Value::List(elements)]) => steps.take(elements.len()).and_then(|()| {
            let mut values = Vec::new();
            for element in elements.iter() {
                match element {
                    Value::Optional(value) => values.extend(value.as_deref().cloned()),
                    _ => return Err(no_overload(name, arguments)),
                }
            }
            Ok(Value::list(values))
        }),
        _ => return None,
    })
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(value) | Value::Duration(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Double(value) => *value == 0.0,
        Value::String(value) => value.is_empty(),
        Value::Bytes(value) => value.is_empty(),
        Value::List(value) => value.is_empty(),
        Value::Map(value) => value.is_empty(),
        Value::Optional(value) => value.is_none(),
        Value::Timestamp(_) | Value::Type(_) => false,
    }
}

fn conversion(name: &str, arguments: &[Value]) -> Option<Outcome> {
    let [value] = arguments else { return None };
    let overflow = |what: &str| error(format!("{what} overflow"));
    let wrong = |to: &str| error(format!("type conversion error from '{}' to '{to}'", value.type_name()));
    Some(match (name, value) {
        ("dyn", _) => Ok(value.clone()),
        ("type", Value::Type(_)) => Ok(Value::Type("type".into())),
        ("type", _) => Ok(Value::Type(value.type_name().into())),
        ("bool", Value::Bool(_)) | ("bytes", Value::Bytes(_)) | ("double", Value::Double(_)) => Ok(value.clone()),
        ("duration", Value::Duration(_)) | ("int", Value::Int(_)) | ("uint", Value::Uint(_)) => Ok(value.clone()),
        ("string", Value::String(_)) | ("timestamp", Value::Timestamp(_)) => Ok(value.clone()),
        ("bool", Value::String(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(wrong("bool")),
        },
        ("bytes", Value::String(text)) => Ok(Value::Bytes(text.as_bytes().into())),
        ("double", Value::Int(number)) => Ok(Value::Double(*number as f64)),
        ("double", Value::Uint(number)) => Ok(Value::Double(*number as f64)),
        ("double", Value::String(text)) => text.parse().map(Value::Double).map_err(|_| wrong("double")),
        ("int", Value::Double(number)) => {
            // The bounds themselves are refused too (overflow.go).
            let fits = *number > i64::MIN as f64 && *number < i64::MAX as f64;
            if fits { Ok(Value::Int(*number as i64)) } else { Err(overflow("integer")) }
        }
        ("int", Value::Uint(number)) => i64::try_from(*number).map(Value::Int).map_err(|_| overflow("integer")),
        ("int", Value::Duration(nanoseconds)) => Ok(Value::Int(*nanoseconds)),
        ("int", Value::Timestamp(time)) => Ok(Value::Int(times::seconds(*time))),
        ("int", Value::String(text)) => text.parse().map(Value::Int).map_err(|_| wrong("int")),
        ("uint", Value::Double(number)) => {
            let fits = *number >= 0.0 && *number < u64::MAX as f64;
            if fits { Ok(Value::Uint(*number as u64)) } else { Err(overflow("unsigned integer")) }
        }
        ("uint", Value::Int(number)) => {
            u64::try_from(*number).map(Value::Uint).map_err(|_| overflow("unsigned integer"))
        }
        ("uint", Value::String(text)) => {
            let number = if text.starts_with('+') { None } else { text.parse().ok() };
            number.map(Value::Uint).ok_or_else(|| wrong("uint"))
        }
        ("duration", Value::Int(nanoseconds)) => Ok(Value::Duration(*nanoseconds)),
        ("duration", Value::String(text)) => {
            duration::read(text).map(Value::Duration).ok_or_else(|| wrong("google.protobuf.Duration"))
        }
        ("timestamp", Value::Int(seconds)) => match timestamp::RANGE.contains(seconds) {
            true => Ok(Value::Timestamp(i128::from(*seconds) * 1_000_000_000)),
            false => Err(overflow("timestamp")),
        },
        ("timestamp", Value::String(text)) => {
            nanoseconds(text).map(Value::Timestamp).ok_or_else(|| wrong("google.protobuf.Timestamp"))
        }
        ("string", Value::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::string(text)),
            Err(_) => Err(error("invalid UTF-8 in bytes, cannot convert to string")),
        },
        ("string", _) => Ok(Value::string(text(value)?)),
        _ => return None,
    })
}

/// A value as `string()` writes it; none for what it does not write.
pub(super) fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => of_double(*value),
        Value::String(value) => value.to_string(),
        Value::Duration(nanoseconds) => times::duration(*nanoseconds),
        Value::Timestamp(time) => times::timestamp(*time),
        _ => return None,
    })
}

/// A double as Go's `%g` writes it.
fn of_double(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{double:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&power) {
        return double.to_string();
    }
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}
