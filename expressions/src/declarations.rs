//! The functions that every expression knows.
//!
//! Upstream: cel-go common/stdlib/standard.go, ext, apiserver/pkg/cel/library

use std::sync::{Arc, LazyLock};

use cel::{Env, parser::Parser};
use rustc_hash::FxHashMap;

use crate::types::Type;

/// One way to call a function.
#[derive(Debug)]
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

static KUBERNETES: LazyLock<Declarations> = LazyLock::new(Declarations::default);
static SYNTAX: LazyLock<Env> = LazyLock::new(Env::stdlib);

/// The functions and types of every expression in Kubernetes.
pub(crate) fn kubernetes() -> &'static Declarations {
    &KUBERNETES
}

/// A parser that knows the macros of Kubernetes.
pub(crate) fn parser() -> Parser {
    SYNTAX.parser()
}
