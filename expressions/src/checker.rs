//! Finds what each part of an expression is, and what in it can't be.
//!
//! Upstream: cel-go checker/checker.go, checker/errors.go
//! Left out: annotations; creating messages of protobuf.

mod unification;

use std::fmt::Display;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr, SourceInfo,
    StructExpr, operators,
};
use rustc_hash::FxHashMap;

use crate::{
    Checked, Environment,
    declarations::{self, Declarations, Overload},
    report::{self, Mistakes},
    types::{Constructor, Type},
};
use unification::{Open, Unification, more_general};

/// Checks an expression that was parsed.
///
/// # Errors
///
/// The mistakes, displayed.
pub(crate) fn check(expression: IdedExpr, source: SourceInfo, environment: &Environment) -> Result<Checked, String> {
    let mut checker = Checker {
        environment,
        declarations: declarations::kubernetes(),
        source: &source,
        scopes: Vec::new(),
        unification: Unification::new(),
        types: FxHashMap::default(),
        functions: FxHashMap::default(),
        mistakes: Mistakes::default(),
    };
    checker.check(&expression);
    let Checker { mut unification, types, functions, mistakes, .. } = checker;
    if !mistakes.is_empty() {
        return Err(report::display(&source.source, mistakes));
    }
    let types = types.into_iter().map(|(part, of)| (part, unification.resolve(&of, Open::BecomeDyn))).collect();
    if unification.is_exhausted() {
        return Err(report::without_place("the types in the expression are too complex to check"));
    }
    Ok(Checked { expression, types, functions, source })
}

struct Checker<'a> {
    environment: &'a Environment,
    declarations: &'static Declarations,
    source: &'a SourceInfo,
    /// The variables of the macros that are open here, the innermost last.
    scopes: Vec<(&'a str, Type)>,
    unification: Unification,
    types: FxHashMap<u64, Type>,
    functions: FxHashMap<u64, String>,
    mistakes: Mistakes,
}

