//! Every certificate that a cluster has, under the names that kubeadm gives the files.
//!
//! Upstream: cmd/kubeadm/app/phases/certs/certlist.go
//! Left out: `healthcheck-client` of etcd (there is no static pod whose probe would use it).

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rcgen::KeyPair;

use super::{Authority, Issued, Leaf, PkiError, Usage, files, inspect};

/// kubeadm's lifetimes: ten years for an authority, one for what it issues.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A certificate with less than this left is issued anew when the cluster starts.
const RENEW_BELOW: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What a serving certificate must be valid for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerNames {
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

impl ServerNames {
    /// The names of the API server: its Service in every spelling, this machine, and what the caller adds.
    pub fn of_api_server(service_address: IpAddr, cluster_domain: &str, more: &ServerNames) -> ServerNames {
        let mut names: Vec<String> =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(String::from).into();
        names.push(format!("kubernetes.default.svc.{cluster_domain}"));
        names.push("localhost".to_owned());
        let mut addresses = vec![service_address, IpAddr::from([127, 0, 0, 1])];
        addresses.extend(&more.addresses);
        names.extend(more.names.iter().cloned());
        ServerNames { names, addresses }.without_repetition()
    }

    fn without_repetition(mut self) -> ServerNames {
        self.names.sort();
        self.names.dedup();
        self.addresses.sort();
        self.addresses.dedup();
        self
    }
}

/// A user with a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub groups: Vec<String>,
}

impl Identity {
    pub fn new(user: impl Into<String>, groups: &[&str]) -> Identity {
        Identity { user: user.into(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
    }

    /// The person who runs the cluster. Not in `system:masters`: the binding that makes it admin can be taken away.
    pub fn admin() -> Identity {
        Identity::new("skiff-admin", &["skiff:cluster-admins"])
    }

    pub fn node(name: &str) -> Identity {
        Identity::new(format!("system:node:{name}"), &["system:nodes"])
    }
}

/// The `pki` folder of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterPki {
    folder: PathBuf,
}

impl ClusterPki {
    pub fn at(folder: impl Into<PathBuf>) -> ClusterPki {
        ClusterPki { folder: folder.into() }
    }

    /// The path of a file of this PKI, for instance `ca.crt` or `etcd/server.key`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes what is missing of the cluster's authorities and of the API server's certificates, and renews what
    /// expires soon or lacks a name. What is there and good stays as it is.
    ///
    /// # Errors
    /// The first file that can't be read or written.
    pub fn ensure_control_plane(&self, api_server: &ServerNames, now: Timestamp) -> Result<(), PkiError> {
        let cluster = self.authority("ca", "kubernetes", now)?;
        let front_proxy = self.authority("front-proxy-ca", "front-proxy-ca", now)?;
        self.ensure_service_account_key()?;
        let client = |user: &str| leaf(&Identity::new(user, &[]), Usage::Client, ServerNames::default());
        let serving = leaf(&Identity::new("kube-apiserver", &[]), Usage::Server, api_server.clone());
        self.ensure_leaf("apiserver", &cluster, &serving, now)?;
        self.ensure_leaf("apiserver-kubelet-client", &cluster, &client("kube-apiserver-kubelet-client"), now)?;
        self.ensure_leaf("front-proxy-client", &front_proxy, &client("front-proxy-client"), now)
    }

    /// The same for etcd: an authority of its own, so that nothing else in the cluster can talk to it.
    ///
    /// # Errors
    /// The first file that can't be read or written.
    pub fn ensure_etcd(&self, member: &str, names: &ServerNames, now: Timestamp) -> Result<(), PkiError> {
        let etcd = self.authority("etcd/ca", "etcd-ca", now)?;
        let identity = Identity::new(member, &[]);
        let names = names.clone().without_repetition();
        for name in ["etcd/server", "etcd/peer"] {
            self.ensure_leaf(name, &etcd, &leaf(&identity, Usage::ServerAndClient, names.clone()), now)?;
        }
        let client = leaf(&Identity::new("kube-apiserver-etcd-client", &[]), Usage::Client, ServerNames::default());
        self.ensure_leaf("apiserver-etcd-client", &etcd, &client, now)
    }

