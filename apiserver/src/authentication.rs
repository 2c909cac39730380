//! Who is asking: the first answer on the way of every request.
//!
//! Upstream: pkg/kubeapiserver/authenticator, apiserver/pkg/authentication/request
//! Left out: bootstrap tokens, OIDC, webhook token review, the front proxy's headers.
//!
//! A request is authenticated by exactly one of: its client certificate, the static token file, a service account
//! token; the first that knows it wins and nothing of the others is added. A wrong token is 401 even where anonymous
//! requests are served.

use std::sync::Arc;

use api::status::Status;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::{
    attributes::{RequestInfo, UserInfo},
    objects::Objects,
};

pub mod certificate;
pub mod impersonation;
pub mod keys;
pub mod review;
pub mod service_account;
pub mod static_token;

use certificate::Certificates;
use service_account::TokenVerifier;
use static_token::StaticTokens;

/// Everything that can vouch for a request.
pub struct Authenticator {
    certificates: Certificates,
    static_tokens: StaticTokens,
    service_accounts: TokenVerifier,
    objects: Arc<dyn Objects>,
    /// The audiences that this server identifies itself with; tokens must be meant for one of them.
    audiences: Vec<String>,
}

impl Authenticator {
    /// `objects` is asked whether what a service account token is bound to is still alive.
    pub fn new(
        static_tokens: StaticTokens,
        service_accounts: TokenVerifier,
        audiences: Vec<String>,
        objects: Arc<dyn Objects>,
    ) -> Authenticator {
        Authenticator { certificates: Certificates::default(), static_tokens, service_accounts, objects, audiences }
    }

    /// The user behind a request, or none when it carries no credentials at all.
    ///
    /// `peer_certificates` is the chain that the TLS handshake verified, leaf first; `authorization_header` the value
    /// of `Authorization`.
    ///
    /// # Errors
    /// 401 when there are credentials and none of them is good.
    pub fn authenticate(
        &self,
        peer_certificates: &[CertificateDer<'_>],
        authorization_header: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Arc<UserInfo>>, Status> {
        if let Some(leaf) = peer_certificates.first()
            && let Some(user) = self.certificates.user(leaf, now)
        {
            return Ok(Some(user));
        }
        match authorization_header.and_then(bearer_token) {
            Some(token) => match self.token_user(token, &self.audiences, now) {
                Ok((user, _)) => Ok(Some(user)),
                Err(_) => Err(Status::unauthorized()),
            },
            None if peer_certificates.is_empty() => Ok(None),
            None => Err(Status::unauthorized()),
        }
    }

    /// The user that `token` stands for, and those of `audiences` that it is meant for: all of them for tokens that
    /// name none. TokenReview asks this directly.
    ///
    /// # Errors
    /// Why the token is refused, in the words of a TokenReview.
    fn token_user(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<(Arc<UserInfo>, Vec<String>), String> {
        if let Some(user) = self.static_tokens.user(token) {
            // Static tokens are good for the API server itself and nobody else.
            let meant: Vec<String> = audiences.iter().filter(|each| self.audiences.contains(each)).cloned().collect();
            return if meant.is_empty() { Err("invalid bearer token".to_owned()) } else { Ok((user, meant)) };
        }
        self.service_accounts.verify(token, audiences, &*self.objects, now)
    }
}

/// The token of an `Authorization: Bearer TOKEN` header; none for other schemes.
fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    let token = rest.split(' ').next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The anonymous user, for the few requests that need no credentials: GET of the health checks and the version.
pub fn anonymous(info: &RequestInfo) -> Option<Arc<UserInfo>> {
    const OPEN_PATHS: [&str; 4] = ["/livez", "/readyz", "/healthz", "/version"];
    let open = !info.is_resource && info.verb == "get" && OPEN_PATHS.contains(&info.path.as_str());
    open.then(|| {
        Arc::new(UserInfo {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..UserInfo::default()
        })
    })
}
