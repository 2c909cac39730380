//! What macros become, and what they are refused for.

use super::*;

#[test]
fn macros_are_what_they_are_parsed_as() {
    for (source, result) in [
        ("has(object.a)", "bool"),
        ("list.all(i, i > 0) && list.exists(i, i > 0)", "bool"),
        ("list.exists_one(i, i > 0) || list.existsOne(i, i > 0)", "bool"),
        ("list.map(i, string(i))", "list(string)"),
        ("list.map(i, i > 0, string(i))", "list(string)"),
        ("map.map(k, k)", "list(string)"),
        ("list.filter(i, i > 0)", "list(int)"),
        ("object.filter(i, i > 0)", "list(dyn)"),
        ("map.all(k, v, k != '' && v > 0) || list.exists(i, v, i == v)", "bool"),
        ("map.exists_one(k, v, k == string(v)) || map.existsOne(k, v, k == string(v))", "bool"),
        ("map.transformList(k, v, k + string(v))", "list(string)"),
        ("list.transformList(i, v, v > i, double(v))", "list(double)"),
        ("map.transformMap(k, v, double(v))", "map(string, double)"),
        ("list.transformMap(i, v, v > i, string(v))", "map(int, string)"),
        ("map.transformMapEntry(k, v, {v: k})", "map(int, string)"),
        ("list.transformMapEntry(i, v, v > i, {string(v): i})", "map(string, int)"),
        ("object.?a.optMap(a, a + 1)", "optional_type(int)"),
        ("optional.of(1).optMap(i, string(i))", "optional_type(string)"),
        ("map[?'a'].optFlatMap(i, list[?i])", "optional_type(int)"),
        ("[{'a': 1}].sortBy(e, e.a)", "list(map(string, int))"),
        ("list.map(i, -i).sortBy(i, i)", "list(int)"),
    ] {
        assert_eq!(told(source, &policy()), result, "{source}");
    }
}

#[test]
fn macros_are_refused_in_the_words_of_cel() {
    let duplicate = "21: duplicate variable name: k";
    for (source, mistake) in [
        ("has(object)", "5: invalid argument to has() macro"),
        ("has(object.?a)", "11: invalid argument to has() macro"),
        ("list.all(1, true)", "10: argument must be a simple name"),
        ("list.all(i.j, true)", "11: argument must be a simple name"),
        ("list.exists(__result__, true)", "13: iteration variable overwrites accumulator variable"),
        ("list.map(i, 1, 2, 3)", "9: undeclared reference to 'map' (in container '')"),
        ("map.exists_one(k, v(), true)", "20: argument must be a simple name"),
        ("map.transformMap(k, k, 1)", duplicate),
        ("map.transformList(k, __result__, 1)", "22: iteration variable overwrites accumulator variable"),
        ("object.optMap(1, 1)", "15: optMap() variable name must be a simple identifier"),
        ("object.optFlatMap(a.b, 1)", "20: optFlatMap() variable name must be a simple identifier"),
        (
            "'a'.sortBy(e, e)",
            "1: sortBy can only be applied to a list, identifier, comprehension, call or select expression",
        ),
        ("list.sortBy(1, 1)", "13: argument must be a simple name"),
        (
            "list.map(i, i).sortBy(i, [i])",
            "22: found no matching overload for '@sortByAssociatedKeys' applied to 'list(int).(list(list(int)))'",
        ),
        (
            "text.all(c, true)",
            "1: expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
    ] {
        assert_eq!(first_mistake(source, &policy()), mistake, "{source}");
    }
}

#[test]
fn only_selectors_of_devices_bind_names() {
    let bound = "cel.bind(d, map['a'], d > 1 && d < 3)";
    assert_eq!(first_mistake(bound, &policy()), "1: undeclared reference to 'cel' (in container '')");
    let environment = policy().with_bindings();
    assert_eq!(told(bound, &environment), "bool");
    assert_eq!(told("cel.bind(d, optional.of(list), d.value()[0])", &environment), "int");
    assert_eq!(
        first_mistake("cel.bind(a.b, 1, 2)", &environment),
        "11: cel.bind() variable names must be simple identifiers"
    );
    assert_eq!(
        first_mistake("object.bind(a, 1, 2)", &environment),
        "12: undeclared reference to 'bind' (in container '')"
    );
}

#[test]
fn an_expression_that_grows_beyond_memory_is_refused() {
    let chain = |links: usize| format!("optional.of(1){}", ".optMap(x, x)".repeat(links));
    assert_eq!(told(&chain(8), &policy()), "optional_type(int)");
    for source in [chain(40), format!("[{}]", vec![chain(12); 50].join(","))] {
        assert!(told(&source, &policy()).contains("expression is too large with every optMap() written out"));
    }
}
