//! Documents that are made once and sent often: bytes, a hash, and the answer 304 for who has them already.
//!
//! Upstream: apiserver/pkg/endpoints/discovery/aggregated/etag.go, kube-openapi/pkg/handler3
//! Left out: compression of small documents.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{Read, Write},
    sync::{Arc, Mutex, OnceLock},
};

use aws_lc_rs::digest::{SHA512, digest};
use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// The documents that were asked for so far, by a name of their own.
#[derive(Default)]
pub struct Documents {
    made: Mutex<HashMap<String, Arc<Document>>>,
    large: Mutex<HashMap<String, Arc<Kept>>>,
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
        Document { hash: hash_of(&bytes), bytes: bytes.into(), media_type }
    }

    /// The document, or 304 when the client has it.
    pub fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        answer(headers, &self.hash, self.media_type, || Body::from(self.bytes.clone()))
    }
}

/// What is kept of a large document.
struct Kept {
    hash: String,
    /// Made when the first client takes it.
    compressed: OnceLock<Bytes>,
}

/// A document of which only the hash, and a compressed copy once somebody took that, stay in memory. `make` always
/// makes the same bytes.
pub struct LargeDocument<'a> {
    kept: Arc<Kept>,
    media_type: &'static str,
    make: Box<dyn Fn() -> Vec<u8> + 'a>,
}

impl Documents {
    /// The large document of this name; it is made once, for its hash, if that is not known yet.
    pub fn large<'a>(
        &self,
        name: &str,
        media_type: &'static str,
        make: impl Fn() -> Vec<u8> + 'a,
    ) -> LargeDocument<'a> {
        let lock = || self.large.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let known = lock().get(name).cloned();
        let kept = known.unwrap_or_else(|| {
            let kept = Kept { hash: hash_of(&make()), compressed: OnceLock::new() };
            lock().entry(name.to_owned()).or_insert(Arc::new(kept)).clone()
        });
        LargeDocument { kept, media_type, make: Box::new(make) }
    }

    /// Another form of a large document, under the same hash; it is made when somebody takes it.
    pub fn other_form<'a>(
        &self,
        document: &LargeDocument<'_>,
        name: &str,
        media_type: &'static str,
        make: impl Fn() -> Vec<u8> + 'a,
    ) -> LargeDocument<'a> {
        let mut known = self.large.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let new = || Arc::new(Kept { hash: document.hash().to_owned(), compressed: OnceLock::new() });
        let kept = known.entry(name.to_owned()).or_insert_with(new).clone();
        LargeDocument { kept, media_type, make: Box::new(make) }
    }
}

impl LargeDocument<'_> {
    /// SHA-512 of the document as it is when not compressed; of another form of it the same.
    pub fn hash(&self) -> &str {
        &self.kept.hash
    }

    /// The document, compressed for a client that takes that; or 304 when the client has it.
    pub fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let compressed = takes_gzip(headers);
        let body = || match compressed {
            true => Body::from(self.kept.compressed.get_or_init(|| gzip(&(self.make)())).clone()),
            false => Body::from(self.bytes()),
        };
        let mut response = answer(headers, &self.kept.hash, self.media_type, body);
        let answer = response.headers_mut();
        answer.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if compressed {
            answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// The document as it is when not compressed.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.kept.compressed.get().map(|bytes| &bytes[..]) {
            Some(compressed) if GzDecoder::new(compressed).read_to_end(&mut bytes).is_ok() => bytes,
            _ => (self.make)(),
        }
    }
}

/// The answer with what `body` makes, or 304 when the client has it.
fn answer(headers: &HeaderMap, hash: &str, media_type: &'static str, body: impl FnOnce() -> Body) -> Response<Body> {
    let tag = format!("\"{hash}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let has_it = known.split(',').any(|each| each.trim().trim_start_matches("W/") == tag);
    let mut response = Response::new(if has_it { Body::empty() } else { body() });
    if has_it {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let answer = response.headers_mut();
    answer.insert(header::VARY, HeaderValue::from_static("Accept"));
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.insert(header::ETAG, tag);
    }
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|each| {
        let (name, quality) = each.split_once(';').unwrap_or((each, ""));
        let refused = quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
        name.trim() == "gzip" && !refused
    })
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(5));
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all").into()
}

fn hash_of(bytes: &[u8]) -> String {
    let mut hash = String::with_capacity(128);
    for byte in digest(&SHA512, bytes).as_ref() {
        write!(hash, "{byte:02X}").expect("writing to a string does not fail");
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(encoding: &'static str) -> HeaderMap {
        [(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding))].into_iter().collect()
    }

    async fn body(response: Response<Body>) -> Bytes {
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_large_document_is_made_for_its_hash_and_kept_compressed() {
        let (documents, made) = (Documents::default(), std::cell::Cell::new(0));
        let make = || {
            made.set(made.get() + 1);
            b"text ".repeat(1000)
        };
        let document = documents.large("a", "application/json", make);
        assert_eq!((made.get(), document.hash().len()), (1, 128));
        assert_eq!(body(document.answer(&HeaderMap::new())).await.len(), 5000);
        assert_eq!(made.get(), 2);
        let response = documents.large("a", "application/json", make).answer(&accepting("br, gzip;q=0.5"));
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        let compressed = body(response).await;
        let mut plain = Vec::new();
        GzDecoder::new(&compressed[..]).read_to_end(&mut plain).unwrap();
        assert!(plain.len() == 5000 && compressed.len() < 100);
        assert_eq!(made.get(), 3);
        let plain = documents.large("a", "application/json", make).answer(&accepting("gzip;q=0"));
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!((body(plain).await.len(), made.get()), (5000, 3));
    }

    #[tokio::test]
    async fn who_has_the_document_gets_nothing_again() {
        let documents = Documents::default();
        let document = documents.large("a", "application/json", || vec![b'x']);
        let tag = HeaderValue::from_str(&format!("\"{}\"", document.hash())).unwrap();
        let response = document.answer(&[(header::IF_NONE_MATCH, tag.clone())].into_iter().collect());
        assert_eq!((response.status(), &response.headers()[header::ETAG]), (StatusCode::NOT_MODIFIED, &tag));
        assert!(body(response).await.is_empty());
    }
}
