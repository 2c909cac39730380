//! The same changes for every list of every type: what the table says about a list is what a patch does to it.

use serde_json::{Value, json};

use super::*;
use crate::schema::{Field, Type};

/// A list of the table that merges, in the type that has it.
struct MergedList {
    owner: TypeId,
    field: &'static Field,
    elements: Elements,
}

#[derive(Clone, Copy)]
enum Elements {
    /// Told apart by the value of a key, which is a number or a string; `other` is a field that may change.
    Maps {
        key: &'static str,
        numbers: bool,
        other: Option<&'static str>,
    },
    Scalars,
}

/// Every list with `patchStrategy: merge`, of every type.
fn merged_lists() -> Vec<MergedList> {
    let mut lists = Vec::new();
    for (owner, one) in schema().types() {
        for field in one.fields.iter().filter(|field| field.patch.merge) {
            let elements = match field.shape {
                Shape::List(Kind::Object(element)) => of_maps(schema().get(element), field),
                Shape::List(_) => Elements::Scalars,
                _ => continue,
            };
            lists.push(MergedList { owner, field, elements });
        }
    }
    lists
}

fn of_maps(element: &'static Type, field: &Field) -> Elements {
    let key = field.patch.merge_key.unwrap_or_else(|| panic!("{} has no merge key", field.name));
    let shape = element.field(key).unwrap_or_else(|| panic!("{} has no {key}", element.name)).shape;
    let other = element.fields.iter().find(|each| each.shape == Shape::One(Kind::String) && each.name != key);
    let numbers = matches!(shape, Shape::One(Kind::Int32 | Kind::Int64));
    Elements::Maps { key, numbers, other: other.map(|field| field.name) }
}

impl MergedList {
    /// The element of a number, as it is at first.
    fn element(&self, number: u8) -> Value {
        match self.elements {
            Elements::Scalars => format!("e{number}").into(),
            Elements::Maps { other, .. } => {
                let mut element = self.named(number);
                if let Some(other) = other {
                    element[other] = "before".into();
                }
                element
            }
        }
    }

    /// As much of it as tells which one it is.
    fn named(&self, number: u8) -> Value {
        match self.elements {
            Elements::Scalars => self.element(number),
            Elements::Maps { key, numbers: true, .. } => json!({key: number}),
            Elements::Maps { key, .. } => json!({key: format!("e{number}")}),
        }
    }

    fn with(&self, number: u8, name: &str, value: Value) -> Value {
        let mut element = self.named(number);
        element[name] = value;
        element
    }

    fn all(&self, numbers: &[u8]) -> Value {
        numbers.iter().map(|number| self.element(*number)).collect()
    }

    fn names(&self, numbers: &[u8]) -> Value {
        numbers.iter().map(|number| self.named(*number)).collect()
    }

    fn directive(&self, name: &str) -> String {
        format!("{name}/{}", self.field.name)
    }

    /// Patches the list of the elements 1, 2 and 3 and compares what comes out.
    fn check(&self, what: &str, patch: &[(&str, Value)], expected: &Value) {
        let original = json!({self.field.name: self.all(&[1, 2, 3])});
        let patch = patch.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let patched = strategic(original.as_object().unwrap(), patch, self.owner);
        let place = format!("{what}: {}.{}", schema().get(self.owner).name, self.field.name);
        let mut patched = patched.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(patched.remove(self.field.name).unwrap_or_default(), *expected, "{place}");
        assert!(patched.is_empty(), "{place}: {patched:?}");
    }

    fn check_refused(&self, patch: Value, expected: &str) {
        let original = json!({self.field.name: self.all(&[1, 2, 3])});
        let patch = json!({self.field.name: patch}).as_object().unwrap().clone();
        let error = strategic(original.as_object().unwrap(), patch, self.owner).unwrap_err().to_string();
        assert!(error.contains(expected), "{}.{}: {error}", schema().get(self.owner).name, self.field.name);
    }
}

#[test]
fn elements_are_added_kept_and_removed_in_every_list() {
    let lists = merged_lists();
    assert!(lists.len() > 60, "only {} lists", lists.len());
    for list in &lists {
        let name = list.field.name;
        list.check("nothing", &[], &list.all(&[1, 2, 3]));
        list.check("null", &[(name, Value::Null)], &Value::Null);
        list.check("empty", &[(name, json!([]))], &list.all(&[1, 2, 3]));
        // The patch's elements come in its order, the others where they stood before them.
        list.check("added", &[(name, json!([list.element(4)]))], &list.all(&[4, 1, 2, 3]));
        list.check("named", &[(name, json!([list.named(2)]))], &list.all(&[1, 2, 3]));
        list.check("both", &[(name, json!([list.element(4), list.named(2)]))], &list.all(&[4, 1, 2, 3]));
        let order = list.directive(SET_ELEMENT_ORDER);
        list.check("ordered", &[(&order, list.names(&[3, 1, 2]))], &list.all(&[3, 1, 2]));
        list.check("one unsaid", &[(&order, list.names(&[3, 1]))], &list.all(&[2, 3, 1]));
        let both = [(order.as_str(), list.names(&[3, 4, 1, 2])), (name, json!([list.element(4)]))];
        list.check("ordered and added", &both, &list.all(&[3, 4, 1, 2]));
    }
}

