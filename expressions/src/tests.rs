//! What is told about expressions, and what is not.

mod constants;
mod functions;
mod literals;
mod macros;
mod rules;
mod strange;
mod types;

use super::*;

fn told(source: &str, environment: &Environment) -> String {
    match compile(source, environment) {
        Ok(checked) => checked.result().to_string(),
        Err(mistakes) => mistakes,
    }
}

/// The first message, and the character it stands at.
fn first_mistake(source: &str, environment: &Environment) -> String {
    let told = told(source, environment);
    let line = told.lines().next().unwrap_or_default().to_owned();
    line.strip_prefix("ERROR: <input>:1:").unwrap_or_else(|| panic!("{source}: {told}")).to_owned()
}

/// What an environment of a policy has, and a variable of each type.
fn policy() -> Environment {
    Environment::new()
        .with("object", Type::Dyn)
        .with("authorizer", Type::closed("kubernetes.authorization.Authorizer"))
        .with("list", Type::list(Type::Int))
        .with("map", Type::map(Type::String, Type::Int))
        .with("text", Type::String)
        .with("any", Type::Any)
}

#[test]
fn a_name_that_nothing_declares_is_told_where_it_stands() {
    let environment = Environment::new().with("object", Type::Dyn);
    assert_eq!(told("object.a", &environment), "dyn");
    assert_eq!(
        told("['é',\n  obj.a]", &environment),
        "ERROR: <input>:2:3: undeclared reference to 'obj' (in container '')\n |   obj.a]\n | ..^"
    );
}

#[test]
fn functions_of_every_library_are_known() {
    let environment = Environment::new()
        .with("object", Type::Dyn)
        .with("authorizer", Type::closed("kubernetes.authorization.Authorizer"));
    for (source, result) in [
        ("object.a + 1 > 2.0 && size(object.b) < 3u", "bool"),
        ("timestamp('2020-01-01T00:00:00Z') - duration('1h')", "timestamp"),
        ("object.?a.b.orValue('c')", "dyn"),
        ("optional.of([1])[0]", "optional_type(int)"),
        ("'a,b'.split(',').join('-')", "string"),
        ("sets.contains(['a'], object.b)", "bool"),
        ("[[3], [1]].flatten().sort()", "list(int)"),
        ("'a'.findAll('b')", "list(string)"),
        ("url('https://a').getQuery()", "map(string, list(string))"),
        ("authorizer.group('').resource('pods').labelSelector('a').check('get').allowed()", "bool"),
        ("quantity('1').add(2)", "kubernetes.Quantity"),
        ("cidr('10.0.0.0/8').ip()", "net.IP"),
        ("type(ip('::1')) == net.IP && ip.isCanonical('::1')", "bool"),
        ("format.dns1123Label().validate('a')", "optional_type(list(string))"),
        ("semver('v1', true).major()", "int"),
        ("type(google.protobuf.Duration)", "type(type(duration))"),
    ] {
        assert_eq!(told(source, &environment), result, "{source}");
    }
}

#[test]
fn where_an_operand_has_ended_only_what_must_follow_is_expected() {
    for (source, column, told) in [
        ("this does not compile", 6, "mismatched input 'does' expecting <EOF>"),
        ("(a b c)", 4, "mismatched input 'b' expecting ')'"),
        ("f(a b c)", 5, "mismatched input 'b' expecting ')'"),
        ("a[b c d]", 5, "mismatched input 'c' expecting ']'"),
        ("[a b c]", 4, "mismatched input 'b' expecting {']', ','}"),
        ("a ? b", 6, "mismatched input '<EOF>' expecting ':'"),
    ] {
        let mark = format!("\n | {source}\n | {}^", ".".repeat(column - 1));
        let expected = format!("ERROR: <input>:1:{column}: Syntax error: {told}{mark}");
        assert_eq!(super::parse(source, Bindings::None).map(|_| ()), Err(expected));
    }
}

#[test]
fn a_value_of_any_type_goes_with_every_type_but_no_macro_goes_over_it() {
    let device = Type::object("Device", [("a".to_owned(), Type::map(Type::String, Type::Any))]);
    let environment = Environment::new().with("device", device);
    for (expression, expected) in [
        ("device.a.b", "any"),
        ("device.a['b']", "any"),
        ("[device.a.b, device.a['c']]", "list(any)"),
        ("true ? device.a.b : 1", "any"),
        ("device.a.?b.orValue(1)", "any"),
        ("device.a.b.c", "dyn"),
        ("device.a.b > 5 && device.a.b.startsWith('c') && 1 in device.a.b", "bool"),
        ("device.a.b + 1", "int"),
        ("device.a.b + device.a.b", "dyn"),
    ] {
        assert_eq!(told(expression, &environment), expected, "{expression}");
    }
    assert_eq!(
        told("device.a.b.all(c, c)", &environment),
        "ERROR: <input>:1:9: expression of type 'any' cannot be range of a comprehension (must be list, map, or \
         dynamic)\n | device.a.b.all(c, c)\n | ........^"
    );
}