    /// What a kubelet serves with: the API server checks that it talks to `system:node:NAME`.
    ///
    /// # Errors
    /// The first file that can't be read or written.
    pub fn ensure_kubelet(&self, node: &str, addresses: &[IpAddr], now: Timestamp) -> Result<(), PkiError> {
        let cluster = self.authority("ca", "kubernetes", now)?;
        let names = ServerNames { names: vec![node.to_owned()], addresses: addresses.to_vec() }.without_repetition();
        self.ensure_leaf("kubelet", &cluster, &leaf(&Identity::node(node), Usage::Server, names), now)
    }

    /// A client certificate from the cluster's authority, for a kubeconfig.
    ///
    /// # Errors
    /// The authority can't be read.
    pub fn issue_client(&self, identity: &Identity, now: Timestamp) -> Result<Issued, PkiError> {
        let cluster = self.authority("ca", "kubernetes", now)?;
        cluster.issue(&leaf(identity, Usage::Client, ServerNames::default()), now)
    }

    /// Every certificate file there is, by name relative to the folder.
    ///
    /// # Errors
    /// The folder can't be listed.
    pub fn certificates(&self) -> Result<Vec<String>, PkiError> {
        let mut found = Vec::new();
        for (folder, prefix) in [(self.folder.clone(), ""), (self.folder.join("etcd"), "etcd/")] {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(files::file_error(&folder, error)),
            };
            for entry in entries {
                let name = entry.map_err(|error| files::file_error(&folder, error))?.file_name();
                let name = name.to_string_lossy();
                if name.ends_with(".crt") {
                    found.push(format!("{prefix}{name}"));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn authority(&self, name: &str, common_name: &str, now: Timestamp) -> Result<Authority, PkiError> {
        let (certificate, key) = self.pair(name)?;
        if certificate.exists() && key.exists() {
            return Authority::load(&certificate, &key);
        }
        let authority = Authority::create(common_name, AUTHORITY_LIFETIME, now)?;
        // The key first: a certificate without its key would look complete to nobody, but a key alone is made anew.
        files::write_private(&key, authority.key_pem().as_bytes())?;
        files::write_public(&certificate, authority.certificate_pem().as_bytes())?;
        Ok(authority)
    }

    fn ensure_leaf(&self, name: &str, authority: &Authority, wanted: &Leaf, now: Timestamp) -> Result<(), PkiError> {
        let (certificate, key) = self.pair(name)?;
        if certificate.exists() && key.exists() && is_good(&certificate, wanted, now)? {
            return Ok(());
        }
        let issued = authority.issue(wanted, now)?;
        files::write_private(&key, issued.key_pem.as_bytes())?;
        files::write_public(&certificate, issued.certificate_pem.as_bytes())
    }

    /// The key that signs service account tokens. Losing it would invalidate every token, so it is never renewed here.
    fn ensure_service_account_key(&self) -> Result<(), PkiError> {
        let (public, private) = (self.path("sa.pub"), self.path("sa.key"));
        let pair = if private.exists() {
            KeyPair::from_pem(&files::read(&private)?).map_err(|error| files::malformed(&private, error))?
        } else {
            let pair = KeyPair::generate()
                .map_err(|error| PkiError::Issue { name: "sa".to_owned(), reason: error.to_string() })?;
            files::create_private(&private, pair.serialize_pem().as_bytes())?;
            pair
        };
        if public.exists() {
            return Ok(());
        }
        files::write_public(&public, pair.public_key_pem().as_bytes())
    }

    fn pair(&self, name: &str) -> Result<(PathBuf, PathBuf), PkiError> {
        let certificate = self.path(&format!("{name}.crt"));
        files::make_directory(certificate.parent().unwrap_or(&self.folder))?;
        Ok((certificate, self.path(&format!("{name}.key"))))
    }
}

fn leaf(identity: &Identity, usage: Usage, names: ServerNames) -> Leaf {
    Leaf {
        common_name: identity.user.clone(),
        organizations: identity.groups.clone(),
        names: names.names,
        addresses: names.addresses,
        usage,
        lifetime: LEAF_LIFETIME,
    }
}

fn is_good(certificate: &Path, wanted: &Leaf, now: Timestamp) -> Result<bool, PkiError> {
    let found = inspect(certificate)?;
    let lasts = found.remaining(now).as_secs() > i64::try_from(RENEW_BELOW.as_secs()).unwrap_or(i64::MAX);
    let names = wanted.names.iter().all(|name| found.names.contains(name));
    let addresses = wanted.addresses.iter().all(|address| found.addresses.contains(address));
    Ok(lasts && names && addresses && found.subject.common_name == wanted.common_name)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T00:00:00Z".parse().unwrap()
    }

    fn api_server(more: ServerNames) -> ServerNames {
        ServerNames::of_api_server([10, 96, 0, 1].into(), "cluster.local", &more)
    }

    #[test]
    fn the_control_plane_gets_kubeadms_files_and_keys_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::at(folder.path());
        pki.ensure_control_plane(&api_server(ServerNames::default()), now()).unwrap();
        pki.ensure_etcd("n1", &ServerNames::default(), now()).unwrap();
        pki.ensure_kubelet("n1", &[[10, 0, 0, 1].into()], now()).unwrap();
        let expected = [
            "apiserver-etcd-client",
            "apiserver-kubelet-client",
            "apiserver",
            "ca",
            "etcd/ca",
            "etcd/peer",
            "etcd/server",
            "front-proxy-ca",
            "front-proxy-client",
            "kubelet",
        ];
        assert_eq!(pki.certificates().unwrap(), expected.map(|name| format!("{name}.crt")));
        for name in expected.iter().chain(&["sa"]) {
            let mode = fs::metadata(pki.path(&format!("{name}.key"))).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}.key");
        }
    }

