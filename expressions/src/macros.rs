//! The macros of Kubernetes: calls that are parsed as other expressions.
//!
//! Upstream: cel-go parser/macro.go, cel/library.go (OptionalTypes), ext/comprehensions.go, ext/lists.go,
//! ext/bindings.go

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cel::{
    Env,
    common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators},
    parser::{Macro, MacroExprHelper, ParseError, Parser},
};

use crate::parts;

/// What the result of a loop is called while it runs. Nobody can write this name, and nobody may write the old one.
const RESULT: &str = "@result";
const OLD_RESULT: &str = "__result__";
/// The variable of a loop over nothing, which only gives a name to a value.
const UNUSED: &str = "#unused";
const SORTED: &str = "@__sortBy_input__";
/// `optMap` writes what it is called on twice: chains of it could grow beyond memory.
const MAX_COPIED: usize = 100_000;

/// Which macros there are besides those that every expression has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bindings {
    #[default]
    None,
    /// `cel.bind(name, value, expression)`.
    Known,
}

/// A parser that knows the macros of Kubernetes, for one expression.
pub(crate) fn parser(bindings: Bindings) -> Parser {
    let mut syntax = Env::default();
    let copied = Arc::new(AtomicUsize::new(0));
    for each in standard().into_iter().chain(two_variables()).chain(optional(&copied)) {
        syntax.add_macro(each).expect("each macro has a name and number of arguments of its own");
    }
    if bindings == Bindings::Known {
        syntax.add_macro(bind()).expect("no other macro is called bind");
    }
    syntax.parser()
}

fn standard() -> Vec<Macro> {
    vec![
        Macro::global(operators::HAS, 1, |helper, _, arguments| {
            let mut arguments = mem::take(arguments).into_iter();
            let tested = next(&mut arguments);
            let Expr::Select(mut select) = tested.expr else {
                return Err(helper.new_error(tested.id, "invalid argument to has() macro"));
            };
            select.test = true;
            Ok(Some(helper.next_expr(Expr::Select(select))))
        }),
        on_target(operators::ALL, 2, |call| call.quantifier(Quantifier::All, Variables::One)),
        on_target(operators::EXISTS, 2, |call| call.quantifier(Quantifier::Exists, Variables::One)),
        on_target(operators::EXISTS_ONE, 2, |call| call.quantifier(Quantifier::ExistsOne, Variables::One)),
        on_target("existsOne", 2, |call| call.quantifier(Quantifier::ExistsOne, Variables::One)),
        on_target(operators::MAP, 2, |call| call.list(Variables::One)),
        on_target(operators::MAP, 3, |call| call.list(Variables::One)),
        on_target(operators::FILTER, 2, |call| call.filter()),
        on_target("sortBy", 2, |call| call.sort_by()),
    ]
}

fn two_variables() -> Vec<Macro> {
    vec![
        on_target(operators::ALL, 3, |call| call.quantifier(Quantifier::All, Variables::Two)),
        on_target(operators::EXISTS, 3, |call| call.quantifier(Quantifier::Exists, Variables::Two)),
        on_target(operators::EXISTS_ONE, 3, |call| call.quantifier(Quantifier::ExistsOne, Variables::Two)),
        on_target("existsOne", 3, |call| call.quantifier(Quantifier::ExistsOne, Variables::Two)),
        on_target("transformList", 3, |call| call.list(Variables::Two)),
        on_target("transformList", 4, |call| call.list(Variables::Two)),
        on_target("transformMap", 3, |call| call.map(Inserted::Value)),
        on_target("transformMap", 4, |call| call.map(Inserted::Value)),
        on_target("transformMapEntry", 3, |call| call.map(Inserted::Entry)),
        on_target("transformMapEntry", 4, |call| call.map(Inserted::Entry)),
    ]
}

fn optional(copied: &Arc<AtomicUsize>) -> [Macro; 2] {
    let (first, second) = (copied.clone(), copied.clone());
    [
        on_target("optMap", 2, move |call| {
            call.optional("optMap", &first, |call, found| call.call("optional.of", [found]))
        }),
        on_target("optFlatMap", 2, move |call| call.optional("optFlatMap", &second, |_, found| found)),
    ]
}

fn bind() -> Macro {
    Macro::receiver("bind", 3, |helper, target, arguments| {
        if !matches!(target, Some(IdedExpr { expr: Expr::Ident(name), .. }) if name == "cel") {
            return Ok(None);
        }
        let target = target.take().unwrap_or_default();
        let mut call = Call { helper, target, arguments: mem::take(arguments).into_iter() };
        let name = call.name("cel.bind() variable names must be simple identifiers")?.0;
        let value = next(&mut call.arguments);
        let within = next(&mut call.arguments);
        Ok(Some(call.bound(name, value, within)))
    })
}

/// A macro that is called on a list, map or optional.
fn on_target(
    name: &str,
    arguments: usize,
    expand: impl Fn(Call<'_, '_>) -> Result<IdedExpr, ParseError> + Send + Sync + 'static,
) -> Macro {
    Macro::receiver(name, arguments, move |helper, target, arguments| {
        let target = target.take().unwrap_or_default();
        expand(Call { helper, target, arguments: mem::take(arguments).into_iter() }).map(Some)
    })
}

