//! The parts of an expression, looked at without going into calls: an expression may be deeper than a stack.
//!
//! Upstream: cel-go parser/parser.go (recursionListener), common/ast/navigable.go

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// Whether an expression is nested deeper than it may be.
pub(crate) fn is_deeper_than(expression: &IdedExpr, limit: usize) -> bool {
    let mut open = vec![(expression, 0)];
    while let Some((part, depth)) = open.pop() {
        if depth > limit {
            return true;
        }
        match &part.expr {
            // A macro puts what is written into a call of its own, so it is no level itself.
            Expr::Comprehension(all) => {
                open.extend([&all.iter_range, &all.accu_init].map(|part| (part, depth + 1)));
                open.extend([&all.loop_cond, &all.loop_step, &all.result].map(|part| (part, depth)));
            }
            _ => open.extend(inside(part).into_iter().map(|part| (part, depth + 1))),
        }
    }
    false
}

/// Whether a name stands anywhere in the expression.
pub(crate) fn mentions(expression: &IdedExpr, name: &str) -> bool {
    all(expression).any(|part| matches!(&part.expr, Expr::Ident(found) if found == name))
}

/// The expression and all that is inside it.
pub(crate) fn all(expression: &IdedExpr) -> impl Iterator<Item = &IdedExpr> {
    let mut open = vec![expression];
    std::iter::from_fn(move || {
        let part = open.pop()?;
        open.extend(inside(part));
        Some(part)
    })
}

/// The parts that a part consists of.
pub(crate) fn inside(part: &IdedExpr) -> Vec<&IdedExpr> {
    match &part.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Struct(object) => object.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Comprehension(all) => {
            vec![&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result]
        }
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
