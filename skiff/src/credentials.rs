//! The cluster's certificates and a kubeconfig for each of its users.
//!
//! Upstream: cmd/kubeadm/app/phases/{certs,kubeconfig}
//! Left out: nothing that one node needs.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use anyhow::Context;
use component::{
    kubeconfig::{Kubeconfig, client_certificate_pem},
    pki::{ClusterPki, Identity, ServerNames, inspect_der},
};
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{layout::Layout, settings::Settings};

/// A kubeconfig whose certificate ends within this time is written anew.
const RENEW_BELOW: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The users that have a kubeconfig, by the file's name.
fn users(settings: &Settings) -> Vec<(&'static str, Identity)> {
    vec![
        ("admin", Identity::admin()),
        ("scheduler", Identity::new("system:kube-scheduler", &[])),
        ("controller-manager", Identity::new("system:kube-controller-manager", &[])),
        ("kubelet", Identity::node(&settings.node_name)),
        ("proxy", Identity::new("system:kube-proxy", &[])),
    ]
}

/// Makes every certificate and kubeconfig that is missing, or that expires soon.
///
/// # Errors
/// The first file that can't be read or written.
pub fn ensure(layout: &Layout, settings: &Settings, now: Timestamp) -> anyhow::Result<()> {
    let pki = ClusterPki::at(layout.pki());
    let node = ServerNames { names: vec![settings.node_name.clone()], addresses: vec![settings.node_address] };
    let names = ServerNames::of_api_server(settings.api_service_address().into(), "cluster.local", &node);
    pki.ensure_control_plane(&names, now)?;
    let local = ServerNames { names: vec!["localhost".into()], addresses: vec![IpAddr::from([127, 0, 0, 1])] };
    pki.ensure_etcd(&settings.node_name, &local, now)?;
    pki.ensure_kubelet(&settings.node_name, &[settings.node_address, IpAddr::from([127, 0, 0, 1])], now)?;
    let authority = pki.path("ca.crt");
    let authority_pem =
        fs::read_to_string(&authority).with_context(|| format!("can't read {}", authority.display()))?;
    for (file, identity) in users(settings) {
        let path = layout.kubeconfig(file);
        if is_good(&path, &authority_pem, &settings.server(), now) {
            continue;
        }
        let kubeconfig = Kubeconfig {
            name: layout.context(),
            server: settings.server(),
            authority_pem: authority_pem.clone(),
            client: pki.issue_client(&identity, now)?,
        };
        kubeconfig.write(&path)?;
    }
    Ok(())
}

/// Whether a kubeconfig that is there still leads to this cluster, and lasts.
fn is_good(path: &Path, authority_pem: &str, server: &str, now: Timestamp) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, authority_pem);
    text.contains(&encoded)
        && text.contains(&format!("\"{server}\""))
        && expiry(&text).is_some_and(|end| end.duration_since(now).unsigned_abs() > RENEW_BELOW && end > now)
}

/// When the client certificate in a kubeconfig of ours ends.
pub fn expiry(kubeconfig: &str) -> Option<Timestamp> {
    let pem = client_certificate_pem(kubeconfig)?;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    inspect_der(&der).ok().map(|found| found.not_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(folder: &Path) -> (Layout, Settings) {
        let layout = Layout {
            cluster: "skiff".into(),
            config: folder.join("etc"),
            state: folder.join("var"),
            run: folder.join("run"),
        };
        let settings = Settings { node_name: "n1".into(), ..Settings::default() };
        (layout, settings)
    }

    #[test]
    fn a_second_start_keeps_kubeconfigs_and_a_late_one_renews_them() {
        let folder = tempfile::tempdir().unwrap();
        let (layout, settings) = cluster(folder.path());
        let now: Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
        let read = || fs::read_to_string(layout.kubeconfig("scheduler")).unwrap();
        ensure(&layout, &settings, now).unwrap();
        let first = read();
        ensure(&layout, &settings, now).unwrap();
        assert_eq!(first, read());
        ensure(&layout, &settings, now + jiff::SignedDuration::from_hours(300 * 24)).unwrap();
        assert_ne!(first, read());
    }

    #[test]
    fn another_port_makes_other_kubeconfigs() {
        let folder = tempfile::tempdir().unwrap();
        let (layout, mut settings) = cluster(folder.path());
        let now: Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
        ensure(&layout, &settings, now).unwrap();
        settings.api_port = 7443;
        ensure(&layout, &settings, now).unwrap();
        assert!(fs::read_to_string(layout.kubeconfig("admin")).unwrap().contains("https://127.0.0.1:7443"));
    }
}
