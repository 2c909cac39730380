//! The operators, on values.
//!
//! Upstream: cel-go common/types (int.go, uint.go, double.go, overflow.go, timestamp.go, list.go, map.go)

use std::{cmp::Ordering, sync::Arc};

use cel::common::ast::operators as op;

use super::{Failure, Outcome, Steps, Value, error};

const SECOND: i128 = 1_000_000_000;
/// Of timestamps, in nanoseconds: year 1 to year 9999.
const TIMES: std::ops::Range<i128> = -62_135_596_800 * SECOND..253_402_300_800 * SECOND;

/// What is at a key or position, if anything is.
pub(super) fn found(operand: &Value, key: &Value) -> Result<Option<Value>, Failure> {
    match operand {
        Value::Map(entries) => {
            let whole = whole_key(key);
            Ok(whole.as_ref().unwrap_or(key).key().and_then(|key| entries.get(&key)).cloned())
        }
        Value::List(elements) => {
            let whole = whole_key(key);
            let position = whole
                .as_ref()
                .unwrap_or(key)
                .whole()
                .ok_or_else(|| error(format!("unsupported index type '{}' in list", key.type_name())))?;
            Ok(usize::try_from(position).ok().and_then(|position| elements.get(position)).cloned())
        }
        Value::Optional(None) => Ok(None),
        Value::Optional(Some(value)) => found(value, key),
        _ => Err(error("no such overload")),
    }
}

/// A double that is a whole number is a key as the number is.
fn whole_key(key: &Value) -> Option<Value> {
    match key {
        Value::Double(double) if double.fract() == 0.0 && double.abs() < 9e18 => Some(Value::Int(*double as i64)),
        _ => None,
    }
}

/// `operand[key]`, or `operand.key`; of an optional, an optional.
pub(super) fn index(operand: &Value, key: &Value) -> Outcome {
    let value = found(operand, key)?;
    if let Value::Optional(_) = operand {
        return Ok(Value::Optional(value.map(Arc::new)));
    }
    value.ok_or_else(|| {
        let text = super::functions::text(key).unwrap_or_default();
        match operand {
            Value::List(_) => error(format!("index out of bounds: {text}")),
            _ => error(format!("no such key: {text}")),
        }
    })
}

/// Whether two values are the same, numbers of different types too.
pub(super) fn equal(one: &Value, other: &Value, steps: &mut Steps) -> Result<bool, Failure> {
    steps.take(1)?;
    Ok(match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Type(one), Value::Type(other)) => one == other,
        (Value::String(one), Value::String(other)) => {
            steps.take(one.len().min(other.len()) / 10)?;
            one == other
        }
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(one)), Value::Optional(Some(other))) => equal(one, other, steps)?,
        (Value::List(one), Value::List(other)) => {
            if one.len() != other.len() {
                return Ok(false);
            }
            for (one, other) in one.iter().zip(other.iter()) {
                if !equal(one, other, steps)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(one), Value::Map(other)) => {
            if one.len() != other.len() {
                return Ok(false);
            }
            for (key, value) in one.iter() {
                let Some(other) = other.get(key) else { return Ok(false) };
                if !equal(value, other, steps)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => one.compare(other) == Some(Ordering::Equal),
    })
}

/// `+`, `-`, `*`, `/` and `%`; none if there is no such operation on such values.
pub(super) fn calculate(operator: &str, one: &Value, other: &Value) -> Option<Outcome> {
    Some(match (one, other) {
        (Value::Int(one), Value::Int(other)) => of_ints(operator, *one, *other)?.map(Value::Int),
        (Value::Uint(one), Value::Uint(other)) => of_uints(operator, *one, *other)?.map(Value::Uint),
        (Value::Double(one), Value::Double(other)) => Ok(Value::Double(match operator {
            op::ADD => one + other,
            op::SUBSTRACT => one - other,
            op::MULTIPLY => one * other,
            op::DIVIDE => one / other,
            _ => return None,
        })),
        (Value::Duration(one), Value::Duration(other)) => {
            let sum = match operator {
                op::ADD => one.checked_add(*other),
                op::SUBSTRACT => one.checked_sub(*other),
                _ => return None,
            };
            sum.map(Value::Duration).ok_or_else(|| error("duration overflow"))
        }
        (Value::Timestamp(time), Value::Duration(by)) => match operator {
            op::ADD => moved(*time, i128::from(*by)),
            op::SUBSTRACT => moved(*time, -i128::from(*by)),
            _ => return None,
        },
        (Value::Duration(by), Value::Timestamp(time)) if operator == op::ADD => moved(*time, i128::from(*by)),
        (Value::Timestamp(one), Value::Timestamp(other)) if operator == op::SUBSTRACT => {
            i64::try_from(one - other).map(Value::Duration).map_err(|_| error("timestamp overflow"))
        }
        _ => return None,
    })
}

fn moved(time: i128, by: i128) -> Outcome {
    let moved = time + by;
    if TIMES.contains(&moved) { Ok(Value::Timestamp(moved)) } else { Err(error("timestamp overflow")) }
}

fn of_ints(operator: &str, one: i64, other: i64) -> Option<Result<i64, Failure>> {
    let result = match operator {
        op::ADD => one.checked_add(other),
        op::SUBSTRACT => one.checked_sub(other),
        op::MULTIPLY => one.checked_mul(other),
        op::DIVIDE if other == 0 => return Some(Err(error("division by zero"))),
        op::MODULO if other == 0 => return Some(Err(error("modulus by zero"))),
        op::DIVIDE => one.checked_div(other),
        op::MODULO => one.checked_rem(other),
        _ => return None,
    };
    Some(result.ok_or_else(|| error("integer overflow")))
}

fn of_uints(operator: &str, one: u64, other: u64) -> Option<Result<u64, Failure>> {
    let result = match operator {
        op::ADD => one.checked_add(other),
        op::SUBSTRACT => one.checked_sub(other),
        op::MULTIPLY => one.checked_mul(other),
        op::DIVIDE if other == 0 => return Some(Err(error("division by zero"))),
        op::MODULO if other == 0 => return Some(Err(error("modulus by zero"))),
        op::DIVIDE => one.checked_div(other),
        op::MODULO => one.checked_rem(other),
        _ => return None,
    };
    Some(result.ok_or_else(|| error("unsigned integer overflow")))
}

/// `<`, `<=`, `>` and `>=`; none if the values have no order by their types.
pub(super) fn ordered(operator: &str, one: &Value, other: &Value) -> Option<bool> {
    let is_number = |value: &Value| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    let order = one.compare(other);
    if order.is_none() {
        // Only what is not a number at all has no order among numbers.
        return (is_number(one) && is_number(other)).then_some(false);
    }
    Some(match operator {
        op::LESS => order == Some(Ordering::Less),
        op::LESS_EQUALS => order != Some(Ordering::Greater),
        op::GREATER => order == Some(Ordering::Greater),
        op::GREATER_EQUALS => order != Some(Ordering::Less),
        _ => return None,
    })
}
