//! Connections to kubelets. A node's addresses are what the node itself says, so whoever answers there must prove to
//! be `system:node:NAME` before anything is sent.
//!
//! Upstream: pkg/kubelet/client/kubelet_client.go, with KEP-4872 (the node's name in its serving certificate)
//! Left out: hosts by name; nodes are reached by their IP addresses. Talking to a kubelet without checking who it is.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Upstream's `--kubelet-timeout`.
const PATIENCE: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 10250;
/// In upstream's order, but for the names.
const PREFERRED: [&str; 2] = ["InternalIP", "ExternalIP"];

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    #[error("no preferred addresses found; known addresses: [{0}]")]
    NoAddress(String),
    #[error("dial tcp {address}: {source}")]
    Unreachable { address: SocketAddr, source: std::io::Error },
    /// Somebody else answers at the node's address.
    #[error(
        "the server at {address} is not the kubelet of this node: it shows a certificate of {shown:?}, not {wanted:?}"
    )]
    SomebodyElse { address: SocketAddr, shown: String, wanted: String },
}

/// Dials kubelets with the API server's own client certificate.
#[derive(Clone)]
pub struct KubeletClient {
    tls: Arc<ClientConfig>,
}

/// A connection to the kubelet of one node, and what its server is called there.
pub struct Connection {
    pub stream: TlsStream<TcpStream>,
    pub host: Authority,
}

impl KubeletClient {
    /// Reads the authority that signs the kubelets' certificates, and the client certificate with its key.
    ///
    /// # Errors
    /// Names the file that can't be used.
    pub fn new(authority: &Path, certificate: &Path, key: &Path) -> anyhow::Result<KubeletClient> {
        component::install_crypto_provider();
        let roots = component::pki::read_roots(authority)?;
        let (chain, key) = (component::pki::read_certificates(certificate)?, component::pki::read_key(key)?);
        let mut tls = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()]; // upgrades are HTTP/1.1's
        Ok(KubeletClient { tls: Arc::new(tls) })
    }

    /// Connects to the kubelet of `node`.
    ///
    /// # Errors
    /// See [`KubeletError`].
    pub async fn connect(&self, node: &Value) -> Result<Connection, KubeletError> {
        let address = address(node)?;
        let broken = |source| KubeletError::Unreachable { address, source };
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(self.tls.clone()).connect(ServerName::from(address.ip()), stream).await
        };
        let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "i/o timeout");
        let stream = tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| broken(late()))?.map_err(broken)?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = certificates.first().and_then(|leaf| component::pki::inspect_der(leaf).ok());
        let shown = shown.map(|leaf| leaf.subject.common_name).unwrap_or_default();
        let wanted = format!("system:node:{}", node["metadata"]["name"].as_str().unwrap_or_default());
        if shown != wanted {
            return Err(KubeletError::SomebodyElse { address, shown, wanted });
        }
        let host = address.to_string().parse().expect("an address with a port is an authority");
        Ok(Connection { stream, host })
    }
}

/// Where the kubelet of a node listens, as the node says.
pub fn address(node: &Value) -> Result<SocketAddr, KubeletError> {
    let known: Vec<&Value> = node["status"]["addresses"].as_array().into_iter().flatten().collect();
    let of_kind = |kind: &str| {
        let texts = known.iter().filter(move |each| each["type"] == kind).filter_map(|each| each["address"].as_str());
        texts.filter_map(|text| text.parse::<IpAddr>().ok()).find(|ip| is_a_nodes(*ip))
    };
    let list = || known.iter().filter_map(|each| each["address"].as_str()).collect::<Vec<_>>().join(" ");
    let ip = PREFERRED.iter().find_map(|kind| of_kind(kind)).ok_or_else(|| KubeletError::NoAddress(list()))?;
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0).unwrap_or(DEFAULT_PORT);
    Ok(SocketAddr::new(ip, port))
}

/// No node is reached at these: they are this machine's neighbours' or a cloud's own services.
fn is_a_nodes(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !link_local && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(addresses: &[(&str, &str)], port: Value) -> Result<String, String> {
        let addresses: Vec<Value> =
            addresses.iter().map(|(kind, address)| json!({"type": kind, "address": address})).collect();
        let endpoints = json!({"kubeletEndpoint": {"Port": port}});
        let node = json!({"status": {"addresses": addresses, "daemonEndpoints": endpoints}});
        address(&node).map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_internal_address_is_preferred() {
        let addresses = [("ExternalIP", "203.0.113.7"), ("Hostname", "n1"), ("InternalIP", "192.0.2.7")];
        assert_eq!(check(&addresses, json!(10250)), Ok("192.0.2.7:10250".into()));
        assert_eq!(check(&addresses[..1], Value::Null), Ok("203.0.113.7:10250".into()));
    }

    #[test]
    fn a_node_cannot_send_the_api_server_to_places_that_are_no_nodes() {
        for place in ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "metadata.internal"] {
            let expected = format!("no preferred addresses found; known addresses: [{place}]");
            assert_eq!(check(&[("InternalIP", place)], json!(80)), Err(expected));
        }
    }
}
