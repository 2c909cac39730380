//! What a leader writes, only while it leads: every write names the term of office in which it is made, and the API
//! server refuses it, in its transaction, once that term is over.
//!
//! A leader that stopped for a while (a paused machine, a full disk) does not know that another leads by now; its own
//! clock tells it too late. So the store decides, not the clock.
//!
//! Upstream: none
//! Left out: reads; an old leader may look.

use http::{HeaderValue, Method, Request};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;

use crate::ClientSource;

/// The header that names the term.
const HEADER: &str = "x-skiff-term";

/// From one change of leaders to the next, of one Lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Term(String);

impl Term {
    /// The term that a Lease says is on.
    pub(crate) fn of(lease: &Lease) -> Term {
        let (metadata, spec) = (&lease.metadata, lease.spec.clone().unwrap_or_default());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Term(format!(
            "{}/{}/{}/{}/{}",
            text(&metadata.namespace),
            text(&metadata.name),
            text(&metadata.uid),
            spec.lease_transitions.unwrap_or(0),
            text(&spec.holder_identity)
        ))
    }

    /// A client whose writes are made in this term, or not at all.
    pub fn fenced(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let term = HeaderValue::from_str(&self.0).ok();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            if let Some(term) = term.clone().filter(|_| *request.method() != Method::GET) {
                request.headers_mut().insert(HEADER, term);
            }
            let client = client.clone();
            async move { client.send(request).await }
        });
        Client::new(service, namespace)
    }

    /// As [`Term::fenced`], for each client of a source.
    pub fn fenced_source(&self, clients: ClientSource) -> ClientSource {
        let term = self.clone();
        ClientSource::new(move |name| term.fenced(clients.client(name)))
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use kube::api::ObjectMeta;

    use super::*;

    #[tokio::test]
    async fn writes_name_the_term_and_reads_do_not() {
        let echo = tower::service_fn(|request: Request<Body>| async move {
            let term = request.headers().get(HEADER).map(|term| term.as_bytes().to_vec()).unwrap_or_default();
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(term)))
        });
        let text = |text: &str| Some(text.to_owned());
        let metadata = ObjectMeta {
            namespace: text("kube-system"),
            name: text("kube-scheduler"),
            uid: text("u"),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec { holder_identity: text("me/1"), lease_transitions: Some(3), ..LeaseSpec::default() };
        let term = Term::of(&Lease { metadata, spec: Some(spec) });
        let client = term.fenced(Client::new(echo, "default"));
        for (method, expected) in [
            (Method::GET, ""),
            (Method::PATCH, "kube-system/kube-scheduler/u/3/me/1"),
            (Method::DELETE, "kube-system/kube-scheduler/u/3/me/1"),
        ] {
            let request = Request::builder().method(method).uri("/x").body(Vec::new()).unwrap();
            assert_eq!(client.request_text(request).await.unwrap(), expected);
        }
    }
}