impl<'a> Checker<'a> {
    /// What a part of the expression is; its mistakes are kept.
    fn check(&mut self, part: &'a IdedExpr) -> Type {
        let found = match &part.expr {
            Expr::Unspecified => Type::Error,
            Expr::Literal(literal) => of_literal(literal),
            Expr::Ident(name) => self.name(part, name),
            Expr::Select(select) => self.selection(part, select),
            Expr::Call(call) => self.call(part, call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Struct(object) => self.object(part, object),
            Expr::Comprehension(all) => self.comprehension(all),
        };
        self.types.insert(part.id, found.clone());
        found
    }

    fn name(&mut self, part: &IdedExpr, name: &str) -> Type {
        self.declared(name).unwrap_or_else(|| self.undeclared(part, name))
    }

    fn selection(&mut self, part: &IdedExpr, select: &'a SelectExpr) -> Type {
        if let Some(declared) = qualified_name(part).and_then(|name| self.declared(&name)) {
            return declared;
        }
        let field = self.field(part, &select.operand, &select.field);
        if select.test { Type::Bool } else { self.unification.resolve(&field, Open::Stay) }
    }

    /// What a field is; of an optional, an optional field.
    fn field(&mut self, part: &IdedExpr, operand: &'a IdedExpr, field: &str) -> Type {
        let operand = self.check(operand);
        let operand = self.unification.resolve(&operand, Open::Stay);
        let (object, is_optional) = unwrapped(operand);
        let found = match &object {
            Type::Dyn | Type::Any | Type::Error => Type::Dyn,
            Type::Variable(_) => {
                self.unification.assign(&[Type::Dyn], std::slice::from_ref(&object));
                Type::Dyn
            }
            Type::Object(of) => match &of.fields {
                None => self.mistake(part, format_args!("unexpected failed resolution of '{}'", of.name)),
                Some(fields) => match fields.get(field) {
                    Some(found) => found.clone(),
                    None => self.mistake(part, format_args!("undefined field '{field}'")),
                },
            },
            _ => match object.arguments(Constructor::Map) {
                Some(arguments) => arguments[1].clone(),
                None => {
                    self.mistake(part, format_args!("type '{object}' does not support field selection"));
                    Type::Dyn
                }
            },
        };
        if is_optional { Type::optional(found) } else { found }
    }

    fn call(&mut self, part: &IdedExpr, call: &'a CallExpr) -> Type {
        if call.func_name == operators::OPT_SELECT {
            return self.optional_selection(part, call);
        }
        let mut given: Vec<Type> = call.args.iter().map(|argument| self.check(argument)).collect();
        let Some(target) = &call.target else {
            return self.function(part, call, call.func_name.clone(), &given, Style::Global);
        };
        let qualified = qualified_name(target).map(|prefix| format!("{prefix}.{}", call.func_name));
        if let Some(name) = qualified.filter(|name| self.declarations.functions.contains_key(absolute(name))) {
            return self.function(part, call, name, &given, Style::Global);
        }
        given.insert(0, self.check(target));
        self.function(part, call, call.func_name.clone(), &given, Style::Member)
    }

    /// `operand.?field`, which the parser hands on as a call with the field as a string.
    fn optional_selection(&mut self, part: &IdedExpr, call: &'a CallExpr) -> Type {
        let [operand, name] = call.args.as_slice() else {
            return self.mistake(part, format_args!("unsupported optional field selection"));
        };
        let Expr::Literal(LiteralValue::String(field)) = &name.expr else {
            return self.mistake(name, format_args!("unsupported optional field selection"));
        };
        let found = self.field(part, operand, field);
        let found = self.unification.resolve(&found, Open::Stay);
        Type::optional(unwrapped(found).0)
    }

    fn function(&mut self, part: &IdedExpr, call: &'a CallExpr, name: String, given: &[Type], style: Style) -> Type {
        let name = absolute(&name);
        let declarations = self.declarations;
        let Some(overloads) = declarations.functions.get(name) else {
            return self.undeclared(part, name);
        };
        if [operators::LOGICAL_AND, operators::LOGICAL_OR].contains(&name) {
            return self.logic(call, given);
        }
        let mut result: Option<Type> = None;
        for overload in overloads.iter().filter(|overload| overload.is_member == (style == Style::Member)) {
            let (wanted, returned) = self.instantiate(overload);
            if self.unification.assign(given, &wanted) {
                let returned = self.unification.resolve(&returned, Open::Stay);
                result = Some(match result {
                    None => returned,
                    Some(before) if before.is_dynamic() || before == returned => before,
                    Some(_) => Type::Dyn,
                });
            }
        }
        if let Some(result) = result {
            self.functions.insert(part.id, name.to_owned());
            return result;
        }
        let given: Vec<Type> = given.iter().map(|given| self.unification.resolve(given, Open::BecomeDyn)).collect();
        let signature = signature(&given, style);
        self.mistake(part, format_args!("found no matching overload for '{name}' applied to '{signature}'"))
    }

    /// `a && b`, whose mistakes are told at what is no bool.
    fn logic(&mut self, call: &'a CallExpr, given: &[Type]) -> Type {
        let mut result = Type::Bool;
        for (argument, given) in call.args.iter().zip(given) {
            if !self.unification.assign(std::slice::from_ref(given), &[Type::Bool]) {
                result = self.mismatch(argument, &Type::Bool, given);
            }
        }
        result
    }

    /// What an overload wants and returns, with open types for its parameters.
    fn instantiate(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        let open: Vec<Type> = overload.parameters.iter().map(|_| self.unification.fresh()).collect();
        let replaced = |of: &Type| replace(of, &overload.parameters, &open);
        (overload.arguments.iter().map(replaced).collect(), replaced(&overload.result))
    }

    fn list(&mut self, list: &'a ListExpr) -> Type {
        let mut element = None;
        for (position, each) in list.elements.iter().enumerate() {
            let mut found = self.check(each);
            if list.optional_indices.contains(&position) {
                found = self.optional_value(each, found);
            }
            element = Some(self.joined(element, found));
        }
        Type::list(element.unwrap_or_else(|| self.unification.fresh()))
    }

    fn map(&mut self, map: &'a MapExpr) -> Type {
        let mut joined: Option<(Type, Type)> = None;
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let (keys, values) = joined.unzip();
            let key = self.check(&entry.key);
            let key = self.joined(keys, key);
            let mut value = self.check(&entry.value);
            if entry.optional {
                value = self.optional_value(&entry.value, value);
            }
            joined = Some((key, self.joined(values, value)));
        }
        let (key, value) = joined.unwrap_or_else(|| (self.unification.fresh(), self.unification.fresh()));
        Type::map(key, value)
    }

