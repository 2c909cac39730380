//! An API server in the test's own process, over the memory store, with TLS and client certificates as in production.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apiserver::attributes::UserInfo;
use apiserver::authentication::keys::{PublicKey, SigningKey};
use apiserver::authentication::service_account::TokenIssuer;
use apiserver::kubelet_client::KubeletClient;
use apiserver::server::{self, Config};
use apiserver::service::ApiServer;
use component::kubeconfig::Kubeconfig;
use component::pki::{ClusterPki, Identity, ServerNames};
use component::serve::{self, ClientCertificates, TlsFiles};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

pub struct ControlPlane {
    pub server: ApiServer,
    pub address: SocketAddr,
    pub pki: ClusterPki,
    folder: PathBuf,
    shutdown: CancellationToken,
}

impl ControlPlane {
    /// Starts one that keeps its files below `folder` and listens on loopback.
    pub async fn start(folder: &Path) -> Self {
        let pki = ClusterPki::at(folder.join("pki"));
        let names = ServerNames::of_api_server([10, 96, 0, 1].into(), "cluster.local", &ServerNames::default());
        pki.ensure_control_plane(&names, Timestamp::now()).expect("certificates");
        let shutdown = CancellationToken::new();
        let store = Arc::new(store::memory::Memory::new());
        let server = server::open(config(&pki), store, shutdown.clone()).await.expect("an API server");

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("a port");
        let files = TlsFiles { certificate: pki.path("apiserver.crt"), key: pki.path("apiserver.key") };
        let clients = ClientCertificates::VerifiedAgainst(pki.path("ca.crt"));
        let tls = serve::server_config(Some(&files), "localhost", &clients).expect("certificates that were just made");
        let router = server::router(server.clone());
        tokio::spawn(serve::serve(listener, tls, router, shutdown.clone()));
        Self { server, address, pki, folder: folder.into(), shutdown }
    }

    /// A client in this process, which may do everything.
    pub fn admin(&self) -> kube::Client {
        self.client(UserInfo::new("admin", &["skiff:cluster-admins"]))
    }

    /// A client in this process for another user.
    pub fn client(&self, user: UserInfo) -> kube::Client {
        kube::Client::new(self.server.service_as(user), "default")
    }

    /// Writes a kubeconfig with a certificate for `identity`, and says where.
    pub fn kubeconfig(&self, identity: &Identity) -> PathBuf {
        let path = self.folder.join(format!("{}.kubeconfig", identity.user.replace(':', "-")));
        let authority_pem = std::fs::read_to_string(self.pki.path("ca.crt")).expect("the authority");
        let client = self.pki.issue_client(identity, Timestamp::now()).expect("a certificate");
        let server = format!("https://127.0.0.1:{}", self.address.port());
        Kubeconfig { name: "rig".into(), server, authority_pem, client }.write(&path).expect("a file");
        path
    }
}

fn config(pki: &ClusterPki) -> Config {
    let read = |name: &str| std::fs::read(pki.path(name)).expect("a file that was just made");
    let issuers = vec![ISSUER.to_string()];
    let client = ("apiserver-kubelet-client.crt", "apiserver-kubelet-client.key");
    let kubelets = KubeletClient::new(&pki.path("ca.crt"), &pki.path(client.0), &pki.path(client.1));
    let kubelets = kubelets.expect("certificates that were just made");
    Config {
        disabled_admission_plugins: vec!["ServiceAccount".into()],
        issuers: issuers.clone(),
        verification_keys: PublicKey::from_pem(&read("sa.pub")).expect("a key"),
        issuer: Some(TokenIssuer {
            key: SigningKey::from_pem(&read("sa.key")).expect("a key"),
            issuer: ISSUER.into(),
            audiences: issuers,
            max_expiration_s: 0,
        }),
        kubelets: Some(kubelets),
        ..Config::default()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
