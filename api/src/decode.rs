//! From the bytes of a request to an object whose fields and types are those of its kind.
//!
//! Upstream: apimachinery/pkg/runtime/serializer/json, sigs.k8s.io/json, apiserver/pkg/endpoints/handlers (create.go,
//!   rest.go: transformDecodeError)
//! Left out: Go's merging of a struct field that stands twice in one object; here the last one wins.
//!
//! One pass over the text parses, checks types, drops unknown fields and notes duplicates. The result is in one normal
//! form, as after Go's round trip through its structs: no nulls, no empty optional lists or maps, quantities and times
//! in canonical form. A syntax error stops the pass; a wrong type is remembered (the first one) and the pass goes on,
//! so that what is reported does not depend on which mistake stands first.

pub(crate) mod scanner;
mod settled;
mod typed;

use std::borrow::Cow;

use serde_json::Value;

use crate::object::{self, Object, api_version, group_version};
use crate::protobuf::{self, Envelope};
use crate::schema::{TypeId, schema};
use crate::status::Status;

/// Nesting beyond this is refused: what is stored must be readable by every JSON parser around.
pub const MAX_DEPTH: usize = 120;

/// What to do about unknown and duplicate fields (`?fieldValidation=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so in warnings: the default of the API.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl Strictness {
    /// Reads the `fieldValidation` parameter; "" is the default.
    pub fn parse(parameter: &str) -> Option<Strictness> {
        match parameter {
            "" | "Warn" => Some(Strictness::Warn),
            "Ignore" => Some(Strictness::Ignore),
            "Strict" => Some(Strictness::Strict),
            _ => None,
        }
    }
}

/// The kind that a body should be.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    /// What its fields are checked against.
    pub type_id: TypeId,
}

impl<'a> Target<'a> {
    /// A built-in kind.
    pub fn built_in(group: &'a str, version: &'a str, kind: &'a str) -> Option<Target<'a>> {
        let type_id = schema().kind(group, version, kind)?;
        Some(Target { group, version, kind, type_id })
    }

    /// A custom kind: only its metadata is typed.
    pub fn custom(group: &'a str, version: &'a str, kind: &'a str) -> Target<'a> {
        Target { group, version, kind, type_id: schema().custom_resource() }
    }

    fn is_custom(&self) -> bool {
        schema().get(self.type_id).open
    }
}

/// A checked object, with its apiVersion and kind filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub value: Value,
    /// For the `Warning` header: `unknown field "spec.foo"`.
    pub warnings: Vec<String>,
}

/// Decodes a JSON body.
///
/// # Errors
/// 400 in upstream's words: malformed JSON, another kind, a wrong type, or (when `Strict`) an unknown or duplicate field.
pub fn json(body: &[u8], target: &Target<'_>, strictness: Strictness) -> Result<Decoded, Status> {
    let text = text(body);
    let pass = typed::decode(&text, target.type_id, strictness != Strictness::Ignore).map_err(|error| {
        unrecognized(body, target, &format!("couldn't get version/kind; json parse error: {error}"))
    })?;
    if !pass.value.is_object() {
        let error = pass.type_error.unwrap_or_default();
        return Err(unrecognized(body, target, &format!("couldn't get version/kind; json parse error: {error}")));
    }
    finish(pass, target, strictness).map_err(|refusal| match refusal {
        Refusal::OfKind(status) => status,
        Refusal::OfContent(error) => {
            let (kind, version) = (target.kind, target.version);
            Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {error}"))
        }
    })
}

/// Decodes a protobuf body, envelope and all.
///
/// # Errors
/// As [`json`], for bytes that are no message of the kind.
pub fn protobuf(body: &[u8], target: &Target<'_>, strictness: Strictness) -> Result<Decoded, Status> {
    let envelope = protobuf::envelope(body).map_err(|error| unrecognized(body, target, &error))?;
    let Envelope { api_version, kind, raw } = envelope;
    let version = if api_version.is_empty() { object::api_version(target.group, target.version) } else { api_version };
    let kind = if kind.is_empty() { target.kind.to_owned() } else { kind };
    check_kind(&version, &kind, target)?;
    let mut object = protobuf::to_json(raw, target.type_id).map_err(|error| {
        let expected = target.kind;
        Status::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {expected}: {error}",
            target.version
        ))
    })?;
    object.insert("apiVersion".into(), version.into());
    object.insert("kind".into(), kind.into());
    value(Value::Object(object), target, strictness)
}

/// Checks a value that is already parsed: the result of a patch, say.
///
/// # Errors
/// As [`json`].
pub fn value(mut value: Value, target: &Target<'_>, strictness: Strictness) -> Result<Decoded, Status> {
    if let Some(value) = take_settled(&mut value, target) {
        return Ok(Decoded { value, warnings: Vec::new() });
    }
    let text = serde_json::to_vec(&value).expect("a JSON value can be written");
    json(&text, target, strictness)
}

