//! What can't be made ready to be evaluated.

use super::*;

#[test]
fn what_has_no_variables_in_it_is_evaluated_before() {
    let number = "type conversion error from 'string' to 'int'";
    for (source, why) in [
        ("text.find(')') == ''", "error parsing regexp: unexpected ): `)`"),
        ("text.findAll(')', 1) == []", "error parsing regexp: unexpected ): `)`"),
        ("list.all(i, matches(text, 'x++'))", "error parsing regexp: invalid nested repetition operator: `++`"),
        ("object.a > int('abc')", number),
        ("[int('1.5')].size() > 0", number),
        ("{'a': int('')}.a > 0", number),
        ("text == '' || int(string(b'x')) > 0", number),
        ("int(9223372036854775808u) > 0", "integer overflow"),
        ("int(1e19) > 0", "integer overflow"),
        ("uint(-1) > 0u", "unsigned integer overflow"),
        ("uint(-1.0) > 0u", "unsigned integer overflow"),
        ("uint('+1') > 0u", "type conversion error from 'string' to 'uint'"),
        ("double('1e999') > 0.0", "type conversion error from 'string' to 'double'"),
        ("bool('yes')", "type conversion error from 'string' to 'bool'"),
        ("string(b'\\xff')", "invalid UTF-8 in bytes, cannot convert to string"),
        ("timestamp(int('253402300800'))", "timestamp overflow"),
        ("timestamp(string(5))", "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        ("duration(string(5))", "type conversion error from 'string' to 'google.protobuf.Duration'"),
    ] {
        let checked = compile(source, &policy()).unwrap_or_else(|mistakes| panic!("{source}: {mistakes}"));
        assert_eq!(checked.prepare(), Err(why.to_owned()), "{source}");
    }
    for source in [
        "text.find('[0-9]+') == '' && text.matches(text)",
        "int('+12') + int('-9223372036854775808') + int(1.9) + int(object.a) + int(text)",
        "double('-inf') > double('1.') || double('0x1p-2') > 0.0 && double(string(1.5)) > double(1)",
        "bool('T') && bool(string(true)) && uint('5') > uint(5)",
        "string(duration('1h')) + string(timestamp(string('2020-01-01T00:00:00Z'))) + string(b'x')",
        "type(1) == int && dyn([1, 'a'.size()]) == 5 && 1 / 0 == 1",
        "int('abc' + text) > 0",
    ] {
        let checked = compile(source, &policy()).unwrap_or_else(|mistakes| panic!("{source}: {mistakes}"));
        assert_eq!(checked.prepare(), Ok(()), "{source}");
    }
}
