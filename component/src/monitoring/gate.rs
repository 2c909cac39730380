//! Who may ask a component other than the API server: the API server is asked, once for a while per question.
//!
//! Upstream: apiserver/pkg/server/options/{authentication,authorization}.go,
//!   apiserver/plugin/pkg/{authenticator/token,authorizer}/webhook
//! Left out: upstream's longer memory (2 and 5 minutes, here 10 seconds: a right that is taken away is gone soon);
//!   front proxies (`X-Remote-User`); client authorities out of the ConfigMap extension-apiserver-authentication.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use serde_json::json;
use tracing::warn;

use crate::pki;
use crate::serve::PeerCertificates;

const REMEMBERED_FOR: Duration = Duration::from_secs(10);
const MOST_REMEMBERED: usize = 1024;
const AUTHENTICATED: &str = "system:authenticated";

/// Who asks, as authorization sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct User {
    pub name: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Who shows neither certificate nor token.
    fn anonymous() -> User {
        User { name: "system:anonymous".into(), groups: vec!["system:unauthenticated".into()], ..User::default() }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Something with a subresource of a Node.
    Node { verb: &'static str, subresource: &'static str, name: Arc<str> },
    /// Something with a path that is no object's.
    Path { verb: String, path: String },
}

/// Why a request stops here.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// Nobody in particular asks, or with credentials that are none.
    Unauthorized,
    /// The API server can't be asked.
    Unknown(String),
}

impl Refusal {
    fn reason(self) -> (StatusCode, &'static str, String) {
        match self {
            Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized".into()),
            Refusal::Unknown(message) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (code, _, message) = self.reason();
        (code, message).into_response()
    }
}

/// Authenticates by client certificate or bearer token, authorizes by SubjectAccessReview.
pub struct Gate {
    client: kube::Client,
    users: Remembered<String, Option<User>>,
    answers: Remembered<(User, Wish), bool>,
}

impl Gate {
    /// A gate that asks with the rights of `client`, which must be allowed to create TokenReviews and
    /// SubjectAccessReviews.
    pub fn new(client: kube::Client) -> Gate {
        Gate { client, users: Remembered::default(), answers: Remembered::default() }
    }

    /// Who sends the request; None when it shows no credentials.
    ///
    /// # Errors
    /// The credentials are none, or the API server can't be asked about them.
    pub async fn user(&self, request: &Parts) -> Result<Option<User>, Refusal> {
        let shown = request.extensions.get::<PeerCertificates>().and_then(|shown| shown.0.first().cloned());
        match (shown, bearer_token(&request.headers)) {
            (Some(certificate), _) => user_of_certificate(&certificate).map(Some),
            (None, Some(token)) => self.user_of_token(token).await?.ok_or(Refusal::Unauthorized).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// May they?
    ///
    /// # Errors
    /// The API server can't be asked.
    pub async fn allows(&self, user: &User, wish: Wish) -> Result<bool, Refusal> {
        let question = (user.clone(), wish);
        if let Some(known) = self.answers.get(&question) {
            return Ok(known);
        }
        let review = SubjectAccessReview { spec: review_of(user, &question.1), ..Default::default() };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let allowed = answer.map_err(|error| unknown("the right", &error))?.status.is_some_and(|status| status.allowed);
        self.answers.put(question, allowed);
        Ok(allowed)
    }

    /// Lets a request for a path that is no object's pass. As upstream, who shows no credentials is
    /// `system:anonymous`, who may have rights too.
    ///
    /// # Errors
    /// The answer to send, in the API server's words.
    pub async fn pass_to_path(&self, parts: &Parts) -> Result<(), Box<Response>> {
        let refuse = |refusal: Refusal| Box::new(status(refusal.reason()));
        let user = self.user(parts).await.map_err(refuse)?.unwrap_or_else(User::anonymous);
        let (verb, path) = (parts.method.as_str().to_ascii_lowercase(), parts.uri.path().to_owned());
        let told = format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", user.name);
        match self.allows(&user, Wish::Path { verb, path }).await.map_err(refuse)? {
            true => Ok(()),
            false => Err(Box::new(status((StatusCode::FORBIDDEN, "Forbidden", told)))),
        }
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
}

fn review_of(user: &User, wish: &Wish) -> SubjectAccessReviewSpec {
    let user = user.clone();
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user.name),
        uid: user.uid,
        groups: Some(user.groups),
        extra: (!user.extra.is_empty()).then_some(user.extra),
        ..Default::default()
    };
    match wish {
        Wish::Node { verb, subresource, name } => {
            spec.resource_attributes = Some(ResourceAttributes {
                verb: Some((*verb).into()),
                version: Some("v1".into()),
                resource: Some("nodes".into()),
                subresource: Some((*subresource).into()),
                name: Some(name.to_string()),
                ..Default::default()
            });
        }
        Wish::Path { verb, path } => {
            let attributes = NonResourceAttributes { verb: Some(verb.clone()), path: Some(path.clone()) };
            spec.non_resource_attributes = Some(attributes);
        }
    }
    spec
}

/// A refusal as the API server writes them.
fn status((code, reason, message): (StatusCode, &str, String)) -> Response {
    let mut status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code.as_u16(),
    });
    if code == StatusCode::FORBIDDEN {
        status["details"] = json!({});
    }
    (code, [("content-type", "application/json")], status.to_string()).into_response()
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
