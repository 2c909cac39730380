//! Reads JSON along the schema: every value becomes what its field wants, or the reason why it can't.
//!
//! Upstream: sigs.k8s.io/json/internal/golang/encoding/json/decode.go, and UnmarshalJSON of the special types
//! Left out: Go's names of string types (`v1.PullPolicy`); their errors say `string`.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::Pass;
use super::scanner::{Scanner, Token, check_depth};
use crate::quantity::Quantity;
use crate::schema::{Field, Shape, Type, TypeId, Value as Kind, schema};
use crate::time;

/// More strict errors than this are not collected, as upstream.
const MAX_STRICT_ERRORS: usize = 100;

/// Decodes a text as `type_id`, noting unknown and duplicate fields when `strict`.
///
/// # Errors
/// Malformed JSON, in Go's words.
pub(super) fn decode(text: &str, type_id: TypeId, strict: bool) -> Result<Pass, String> {
    let mut reader =
        Reader { scanner: Scanner::new(text), strict, type_error: None, strict_errors: Vec::new(), depth: 0 };
    let root = Place { parent: None, step: Step::Root, owner: None };
    let value = match reader.scanner.peek()? {
        Token::Object => reader.object(type_id, &root)?,
        Token::Null => reader.scanner.word("null").map(|()| Value::Object(Map::new()))?,
        token => {
            reader.scanner.skip(0)?;
            reader.type_error = Some(format!(
                r#"json: cannot unmarshal {} into Go value of type struct {{ APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }}"#,
                go_word(token)
            ));
            Value::Null
        }
    };
    reader.scanner.end()?;
    Ok(Pass { value, type_error: reader.type_error, strict_errors: reader.strict_errors })
}

struct Reader<'a> {
    scanner: Scanner<'a>,
    strict: bool,
    type_error: Option<String>,
    strict_errors: Vec<String>,
    depth: usize,
}

/// Where a value stands; written out only when there is something to say about it.
struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
    /// The type whose field this is.
    owner: Option<&'static Type>,
}

enum Step<'p> {
    Root,
    Field(&'p str),
    Key(&'p str),
    Index(usize),
}

impl<'p> Place<'p> {
    fn field<'q>(&'q self, name: &'q str, owner: Option<&'static Type>) -> Place<'q> {
        Place { parent: Some(self), step: Step::Field(name), owner }
    }

    fn index<'q>(&'q self, index: usize) -> Place<'q> {
        Place { parent: Some(self), step: Step::Index(index), owner: self.owner }
    }

    fn key<'q>(&'q self, key: &'q str) -> Place<'q> {
        Place { parent: Some(self), step: Step::Key(key), owner: self.owner }
    }

    /// `spec.containers[0].foo`: the path in strict errors.
    fn path(&self) -> String {
        let mut path = self.parent.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Root => (),
            Step::Field(name) | Step::Key(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Index(index) => write!(path, "[{index}]").expect("writing to a string does not fail"),
        }
        path
    }

    /// `PodSpec.spec.containers.name`: the innermost Go struct and the field names from the top.
    fn go_field(&self) -> String {
        let mut names = Vec::new();
        let mut place = Some(self);
        while let Some(here) = place {
            if let Step::Field(name) = here.step {
                names.push(name);
            }
            place = here.parent;
        }
        names.push(self.owner.map_or("", Type::short_name));
        names.reverse();
        names.join(".")
    }
}

impl<'a> Reader<'a> {
    fn object(&mut self, type_id: TypeId, place: &Place<'_>) -> Result<Value, String> {
        let one: &'static Type = schema().get(type_id);
        self.enter()?;
        let (mut map, mut first, mut seen) = (Map::new(), true, 0u128);
        while let Some(key) = self.scanner.key(&mut first)? {
            let Some(index) = one.field_index(&key) else {
                self.unknown_field(one, key, place, &mut map)?;
                continue;
            };
            let field = &one.fields[index];
            let here = place.field(field.name, Some(one));
            if seen & (1 << index) != 0 {
                self.strict_error("duplicate field", &here);
            }
            seen |= 1 << index;
            match self.field(field, &here)? {
                Some(value) => drop(map.insert(field.name.to_owned(), value)),
                None => drop(map.remove(field.name)),
            }
        }
        self.depth -= 1;
        Ok(Value::Object(map))
    }

    fn unknown_field(
        &mut self,
        one: &Type,
        key: Cow<'a, str>,
        place: &Place<'_>,
        map: &mut Map<String, Value>,
    ) -> Result<(), String> {
        if one.open {
            let value = self.scanner.any(self.depth)?;
            if map.insert(key.clone().into_owned(), value).is_some() {
                self.strict_error("duplicate field", &place.field(&key, None));
            }
            return Ok(());
        }
        self.strict_error("unknown field", &place.field(&key, None));
        self.scanner.skip(self.depth)
    }