type Arguments = std::vec::IntoIter<IdedExpr>;

fn next(arguments: &mut Arguments) -> IdedExpr {
    arguments.next().unwrap_or_default()
}

/// A call that becomes another expression.
struct Call<'h, 'p> {
    helper: &'h mut MacroExprHelper<'p>,
    target: IdedExpr,
    /// Those that were not used yet.
    arguments: Arguments,
}

#[derive(Clone, Copy)]
enum Variables {
    One,
    Two,
}

#[derive(Clone, Copy)]
enum Quantifier {
    All,
    Exists,
    ExistsOne,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inserted {
    /// The expression is the value for the key that is looked at.
    Value,
    /// The expression is a map to insert.
    Entry,
}

/// A loop over the target, but for what it is over.
struct Loop {
    initial: IdedExpr,
    condition: IdedExpr,
    step: IdedExpr,
    result: IdedExpr,
}

impl Call<'_, '_> {
    fn quantifier(mut self, quantifier: Quantifier, variables: Variables) -> Result<IdedExpr, ParseError> {
        let variables = self.variables(variables)?;
        let predicate = next(&mut self.arguments);
        let result = self.name_of(RESULT);
        let parts = match quantifier {
            Quantifier::All => Loop {
                initial: self.literal(LiteralValue::Boolean(true.into())),
                condition: self.call(operators::NOT_STRICTLY_FALSE, [result.clone()]),
                step: self.call(operators::LOGICAL_AND, [result.clone(), predicate]),
                result,
            },
            Quantifier::Exists => {
                let negated = self.call(operators::LOGICAL_NOT, [result.clone()]);
                Loop {
                    initial: self.literal(LiteralValue::Boolean(false.into())),
                    condition: self.call(operators::NOT_STRICTLY_FALSE, [negated]),
                    step: self.call(operators::LOGICAL_OR, [result.clone(), predicate]),
                    result,
                }
            }
            Quantifier::ExistsOne => {
                let one = self.literal(LiteralValue::Int(1.into()));
                let more = self.call(operators::ADD, [result.clone(), one.clone()]);
                Loop {
                    initial: self.literal(LiteralValue::Int(0.into())),
                    condition: self.literal(LiteralValue::Boolean(true.into())),
                    step: self.call(operators::CONDITIONAL, [predicate, more, result.clone()]),
                    result: self.call(operators::EQUALS, [result, one]),
                }
            }
        };
        Ok(self.looped(variables, parts))
    }

    fn filter(mut self) -> Result<IdedExpr, ParseError> {
        let element = self.arguments.as_slice().first().cloned().unwrap_or_default();
        let variables = self.variables(Variables::One)?;
        let predicate = next(&mut self.arguments);
        let more = self.appended(element);
        Ok(self.gathered(variables, Some(predicate), more))
    }

    /// A list of what an expression makes of each element, perhaps only of those that a condition holds for.
    fn list(mut self, variables: Variables) -> Result<IdedExpr, ParseError> {
        let variables = self.variables(variables)?;
        let condition = if self.arguments.len() > 1 { self.arguments.next() } else { None };
        let made = next(&mut self.arguments);
        let more = self.appended(made);
        Ok(self.gathered(variables, condition, more))
    }

    fn map(mut self, inserted: Inserted) -> Result<IdedExpr, ParseError> {
        let variables = self.variables(Variables::Two)?;
        let condition = if self.arguments.len() > 1 { self.arguments.next() } else { None };
        let made = next(&mut self.arguments);
        let mut arguments = vec![self.name_of(RESULT)];
        if inserted == Inserted::Value {
            arguments.push(self.name_of(&variables.0));
        }
        arguments.push(made);
        let more = self.call("cel.@mapInsert", arguments);
        let initial = self.helper.next_expr(Expr::Map(MapExpr::default()));
        Ok(self.gathered_into(initial, variables, condition, more))
    }

    fn sort_by(mut self) -> Result<IdedExpr, ParseError> {
        if matches!(self.target.expr, Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified) {
            let message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return Err(self.helper.new_error(self.target.id, message));
        }
        let name = self.name_of(SORTED);
        let list = mem::replace(&mut self.target, name.clone());
        let Call { helper, target, arguments } = self;
        let keys = Call { helper: &mut *helper, target, arguments }.list(Variables::One)?;
        let mut call = Call { helper, target: IdedExpr::default(), arguments: Vec::new().into_iter() };
        let sorted = call.member("@sortByAssociatedKeys", name, vec![keys]);
        Ok(call.bound(SORTED.to_owned(), list, sorted))
    }

