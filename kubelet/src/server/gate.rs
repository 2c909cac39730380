//! Who may talk to the kubelet: the API server is asked, once for a while per question.
//!
//! Upstream: pkg/kubelet/server/auth.go, apiserver/plugin/pkg/{authenticator/token,authorizer}/webhook
//! Left out: anonymous users; upstream's longer memory (2 and 5 minutes): here a right that is taken away is gone soon.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use component::pki;
use component::serve::PeerCertificates;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use tracing::warn;

use super::attributes;

const REMEMBERED_FOR: Duration = Duration::from_secs(10);
const MOST_REMEMBERED: usize = 1024;
const AUTHENTICATED: &str = "system:authenticated";

/// Who asks, as authorization sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct User {
    name: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// One question to the authorizer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    user: User,
    verb: &'static str,
    subresource: &'static str,
}

/// Why a request stops here.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    Unauthorized,
    Forbidden(String),
    /// The API server can't be asked.
    Unknown(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized".to_string()),
            Refusal::Forbidden(message) => (StatusCode::FORBIDDEN, message),
            Refusal::Unknown(message) => (StatusCode::INTERNAL_SERVER_ERROR, message),
        }
        .into_response()
    }
}

/// Authenticates by client certificate or bearer token, authorizes by SubjectAccessReview.
pub struct Gate {
    client: kube::Client,
    node: String,
    users: Remembered<String, Option<User>>,
    answers: Remembered<Question, bool>,
}

impl Gate {
    pub fn new(client: kube::Client, node: &str) -> Self {
        Self { client, node: node.into(), users: Remembered::default(), answers: Remembered::default() }
    }

    /// Lets a request pass.
    pub async fn pass(&self, request: &Parts) -> Result<(), Refusal> {
        let shown = request.extensions.get::<PeerCertificates>().and_then(|shown| shown.0.first().cloned());
        let user = match (shown, bearer_token(&request.headers)) {
            (Some(certificate), _) => Some(user_of_certificate(&certificate)?),
            (None, Some(token)) => self.user_of_token(token).await?,
            (None, None) => None,
        };
        let user = user.ok_or(Refusal::Unauthorized)?;
        let asked = attributes::of(&request.method, request.uri.path());
        for subresource in &asked.subresources {
            let question = Question { user: user.clone(), verb: asked.verb, subresource };
            if self.allows(question).await? {
                return Ok(());
            }
        }
        Err(Refusal::Forbidden(format!(
            "Forbidden (user={}, verb={}, resource=nodes, subresource(s)=[{}])",
            user.name,
            asked.verb,
            asked.subresources.join(" ")
        )))
    }

    async fn user_of_token(&self, token: &str) -> Result<Option<User>, Refusal> {
        if let Some(known) = self.users.get(token) {
            return Ok(known);
        }
        let spec = TokenReviewSpec { token: Some(token.into()), ..Default::default() };
        let review = TokenReview { spec, ..Default::default() };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| unknown("the token", &error))?.status.unwrap_or_default();
        let known = status.user.filter(|_| status.authenticated == Some(true)).map(|user| User {
            name: user.username.unwrap_or_default(),
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        });
        self.users.put(token.into(), known.clone());
        Ok(known)
    }

    async fn allows(&self, question: Question) -> Result<bool, Refusal> {
        if let Some(known) = self.answers.get(&question) {
            return Ok(known);
        }
        let user = question.user.clone();
        let resource_attributes = ResourceAttributes {
            verb: Some(question.verb.into()),
            version: Some("v1".into()),
            resource: Some("nodes".into()),
            subresource: Some(question.subresource.into()),
            name: Some(self.node.clone()),
            ..Default::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.name),
            uid: user.uid,
            groups: Some(user.groups),
            extra: (!user.extra.is_empty()).then_some(user.extra),
            resource_attributes: Some(resource_attributes),
            ..Default::default()
        };
        let review = SubjectAccessReview { spec, ..Default::default() };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let allowed = answer.map_err(|error| unknown("the right", &error))?.status.is_some_and(|status| status.allowed);
        self.answers.put(question, allowed);
        Ok(allowed)
    }
}

fn unknown(what: &str, error: &kube::Error) -> Refusal {
    warn!(%error, "can't ask the API server about {what} of a client");
    Refusal::Unknown("Authorization error: the API server can't be asked".into())
}

fn user_of_certificate(certificate: &[u8]) -> Result<User, Refusal> {
    let subject = pki::inspect_der(certificate).map_err(|_| Refusal::Unauthorized)?.subject;
    if subject.common_name.is_empty() {
        return Err(Refusal::Unauthorized);
    }
    let mut groups = subject.organizations;
    groups.push(AUTHENTICATED.into());
    Ok(User { name: subject.common_name, groups, ..Default::default() })
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Answers that are still believed.
struct Remembered<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(since, _)| since.elapsed() < REMEMBERED_FOR).map(|(_, value)| value.clone())
    }

    fn put(&self, key: K, value: V) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, (since, _)| since.elapsed() < REMEMBERED_FOR);
        }
        // Still full: a flood of strangers. They are asked about anew each time.
        if known.len() < MOST_REMEMBERED {
            known.insert(key, (Instant::now(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_the_user_and_its_groups() {
        let folder = tempfile::tempdir().unwrap();
        let pki = pki::ClusterPki::at(folder.path());
        let issued = pki.issue_client(&pki::Identity::new("alice", &["dev"]), jiff::Timestamp::now()).unwrap();
        let file = folder.path().join("alice.crt");
        std::fs::write(&file, issued.certificate_pem).unwrap();
        let certificate = pki::read_certificates(&file).unwrap().remove(0);
        let user = user_of_certificate(&certificate).unwrap();
        assert_eq!((user.name.as_str(), user.groups), ("alice", vec!["dev".into(), AUTHENTICATED.to_string()]));
        assert_eq!(user_of_certificate(b"no certificate"), Err(Refusal::Unauthorized));
    }

    #[test]
    fn a_flood_of_strangers_is_not_remembered() {
        let remembered = Remembered::default();
        for stranger in 0..3 * MOST_REMEMBERED {
            remembered.put(stranger, false);
        }
        assert_eq!(remembered.0.lock().unwrap().len(), MOST_REMEMBERED);
        assert_eq!(remembered.get(&0), Some(false));
    }

    #[test]
    fn only_a_bearer_token_is_one() {
        let headers = |value: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer_token(&headers("Bearer abc")), Some("abc"));
        assert_eq!(bearer_token(&headers("Basic abc")), None);
        assert_eq!(bearer_token(&headers("Bearer ")), None);
    }
}
