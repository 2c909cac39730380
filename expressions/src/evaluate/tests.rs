//! What expressions evaluate to.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Constructor, Environment, compile};

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Uint(value) => format!("{value}u"),
        Value::String(text) => format!("'{text}'"),
        Value::Type(name) => name.to_string(),
        Value::Bytes(bytes) => format!("{bytes:?}"),
        Value::Optional(None) => "none".to_owned(),
        Value::Optional(Some(value)) => format!("some({})", shown(value)),
        Value::List(elements) => format!("[{}]", elements.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", shown(&key.value()), shown(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => functions::text(other).unwrap_or_default(),
    }
}

/// What `self` is declared to be, and is.
fn object() -> (Type, serde_json::Value) {
    let fields = [
        ("name", Type::String),
        ("count", Type::Int),
        ("share", Type::Double),
        ("absent", Type::String),
        ("data", Type::Bytes),
        ("timeout", Type::Duration),
        ("created", Type::Timestamp),
        ("a__dash__b__dot__c", Type::Int),
        ("__namespace__", Type::Int),
        ("items", Type::list(Type::Int)),
        ("labels", Type::map(Type::String, Type::String)),
        ("port", Type::Dyn),
    ];
    let of = Type::object("object", fields.map(|(name, of)| (name.to_owned(), of)));
    let value = json!({
        "name": "web", "count": 3, "share": 1, "data": "AQI=", "timeout": "90s", "created": "2020-02-29T01:02:03.5Z",
        "a-b.c": 1, "namespace": 2, "items": [1, 2, 3], "labels": {"a": "b"}, "port": "http", "unknown": 1,
    });
    (of, value)
}

fn outcome(source: &str) -> String {
    let (of, value) = object();
    let value = Value::from_json(&value, &of).expect("text of its format");
    let environment = Environment::new().with("self", of).with("any", Type::Dyn).with_bindings();
    let checked = compile(source, &environment).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let any = Value::from_json(&json!({"text": "a", "number": 1, "list": [1, "a"]}), &Type::Dyn).expect("no formats");
    match evaluate(&checked, &[("self", value), ("any", any)]) {
        Ok(value) => shown(&value),
        Err(Failure::Error(message)) => format!("error: {message}"),
        Err(Failure::Unsupported(what)) => format!("unsupported: {what}"),
        Err(Failure::TooExpensive) => "too expensive".to_owned(),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(outcome(source), *expected, "{source}");
    }
}

