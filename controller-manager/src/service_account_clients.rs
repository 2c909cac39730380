//! A client for each controller, with a token of its own service account.
//!
//! The controller manager may make service accounts in kube-system and ask for tokens of theirs, and little else: what
//! a controller may write is its account's rights. A token is asked for when it is first needed, and again before it
//! ends.
//!
//! Upstream: controller-manager/pkg/clientbuilder/client_builder_dynamic.go
//! Left out: nothing.

use std::sync::Arc;
use std::time::Duration;

use client::ClientSource;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client, Error};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::debug;

const NAMESPACE: &str = "kube-system";
const LIFETIME_SECONDS: i64 = 3600;
/// A token is renewed when this much of its life has passed: client-go's 80 %.
const RENEWED_AFTER: Duration = Duration::from_secs(3600 * 8 / 10);

/// Clients that use tokens got with `issuer`'s rights. `bare` reaches the same API server without credentials.
pub fn service_account_clients(issuer: Client, bare: Client) -> ClientSource {
    ClientSource::new(move |name| {
        let account = Arc::new(Account { name: name.to_owned(), issuer: issuer.clone(), token: Mutex::default() });
        let bare = bare.clone();
        let service = tower::service_fn(move |request: Request<Body>| send(account.clone(), bare.clone(), request));
        Client::new(service, NAMESPACE)
    })
}

async fn send(account: Arc<Account>, bare: Client, mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let token = account.token().await?;
    request.headers_mut().insert(AUTHORIZATION, token);
    bare.send(request).await
}

struct Account {
    name: String,
    issuer: Client,
    /// The header with the token, and since when we have it.
    token: Mutex<Option<(HeaderValue, Instant)>>,
}

impl Account {
    async fn token(&self) -> Result<HeaderValue, Error> {
        let mut token = self.token.lock().await;
        if let Some((header, since)) = token.as_ref().filter(|(_, since)| since.elapsed() < RENEWED_AFTER) {
            debug_assert!(since.elapsed() < RENEWED_AFTER);
            return Ok(header.clone());
        }
        let issued = match self.request_token().await {
            Err(Error::Api(status)) if status.code == 404 => {
                self.make_account().await?;
                self.request_token().await?
            }
            other => other?,
        };
        let mut header = HeaderValue::try_from(format!("Bearer {issued}")).map_err(|e| Error::Service(e.into()))?;
        header.set_sensitive(true);
        *token = Some((header.clone(), Instant::now()));
        Ok(header)
    }

    fn accounts(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.issuer.clone(), NAMESPACE)
    }

    async fn request_token(&self) -> Result<String, Error> {
        let spec = TokenRequestSpec { expiration_seconds: Some(LIFETIME_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = self.accounts().create_token_request(&self.name, &PostParams::default(), &request).await?;
        debug!(account = self.name, "got a token");
        Ok(answer.status.map(|status| status.token).unwrap_or_default())
    }

    async fn make_account(&self) -> Result<(), Error> {
        let metadata =
            ObjectMeta { name: Some(self.name.clone()), namespace: Some(NAMESPACE.into()), ..ObjectMeta::default() };
        let account = ServiceAccount { metadata, ..ServiceAccount::default() };
        match self.accounts().create(&PostParams::default(), &account).await {
            Err(Error::Api(status)) if status.code == 409 => Ok(()),
            other => other.map(drop),
        }
    }
}