    /// What an expression makes of the value of an optional, if there is one.
    fn optional(
        mut self,
        function: &str,
        copied: &AtomicUsize,
        wrap: impl Fn(&mut Self, IdedExpr) -> IdedExpr,
    ) -> Result<IdedExpr, ParseError> {
        let name = self.name(&format!("{function}() variable name must be a simple identifier"))?.0;
        let made = next(&mut self.arguments);
        if copied.load(Ordering::Relaxed) > MAX_COPIED {
            return Ok(IdedExpr::default());
        }
        let parts = parts::all(&self.target).take(MAX_COPIED + 1).count();
        if copied.fetch_add(parts, Ordering::Relaxed) + parts > MAX_COPIED {
            let message = format!("expression is too large with every {function}() written out");
            return Err(self.helper.new_error(self.target.id, message));
        }
        let target = mem::take(&mut self.target);
        let value = self.member("value", target.clone(), Vec::new());
        let found = self.bound(name, value, made);
        let found = wrap(&mut self, found);
        let is_found = self.member("hasValue", target, Vec::new());
        let none = self.call("optional.none", []);
        Ok(self.call(operators::CONDITIONAL, [is_found, found, none]))
    }

    /// The names of the variables, which are the first arguments.
    fn variables(&mut self, variables: Variables) -> Result<(String, Option<String>), ParseError> {
        const NO_NAME: &str = "argument must be a simple name";
        let (first, at) = self.name(NO_NAME)?;
        let second = match variables {
            Variables::One => None,
            Variables::Two => Some(self.name(NO_NAME)?),
        };
        if let Some((name, at)) = &second
            && *name == first
        {
            return Err(self.helper.new_error(*at, format!("duplicate variable name: {name}")));
        }
        for (name, at) in [Some(&(first.clone(), at)), second.as_ref()].into_iter().flatten() {
            if name == RESULT || name == OLD_RESULT {
                return Err(self.helper.new_error(*at, "iteration variable overwrites accumulator variable"));
            }
        }
        Ok((first, second.map(|(name, _)| name)))
    }

    /// The next argument, which has to be a name, and the number of this part.
    fn name(&mut self, otherwise: &str) -> Result<(String, u64), ParseError> {
        let argument = next(&mut self.arguments);
        match argument.expr {
            Expr::Ident(name) => Ok((name, argument.id)),
            _ => Err(self.helper.new_error(argument.id, otherwise)),
        }
    }

    /// The list so far and one more element.
    fn appended(&mut self, element: IdedExpr) -> IdedExpr {
        let result = self.name_of(RESULT);
        let element = self.helper.next_expr(Expr::List(ListExpr::new(vec![element])));
        self.call(operators::ADD, [result, element])
    }

    fn gathered(
        mut self,
        variables: (String, Option<String>),
        condition: Option<IdedExpr>,
        more: IdedExpr,
    ) -> IdedExpr {
        let initial = self.empty_list();
        self.gathered_into(initial, variables, condition, more)
    }

    fn gathered_into(
        mut self,
        initial: IdedExpr,
        variables: (String, Option<String>),
        condition: Option<IdedExpr>,
        more: IdedExpr,
    ) -> IdedExpr {
        let result = self.name_of(RESULT);
        let step = match condition {
            Some(condition) => self.call(operators::CONDITIONAL, [condition, more, result.clone()]),
            None => more,
        };
        let condition = self.literal(LiteralValue::Boolean(true.into()));
        self.looped(variables, Loop { initial, condition, step, result })
    }

    fn looped(mut self, (first, second): (String, Option<String>), parts: Loop) -> IdedExpr {
        let iter_range = mem::take(&mut self.target);
        self.helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range,
            iter_var: first,
            iter_var2: second,
            accu_var: RESULT.to_owned(),
            accu_init: parts.initial,
            loop_cond: parts.condition,
            loop_step: parts.step,
            result: parts.result,
        })))
    }

    /// An expression in which a value has a name.
    fn bound(&mut self, name: String, value: IdedExpr, within: IdedExpr) -> IdedExpr {
        let iter_range = self.empty_list();
        let loop_cond = self.literal(LiteralValue::Boolean(false.into()));
        let loop_step = self.name_of(&name);
        self.helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range,
            iter_var: UNUSED.to_owned(),
            iter_var2: None,
            accu_var: name,
            accu_init: value,
            loop_cond,
            loop_step,
            result: within,
        })))
    }

    fn empty_list(&mut self) -> IdedExpr {
        self.helper.next_expr(Expr::List(ListExpr::default()))
    }

    fn name_of(&mut self, name: &str) -> IdedExpr {
        self.helper.next_expr(Expr::Ident(name.to_owned()))
    }

    fn literal(&mut self, value: LiteralValue) -> IdedExpr {
        self.helper.next_expr(Expr::Literal(value))
    }

    fn call(&mut self, function: &str, arguments: impl Into<Vec<IdedExpr>>) -> IdedExpr {
        let call = CallExpr { func_name: function.to_owned(), target: None, args: arguments.into() };
        self.helper.next_expr(Expr::Call(call))
    }

    fn member(&mut self, function: &str, target: IdedExpr, arguments: Vec<IdedExpr>) -> IdedExpr {
        let call = CallExpr { func_name: function.to_owned(), target: Some(Box::new(target)), args: arguments };
        self.helper.next_expr(Expr::Call(call))
    }
}