    /// `Name{field: value}`.
    fn object(&mut self, part: &IdedExpr, object: &'a StructExpr) -> Type {
        let name = &object.type_name;
        let created = match self.declared(name) {
            None => return self.undeclared(part, name),
            Some(Type::Error) => Type::Error,
            Some(found) => match found.arguments(Constructor::Type) {
                Some([created @ Type::Object(_)]) => created.clone(),
                Some(_) => self.mistake(part, format_args!("'{name}' is not a message type")),
                None => self.mistake(part, format_args!("'{found}' is not a type")),
            },
        };
        for entry in &object.entries {
            let EntryExpr::StructField(field) = &entry.expr else { continue };
            let mut given = self.check(&field.value);
            if field.optional {
                given = self.optional_value(&field.value, given);
            }
            let Type::Object(of) = &created else { continue };
            let Some(wanted) = of.fields.iter().find_map(|fields| fields.get(&field.field)) else {
                self.mistake_at(entry.id, format_args!("undefined field '{}'", field.field));
                continue;
            };
            if !self.unification.assign(std::slice::from_ref(wanted), std::slice::from_ref(&given)) {
                let field = &field.field;
                let message =
                    format_args!("expected type of field '{field}' is '{wanted}' but provided type is '{given}'");
                self.mistake_at(entry.id, message);
            }
        }
        created
    }

    /// What a macro over a list or map became.
    fn comprehension(&mut self, all: &'a ComprehensionExpr) -> Type {
        let range = self.check(&all.iter_range);
        let accumulated = self.check(&all.accu_init);
        let range = self.unification.resolve(&range, Open::Stay);
        let (first, second) = self.iterated(all, &range);
        let outside = self.scopes.len();
        self.scopes.push((&all.accu_var, accumulated.clone()));
        self.scopes.push((&all.iter_var, first));
        self.scopes.extend(all.iter_var2.as_deref().map(|name| (name, second)));
        let condition = self.check(&all.loop_cond);
        self.expect(&all.loop_cond, &Type::Bool, &condition);
        let step = self.check(&all.loop_step);
        self.expect(&all.loop_step, &accumulated, &step);
        self.scopes.truncate(outside + 1);
        let result = self.check(&all.result);
        self.scopes.truncate(outside);
        self.unification.resolve(&result, Open::Stay)
    }

    /// What the variables of a macro are: elements or keys; with two variables, positions or keys, and values.
    fn iterated(&mut self, all: &ComprehensionExpr, range: &Type) -> (Type, Type) {
        if let Some([element]) = range.arguments(Constructor::List) {
            return match all.iter_var2 {
                None => (element.clone(), Type::Error),
                Some(_) => (Type::Int, element.clone()),
            };
        }
        if let Some([key, value]) = range.arguments(Constructor::Map) {
            return (key.clone(), value.clone());
        }
        match range {
            Type::Dyn | Type::Error => (Type::Dyn, Type::Dyn),
            Type::Variable(_) => {
                self.unification.assign(&[Type::Dyn], std::slice::from_ref(range));
                (Type::Dyn, Type::Dyn)
            }
            _ => {
                let message = "cannot be range of a comprehension (must be list, map, or dynamic)";
                self.mistake(&all.iter_range, format_args!("expression of type '{range}' {message}"));
                (Type::Error, Type::Error)
            }
        }
    }