    /// The value of a field; None when it says nothing (null, an empty optional list or map, a wrong type).
    fn field(&mut self, field: &Field, place: &Place<'_>) -> Result<Option<Value>, String> {
        let token = self.scanner.peek()?;
        if token == Token::Null {
            self.scanner.word("null")?;
            return Ok(None);
        }
        let keep_empty = field.required || field.keep_empty;
        match field.shape {
            Shape::One(kind) => self.one(kind, token, place),
            Shape::List(kind) if token == Token::Array => {
                let items = self.list(kind, place)?;
                Ok((keep_empty || !items.is_empty()).then_some(Value::Array(items)))
            }
            // In Go a list of bytes and a string look alike, hence no such case here: no field is []byte lists.
            Shape::Map(kind) if token == Token::Object => {
                let map = self.map(place, |reader, token, place| reader.one(kind, token, place), zero(kind))?;
                Ok((keep_empty || !map.is_empty()).then_some(Value::Object(map)))
            }
            Shape::MapOfLists if token == Token::Object => {
                let list = |reader: &mut Reader<'a>, token, place: &Place<'_>| match token {
                    Token::Array => reader.list(Kind::String, place).map(|items| Some(Value::Array(items))),
                    token => reader.wrong_type(token, Shape::List(Kind::String), place),
                };
                let map = self.map(place, list, Value::Array(Vec::new()))?;
                Ok((keep_empty || !map.is_empty()).then_some(Value::Object(map)))
            }
            shape => self.wrong_type(token, shape, place),
        }
    }

    fn list(&mut self, kind: Kind, place: &Place<'_>) -> Result<Vec<Value>, String> {
        self.enter()?;
        let (mut items, mut first) = (Vec::new(), true);
        while self.scanner.element(&mut first)? {
            let item = match self.scanner.peek()? {
                Token::Null => self.scanner.word("null").map(|()| None)?,
                token => self.one(kind, token, &place.index(items.len()))?,
            };
            items.push(item.unwrap_or_else(|| zero(kind)));
        }
        self.depth -= 1;
        Ok(items)
    }

    /// A map; its null values are `zero`, as in Go.
    fn map(
        &mut self,
        place: &Place<'_>,
        mut value: impl FnMut(&mut Reader<'a>, Token, &Place<'_>) -> Result<Option<Value>, String>,
        zero: Value,
    ) -> Result<Map<String, Value>, String> {
        self.enter()?;
        let (mut map, mut first) = (Map::new(), true);
        while let Some(key) = self.scanner.key(&mut first)? {
            let item = match self.scanner.peek()? {
                Token::Null => self.scanner.word("null").map(|()| None)?,
                token => value(self, token, &place.key(&key))?,
            };
            let item = item.unwrap_or_else(|| zero.clone());
            if self.strict && map.contains_key(&*key) {
                self.strict_error("duplicate field", &place.key(&key));
            }
            map.insert(key.into_owned(), item);
        }
        self.depth -= 1;
        Ok(map)
    }