#[test]
fn operators_calculate_and_compare() {
    check(&[
        ("1 + 2 * 3 - 4 / 2 % 2", "7"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("3u - 1u", "2u"),
        ("1.0 / 0.0", "+Inf"),
        ("9223372036854775807 + 1", "error: integer overflow"),
        ("-9223372036854775807 - 2", "error: integer overflow"),
        ("(-9223372036854775807 - 1) / -1", "error: integer overflow"),
        ("-(-9223372036854775807 - 1)", "error: integer overflow"),
        ("0u - 1u", "error: unsigned integer overflow"),
        ("1 / 0", "error: division by zero"),
        ("1 % 0", "error: modulus by zero"),
        ("1 < 1.5 && 2u > 1 && 1.0 <= 1", "true"),
        ("dyn(1) == 1.0 && dyn(1) == 1u && dyn(1u) != 2.0", "true"),
        ("dyn(1) == '1'", "false"),
        ("double('NaN') == double('NaN')", "false"),
        ("double('NaN') < 1.0 || double('NaN') >= 1.0", "false"),
        ("9223372036854775807 < 9223372036854775808.0", "true"),
        ("[1, 2] == [1, 2] && {'a': 1} == {'a': 1} && [1] != [2]", "true"),
        ("b'a' + b'b' == b'ab'", "true"),
        ("'a' < 'b' ? 'yes' : 'no'", "'yes'"),
        ("any.text + any.number", "error: no such overload: _+_(string, int)"),
    ]);
}

#[test]
fn logic_makes_up_for_errors_on_the_other_side() {
    check(&[
        ("1 / 0 == 1 || true", "true"),
        ("true || 1 / 0 == 1", "true"),
        ("1 / 0 == 1 && false", "false"),
        ("1 / 0 == 1 || false", "error: division by zero"),
        ("true && any.text", "error: no such overload"),
        ("isURL('a') || true", "true"),
        ("1 / 0 == 1 || isURL('a')", "unsupported: isURL"),
        ("[0, 1].exists(x, 1 / x == 1)", "true"),
        ("[0, 2].exists(x, 1 / x == 1)", "error: division by zero"),
        ("[0, 2].all(x, 1 / x == 1)", "false"),
        ("[0, 1].all(x, 1 / x == 1)", "error: division by zero"),
    ]);
}

#[test]
fn fields_and_elements_are_found_or_missed() {
    check(&[
        ("self.name + string(self.count)", "'web3'"),
        ("self.share", "1"),
        ("self.a__dash__b__dot__c + self.__namespace__", "3"),
        ("self.data", "[1, 2]"),
        ("self.timeout == duration('1m30s') && self.created > timestamp('2020-02-29T01:02:03Z')", "true"),
        ("has(self.name) && !has(self.absent) && has(self.labels.a) && !has(self.labels.b)", "true"),
        ("self.absent", "error: no such key: absent"),
        ("self.labels['b']", "error: no such key: b"),
        ("self.items[3]", "error: index out of bounds: 3"),
        ("self.items[-1]", "error: index out of bounds: -1"),
        ("2 in self.items && 'a' in self.labels && !('b' in self.labels)", "true"),
        ("{1: 'a'}[dyn(1u)] + {1: 'a'}[dyn(1.0)]", "'aa'"),
        ("type(self.port) == string && type(1) == int && type(type(1)) == type", "true"),
        ("self.?absent.orValue('none')", "'none'"),
        ("self.?name", "some('web')"),
        ("self.labels[?'b'].hasValue()", "false"),
        ("optional.none().value()", "error: optional.none() dereference"),
        ("self.?labels.a", "some('b')"),
        ("optional.of(1).optMap(x, x + 1)", "some(2)"),
        ("[?self.?name, ?self.?absent]", "['web']"),
        ("{?'a': self.?absent}", "{}"),
        ("optional.ofNonZeroValue(0).or(optional.of(2)).value()", "2"),
        ("[optional.of(1), optional.none()].unwrapOpt()", "[1]"),
    ]);
}

#[test]
fn macros_go_over_lists_and_maps() {
    check(&[
        ("[1, 2, 3].map(x, x > 1, x * 2)", "[4, 6]"),
        ("[1, 2, 3].filter(x, x > 1)", "[2, 3]"),
        ("[1, 2, 2].exists_one(x, x == 2) || ![1, 2].exists_one(x, x == 2)", "false"),
        ("{'a': 1, 'b': 2}.map(k, k)", "['a', 'b']"),
        ("[[1], [2, 3]].map(x, x.map(y, [x.size(), y]))", "[[[1, 1]], [[2, 2], [2, 3]]]"),
        ("['a', 'b'].transformList(i, x, x + string(i))", "['a0', 'b1']"),
        ("{'a': 1}.transformMap(k, v, v + 1)", "{'a': 2}"),
        ("[1, 2].transformMapEntry(i, v, {v: i})", "{1: 0, 2: 1}"),
        ("[1, 1].transformMapEntry(i, v, {v: i})", "error: insert failed: key 1 already exists"),
        ("[3, 1, 2].sortBy(x, -x)", "[3, 2, 1]"),
        ("cel.bind(x, 2, x * x)", "4"),
        ("any.number.map(x, x)", "error: got 'int', expected iterable type"),
    ]);
}

#[test]
fn values_are_converted_and_written() {
    check(&[
        ("int('5') + int(1.9) + int(2u)", "8"),
        ("int(1e30)", "error: integer overflow"),
        ("uint(-1)", "error: unsigned integer overflow"),
        ("int('a')", "error: type conversion error from 'string' to 'int'"),
        (
            "[1.5, 1e6, 1234567.0, 100000.0, 0.0001, 0.00001, -2.0].map(x, string(x))",
            "['1.5', '1e+06', '1.234567e+06', '100000', '0.0001', '1e-05', '-2']",
        ),
        ("bool('True') && !bool('f')", "true"),
        ("string(b'\\xff')", "error: invalid UTF-8 in bytes, cannot convert to string"),
        ("string(duration('1h1.5s'))", "'3601.5s'"),
        ("string(timestamp('2020-02-29T01:02:03.50+01:00'))", "'2020-02-29T00:02:03.5Z'"),
        ("int(timestamp('1970-01-01T00:01:00Z'))", "60"),
    ]);
}

#[test]
fn times_have_parts() {
    check(&[
        (
            "self.created.getFullYear() * 10000 + (self.created.getMonth() + 1) * 100 + self.created.getDate()",
            "20200229",
        ),
        ("[self.created.getDayOfYear(), self.created.getDayOfWeek(), self.created.getDayOfMonth()]", "[59, 6, 28]"),
        ("[self.created.getHours('+23:00'), self.created.getMinutes(), self.created.getMilliseconds()]", "[0, 2, 500]"),
        ("self.created.getHours('-02:00')", "23"),
        ("self.created.getHours('Europe/Berlin')", "unsupported: time zone Europe/Berlin"),
        ("timestamp('0001-01-01T00:00:00Z').getDayOfWeek()", "1"),
        ("duration('90m').getHours() + duration('90m').getMinutes()", "91"),
        ("timestamp('2020-03-01T00:00:00Z') - timestamp('2020-02-28T00:00:00Z') == duration('48h')", "true"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "error: timestamp overflow"),
    ]);
}

#[test]
fn strings_are_counted_in_characters() {
    check(&[
        ("'über'.size() == 4 && size(b'ab') == 2", "true"),
        ("'über'.charAt(1) + 'über'.charAt(4)", "'b'"),
        ("'über'.charAt(5)", "error: index out of range: 5"),
        ("'über'.substring(1) + 'über'.substring(0, 1)", "'berü'"),
        ("'a'.substring(1, 0)", "error: invalid substring range. start: 1, end: 0"),
        (
            "['tacocat'.indexOf('ac'), 'tacocat'.indexOf('c', 3), 'a'.indexOf('b'), 'ü1ü'.indexOf('ü', 1)]",
            "[1, 4, -1, 2]",
        ),
        ("['tacocat'.lastIndexOf('at'), 'tacocat'.lastIndexOf('a', 4), 'a'.lastIndexOf('')]", "[5, 1, 1]"),
        ("'a b c'.replace(' ', '-', 1) + 'ab'.replace('', '-')", "'a-b c-a-b-'"),
        (
            "['a,b,c'.split(','), 'a,b,c'.split(',', 2), 'abc'.split(''), 'abc'.split('', 2), 'a'.split(',', 0)]",
            "[['a', 'b', 'c'], ['a', 'b,c'], ['a', 'b', 'c'], ['a', 'bc'], []]",
        ),
        ("['a', 'b'].join('-') + ['c'].join()", "'a-bc'"),
        ("' aB '.trim().upperAscii() + 'É'.lowerAscii()", "'ABÉ'"),
        ("strings.quote('a\"\\n')", "'\"a\\\"\\n\"'"),
        ("'abc'.matches('^a.c$') && !matches('abc', 'x')", "true"),
        ("'abc 123 45'.findAll('[0-9]+', 1) + ['abc'.find('x')]", "['123', '']"),
        ("any.text.matches('(' + any.text)", "error: error parsing regexp: missing closing ): `(a`"),
    ]);
}

#[test]
fn lists_are_searched_sorted_and_summed() {
    check(&[
        ("[1, 2, 3].sum() + [3, 1].min() + [3, 1].max()", "10"),
        ("self.items.filter(x, x > 5).sum()", "0"),
        ("self.items.filter(x, x > 5).max()", "error: max called on empty list"),
        ("[1, 2, 1].indexOf(1) + [1, 2, 1].lastIndexOf(1)", "2"),
        ("[1, 2].isSorted() && ![2, 1].isSorted()", "true"),
        ("[3, 1].sort() + [1, 2, 2].distinct() + [1, 2].reverse()", "[1, 3, 1, 2, 2, 1]"),
        ("[1, 2, 3].slice(1, 3)", "[2, 3]"),
        ("[1].slice(0, 2)", "error: cannot slice(0, 2), list is length 1"),
        ("[[1], [2]].flatten() + lists.range(2)", "[1, 2, 0, 1]"),
        ("sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && !sets.intersects([1], [2])", "true"),
        ("[1].first().value() + [1].last().value()", "2"),
    ]);
}

#[test]
fn what_takes_too_long_ends() {
    let nested =
        "lists.range(100).all(a, lists.range(100).all(b, lists.range(100).all(c, lists.range(100).all(d, true))))";
    let doubled = (0..60).fold("x0".to_owned(), |inner, _| inner);
    let chain = (1..60).rev().fold("x59 == x59".to_owned(), |inner, number| {
        format!("cel.bind(x{number}, [x{0}, x{0}], {inner})", number - 1)
    });
    let chain = chain.replace("x59 == x59", &format!("x59 == x59 || {doubled} == 1"));
    check(&[
        (nested, "too expensive"),
        ("lists.range(100000000).size()", "too expensive"),
        (&format!("cel.bind(x0, 1, {chain})"), "too expensive"),
        ("lists.range(20000).map(x, x + 1).filter(x, x % 2 == 0).size()", "10000"),
    ]);
}

#[test]
fn deep_expressions_have_room_on_the_stack() {
    let deep = format!("{}1{} == 1", "(1 + ".repeat(200), ")".repeat(200));
    check(&[(&deep, "false")]);
}

/// A value of a type, to call functions with.
fn sample(of: &Type) -> Option<Value> {
    Some(match of {
        Type::Bool => Value::Bool(true),
        Type::Int | Type::Parameter(_) => Value::Int(1),
        Type::Dyn => Value::Map(Arc::default()),
        Type::Uint => Value::Uint(1),
        Type::Double => Value::Double(1.0),
        Type::String => Value::string("1"),
        Type::Bytes => Value::Bytes(b"1".as_slice().into()),
        Type::Duration => Value::Duration(1),
        Type::Timestamp => Value::Timestamp(0),
        Type::Compound(compound) => match compound.constructor {
            Constructor::List => Value::list(vec![sample(&compound.arguments[0])?]),
            Constructor::Map => {
                let key = sample(&compound.arguments[0])?.key()?;
                Value::Map(Arc::new([(key, sample(&compound.arguments[1])?)].into()))
            }
            Constructor::Optional => Value::Optional(Some(Arc::new(sample(&compound.arguments[0])?))),
            Constructor::Type => return None,
        },
        _ => return None,
    })
}

#[test]
fn each_function_is_evaluated_or_said_not_to_be() {
    let in_the_walk = [op::LOGICAL_AND, op::LOGICAL_OR, op::CONDITIONAL, op::NOT_STRICTLY_FALSE, "cel.@mapInsert"];
    let declared = &declarations::kubernetes().functions;
    for (name, overloads) in declared {
        for overload in overloads.iter().filter(|_| !in_the_walk.contains(&name.as_str())) {
            // Those of types that have no values yet can't be reached.
            let Some(arguments) = overload.arguments.iter().map(sample).collect::<Option<Vec<_>>>() else { continue };
            let mut steps = Steps { left: MAX_STEPS, patterns: FxHashMap::default() };
            if let Err(Failure::Error(message)) = functions::call(name, &arguments, &mut steps) {
                assert!(!message.contains("no such overload"), "{message}");
            }
        }
    }
    for name in functions::UNSUPPORTED {
        assert!(declared.contains_key(*name), "{name}");
    }
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| format!("({number})")),
        Just("self.count".to_owned()),
        Just("self.items[0]".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            (inner.clone(), "[-+*/%]", inner.clone()).prop_map(|(one, sign, other)| format!("({one} {sign} {other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("[{one}].map(x, x + {other}).sum()")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} < {other} ? {one} : {other})")),
            inner.clone().prop_map(|text| format!("string({text}).size()")),
            (inner.clone(), inner).prop_map(|(one, other)| format!("'a,b'.split(',', {one}).indexOf(string({other}))")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn what_is_checked_evaluates_without_failing(source in number()) {
        let outcome = outcome(&source);
        prop_assert!(!outcome.contains("the evaluation failed") && !outcome.contains("no such overload"), "{}", outcome);
    }
}