/// As [`value`], for what a patch made of an object. When there is something to say about it, it is still there.
///
/// # Errors
/// What is wrong with the result, without the name of its kind in front.
pub fn patched(value: &mut Value, target: &Target<'_>, strictness: Strictness) -> Result<Decoded, String> {
    if let Some(value) = take_settled(value, target) {
        return Ok(Decoded { value, warnings: Vec::new() });
    }
    let text = value.to_string();
    let pass = typed::decode(&text, target.type_id, strictness != Strictness::Ignore)?;
    finish(pass, target, strictness).map_err(|refusal| match refusal {
        Refusal::OfKind(status) => status.message,
        Refusal::OfContent(error) => error,
    })
}

/// Takes the value when it is an object of the kind in normal form, about which there is nothing to say.
fn take_settled(value: &mut Value, target: &Target<'_>) -> Option<Value> {
    let is_of_kind =
        value.kind() == target.kind && group_version(value.api_version()) == (target.group, target.version);
    (is_of_kind && settled::is_settled(value, target.type_id)).then(|| std::mem::take(value))
}

/// Any JSON, as it is: a patch. Numbers keep their kind, and nulls stay.
///
/// # Errors
/// Malformed JSON, in Go's words.
pub fn plain(body: &[u8]) -> Result<Value, String> {
    let text = text(body);
    let mut scanner = scanner::Scanner::new(&text);
    let value = scanner.any(0)?;
    scanner.end()?;
    Ok(value)
}

/// Decodes JSON against a type that is not a kind of its own (a patch's parts, a template), without kind and apiVersion.
///
/// # Errors
/// The first mistake, as a text in upstream's words.
pub fn fragment(body: &[u8], type_id: TypeId) -> Result<Value, String> {
    let pass = typed::decode(&text(body), type_id, false)?;
    pass.type_error.map_or(Ok(pass.value), Err)
}

/// The text of a body; what is not UTF-8 becomes replacement characters.
fn text(body: &[u8]) -> Cow<'_, str> {
    // The lossy way costs ten times the strict one.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// What one pass over a body found.
struct Pass {
    value: Value,
    /// The first value of a wrong type.
    type_error: Option<String>,
    /// Unknown and duplicate fields, in order.
    strict_errors: Vec<String>,
}

/// Why a body that could be read is refused.
enum Refusal {
    /// It is no object of the kind asked for.
    OfKind(Status),
    /// Its content does not fit its kind.
    OfContent(String),
}

fn finish(pass: Pass, target: &Target<'_>, strictness: Strictness) -> Result<Decoded, Refusal> {
    let Pass { mut value, type_error, strict_errors } = pass;
    let Some(object) = value.as_object_mut() else {
        let error = type_error.unwrap_or_default();
        return Err(Refusal::OfKind(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: \
             {error}",
            target.kind
        ))));
    };
    for (field, default) in
        [("apiVersion", api_version(target.group, target.version)), ("kind", target.kind.to_owned())]
    {
        let entry = object.entry(field).or_insert(Value::Null);
        if entry.as_str().is_none_or(str::is_empty) {
            *entry = Value::String(default);
        }
    }
    check_kind(value.api_version(), value.kind(), target).map_err(Refusal::OfKind)?;
    if let Some(error) = type_error {
        return Err(Refusal::OfContent(error));
    }
    match strictness {
        Strictness::Strict if !strict_errors.is_empty() => {
            Err(Refusal::OfContent(format!("strict decoding error: {}", strict_errors.join(", "))))
        }
        Strictness::Warn => Ok(Decoded { value, warnings: strict_errors }),
        _ => Ok(Decoded { value, warnings: Vec::new() }),
    }
}

/// Whether the kind that a body names is the one asked for.
pub(crate) fn check_kind(version: &str, kind: &str, target: &Target<'_>) -> Result<(), Status> {
    let expected = api_version(target.group, target.version);
    if version == expected && kind == target.kind {
        return Ok(());
    }
    let (group, bare_version) = group_version(version);
    if target.is_custom() && version == expected {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): no kind {kind:?} is registered for version \
             {version:?}",
            target.kind
        )));
    }
    if kind == target.kind && (group == target.group || schema().kind(group, bare_version, kind).is_some()) {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    let why = match schema().kind(group, bare_version, kind) {
        Some(_) => {
            let package = |group: &str| match group.split('.').next() {
                None | Some("") => "core".to_owned(),
                Some(first) => first.to_owned(),
            };
            let expected = format!("{}.{}", package(target.group), target.kind);
            format!("converting ({bare_version}.{kind}) to ({expected}): unknown conversion")
        }
        None => format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \
             \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
        ),
    };
    let cannot = format!("{kind} in version {bare_version:?} cannot be handled as a {}: {why}", target.kind);
    Err(Status::bad_request(cannot))
}

/// 400 for a body that could not even be read, with its beginning.
pub(crate) fn unrecognized(body: &[u8], target: &Target<'_>, error: &str) -> Status {
    let start = &body[..body.len().min(30)];
    let more = if body.len() > start.len() { " ..." } else { "" };
    let summary = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{more}", start.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    };
    let kind = target.kind;
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {error} ({summary})"))
}

#[cfg(test)]
mod tests;
