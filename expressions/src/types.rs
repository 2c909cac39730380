//! The types of expressions.
//!
//! Upstream: cel-go common/types/types.go, checker/format.go
//! Left out: wrappers of primitive types, which only messages of protobuf have.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// What an expression may be. Cheap to copy: what has parts shares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Null,
    Duration,
    Timestamp,
    /// Known only when the expression is evaluated: goes with every type.
    Dyn,
    /// As `Dyn`, but no macro goes over it: the attributes of devices are declared so.
    Any,
    /// What an expression with a mistake in it has, so that one mistake is told once: goes with every type.
    Error,
    /// A list, map, optional or type, and what it is of.
    Compound(Arc<Compound>),
    Object(Arc<Object>),
    /// The `A` of a function that takes a list of any type, before a call of it says which.
    Parameter(Arc<str>),
    /// A type that a call has left open; `checker/unification.rs` knows what it was found to be.
    Variable(usize),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Compound {
    pub constructor: Constructor,
    pub arguments: Vec<Type>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Constructor {
    List,
    Map,
    Optional,
    Type,
}

/// A type with a name. Two of them are the same type if their names are.
#[derive(Debug)]
pub struct Object {
    pub name: String,
    /// None if an expression can't look into it: a quantity, or an address.
    pub fields: Option<BTreeMap<String, Type>>,
}

impl Type {
    pub fn list(element: Type) -> Type {
        Type::compound(Constructor::List, vec![element])
    }

    pub fn map(key: Type, value: Type) -> Type {
        Type::compound(Constructor::Map, vec![key, value])
    }

    pub fn optional(value: Type) -> Type {
        Type::compound(Constructor::Optional, vec![value])
    }

    /// The type of a name of a type: `int` as an expression is a `type(int)`.
    pub fn of_type(named: Type) -> Type {
        Type::compound(Constructor::Type, vec![named])
    }

    pub fn compound(constructor: Constructor, arguments: Vec<Type>) -> Type {
        Type::Compound(Arc::new(Compound { constructor, arguments }))
    }

    /// A type that an expression can look into.
    pub fn object(name: impl Into<String>, fields: impl IntoIterator<Item = (String, Type)>) -> Type {
        Type::Object(Arc::new(Object { name: name.into(), fields: Some(fields.into_iter().collect()) }))
    }

    /// A type that only functions can look into.
    pub fn closed(name: impl Into<String>) -> Type {
        Type::Object(Arc::new(Object { name: name.into(), fields: None }))
    }

    /// Whether it goes with every type.
    pub fn is_dynamic(&self) -> bool {
        matches!(self, Type::Dyn | Type::Any)
    }

    /// What a list, map or optional is of; none for every other type.
    pub fn arguments(&self, of: Constructor) -> Option<&[Type]> {
        match self {
            Type::Compound(compound) if compound.constructor == of => Some(&compound.arguments),
            _ => None,
        }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.name == other.name
    }
}

impl Eq for Object {}

impl Constructor {
    pub fn name(self) -> &'static str {
        match self {
            Constructor::List => "list",
            Constructor::Map => "map",
            Constructor::Optional => "optional_type",
            Constructor::Type => "type",
        }
    }
}

/// As messages name types: `map(string, list(int))`.
impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Null => "null",
            Type::Duration => "duration",
            Type::Timestamp => "timestamp",
            Type::Dyn => "dyn",
            Type::Any => "any",
            Type::Error => "!error!",
            Type::Object(object) => &object.name,
            Type::Parameter(name) => name,
            Type::Variable(number) => return write!(out, "_var{number}"),
            Type::Compound(compound) => return compound.fmt(out),
        })
    }
}

impl fmt::Display for Compound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.constructor.name())?;
        for (position, argument) in self.arguments.iter().enumerate() {
            write!(out, "{}{argument}", if position == 0 { "(" } else { ", " })?;
        }
        if self.arguments.is_empty() { Ok(()) } else { out.write_str(")") }
    }
}