#[test]
fn elements_change_and_obey_directives_in_every_list_of_maps() {
    for list in &merged_lists() {
        let Elements::Maps { key, other, .. } = list.elements else { continue };
        let name = list.field.name;
        let delete = |number| list.with(number, DIRECTIVE, "delete".into());
        list.check("deleted", &[(name, json!([delete(2)]))], &list.all(&[1, 3]));
        list.check("not there", &[(name, json!([delete(9)]))], &list.all(&[1, 2, 3]));
        list.check("all", &[(name, json!([delete(1), delete(2), delete(3)]))], &json!([]));
        let replaced = json!([{DIRECTIVE: "replace"}, list.element(5)]);
        list.check("replaced", &[(name, replaced)], &list.all(&[5]));
        let order = list.directive(SET_ELEMENT_ORDER);
        let both = [(order.as_str(), list.names(&[3, 1])), (name, json!([delete(2)]))];
        list.check("deleted and ordered", &both, &list.all(&[3, 1]));
        if let Some(other) = other {
            let expected = |value: Option<&str>| {
                let mut all = list.all(&[1, 2, 3]);
                let element = all[1].as_object_mut().unwrap();
                match value {
                    Some(value) => drop(element.insert(other.to_owned(), value.into())),
                    None => drop(element.remove(other)),
                }
                all
            };
            list.check("changed", &[(name, json!([list.with(2, other, "after".into())]))], &expected(Some("after")));
            list.check("unset", &[(name, json!([list.with(2, other, Value::Null)]))], &expected(None));
            let retained = list.with(2, RETAIN_KEYS, json!([key]));
            list.check("retained", &[(name, json!([retained]))], &expected(None));
            let whole = json!([{key: list.named(2)[key], DIRECTIVE: "replace"}]);
            // `replace` in an element is about the list.
            list.check("replaced by nothing", &[(name, whole)], &json!([]));
        }
        list.check_refused(json!([{DIRECTIVE: "delete"}]), "does not contain declared merge key");
        list.check_refused(json!([{}]), "does not contain declared merge key");
        list.check_refused(json!([list.with(1, DIRECTIVE, "merge".into())]), "merging lists cannot yet be specified");
        list.check_refused(json!([list.with(1, DIRECTIVE, "other".into())]), "unknown patch type: other in map: map[");
        list.check_refused(json!(["text"]), "list element types are not identical");
    }
}

#[test]
fn scalars_are_taken_out_of_every_list_that_merges() {
    for list in merged_lists().iter().filter(|list| matches!(list.elements, Elements::Scalars)) {
        let delete = list.directive(DELETE_FROM_LIST);
        list.check("deleted", &[(&delete, json!(["e2", "e9"]))], &list.all(&[1, 3]));
        let both = [(delete.as_str(), json!(["e2"])), (list.field.name, json!(["e4"]))];
        list.check("deleted and added", &both, &list.all(&[4, 1, 3]));
    }
}

#[test]
fn every_other_list_and_map_is_replaced_or_merged_as_the_table_says() {
    for (owner, one) in schema().types() {
        for field in one.fields.iter().filter(|field| !field.patch.merge) {
            let patched = |before: Value, after: Value| {
                let (before, after) = (json!({field.name: before}), json!({field.name: after}));
                let patch = after.as_object().unwrap().clone();
                let patched = strategic(before.as_object().unwrap(), patch, owner).unwrap();
                patched.get(field.name).cloned().unwrap_or_default()
            };
            let place = format!("{}.{}", one.name, field.name);
            match field.shape {
                Shape::List(_) => {
                    assert_eq!(patched(json!([1, 2]), json!([3])), json!([3]), "{place}");
                    assert_eq!(patched(json!([1, 2]), json!([])), json!([]), "{place}");
                }
                Shape::Map(Kind::String | Kind::Bytes | Kind::Quantity) => {
                    let (before, after) = (json!({"a": "1", "b": "2"}), json!({"b": null, "c": "3"}));
                    let merged =
                        if field.patch.replace { json!({"b": null, "c": "3"}) } else { json!({"a": "1", "c": "3"}) };
                    assert_eq!(patched(before, after), merged, "{place}");
                    let replaced = json!({DIRECTIVE: "replace", "c": "3"});
                    if !field.patch.replace {
                        assert_eq!(patched(json!({"a": "1"}), replaced), json!({"c": "3"}), "{place}");
                        assert_eq!(patched(json!({"a": "1"}), json!({DIRECTIVE: "delete"})), json!({}), "{place}");
                    }
                }
                Shape::One(Kind::Object(inner)) if field.patch.replace => {
                    let name = schema().get(inner).fields.first().map_or("a", |field| field.name);
                    assert_eq!(patched(json!({"x": 1}), json!({name: 2})), json!({name: 2}), "{place}");
                }
                Shape::One(Kind::Object(inner)) => {
                    let Some(name) = schema().get(inner).fields.first().map(|field| field.name) else { continue };
                    let (before, after) = (json!({name: 1, "x": 2}), json!({name: 3}));
                    assert_eq!(patched(before, after), json!({name: 3, "x": 2}), "{place}");
                    assert_eq!(
                        patched(json!({name: 1}), json!({DIRECTIVE: "replace", "x": 2})),
                        json!({"x": 2}),
                        "{place}"
                    );
                }
                _ => assert_eq!(patched(json!(1), json!(2)), json!(2), "{place}"),
            }
        }
    }
}
