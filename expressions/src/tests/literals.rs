//! What stands in an expression and is wrong.

use super::*;

#[test]
fn text_that_functions_can_not_read_is_told() {
    for (source, mistake) in [
        ("duration('1')", "10: invalid duration argument"),
        ("object.a < duration('1d')", "21: invalid duration argument"),
        ("timestamp('1000-00-00T00:00:00Z')", "11: invalid timestamp argument"),
        ("timestamp('1000-01-01T00:00:00ZZ')", "11: invalid timestamp argument"),
        ("timestamp(-62135596801)", "11: invalid timestamp argument"),
        ("timestamp(253402300800)", "11: invalid timestamp argument"),
        ("'hello'.matches('x++')", "17: invalid matches argument"),
        ("'hello'.matches('(?<name%>el*)')", "17: invalid matches argument"),
        ("'hello'.matches('??el*')", "17: invalid matches argument"),
        ("list.all(i, text.matches('['))", "26: invalid matches argument"),
        // The first argument is looked at, which is the text here.
        ("matches('[', text)", "9: invalid matches argument"),
    ] {
        assert_eq!(first_mistake(source, &policy()), mistake, "{source}");
    }
    for source in [
        "duration('2h3m4s5us')",
        "duration(text)",
        "duration(5)",
        "timestamp('1000-01-01T00:00:00Z')",
        "timestamp(-6213559680)",
        "timestamp(text)",
        "'hello'.matches('el*')",
        "'hello'.matches(text)",
        "matches('hello', '[')",
        "'hello'.find('[')",
    ] {
        assert!(compile(source, &policy()).is_ok(), "{source}");
    }
}

#[test]
fn lists_and_maps_are_of_one_type_except_as_values_of_a_format() {
    for (source, mistake) in [
        ("text in ['hello', 0]", "19: expected type 'string' but found 'int'"),
        ("[1, dyn(2), 'a']", "8: expected type 'int' but found 'dyn'"),
        ("[object.a, 'a']", "12: expected type 'dyn' but found 'string'"),
        ("[1, 2u]", "5: expected type 'int' but found 'uint'"),
        ("[[1], ['a']]", "7: expected type 'list(int)' but found 'list(string)'"),
        ("[quantity('1'), null]", "17: expected type 'kubernetes.Quantity' but found 'null'"),
        ("[1.0, -1]", "7: expected type 'double' but found 'int'"),
        ("[1, - 2.5]", "5: expected type 'int' but found 'double'"),
        ("[?optional.of('a'), 1]", "21: expected type 'string' but found 'int'"),
        ("{'hello': 'world', 1: '!'}", "20: expected type 'string' but found 'int'"),
        ("{'hello': 'world', 'goodbye': true}", "31: expected type 'string' but found 'bool'"),
        ("{'a': 1, ?'b': optional.of('c')}", "27: expected type 'int' but found 'string'"),
        ("'%s'.format([[1, 2]]) == '%s' || 1 in [1, 'a']", "43: expected type 'int' but found 'string'"),
    ] {
        assert_eq!(first_mistake(source, &policy()), mistake, "{source}");
    }
    for (source, result) in [
        ("text in ['hello', ?optional.ofNonZeroValue('')]", "bool"),
        ("[[], [1]]", "list(list(int))"),
        ("[{}, {'a': 1}]", "list(map(string, int))"),
        ("{'hello': false, ?'world': optional.ofNonZeroValue(true)}", "map(string, bool)"),
        ("'%s %d %f'.format(['a', 1, 2.0])", "string"),
        ("text.format([[1, 'a'], {1: 'b', 'c': 2}])", "string"),
        ("text.format(object.a ? [1, 'a'] : [])", "string"),
    ] {
        assert_eq!(told(source, &policy()), result, "{source}");
    }
}

#[test]
fn values_of_a_format_are_what_its_text_asks_for() {
    let only_strings = "error during formatting: string clause can only be used on strings, bools, bytes, ints, \
                        doubles, maps, lists, types, durations, and timestamps, was given";
    for (source, mistake) in [
        (
            "'%d'.format(['a'])",
            "14: error during formatting: decimal clause can only be used on integers, was given string",
        ),
        (
            "'%f'.format([1])",
            "14: error during formatting: fixed-point clause can only be used on doubles, was given int",
        ),
        (
            "'%.3e'.format([true])",
            "16: error during formatting: scientific clause can only be used on doubles, was given bool",
        ),
        (
            "'%b'.format([null])",
            "14: error during formatting: only integers and bools can be formatted as binary, was given null_type",
        ),
        (
            "'%X'.format([[1]])",
            "14: error during formatting: only integers, byte buffers, and strings can be formatted as hex, was given list",
        ),
        (
            "'%o'.format([duration('1s')])",
            "22: error during formatting: octal clause can only be used on integers, was given google.protobuf.Duration",
        ),
        ("'%s'.format([quantity('1')])", &format!("22: {only_strings} kubernetes.Quantity")),
        ("'%s'.format([['a', optional.of(1)]])", &format!("31: {only_strings} optional_type")),
        ("'%s'.format([{'a': ip('::1')}])", &format!("22: {only_strings} net.IP")),
        ("'%s'.format([any])", &format!("14: {only_strings} google.protobuf.Any")),
        ("'%s'.format([])", "12: index 0 out of range"),
        ("'%s %s'.format(['a'])", "15: index 1 out of range"),
        ("'%s'.format(['a', 'b'])", "12: too many arguments supplied to string.format (expected 1, got 2)"),
        ("'100%'.format([])", "14: unexpected end of string"),
        ("'%a'.format([1])", "12: could not parse formatting clause: unrecognized formatting clause \"a\""),
        (
            "'%.'.format([1])",
            "12: could not parse formatting clause: error while parsing precision: could not find end of precision specifier",
        ),
        (
            "'%.f'.format([1.0])",
            "13: could not parse formatting clause: error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing \"\": invalid syntax",
        ),
        (
            "'%.99999999999999999999f'.format([1.0])",
            "33: could not parse formatting clause: error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
        ),
    ] {
        assert_eq!(first_mistake(source, &policy()), mistake, "{source}");
    }
    for source in [
        "'100%% %s %s %s'.format([[1, 'a'], type(1), null])",
        "'%d %b %x %f'.format([object.a, true, b'a', 'NaN'])",
        "'%d'.format(object.a)",
        "text.format(['a', 1])",
        "'%s'.format(list)",
    ] {
        assert_eq!(told(source, &policy()), "string", "{source}");
    }
}

#[test]
fn mistakes_of_all_kinds_are_told_together_once_the_types_are_right() {
    let source = "text in ['a', 0]\n && duration(text) < duration('1d')\n && text.matches('x++')";
    assert_eq!(
        told(source, &policy()),
        "ERROR: <input>:1:15: expected type 'string' but found 'int'\n | text in ['a', 0]\n | ..............^\n\
         ERROR: <input>:2:31: invalid duration argument\n |  && duration(text) < duration('1d')\n | ..............................^\n\
         ERROR: <input>:3:18: invalid matches argument\n |  && text.matches('x++')\n | .................^"
    );
    assert_eq!(
        first_mistake("duration('1d') + 1", &policy()),
        "16: found no matching overload for '_+_' applied to '(duration, int)'"
    );
}
