//! Expressions in CEL: that they compile, what they evaluate to, and what those of admission may refer to.
//!
//! Upstream: apiserver/pkg/admission/plugin/cel/{compile,composition}.go
//! Left out: what releases after this one let expressions refer to, which upstream lets stay in those that are stored.

use std::{collections::BTreeMap, sync::LazyLock};

use ::expressions::{Checked, Constructor, Environment, Type};
use api::field::Field;

use super::Errors;

static REQUEST: LazyLock<Type> = LazyLock::new(|| {
    let kind = of_strings("kubernetes.GroupVersionKind", &["group", "version", "kind"]);
    let resource = of_strings("kubernetes.GroupVersionResource", &["group", "version", "resource"]);
    let user = object(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", Type::list(Type::String)),
            ("extra", Type::map(Type::String, Type::list(Type::String))),
        ],
    );
    object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
});

static NAMESPACE: LazyLock<Type> = LazyLock::new(|| {
    let metadata = object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", Type::map(Type::String, Type::String)),
            ("annotations", Type::map(Type::String, Type::String)),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", Type::list(Type::String)),
        ],
    );
    let condition = object(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let spec = object("kubernetes.NamespaceSpec", [("finalizers", Type::list(Type::String))]);
    let status = object("kubernetes.NamespaceStatus", [("conditions", Type::list(condition)), ("phase", Type::String)]);
    object("kubernetes.Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
});

/// What every expression of admission may refer to: the object, its namespace and the request.
pub(crate) fn admission() -> Environment {
    Environment::new()
        .with("object", Type::Dyn)
        .with("oldObject", Type::Dyn)
        .with("namespaceObject", NAMESPACE.clone())
        .with("request", REQUEST.clone())
}

/// Lets an expression also ask what else the user may do.
pub(crate) fn with_authorizer(environment: Environment) -> Environment {
    environment
        .with("authorizer", Type::closed("kubernetes.authorization.Authorizer"))
        .with("authorizer.requestResource", Type::closed("kubernetes.authorization.ResourceCheck"))
}

/// The variables of a policy that expressions may refer to so far: those above them.
#[derive(Default)]
pub(crate) struct Variables(BTreeMap<String, Type>);

impl Variables {
    /// Adds one that evaluates to `of`; none if its expression has a mistake, which is told once and not again wherever
    /// it is referred to.
    pub(crate) fn add(&mut self, name: &str, of: Option<&Type>) {
        self.0.insert(name.to_owned(), of.map_or(Type::Dyn, of_variable));
    }

    /// Lets an expression refer to them.
    pub(crate) fn to(&self, environment: Environment) -> Environment {
        let fields = self.0.iter().map(|(name, of)| (name.clone(), of.clone()));
        environment.with("variables", Type::object("kubernetes.variables", fields))
    }
}

/// What a variable is where it is referred to: of lists and maps it is known what they are of, of objects nothing.
fn of_variable(of: &Type) -> Type {
    if let Some([element]) = of.arguments(Constructor::List) {
        return Type::list(of_variable(element));
    }
    if let Some([key, value]) = of.arguments(Constructor::Map) {
        return Type::map(of_variable(key), of_variable(value));
    }
    match of {
        Type::Compound(_) | Type::Object(_) => Type::Dyn,
        _ => of.clone(),
    }
}

/// Compiles `source`, which is what stands at `field`, perhaps without the white space around it.
pub(crate) fn compile(
    field: &Field<'_>,
    source: &str,
    environment: &Environment,
    errors: &mut Errors,
) -> Option<Checked> {
    let compiled = ::expressions::compile(source, environment);
    compiled.map_err(|mistakes| errors.push(field.invalid(format!("compilation failed: {mistakes}")))).ok()
}

/// As [`compile`], for an expression that may evaluate to anything.
pub(crate) fn variable(
    field: &Field<'_>,
    source: &str,
    environment: &Environment,
    errors: &mut Errors,
) -> Option<Checked> {
    compile(field, source, environment, errors).filter(|checked| is_ready(field, checked, errors))
}

/// As [`compile`], for an expression that must evaluate to one of `wanted`.
pub(crate) fn evaluates_to(
    wanted: &[Type],
    field: &Field<'_>,
    source: &str,
    environment: &Environment,
    errors: &mut Errors,
) {
    let Some(checked) = compile(field, source, environment, errors) else { return };
    if wanted.contains(checked.result()) {
        is_ready(field, &checked, errors);
        return;
    }
    let names: Vec<String> = wanted.iter().map(name).collect();
    let wanted = match names.as_slice() {
        [only] => only.clone(),
        _ => format!("one of [{}]", names.join(" ")),
    };
    errors.push(field.invalid(format!("must evaluate to {wanted} but got {}", name(checked.result()))));
}

/// Whether an expression can be evaluated at all: `int('abc')` never can.
pub(crate) fn is_ready(field: &Field<'_>, checked: &Checked, errors: &mut Errors) -> bool {
    let prepared = checked.prepare();
    if let Err(why) = &prepared {
        errors.push(field.internal(format!("program instantiation failed: {why}")));
    }
    prepared.is_ok()
}

/// A type as expressions themselves name it, which is not how mistakes in them do.
pub(crate) fn name(of: &Type) -> String {
    match of {
        Type::Null => "null_type".to_owned(),
        Type::Any => "google.protobuf.Any".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::Compound(compound) if !compound.arguments.is_empty() => {
            let arguments: Vec<String> = compound.arguments.iter().map(name).collect();
            format!("{}({})", compound.constructor.name(), arguments.join(", "))
        }
        _ => of.to_string(),
    }
}

fn object<const N: usize>(name: &str, fields: [(&str, Type); N]) -> Type {
    Type::object(name, fields.map(|(name, of)| (name.to_owned(), of)))
}

fn of_strings(name: &str, fields: &[&str]) -> Type {
    Type::object(name, fields.iter().map(|name| ((*name).to_owned(), Type::String)))
}
