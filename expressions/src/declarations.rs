//! The functions that every expression knows: those that an expression newly written for Kubernetes 1.35 may use.
//!
//! Upstream: apiserver/pkg/cel/environment/base.go, cel-go common/stdlib/standard.go, ext, apiserver/pkg/cel/library
//! Left out: `jsonpatch`, which only mutating policies know.
//!
//! They are written down as text, one way to call a function a line: `string::startsWith(string) -> bool` is called on
//! a string, `isIP(string) -> bool` is not, and a capital letter is any type. `type net.IP` says that the name of this
//! type is known too.

use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;

use crate::types::{Constructor, Type};

const TEXTS: [&str; 13] = [
    include_str!("declarations/standard.txt"),
    include_str!("declarations/optional.txt"),
    include_str!("declarations/strings.txt"),
    include_str!("declarations/sets.txt"),
    include_str!("declarations/lists.txt"),
    include_str!("declarations/two_variables.txt"),
    include_str!("declarations/regex.txt"),
    include_str!("declarations/urls.txt"),
    include_str!("declarations/authorization.txt"),
    include_str!("declarations/quantity.txt"),
    include_str!("declarations/ip.txt"),
    include_str!("declarations/format.txt"),
    include_str!("declarations/semver.txt"),
];

/// One way to call a function.
#[derive(Debug, PartialEq)]
pub(crate) struct Overload {
    /// Whether it is called on its first argument: `'a'.startsWith('b')`.
    pub is_member: bool,
    pub arguments: Vec<Type>,
    pub result: Type,
    /// The type parameters in it.
    pub parameters: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
pub(crate) struct Declarations {
    pub functions: FxHashMap<String, Vec<Overload>>,
    /// What the names of types stand for.
    pub types: FxHashMap<String, Type>,
}

static KUBERNETES: LazyLock<Declarations> = LazyLock::new(|| read(&TEXTS).expect("the texts are tested"));

/// The functions and types of every expression in Kubernetes.
pub(crate) fn kubernetes() -> &'static Declarations {
    &KUBERNETES
}

/// # Errors
///
/// The first line that is not understood.
fn read(texts: &[&str]) -> Result<Declarations, String> {
    let mut read = Declarations::default();
    for line in texts.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        read.line(line).ok_or_else(|| format!("not understood: {line}"))?;
    }
    Ok(read)
}

impl Declarations {
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(named) = line.strip_prefix("type ") {
            let (of, "") = declared_type(named)? else { return None };
            let name = named.split('(').next()?;
            return self.types.insert(name.to_owned(), of).is_none().then_some(());
        }
        let (receiver, rest) = match line.split_once("::") {
            Some((receiver, rest)) => (Some(receiver), rest),
            None => (None, line),
        };
        let (name, rest) = rest.split_at(rest.find('(')?);
        let (mut arguments, rest) = declared_types(rest)?;
        if let Some(receiver) = receiver {
            let (receiver, "") = declared_type(receiver)? else { return None };
            arguments.insert(0, receiver);
        }
        let (result, "") = declared_type(rest.strip_prefix(" -> ")?)? else { return None };
        let mut parameters = Vec::new();
        arguments.iter().chain([&result]).for_each(|of| add_parameters(of, &mut parameters));
        let overload = Overload { is_member: receiver.is_some(), arguments, result, parameters };
        let overloads = self.functions.entry(name.to_owned()).or_default();
        let is_new = !overloads.contains(&overload);
        overloads.push(overload);
        is_new.then_some(())
    }
}

/// The type that a text begins with, and the rest of the text.
fn declared_type(text: &str) -> Option<(Type, &str)> {
    let (name, rest) = text.split_at(text.find(['(', ')', ',', ' ']).unwrap_or(text.len()));
    let constructors = [Constructor::List, Constructor::Map, Constructor::Optional, Constructor::Type];
    if let Some(constructor) = constructors.into_iter().find(|constructor| constructor.name() == name) {
        let (arguments, rest) = if rest.starts_with('(') { declared_types(rest)? } else { (Vec::new(), rest) };
        return Some((Type::compound(constructor, arguments), rest));
    }
    let of = match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "null_type" => Type::Null,
        "duration" | "google.protobuf.Duration" => Type::Duration,
        "timestamp" | "google.protobuf.Timestamp" => Type::Timestamp,
        "dyn" => Type::Dyn,
        _ if name.len() == 1 && name.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
            Type::Parameter(name.into())
        }
        _ if name.contains('.') => Type::closed(name),
        _ => return None,
    };
    Some((of, rest))
}

/// The types in the parentheses that a text begins with, and the rest of the text.
fn declared_types(text: &str) -> Option<(Vec<Type>, &str)> {
    let mut rest = text.strip_prefix('(')?;
    let mut types = Vec::new();
    while !rest.starts_with(')') {
        if !types.is_empty() {
            rest = rest.strip_prefix(", ")?;
        }
        let (of, after) = declared_type(rest)?;
        types.push(of);
        rest = after;
    }
    Some((types, &rest[1..]))
}

fn add_parameters(of: &Type, parameters: &mut Vec<Arc<str>>) {
    match of {
        Type::Parameter(name) if !parameters.contains(name) => parameters.push(name.clone()),
        Type::Compound(compound) => compound.arguments.iter().for_each(|argument| add_parameters(argument, parameters)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let read = read(&TEXTS).unwrap();
        let overloads: usize = read.functions.values().map(Vec::len).sum();
        let lines = TEXTS.iter().flat_map(|text| text.lines()).filter(|line| line.contains(" -> ")).count();
        assert_eq!(overloads, lines);
    }

    #[test]
    fn what_is_no_declaration_is_told() {
        for line in ["type string x", "a(int)", "a(int -> int", "a(int,int) -> int", "a(string) -> text", "a -> int"] {
            assert_eq!(read(&[line]).unwrap_err(), format!("not understood: {line}"));
        }
        assert!(read(&["a(int) -> int\na(int) -> int"]).is_err());
    }
}
