//! What expressions are found to be.
//!
//! Upstream: cel-go checker/checker_test.go

use super::*;

fn environment() -> Environment {
    let strings = Type::map(Type::String, Type::String);
    policy()
        .with("b", Type::Bool)
        .with("optional_map", Type::optional(strings.clone()))
        .with("optional_dyn", Type::optional(Type::Dyn))
        .with("strings", strings.clone())
        .with("values", Type::list(strings))
        .with("args", Type::map(Type::String, Type::Dyn))
}

#[test]
fn expressions_are_of_the_types_that_cel_finds() {
    for (source, result) in [
        ("null", "null"),
        ("b'ABC'", "bytes"),
        ("[]", "list(dyn)"),
        ("{}", "map(dyn, dyn)"),
        ("[] + [1,2,3,] + [4]", "list(int)"),
        ("{1:2u, 2:3u}", "map(int, uint)"),
        ("{'a':1, 'b':2}.a", "int"),
        ("size(list) == list.size()", "bool"),
        ("int(1u) + int(uint('1'))", "int"),
        ("false && !true || false ? 2 : 3", "int"),
        ("1.0 + 2.0 * 3.0 - 1.0 / 2.20202 != 66.6", "bool"),
        ("null == null && null != null", "bool"),
        ("1u + 2u * 3u - 1u / 2u == 6u % 1u", "bool"),
        ("size([] + [1])", "int"),
        ("object['claims']['groups'][0].name == 'dummy' && object.claims['exp'] == list[1]", "bool"),
        ("object.filter(x, x > 1.5)", "list(dyn)"),
        ("1 in [1, 2, 3] || 1 in dyn([1, 2, 3])", "bool"),
        ("type(null) == null_type && type(type) == type", "bool"),
        ("[[[1]], [[2]], [[3]]][0][0] + [2, 3]", "list(int)"),
        ("[1] + [dyn('string')]", "list(dyn)"),
        ("[dyn('string')] + [1]", "list(dyn)"),
        ("args.user['myextension'].customAttributes.filter(x, x.name == 'hobbies')", "list(dyn)"),
        ("object.b + 1 == object[0]", "bool"),
        ("1 <= 1.0 && 1u <= 1.0 && 1.0 <= 1 && 1.0 <= 1u && 1 <= 1u && 1u <= 1", "bool"),
        ("1 < 1.0 && 1u < 1.0 && 1.0 > 1 && 1.0 > 1u && 1 >= 1u && 1u >= 1", "bool"),
        ("[1].map(x, [x, x]).map(x, [x, x])", "list(list(list(int)))"),
        ("values.filter(i, i.content != '').map(i, i.content)", "list(string)"),
        ("[{}.map(c,c,c)]+[{}.map(c,c,c)]", "list(list(bool))"),
        ("[[].map(x, [x, x])[0], [1]]", "list(list(int))"),
        ("strings.?b", "optional_type(string)"),
        ("optional_map.b", "optional_type(string)"),
        ("optional_map.?b", "optional_type(string)"),
        ("optional_dyn.dynamic", "optional_type(dyn)"),
        ("has(optional_dyn.dynamic) && has(args.?b.c)", "bool"),
        ("{?'key': {'a': 'b'}.?value}.key", "string"),
        ("{?'nested': optional_map.b}", "map(string, string)"),
        ("[?strings.?a, ?strings[?'b'], 'world']", "list(string)"),
        ("quantity('1') == null", "bool"),
        ("duration('1h') == null || optional.none() == null", "bool"),
        ("dyn(1) == 'a'", "bool"),
        ("true ? dyn(1) : 'a'", "dyn"),
        ("optional.none().orValue(1)", "int"),
        ("[optional.of(1), optional.none()].unwrapOpt()", "list(int)"),
        (".object.a", "dyn"),
        ("list.exists(object, object > 1)", "bool"),
    ] {
        assert_eq!(told(source, &environment()), result, "{source}");
    }
    assert_eq!(told("list == type([1]) && map == type({1:2u})", &Environment::new()), "bool");
}

#[test]
fn what_does_not_fit_is_told_as_cel_tells_it() {
    for (source, mistake) in [
        ("foo", "1: undeclared reference to 'foo' (in container '')"),
        ("1 + x", "5: undeclared reference to 'x' (in container '')"),
        ("strings + list", "9: found no matching overload for '_+_' applied to '(map(string, string), list(int))'"),
        ("list[1u]", "5: found no matching overload for '_[_]' applied to '(list(int), uint)'"),
        ("strings[2]", "8: found no matching overload for '_[_]' applied to '(map(string, string), int)'"),
        (
            "b.all(y, y == true)",
            "1: expression of type 'bool' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("list.all(e, 0)", "13: expected type 'bool' but found 'int'"),
        ("1 != null", "3: found no matching overload for '_!=_' applied to '(int, null)'"),
        ("1 == 1.0", "3: found no matching overload for '_==_' applied to '(int, double)'"),
        ("list.exists(y, y > 10) && y < 5", "27: undeclared reference to 'y' (in container '')"),
        (
            "[].map(x, [].map(y, x in y && y in x))",
            "33: found no matching overload for '@in' applied to '(list(dyn), dyn)'",
        ),
        ("int{}", "4: 'int' is not a message type"),
        ("text{}", "5: 'string' is not a type"),
        ("Msg{}", "4: undeclared reference to 'Msg' (in container '')"),
        ("fun()", "4: undeclared reference to 'fun' (in container '')"),
        ("'string'.fun()", "13: undeclared reference to 'fun' (in container '')"),
        ("[].length", "3: type 'list(_var0)' does not support field selection"),
        ("text.length", "5: type 'string' does not support field selection"),
        ("{?'key': 'hi'}", "10: expected type 'optional_type(string)' but found 'string'"),
        ("[?'value']", "3: expected type 'optional_type(string)' but found 'string'"),
        ("1 && true", "1: expected type 'bool' but found 'int'"),
        ("'a'.startsWith(1)", "15: found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("startsWith('a', 'b')", "11: found no matching overload for 'startsWith' applied to '(string, string)'"),
        ("true ? 1 : 'a'", "6: found no matching overload for '_?_:_' applied to '(bool, int, string)'"),
        ("-'a'", "1: found no matching overload for '-_' applied to '(string)'"),
        ("quantity('1').value", "14: unexpected failed resolution of 'kubernetes.Quantity'"),
    ] {
        assert_eq!(first_mistake(source, &environment()), mistake, "{source}");
    }
}
