//! What is wrong with what stands in an expression as it is: its values can be looked at before it is evaluated.
//!
//! Upstream: cel-go cel/validator.go, ext/formatting.go (stringFormatValidator)

pub(crate) mod duration;
mod format;
pub(crate) mod timestamp;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr};

use crate::{
    Checked, parts, pattern,
    report::{self, Mistakes},
    types::{Constructor, Type},
};

/// Looks at an expression whose types are right.
///
/// # Errors
///
/// The mistakes, displayed.
pub(crate) fn check(checked: Checked) -> Result<Checked, String> {
    let mut found = Found { checked: &checked, mistakes: Mistakes::default() };
    let mut open = vec![(&checked.expression, Within::Anything)];
    while let Some((part, mut within)) = open.pop() {
        match &part.expr {
            Expr::Call(call) => {
                found.argument(call);
                if call.func_name == "format" {
                    within = Within::Format;
                    if let Some((at, message)) = format::check(&checked, part, call) {
                        found.mistake(at, message);
                    }
                }
            }
            Expr::List(list) if within == Within::Anything => found.list(list),
            Expr::Map(map) if within == Within::Anything => found.map(map),
            _ => {}
        }
        open.extend(parts::inside(part).into_iter().map(|child| (child, within)));
    }
    if found.mistakes.is_empty() {
        return Ok(checked);
    }
    Err(report::display(&checked.source.source, found.mistakes))
}

/// What a part is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Anything,
    /// A call of `format`, whose values may be of any types.
    Format,
}

struct Found<'c> {
    checked: &'c Checked,
    mistakes: Mistakes,
}

impl Found<'_> {
    /// The first argument of functions that read text. (With `matches(text, pattern)`, that is the text.)
    fn argument(&mut self, call: &CallExpr) {
        let Some(IdedExpr { id, expr: Expr::Literal(literal) }) = call.args.first() else { return };
        let is_right = match (call.func_name.as_str(), literal) {
            ("duration", LiteralValue::String(text)) => duration::read(text.inner()).is_some(),
            ("timestamp", LiteralValue::String(text)) => timestamp::read(text.inner()).is_some(),
            ("timestamp", LiteralValue::Int(seconds)) => timestamp::RANGE.contains(seconds.inner()),
            ("matches", LiteralValue::String(text)) => pattern::read(text.inner()).is_ok(),
            _ => true,
        };
        if !is_right {
            self.mistake(*id, format!("invalid {} argument", call.func_name));
        }
    }

    fn list(&mut self, list: &ListExpr) {
        let types = list.elements.iter().enumerate().map(|(position, element)| {
            let of = self.checked.type_of(element);
            (element, if list.optional_indices.contains(&position) { value_of(of) } else { of })
        });
        let mut types = types.collect::<Vec<_>>().into_iter();
        let Some((_, first)) = types.next() else { return };
        if let Some((element, of)) = types.find(|(_, of)| *of != first) {
            self.mismatch(element, first, of);
        }
    }

    fn map(&mut self, map: &MapExpr) {
        let mut first: Option<(&Type, &Type)> = None;
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.checked.type_of(&entry.key);
            let value = self.checked.type_of(&entry.value);
            let value = if entry.optional { value_of(value) } else { value };
            let (keys, values) = *first.get_or_insert((key, value));
            if key != keys {
                self.mismatch(&entry.key, keys, key);
            }
            if value != values {
                self.mismatch(&entry.value, values, value);
            }
        }
    }

    fn mismatch(&mut self, part: &IdedExpr, first: &Type, found: &Type) {
        self.mistake(part.id, format!("expected type '{first}' but found '{found}'"));
    }

    fn mistake(&mut self, part: u64, message: String) {
        self.mistakes.add(&self.checked.source, part, message);
    }
}

fn value_of(optional: &Type) -> &Type {
    optional.arguments(Constructor::Optional).and_then(<[Type]>::first).unwrap_or(optional)
}
