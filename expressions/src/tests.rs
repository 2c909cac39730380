//! What is told about expressions, and what is not.

use super::*;

fn told(source: &str, environment: &Environment) -> String {
    match compile(source, environment) {
        Ok(checked) => checked.result().to_string(),
        Err(mistakes) => mistakes,
    }
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
