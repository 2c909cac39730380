//! Who may talk to the kubelet: rights on its Node, as the API server knows them.
//!
//! Upstream: pkg/kubelet/server/auth.go
//! Left out: anonymous users.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use component::monitoring::gate::{self, Refusal, Wish};
use http::StatusCode;
use http::request::Parts;

use super::attributes;

/// The shared gate, with the kubelet's questions.
pub struct Gate {
    gate: gate::Gate,
    node: Arc<str>,
}

impl Gate {
    pub fn new(client: kube::Client, node: &str) -> Self {
        Self { gate: gate::Gate::new(client), node: node.into() }
    }

    /// Lets a request pass.
    ///
    /// # Errors
    /// The answer to send: 401 without credentials, 403 without the right.
    pub async fn pass(&self, request: &Parts) -> Result<(), Box<Response>> {
        let refuse = |refusal: Refusal| Box::new(refusal.into_response());
        let user = self.gate.user(request).await.map_err(refuse)?;
        let user = user.ok_or(Refusal::Unauthorized).map_err(refuse)?;
        let asked = attributes::of(&request.method, request.uri.path());
        for subresource in asked.subresources.iter().copied() {
            let wish = Wish::Node { verb: asked.verb, subresource, name: self.node.clone() };
            if self.gate.allows(&user, wish).await.map_err(refuse)? {
                return Ok(());
            }
        }
        let told = format!(
            "Forbidden (user={}, verb={}, resource=nodes, subresource(s)=[{}])",
            user.name,
            asked.verb,
            asked.subresources.join(" ")
        );
        Err(Box::new((StatusCode::FORBIDDEN, told).into_response()))
    }
}
