//! The bodies of requests: read within a limit, decoded against the schema.
//!
//! Upstream: apiserver/pkg/endpoints/handlers (rest.go, negotiation), apimachinery/pkg/runtime/serializer
//! Left out: CBOR.

use api::{
    decode::{self, Strictness, Target},
    status::Status,
};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::operations::{call::Call, options::FieldValidation};

/// The largest body that is read.
pub const LIMIT_BYTES: usize = 3 << 20;

/// The body of a request and its media type.
pub struct Request {
    pub bytes: Bytes,
    media_type: String,
}

impl Request {
    /// Reads the body.
    ///
    /// # Errors
    /// 413 beyond the limit, 415 for an encoded body, 400 when the connection breaks.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Request, Status> {
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Status::unsupported_media_type(&["application/json"]));
        }
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if http_body::Body::size_hint(&body).lower() > LIMIT_BYTES as u64 {
            return Err(Status::request_entity_too_large(LIMIT_BYTES));
        }
        match Limited::new(body, LIMIT_BYTES).collect().await {
            Ok(collected) => Ok(Request { bytes: collected.to_bytes(), media_type }),
            Err(error) if error.is::<LengthLimitError>() => Err(Status::request_entity_too_large(LIMIT_BYTES)),
            Err(error) => Err(Status::bad_request(format!("the body can't be read: {error}"))),
        }
    }

    /// The media type without parameters.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The apiVersion that the body says it has, where it can be read.
    pub fn api_version(&self) -> Option<String> {
        if self.media_type == PROTOBUF {
            return api::protobuf::envelope(&self.bytes).ok().map(|envelope| envelope.api_version.to_string());
        }
        let value: Value = match self.media_type.as_str() {
            "application/yaml" => yaml(&self.bytes).ok()?,
            _ => serde_json::from_slice(&self.bytes).ok()?,
        };
        value["apiVersion"].as_str().map(str::to_owned)
    }

    /// The DeleteOptions of a delete's body; none when it is empty.
    ///
    /// # Errors
    /// 400 and 415 as for [`typed`]: a delete whose options aren't understood deletes nothing.
    pub fn delete_options(&self) -> Result<Option<Value>, Status> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        if self.media_type == PROTOBUF {
            let envelope = api::protobuf::envelope(&self.bytes).map_err(Status::bad_request)?;
            let target = delete_options_of(&envelope.api_version)?;
            return Ok(Some(decode::protobuf(&self.bytes, &target, Strictness::Ignore)?.value));
        }
        let mut options = match self.media_type.as_str() {
            "" | "application/json" => decode::plain(&self.bytes).map_err(|error| {
                Status::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
            })?,
            "application/yaml" => yaml(&self.bytes)?,
            _ => return Err(Status::unsupported_media_type(&MEDIA_TYPES)),
        };
        if options.is_null() {
            return Ok(None); // what an empty struct is to some clients
        }
        let Some(fields) = options.as_object_mut() else {
            let why = "couldn't get version/kind; json parse error: the options are no object";
            return Err(Status::bad_request(why.to_owned()));
        };
        // Both may be left out. Clients name the version of the resource or that of meta; the options are the same.
        let api_version = fields.remove("apiVersion").unwrap_or_else(|| "v1".into());
        let kind = fields.remove("kind").unwrap_or_else(|| "DeleteOptions".into());
        if kind != "DeleteOptions" {
            return Err(Status::bad_request(format!("no kind {kind} is registered for version {api_version}")));
        }
        let target = delete_options_of(api_version.as_str().unwrap_or_default())?;
        Ok(Some(decode::value(options, &target, Strictness::Ignore)?.value))
    }
}

/// What DeleteOptions of a version are checked against.
fn delete_options_of(api_version: &str) -> Result<Target<'_>, Status> {
    let (group, version) = api::object::group_version(api_version);
    let target = Target::built_in(group, version, "DeleteOptions").or(Target::built_in("", "v1", "DeleteOptions"));
    target.ok_or_else(|| Status::internal("no schema for DeleteOptions"))
}

fn yaml(bytes: &[u8]) -> Result<Value, Status> {
    let text = String::from_utf8_lossy(bytes);
    serde_saphyr::from_str(&text).map_err(|error| Status::bad_request(format!("yaml: {error}")))
}

/// The media type of objects in protobuf.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What an object may be sent as.
const MEDIA_TYPES: [&str; 3] = ["application/json", "application/yaml", PROTOBUF];

/// Texts for the `Warning` header.
#[derive(Default)]
pub struct Warnings(Vec<String>);

impl Warnings {
    pub fn extend(&mut self, texts: Vec<String>) {
        for text in texts {
            if !self.0.contains(&text) {
                self.0.push(text);
            }
        }
    }

    pub fn into_texts(self) -> Vec<String> {
        self.0
    }

    /// Adds the header lines to an answer.
    pub fn put_on(self, mut response: Response<Body>) -> Response<Body> {
        for text in self.0 {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
        response
    }
}

/// The decoder's word for it.
pub fn strictness(validation: FieldValidation) -> Strictness {
    match validation {
        FieldValidation::Ignore => Strictness::Ignore,
        FieldValidation::Warn => Strictness::Warn,
        FieldValidation::Strict => Strictness::Strict,
    }
}

/// What the bodies of a call are checked against.
///
/// # Errors
/// 500 when the schema lacks the kind.
pub fn target<'a>(call: &'a Call<'_>) -> Result<Target<'a>, Status> {
    Target::built_in(&call.row.group, &call.info().version, &call.row.kind)
        .ok_or_else(|| Status::internal(format!("no schema for {}", call.row.kind)))
}

/// The object in a request's body, checked against the schema.
///
/// # Errors
/// 400 and 415 in upstream's words.
pub fn object(
    call: &Call<'_>,
    body: &Request,
    validation: FieldValidation,
    warnings: &mut Warnings,
) -> Result<Value, Status> {
    typed(body, &target(call)?, validation, warnings)
}

/// As [`object`], for a kind that is not the row's own: what a subresource speaks.
///
/// # Errors
/// As [`object`].
pub fn typed(
    body: &Request,
    target: &Target<'_>,
    validation: FieldValidation,
    warnings: &mut Warnings,
) -> Result<Value, Status> {
    let strictness = strictness(validation);
    let decoded = match body.media_type() {
        "" | "application/json" => decode::json(&body.bytes, target, strictness)?,
        PROTOBUF => decode::protobuf(&body.bytes, target, strictness)?,
        "application/yaml" => decode::value(yaml(&body.bytes)?, target, strictness)?,
        _ => return Err(Status::unsupported_media_type(&MEDIA_TYPES)),
    };
    warnings.extend(decoded.warnings);
    Ok(decoded.value)
}
