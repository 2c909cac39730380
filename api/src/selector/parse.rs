//! The string form of a label selector.
//!
//! Upstream: apimachinery/pkg/labels/selector.go (Lexer, Parser)
//! Left out: nothing.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::{Operator, Requirement, key_error};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Word,
    Comma,
    Open,
    Close,
    Not,
    Compare(Operator),
    Unknown,
    End,
}

/// The tokens of a selector; after the last one it says `End` for ever.
struct Tokens(Peekable<IntoIter<(Token, String)>>);

impl Tokens {
    fn peek(&mut self) -> (Token, String) {
        self.0.peek().cloned().unwrap_or((Token::End, String::new()))
    }

    fn next(&mut self) -> (Token, String) {
        self.0.next().unwrap_or((Token::End, String::new()))
    }
}

pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let mut tokens = Tokens(scan(text).into_iter().peekable());
    let mut requirements = Vec::new();
    loop {
        match tokens.peek() {
            (Token::End, _) => return Ok(requirements),
            (Token::Word | Token::Not, _) => (),
            (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
        }
        let requirement = requirement(&mut tokens).map_err(|error| format!("unable to parse requirement: {error}"))?;
        requirements.push(requirement);
        match tokens.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => {
                if let (token, found) = tokens.peek()
                    && !matches!(token, Token::Word | Token::Not)
                {
                    return Err(format!("found '{found}', expected: identifier after ','"));
                }
            }
            (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
        }
    }
}

fn requirement(tokens: &mut Tokens) -> Result<Requirement, String> {
    let mut first = tokens.next();
    let negated = first.0 == Token::Not;
    if negated {
        first = tokens.next();
    }
    let (Token::Word, key) = first else { return Err(format!("found '{}', expected: identifier", first.1)) };
    if let Some(error) = key_error("<nil>", &key) {
        return Err(error);
    }
    if matches!(tokens.peek().0, Token::End | Token::Comma) {
        let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
        return Requirement::new(&key, operator, Vec::new());
    }
    if negated {
        let (_, found) = tokens.peek();
        return Err(format!("found '{found}', expected: {BINARY_OPERATORS}"));
    }
    let operator = match tokens.next() {
        (Token::Compare(operator), _) => operator,
        (Token::Word, word) if word == "in" => Operator::In,
        (Token::Word, word) if word == "notin" => Operator::NotIn,
        (_, found) => return Err(format!("found '{found}', expected: {BINARY_OPERATORS}")),
    };
    let values = match operator {
        Operator::In | Operator::NotIn => value_set(tokens)?,
        _ => vec![exact_value(tokens)?],
    };
    Requirement::new(&key, operator, values)
}

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

fn exact_value(tokens: &mut Tokens) -> Result<String, String> {
    if matches!(tokens.peek().0, Token::End | Token::Comma) {
        return Ok(String::new());
    }
    match tokens.next() {
        (Token::Word, value) => Ok(value),
        (_, found) => Err(format!("found '{found}', expected: identifier")),
    }
}

/// `(a, b)`; an empty place between commas is the empty value.
fn value_set(tokens: &mut Tokens) -> Result<Vec<String>, String> {
    match tokens.next() {
        (Token::Open, _) => (),
        (_, found) => return Err(format!("found '{found}' expected: '('")),
    }
    match tokens.peek() {
        (Token::Word | Token::Comma, _) => (),
        (Token::Close, _) => {
            tokens.next();
            return Ok(vec![String::new()]);
        }
        (_, found) => return Err(format!("found '{found}', expected: ',', ')' or identifier")),
    }
    let mut values = Vec::new();
    loop {
        match tokens.next() {
            (Token::Word, value) => {
                values.push(value);
                match tokens.peek() {
                    (Token::Comma, _) => (),
                    (Token::Close, _) => break,
                    (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                }
            }
            (Token::Comma, _) => {
                let next = tokens.peek().0;
                if values.is_empty() || matches!(next, Token::Close | Token::Comma) {
                    values.push(String::new());
                }
                if next == Token::Close {
                    break;
                }
            }
            (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
        }
    }
    tokens.next();
    Ok(values)
}

fn scan(text: &str) -> Vec<(Token, String)> {
    let is_symbol = |letter: char| "=!(),><".contains(letter);
    let is_space = |letter: char| " \t\r\n".contains(letter);
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_space);
        let Some(first) = rest.chars().next().filter(|first| *first != '\0') else { return tokens };
        let (token, length) = if is_symbol(first) {
            symbol(rest)
        } else {
            let end = rest.find(|letter| is_symbol(letter) || is_space(letter) || letter == '\0').unwrap_or(rest.len());
            (Token::Word, end)
        };
        tokens.push((token, rest[..length].to_owned()));
        rest = &rest[length..];
    }
}

/// The longest operator or bracket at the start of `text`, and its length in bytes.
fn symbol(text: &str) -> (Token, usize) {
    let symbols = [
        ("==", Token::Compare(Operator::DoubleEquals)),
        ("!=", Token::Compare(Operator::NotEquals)),
        ("=", Token::Compare(Operator::Equals)),
        (">", Token::Compare(Operator::GreaterThan)),
        ("<", Token::Compare(Operator::LessThan)),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ];
    let found = symbols.iter().find(|(symbol, _)| text.starts_with(symbol));
    found.map_or((Token::Unknown, 1), |(symbol, token)| (*token, symbol.len()))
}