    /// One value that is not null.
    fn one(&mut self, kind: Kind, token: Token, place: &Place<'_>) -> Result<Option<Value>, String> {
        Ok(Some(match (kind, token) {
            (Kind::Object(type_id), Token::Object) => self.object(type_id, place)?,
            (Kind::String, Token::String) => Value::String(self.scanner.string()?.into_owned()),
            (Kind::Bool, Token::True) => self.scanner.word("true").map(|()| Value::Bool(true))?,
            (Kind::Bool, Token::False) => self.scanner.word("false").map(|()| Value::Bool(false))?,
            (Kind::Int32, Token::Number) => {
                let text = self.scanner.number()?;
                match text.parse::<i32>() {
                    Ok(number) => number.into(),
                    Err(_) => return self.type_error(&format!("number {text}"), Shape::One(kind), place),
                }
            }
            (Kind::Int64, Token::Number) => {
                let text = self.scanner.number()?;
                match text.parse::<i64>() {
                    Ok(number) => number.into(),
                    Err(_) => return self.type_error(&format!("number {text}"), Shape::One(kind), place),
                }
            }
            (Kind::Double, Token::Number) => {
                let text = self.scanner.number()?;
                match text.parse::<f64>().ok().filter(|number| number.is_finite()) {
                    // Go writes a whole float without a point.
                    Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => Value::from(number as i64),
                    Some(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
                    None => return self.type_error(&format!("number {text}"), Shape::One(kind), place),
                }
            }
            (Kind::Bytes, Token::String) => {
                let text = self.scanner.string()?;
                match canonical_base64(&text) {
                    Ok(text) => Value::String(text),
                    Err(error) => return self.remember(error),
                }
            }
            (Kind::Quantity, Token::String | Token::Number) => {
                let text = match token {
                    Token::String => self.scanner.string()?,
                    _ => Cow::Borrowed(self.scanner.number()?),
                };
                match canonical_quantity(text.trim()) {
                    Ok(text) => Value::String(text),
                    Err(error) => return self.remember(error),
                }
            }
            (Kind::Quantity, token) => {
                self.scanner.skip(self.depth)?;
                let _ = token;
                return self.remember(crate::quantity::QuantityError::Format.to_string());
            }
            (Kind::Time | Kind::MicroTime, Token::String) => {
                let text = self.scanner.string()?;
                let canonical = match kind {
                    Kind::Time if is_canonical_time(text.as_bytes()) => Some(text.clone().into_owned()),
                    Kind::Time => time::canonical_seconds(&text),
                    _ => time::canonical_micros(&text),
                };
                match canonical {
                    Some(text) => Value::String(text),
                    None => return self.remember(bad_time(&text, kind)),
                }
            }
            (Kind::Time | Kind::MicroTime, token) => {
                self.scanner.skip(self.depth)?;
                return self
                    .remember(format!("json: cannot unmarshal {} into Go value of type string", go_word(token)));
            }
            (Kind::IntOrString, Token::String) => Value::String(self.scanner.string()?.into_owned()),
            (Kind::IntOrString, Token::Number) => {
                let text = self.scanner.number()?;
                match text.parse::<i32>() {
                    Ok(number) => number.into(),
                    Err(_) => {
                        let what = format!("json: cannot unmarshal number {text} into Go value of type int32");
                        return self.remember(what);
                    }
                }
            }
            (Kind::IntOrString, token) => {
                self.scanner.skip(self.depth)?;
                return self.remember(format!("json: cannot unmarshal {} into Go value of type int32", go_word(token)));
            }
            (Kind::Raw | Kind::FieldsV1 | Kind::Json, _) => self.scanner.any(self.depth)?,
            (Kind::SchemaOrArray | Kind::SchemaOrBool | Kind::SchemaOrStrings, Token::Object) => {
                self.object(json_schema_props(), place)?
            }
            (Kind::SchemaOrArray, Token::Array) => Value::Array(self.list(Kind::Object(json_schema_props()), place)?),
            (Kind::SchemaOrStrings, Token::Array) => Value::Array(self.list(Kind::String, place)?),
            (Kind::SchemaOrBool, Token::True | Token::False) => self.scanner.any(self.depth)?,
            _ => return self.wrong_type(token, Shape::One(kind), place),
        }))
    }

    fn enter(&mut self) -> Result<(), String> {
        check_depth(self.depth)?;
        self.depth += 1;
        self.scanner.enter();
        Ok(())
    }

    /// Reads past a value that the field cannot take.
    fn wrong_type(&mut self, token: Token, shape: Shape, place: &Place<'_>) -> Result<Option<Value>, String> {
        self.scanner.skip(self.depth)?;
        self.type_error(go_word(token), shape, place)
    }

    fn type_error(&mut self, what: &str, shape: Shape, place: &Place<'_>) -> Result<Option<Value>, String> {
        if self.type_error.is_some() {
            return Ok(None);
        }
        let (field, wanted) = (place.go_field(), go_type(shape));
        self.remember(format!("json: cannot unmarshal {what} into Go struct field {field} of type {wanted}"))
    }

    /// Keeps the first complaint about a value; the value itself is left out.
    fn remember(&mut self, error: String) -> Result<Option<Value>, String> {
        self.type_error.get_or_insert(error);
        Ok(None)
    }

    fn strict_error(&mut self, what: &str, place: &Place<'_>) {
        if self.strict && self.strict_errors.len() < MAX_STRICT_ERRORS {
            let error = format!("{what} {:?}", place.path());
            if !self.strict_errors.contains(&error) {
                self.strict_errors.push(error);
            }
        }
    }
}

fn json_schema_props() -> TypeId {
    schema().named("apiextensions.v1.JSONSchemaProps").expect("the table has it")
}

/// The value of a null in a list or map, as Go leaves it.
fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Object(_) => Value::Object(Map::new()),
        Kind::Bool => false.into(),
        Kind::Int32 | Kind::Int64 | Kind::Double | Kind::IntOrString => 0.into(),
        Kind::String | Kind::Bytes => "".into(),
        Kind::Quantity => "0".into(),
        _ => Value::Null,
    }
}