    /// What a list or map is of, after one more of its elements.
    fn joined(&mut self, before: Option<Type>, found: Type) -> Type {
        let Some(before) = before else { return found };
        let fits = self.unification.assign(std::slice::from_ref(&before), std::slice::from_ref(&found));
        // That a list or map is of different things is told later, when all types are known (literals.rs).
        if fits { more_general(before, found) } else { Type::Dyn }
    }

    /// What is in the optional that an element with a `?` has to be.
    fn optional_value(&mut self, part: &IdedExpr, found: Type) -> Type {
        let (value, is_optional) = unwrapped(found);
        if !is_optional && !value.is_dynamic() {
            self.mismatch(part, &Type::optional(value.clone()), &value);
        }
        value
    }

    fn expect(&mut self, part: &IdedExpr, wanted: &Type, found: &Type) {
        if !self.unification.assign(std::slice::from_ref(wanted), std::slice::from_ref(found)) {
            self.mismatch(part, wanted, found);
        }
    }

    /// What a name stands for: a variable of a macro, one of the environment, or a type.
    fn declared(&self, name: &str) -> Option<Type> {
        let local = self.scopes.iter().rev().find(|(scoped, _)| *scoped == name).map(|(_, of)| of);
        local
            .or_else(|| self.environment.variables.get(absolute(name)))
            .cloned()
            .or_else(|| self.declarations.types.get(absolute(name)).cloned().map(Type::of_type))
    }

    fn undeclared(&mut self, part: &IdedExpr, name: &str) -> Type {
        self.mistake(part, format_args!("undeclared reference to '{name}' (in container '')"))
    }

    fn mismatch(&mut self, part: &IdedExpr, wanted: &Type, found: &Type) -> Type {
        self.mistake(part, format_args!("expected type '{wanted}' but found '{found}'"))
    }

    fn mistake(&mut self, part: &IdedExpr, message: impl Display) -> Type {
        self.mistake_at(part.id, message);
        Type::Error
    }

    fn mistake_at(&mut self, part: u64, message: impl Display) {
        self.mistakes.add(self.source, part, message.to_string());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Global,
    Member,
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// `a.b.c`, if that is all a part is.
pub(crate) fn qualified_name(part: &IdedExpr) -> Option<String> {
    let mut fields = Vec::new();
    let mut part = &part.expr;
    loop {
        match part {
            Expr::Ident(name) => {
                fields.push(name.as_str());
                fields.reverse();
                return Some(fields.join("."));
            }
            Expr::Select(select) if !select.test => {
                fields.push(&select.field);
                part = &select.operand.expr;
            }
            _ => return None,
        }
    }
}

/// A name without the dot that says it is no variable of a macro.
pub(crate) fn absolute(name: &str) -> &str {
    name.strip_prefix('.').unwrap_or(name)
}

/// What is in an optional, and whether it was one.
fn unwrapped(of: Type) -> (Type, bool) {
    match of.arguments(Constructor::Optional) {
        Some([value]) => (value.clone(), true),
        _ => (of, false),
    }
}

fn replace(of: &Type, parameters: &[std::sync::Arc<str>], by: &[Type]) -> Type {
    match of {
        Type::Parameter(name) => match parameters.iter().position(|parameter| parameter == name) {
            Some(position) => by[position].clone(),
            None => of.clone(),
        },
        Type::Compound(compound) => {
            let arguments = compound.arguments.iter().map(|argument| replace(argument, parameters, by)).collect();
            Type::compound(compound.constructor, arguments)
        }
        _ => of.clone(),
    }
}

/// `(int, string)`, or `string.(int)` for a call on a string.
fn signature(given: &[Type], style: Style) -> String {
    let (target, arguments) = match (style, given) {
        (Style::Member, [target, arguments @ ..]) => (format!("{target}."), arguments),
        _ => (String::new(), given),
    };
    let arguments: Vec<String> = arguments.iter().map(Type::to_string).collect();
    format!("{target}({})", arguments.join(", "))
}
