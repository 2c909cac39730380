//! Documents that are made once and sent often: bytes, a hash, and the answer 304 for who has them already.
//!
//! Upstream: apiserver/pkg/endpoints/discovery/aggregated/etag.go, kube-openapi/pkg/handler3
//! Left out: compression.

use std::{collections::HashMap, fmt::Write, sync::Arc, sync::Mutex};

use aws_lc_rs::digest::{SHA512, digest};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// The documents that were asked for so far, by a name of their own.
#[derive(Default)]
pub struct Documents {
    made: Mutex<HashMap<String, Arc<Document>>>,
}

/// A document and its hash.
pub struct Document {
    pub bytes: Bytes,
    /// SHA-512 in capital hexadecimal digits, as upstream's.
    pub hash: String,
    media_type: &'static str,
}

impl Documents {
    /// The document of this name; `make` is called if it is the first time.
    pub fn get(&self, name: &str, media_type: &'static str, make: impl FnOnce() -> Vec<u8>) -> Arc<Document> {
        let lock = || self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(document) = lock().get(name) {
            return document.clone();
        }
        let document = Arc::new(Document::new(make(), media_type));
        lock().entry(name.to_owned()).or_insert(document).clone()
    }
}

impl Document {
    fn new(bytes: Vec<u8>, media_type: &'static str) -> Document {
        let mut hash = String::with_capacity(128);
        for byte in digest(&SHA512, &bytes).as_ref() {
            write!(hash, "{byte:02X}").expect("writing to a string does not fail");
        }
        Document { bytes: bytes.into(), hash, media_type }
    }

    /// The document, or 304 when the client has it.
    pub fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let tag = format!("\"{}\"", self.hash);
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let has_it = known.split(',').any(|each| each.trim().trim_start_matches("W/") == tag);
        let mut response = Response::new(if has_it { Body::empty() } else { Body::from(self.bytes.clone()) });
        if has_it {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let answer = response.headers_mut();
        answer.insert(header::VARY, HeaderValue::from_static("Accept"));
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            answer.insert(header::ETAG, tag);
        }
        response
    }
}