/// Go's word for what a value is.
fn go_word(token: Token) -> &'static str {
    match token {
        Token::Object => "object",
        Token::Array => "array",
        Token::String => "string",
        Token::Number => "number",
        Token::True | Token::False => "bool",
        Token::Null => "null",
    }
}

/// The Go type of a field.
fn go_type(shape: Shape) -> String {
    let name = |kind| match kind {
        Kind::Object(type_id) => schema().get(type_id).go_name(),
        Kind::String => "string",
        Kind::Bool => "bool",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Double => "float64",
        Kind::Bytes => "[]uint8",
        Kind::Quantity => "resource.Quantity",
        Kind::IntOrString => "intstr.IntOrString",
        Kind::Time => "v1.Time",
        Kind::MicroTime => "v1.MicroTime",
        Kind::Raw => "runtime.RawExtension",
        Kind::FieldsV1 => "v1.FieldsV1",
        Kind::Json => "v1.JSON",
        Kind::SchemaOrArray => "v1.JSONSchemaPropsOrArray",
        Kind::SchemaOrBool => "v1.JSONSchemaPropsOrBool",
        Kind::SchemaOrStrings => "v1.JSONSchemaPropsOrStringArray",
    };
    match shape {
        Shape::One(kind) => name(kind).to_owned(),
        Shape::List(kind) => format!("[]{}", name(kind)),
        Shape::Map(kind) => format!("map[string]{}", name(kind)),
        Shape::MapOfLists => "map[string]v1.ExtraValue".to_owned(),
    }
}

/// Quantities are stored in canonical form; most arrive in it.
pub(super) fn canonical_quantity(text: &str) -> Result<String, String> {
    let quantity = Quantity::parse(text).map_err(|error| error.to_string())?;
    Ok(quantity.to_string())
}

/// Standard base64 with padding; line breaks inside are dropped, as Go does.
pub(super) fn canonical_base64(text: &str) -> Result<String, String> {
    let corrupt = |at: usize| format!("illegal base64 data at input byte {at}");
    if text.contains(['\n', '\r']) {
        return canonical_base64(&text.replace(['\n', '\r'], ""));
    }
    match STANDARD.decode(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _)) => {
            Err(corrupt(at))
        }
        Err(_) => Err(corrupt(text.trim_end_matches('=').len() / 4 * 4)),
    }
}

/// Whether the text has the exact form of a Time in UTC with a day that every month has; other forms are parsed.
pub(super) fn is_canonical_time(text: &[u8]) -> bool {
    let form = b"0000-00-00T00:00:00Z";
    let two = |at: usize| (text[at] - b'0') * 10 + text[at + 1] - b'0';
    text.len() == form.len()
        && text.iter().zip(form).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form })
        && (1..=12).contains(&two(5))
        && (1..=28).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
}

/// Go's complaint about a time: which part of the text is not which part of the form.
fn bad_time(text: &str, kind: Kind) -> String {
    let form = if kind == Kind::Time { "2006-01-02T15:04:05Z07:00" } else { "2006-01-02T15:04:05.000000Z07:00" };
    let parts = [("2006", 4), ("-", 0), ("01", 2), ("-", 0), ("02", 2), ("T", 0), ("15", 2), (":", 0), ("04", 2)];
    let mut rest = text;
    for (part, digits) in parts.into_iter().chain([(":", 0), ("05", 2)]) {
        let fits = if digits == 0 {
            rest.starts_with(part)
        } else {
            rest.len() >= digits && rest.bytes().take(digits).all(|byte| byte.is_ascii_digit())
        };
        if !fits {
            return format!("parsing time {text:?} as {form:?}: cannot parse {rest:?} as {part:?}");
        }
        rest = &rest[part.len()..];
    }
    let is_fraction = rest.len() > 6 && rest.starts_with('.') && rest[1..7].bytes().all(|byte| byte.is_ascii_digit());
    if kind == Kind::MicroTime && !is_fraction {
        return format!("parsing time {text:?} as {form:?}: cannot parse {rest:?} as \".000000\"");
    }
    let rest = if is_fraction { &rest[7..] } else { rest };
    format!("parsing time {text:?} as {form:?}: cannot parse {rest:?} as \"Z07:00\"")
}

#[cfg(test)]
mod tests {
    use super::super::scanner::number_value;

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(number_value("1"), serde_json::json!(1));
        assert_eq!(number_value("18446744073709551615"), serde_json::json!(u64::MAX));
        assert_eq!(number_value("1.5e300"), serde_json::json!(1.5e300));
        assert!(number_value("1e999").is_f64());
    }
}
