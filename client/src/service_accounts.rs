//! A client for each controller, so that each acts with its own rights.
//!
//! Upstream: staging/src/k8s.io/controller-manager/pkg/clientbuilder (--use-service-account-credentials)
//! Left out: client certificates per controller.

use std::sync::Arc;

use kube::Client;

/// Gives a client by the name of a service account in kube-system.
#[derive(Clone)]
pub struct ClientSource(Arc<dyn Fn(&str) -> Client + Send + Sync>);

impl ClientSource {
    /// Clients as `client_of` makes them: in one process, mounted on the API server as the service account's user.
    pub fn new(client_of: impl Fn(&str) -> Client + Send + Sync + 'static) -> ClientSource {
        ClientSource(Arc::new(client_of))
    }

    /// One client for all: everything is written with one identity.
    pub fn shared(client: Client) -> ClientSource {
        ClientSource::new(move |_| client.clone())
    }

    /// The client of a service account.
    pub fn client(&self, service_account: &str) -> Client {
        (self.0)(service_account)
    }
}
