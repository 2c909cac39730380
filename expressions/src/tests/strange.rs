//! What nobody writes, except to break something.
//!
//! Upstream: cel-go parser/parser.go, parser/options.go (its limits)

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// A text as long as one may be.
fn filled(head: &str, unit: &str, tail: &str) -> String {
    let repetitions = (MAX_CHARACTERS - head.len() - tail.len()) / unit.len();
    format!("{head}{}{tail}", unit.repeat(repetitions))
}

fn nested(open: &str, middle: &str, close: &str) -> String {
    let repetitions = (MAX_CHARACTERS - middle.len()) / (open.len() + close.len());
    format!("{}{middle}{}", open.repeat(repetitions), close.repeat(repetitions))
}

fn beginning(source: &str) -> String {
    source.chars().take(40).collect()
}

#[test]
fn what_is_nested_without_end_is_refused_at_once() {
    for source in [
        filled("object", ".b", ""),
        filled("object", ".?b", ""),
        filled("object", "[0]", ""),
        filled("object", ".b()", ""),
        filled("1", "+1", ""),
        filled("1", "<1", ""),
        filled("", "(", ""),
        filled("", "[", ""),
        filled("", "{", ""),
        nested("[", "", "]"),
        nested("{1:", "1", "}"),
        nested("A{a:", "1", "}"),
        filled("", "true?1:", "1"),
        nested("[1].map(x,", "1", ")"),
        filled("[1]", ".map(x,x)", ""),
        filled("[1]", ".sortBy(x,x)", ""),
        filled("optional.none()", ".or(object)", ""),
    ] {
        let begin = Instant::now();
        let told = told(&source, &policy());
        assert_eq!(told, "ERROR: <input>:-1:0: expression recursion limit exceeded: 250", "{}", beginning(&source));
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", beginning(&source));
    }
}

#[test]
fn what_is_long_is_taken_as_it_is() {
    for (source, result) in [
        (filled("", "!", "true"), "bool"),
        (filled("", "-", "1"), "int"),
        (filled("true", "&&true", ""), "bool"),
        (filled("[", "1,", "1]"), "list(int)"),
        (filled("{", "1:1,", "1:1}"), "map(int, int)"),
        (filled("'", "a", "'"), "string"),
        (filled("'a'.matches('", "a", "')"), "bool"),
    ] {
        assert_eq!(told(&source, &policy()), result, "{}", beginning(&source));
    }
}

#[test]
fn very_many_mistakes_are_counted() {
    let told = |source: String| told(&source, &policy());
    assert_eq!(told(format!("[{}1]", "x,".repeat(150))).lines().last(), Some("50 more errors were truncated"));
    let many = told(filled("[", "'a'.matches('('),", "true]"));
    assert_eq!((many.matches("ERROR").count(), many.lines().last()), (100, Some("5782 more errors were truncated")));
    assert_eq!(told(filled("[", "x,", "1]")).matches("ERROR").count(), 100);
}

const PIECES: [&str; 64] = [
    "a",
    "object.b",
    "1",
    "2u",
    "3.5",
    "'x'",
    "b'z'",
    "r'\\d'",
    "'''",
    "\"",
    "true",
    "null",
    " in ",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "/",
    "%",
    "==",
    "<",
    ">=",
    "?",
    ":",
    ".",
    ".?",
    ",",
    "(",
    ")",
    "[",
    "[?",
    "]",
    "{",
    "{?",
    "}",
    "`q.r`",
    "`",
    ".all(x,",
    "y,",
    "has(",
    ".map(x,",
    "size(",
    "optional.of(",
    ".orValue(",
    ".optMap(x,",
    ".matches('[')",
    "duration('1')",
    "cel.bind(a,",
    "\\",
    "\n",
    " ",
    "\u{e9}",
    "\u{1f600}",
    "\u{0}",
    "@",
    "//c\n",
    "0x1f",
    "'\\u12'",
    "A{",
    "a:",
    "if",
    ".format([",
    ".sortBy(x,",
];
const RULE: &str = "object.?a[?0].orValue({'x': [optional.none()]}).map(k, v, k + 1) ? A.B{c: -1.5e3, ?d: 2u}.e : \
                    '%s'.format([1])";

/// Ways to make an expression of three others.
const FORMS: [&str; 32] = [
    "[X, Y]",
    "[X, ?Y]",
    "{X: Y}",
    "X + Y",
    "X == Y",
    "X in Y",
    "X < Y && Z",
    "X ? Y : Z",
    "X[Y]",
    "X[?Y]",
    "X.map(c, Y)",
    "X.map(d, Y, Z)",
    "X.filter(c, Y)",
    "X.all(c, Y)",
    "X.exists_one(d, c, Y)",
    "X.transformList(c, d, Y)",
    "X.transformMap(c, d, Y)",
    "X.transformMapEntry(c, d, Y, Z)",
    "X.sortBy(c, Y)",
    "X.optMap(c, Y)",
    "X.optFlatMap(d, Y)",
    "X.orValue(Y)",
    "X.or(Y)",
    "optional.of(X)",
    "X.?a.b",
    "[X].flatten()",
    "X.first()",
    "X.distinct() + Y.slice(1, Z)",
    "sets.contains(X, Y)",
    "type(X)",
    "dyn(X)",
    "X.indexOf(Y)",
];
const LEAVES: [&str; 12] =
    ["[]", "{}", "c", "d", "1", "'a'", "true", "null", "object", "optional.none()", "list", "duration('1s')"];

fn expression() -> impl Strategy<Value = String> {
    let leaf = (0..LEAVES.len()).prop_map(|at| LEAVES[at].to_owned());
    leaf.prop_recursive(6, 60, 3, |inner| {
        (0..FORMS.len(), inner.clone(), inner.clone(), inner).prop_map(|(form, a, b, c)| {
            let parts: Vec<String> = FORMS[form]
                .chars()
                .map(|letter| match letter {
                    'X' => format!("({a})"),
                    'Y' => format!("({b})"),
                    'Z' => format!("({c})"),
                    _ => letter.to_string(),
                })
                .collect();
            parts.concat()
        })
    })
}

proptest! {
    #[test]
    fn whatever_fits_together_is_checked_in_the_end(source in expression()) {
        let environment = policy().with("c", Type::list(Type::Dyn)).with("d", Type::map(Type::String, Type::list(Type::Int)));
        let told = told(&source, &environment);
        let whole = ["the parser failed", "Syntax error", "too complex"];
        prop_assert!(!whole.iter().any(|words| told.contains(words)), "{}: {}", source, told);
    }

    #[test]
    fn nothing_that_is_written_breaks_the_parser(at in proptest::collection::vec(0..PIECES.len(), 0..14)) {
        let source: String = at.into_iter().map(|at| PIECES[at]).collect();
        let told = told(&source, &policy().with_bindings());
        prop_assert!(!told.contains("the parser failed"), "{}", source);
    }

    #[test]
    fn a_rule_with_letters_in_wrong_places_breaks_nothing(
        changes in proptest::collection::vec((any::<usize>(), any::<usize>(), 0..3), 1..6),
    ) {
        let mut letters: Vec<char> = RULE.chars().collect();
        for (at, other, change) in changes {
            let (at, other) = (at % letters.len(), other % letters.len());
            match change {
                0 => drop(letters.remove(at)),
                1 => letters.insert(at, letters[other]),
                _ => letters.swap(at, other),
            }
        }
        let source: String = letters.into_iter().collect();
        prop_assert!(!told(&source, &policy()).contains("the parser failed"), "{}", source);
    }
}