    #[test]
    fn the_api_server_is_known_by_its_service_and_by_what_the_caller_adds() {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::at(folder.path());
        let more = ServerNames { names: vec!["n1".into()], addresses: vec![[192, 0, 2, 2].into()] };
        pki.ensure_control_plane(&api_server(more), now()).unwrap();
        let found = inspect(&pki.path("apiserver.crt")).unwrap();
        for name in ["kubernetes", "kubernetes.default.svc.cluster.local", "localhost", "n1"] {
            assert!(found.names.contains(&name.to_owned()), "{name}");
        }
        for address in [[10, 96, 0, 1], [127, 0, 0, 1], [192, 0, 2, 2]] {
            assert!(found.addresses.contains(&IpAddr::from(address)));
        }
    }

    #[test]
    fn a_second_start_changes_nothing_and_a_late_one_renews_leaves_only() {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::at(folder.path());
        let names = api_server(ServerNames::default());
        let read = |name: &str| fs::read_to_string(pki.path(name)).unwrap();
        pki.ensure_control_plane(&names, now()).unwrap();
        let before = (read("ca.crt"), read("apiserver.crt"), read("sa.key"));
        pki.ensure_control_plane(&names, now()).unwrap();
        assert_eq!(before, (read("ca.crt"), read("apiserver.crt"), read("sa.key")));

        let late = now() + jiff::SignedDuration::from_hours(300 * 24);
        pki.ensure_control_plane(&names, late).unwrap();
        assert_eq!((&before.0, &before.2), (&read("ca.crt"), &read("sa.key")));
        assert_ne!(before.1, read("apiserver.crt"));
    }

    #[test]
    fn a_new_name_makes_a_new_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::at(folder.path());
        pki.ensure_control_plane(&api_server(ServerNames::default()), now()).unwrap();
        let more = ServerNames { names: vec!["lab".into()], addresses: vec![] };
        pki.ensure_control_plane(&api_server(more), now()).unwrap();
        assert!(inspect(&pki.path("apiserver.crt")).unwrap().names.contains(&"lab".to_owned()));
    }

    #[test]
    fn a_client_certificate_names_the_user_and_its_groups() {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::at(folder.path());
        let issued = pki.issue_client(&Identity::node("n1"), now()).unwrap();
        let path = folder.path().join("client.crt");
        fs::write(&path, issued.certificate_pem).unwrap();
        let subject = inspect(&path).unwrap().subject;
        assert_eq!(
            (subject.common_name.as_str(), subject.organizations),
            ("system:node:n1", vec!["system:nodes".into()])
        );
    }
}
