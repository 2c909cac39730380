//! The syntax of JSON: strings, numbers, whole values, and Go's words for what is wrong with them.
//!
//! Upstream: sigs.k8s.io/json/internal/golang/encoding/json/scanner.go
//! Left out: nothing; like Go, half a surrogate pair becomes U+FFFD.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::MAX_DEPTH;

/// A reading position in a JSON text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// What a value is, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// `context` says where the character stands that does not belong there.
    fn unexpected(&self, context: &str) -> String {
        match self.text[self.at..].chars().next() {
            None => "unexpected end of JSON input".to_owned(),
            Some('\'') => format!(r"invalid character '\'' {context}"),
            Some('"') => format!("invalid character '\"' {context}"),
            Some(letter) if letter.is_ascii_control() => match letter {
                '\n' => format!(r"invalid character '\n' {context}"),
                '\r' => format!(r"invalid character '\r' {context}"),
                '\t' => format!(r"invalid character '\t' {context}"),
                _ => format!(r"invalid character '\x{:02x}' {context}", u32::from(letter)),
            },
            Some('\\') => format!(r"invalid character '\\' {context}"),
            // Go looks at bytes, so of a longer character it shows the first byte as if it were Latin-1.
            Some(letter) if !letter.is_ascii() => {
                format!("invalid character '{}' {context}", char::from(self.text.as_bytes()[self.at]))
            }
            Some(letter) => format!("invalid character '{letter}' {context}"),
        }
    }

    /// What the next value is, without reading it.
    pub(crate) fn peek(&mut self) -> Result<Token, String> {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Ok(Token::Object),
            Some(b'[') => Ok(Token::Array),
            Some(b'"') => Ok(Token::String),
            Some(b'-' | b'0'..=b'9') => Ok(Token::Number),
            Some(b't') => Ok(Token::True),
            Some(b'f') => Ok(Token::False),
            Some(b'n') => Ok(Token::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    /// Steps into an object or array that [`Scanner::peek`] has seen.
    pub(crate) fn enter(&mut self) {
        self.at += 1;
    }

    /// The next key of the object; None at its end. `first` until a key was read.
    pub(crate) fn key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, String> {
        self.skip_space();
        if *first {
            *first = false;
            if self.byte() == Some(b'}') {
                self.at += 1;
                return Ok(None);
            }
        } else {
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(None);
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
            self.skip_space();
        }
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let key = self.string()?;
        self.skip_space();
        if self.byte() != Some(b':') {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether the array has another element. `first` until an element was read.
    pub(crate) fn element(&mut self, first: &mut bool) -> Result<bool, String> {
        self.skip_space();
        match self.byte() {
            Some(b']') => {
                if !*first || self.byte() == Some(b']') {
                    self.at += 1;
                }
                Ok(false)
            }
            _ if *first => {
                *first = false;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.unexpected("after array element")),
        }
    }

    /// Reads the string that begins here.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, String> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut end = start;
        while bytes.get(end).is_some_and(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') {
            end += 1;
        }
        if bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        let mut string = String::from(&self.text[start..end]);
        self.at = end;
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(string));
                }
                Some(b'\\') => {
                    self.at += 1;
                    string.push(self.escape()?);
                }
                Some(0x20..) => {
                    let rest = &self.text[self.at..];
                    let end = rest.find(|letter| letter < ' ' || letter == '"' || letter == '\\').unwrap_or(rest.len());
                    string.push_str(&rest[..end]);
                    self.at += end;
                }
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    /// The character that an escape stands for; the backslash is read already.
    fn escape(&mut self) -> Result<char, String> {
        let letter = match self.byte() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(letter)
    }

    fn unicode_escape(&mut self) -> Result<char, String> {
        let high = self.four_hex_digits()?;
        if (0xD800..0xDC00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.four_hex_digits()?;
            if (0xDC00..0xE000).contains(&low) {
                let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_hex_digits(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.unexpected("in \\u hexadecimal character escape")) };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// Reads the number that begins here and answers its text.
    pub(crate) fn number(&mut self) -> Result<&'a str, String> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if !matches!(self.byte(), Some(b'0'..=b'9')) {
                return Err(self.unexpected("after decimal point in numeric literal"));
            }
            self.digits();
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            if !matches!(self.byte(), Some(b'0'..=b'9')) {
                return Err(self.unexpected("in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
    }

    /// Reads `true`, `false` or `null`.
    pub(crate) fn word(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes() {
            if self.byte() != Some(expected) {
                return Err(self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Reads any value as it is, `depth` objects and arrays down. Nulls inside are kept.
    pub(crate) fn any(&mut self, depth: usize) -> Result<Value, String> {
        Ok(match self.peek()? {
            Token::Object => {
                check_depth(depth)?;
                self.enter();
                let (mut map, mut first) = (Map::new(), true);
                while let Some(key) = self.key(&mut first)? {
                    let value = self.any(depth + 1)?;
                    map.insert(key.into_owned(), value);
                }
                Value::Object(map)
            }
            Token::Array => {
                check_depth(depth)?;
                self.enter();
                let (mut items, mut first) = (Vec::new(), true);
                while self.element(&mut first)? {
                    items.push(self.any(depth + 1)?);
                }
                Value::Array(items)
            }
            Token::String => Value::String(self.string()?.into_owned()),
            Token::Number => number_value(self.number()?),
            Token::True => self.word("true").map(|()| Value::Bool(true))?,
            Token::False => self.word("false").map(|()| Value::Bool(false))?,
            Token::Null => self.word("null").map(|()| Value::Null)?,
        })
    }

    /// Reads past a value, `depth` objects and arrays down.
    pub(crate) fn skip(&mut self, depth: usize) -> Result<(), String> {
        match self.peek()? {
            Token::Object => {
                check_depth(depth)?;
                self.enter();
                let mut first = true;
                while self.key(&mut first)?.is_some() {
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            Token::Array => {
                check_depth(depth)?;
                self.enter();
                let mut first = true;
                while self.element(&mut first)? {
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            Token::String => self.string().map(drop),
            Token::Number => self.number().map(drop),
            Token::True => self.word("true"),
            Token::False => self.word("false"),
            Token::Null => self.word("null"),
        }
    }

    /// The text of the value that comes next.
    pub(crate) fn raw(&mut self, depth: usize) -> Result<&'a str, String> {
        self.skip_space();
        let start = self.at;
        self.skip(depth)?;
        Ok(&self.text[start..self.at])
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.skip_space();
        match self.byte() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("after top-level value")),
        }
    }
}

pub(crate) fn check_depth(depth: usize) -> Result<(), String> {
    if depth >= MAX_DEPTH { Err("exceeded max depth".into()) } else { Ok(()) }
}

/// A number of any kind; what no float can hold becomes the largest one.
pub(crate) fn number_value(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    if let Ok(number) = text.parse::<u64>() {
        return number.into();
    }
    let float: f64 = text.parse().unwrap_or_default();
    let finite = float.clamp(f64::MIN, f64::MAX);
    Number::from_f64(finite).map_or(Value::Null, Value::Number)
}
