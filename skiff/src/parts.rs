//! The processes of a cluster, each with its command line, in the order in which they start.
//!
//! Upstream: cmd/kubeadm/app/phases/{controlplane/manifests.go,etcd,kubelet}
//! Left out: static pods: the control plane runs beside containerd, not in it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::json;

use crate::{
    containerd,
    layout::Layout,
    process::Start,
    settings::{Settings, Shape},
};

/// The names of the processes of a shape, in the order in which they start.
pub fn names(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::One => &["containerd", "skiff"],
        Shape::Separate => {
            &["containerd", "etcd", "apiserver", "controller-manager", "scheduler", "kubelet", "proxy", "dns"]
        }
    }
}

/// How to start the process `name`; writes the configuration file that it reads, if it has one.
///
/// # Errors
/// The configuration can't be written.
pub fn start(layout: &Layout, settings: &Settings, name: &'static str) -> anyhow::Result<Start> {
    let (program, arguments) = match name {
        "containerd" => ("containerd".into(), containerd_arguments(layout)?),
        "etcd" => ("etcd".into(), etcd_arguments(layout, settings)),
        "apiserver" => (own_program("skiff-apiserver")?, api_server_arguments(layout, settings)),
        "controller-manager" => (own_program("skiff-controller-manager")?, controllers_arguments(layout, settings)),
        "scheduler" => (own_program("skiff-scheduler")?, scheduler_arguments(layout)),
        "kubelet" => (own_program("skiff-kubelet")?, kubelet_arguments(layout, settings)?),
        "proxy" => (own_program("skiff-proxy")?, proxy_arguments(layout, settings)?),
        "dns" => (own_program("skiff-dns")?, dns_arguments(layout, settings)),
        "skiff" => (own_program("skiff")?, vec!["serve".into(), option("name", &layout.cluster)]),
        _ => anyhow::bail!("no process is called {name}"),
    };
    Ok(Start { name, program, arguments })
}

/// A program that was installed, or built, beside this one.
///
/// # Errors
/// It isn't there.
pub fn own_program(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("where is this program?")?;
    let path = here.with_file_name(name);
    anyhow::ensure!(path.exists(), "{} is missing: ./deploy/build makes it", path.display());
    Ok(path)
}

fn option(name: &str, value: impl ToString) -> OsString {
    format!("--{name}={}", value.to_string()).into()
}

fn path_option(name: &str, value: impl AsRef<Path>) -> OsString {
    let mut option = OsString::from(format!("--{name}="));
    option.push(value.as_ref());
    option
}

fn containerd_arguments(layout: &Layout) -> anyhow::Result<Vec<OsString>> {
    Ok(vec![path_option("config", containerd::configure(layout)?)])
}

fn etcd_arguments(layout: &Layout, settings: &Settings) -> Vec<OsString> {
    let pki = |file: &str| layout.pki().join("etcd").join(file);
    let name = &settings.node_name;
    vec![
        option("name", name),
        path_option("data-dir", layout.state.join("etcd")),
        option("listen-client-urls", "https://127.0.0.1:2379"),
        option("advertise-client-urls", "https://127.0.0.1:2379"),
        option("listen-peer-urls", "https://127.0.0.1:2380"),
        option("initial-advertise-peer-urls", "https://127.0.0.1:2380"),
        option("initial-cluster", format!("{name}=https://127.0.0.1:2380")),
        option("client-cert-auth", true),
        path_option("trusted-ca-file", pki("ca.crt")),
        path_option("cert-file", pki("server.crt")),
        path_option("key-file", pki("server.key")),
        option("peer-client-cert-auth", true),
        path_option("peer-trusted-ca-file", pki("ca.crt")),
        path_option("peer-cert-file", pki("peer.crt")),
        path_option("peer-key-file", pki("peer.key")),
        option("logger", "zap"),
    ]
}

/// The API server's flags, the same in both shapes but for its store.
pub fn api_server_arguments(layout: &Layout, settings: &Settings) -> Vec<OsString> {
    let pki = |file: &str| layout.pki().join(file);
    let mut arguments = vec![
        option("secure-port", settings.api_port),
        option("advertise-address", settings.node_address),
        option("service-cluster-ip-range", settings.service_cidr),
        option("authorization-mode", "Node,RBAC"),
        path_option("client-ca-file", pki("ca.crt")),
        path_option("tls-cert-file", pki("apiserver.crt")),
        path_option("tls-private-key-file", pki("apiserver.key")),
        path_option("service-account-key-file", pki("sa.pub")),
        path_option("service-account-signing-key-file", pki("sa.key")),
        path_option("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
        path_option("kubelet-client-key", pki("apiserver-kubelet-client.key")),
        path_option("kubelet-certificate-authority", pki("ca.crt")),
    ];
    match settings.shape {
        Shape::One => arguments.push(path_option("data-dir", layout.state.join("store"))),
        Shape::Separate => arguments.extend([
            option("etcd-servers", "https://127.0.0.1:2379"),
            path_option("etcd-cafile", pki("etcd/ca.crt")),
            path_option("etcd-certfile", pki("apiserver-etcd-client.crt")),
            path_option("etcd-keyfile", pki("apiserver-etcd-client.key")),
        ]),
    }
    arguments
}

fn controllers_arguments(layout: &Layout, settings: &Settings) -> Vec<OsString> {
    vec![
        path_option("kubeconfig", layout.kubeconfig("controller-manager")),
        option("cluster-cidr", settings.cluster_cidr),
        option("service-cluster-ip-range", settings.service_cidr),
        path_option("root-ca-file", layout.pki().join("ca.crt")),
        path_option("client-ca-file", layout.pki().join("ca.crt")),
        path_option("local-path-directory", layout.volumes()),
    ]
}

fn scheduler_arguments(layout: &Layout) -> Vec<OsString> {
    vec![
        path_option("kubeconfig", layout.kubeconfig("scheduler")),
        path_option("client-ca-file", layout.pki().join("ca.crt")),
    ]
}

/// The kubelet's flags; writes the configuration file that they name.
///
/// # Errors
/// It can't be written.
pub fn kubelet_arguments(layout: &Layout, settings: &Settings) -> anyhow::Result<Vec<OsString>> {
    Ok(vec![
        path_option("config", write_kubelet_configuration(layout, settings)?),
        path_option("kubeconfig", layout.kubeconfig("kubelet")),
        option("hostname-override", &settings.node_name),
        option("node-ip", settings.node_address),
        path_option("root-dir", layout.kubelet_root()),
        path_option("local-path-directory", layout.volumes()),
        path_option("cni-conf-dir", layout.state.join("cni/net.d")),
    ])
}

fn proxy_arguments(layout: &Layout, settings: &Settings) -> anyhow::Result<Vec<OsString>> {
    Ok(vec![
        path_option("config", write_proxy_configuration(layout, settings)?),
        option("hostname-override", &settings.node_name),
        option("service-cluster-ip-range", settings.service_cidr),
    ])
}

fn dns_arguments(layout: &Layout, settings: &Settings) -> Vec<OsString> {
    vec![
        path_option("kubeconfig", layout.kubeconfig("dns")),
        option("hostname-override", &settings.node_name),
        option("cluster-cidr", settings.cluster_cidr),
        option("service-cluster-ip-range", settings.service_cidr),
        option("cluster-dns", settings.dns_address()),
    ]
}

/// Writes the kubelet's configuration file.
///
/// # Errors
/// It can't be written.
pub fn write_kubelet_configuration(layout: &Layout, settings: &Settings) -> anyhow::Result<PathBuf> {
    let pki = |file: &str| layout.pki().join(file);
    write(
        layout.config.join("kubelet.yaml"),
        &json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {"x509": {"clientCAFile": pki("ca.crt")}},
            "tlsCertFile": pki("kubelet.crt"),
            "tlsPrivateKeyFile": pki("kubelet.key"),
            "clusterDNS": [settings.dns_address()],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
            "podLogsDir": layout.pod_logs(),
            "cgroupRoot": layout.cgroup_root(),
        }),
    )
}

/// Writes the proxy's configuration file.
///
/// # Errors
/// It can't be written.
pub fn write_proxy_configuration(layout: &Layout, settings: &Settings) -> anyhow::Result<PathBuf> {
    write(
        layout.config.join("proxy.yaml"),
        &json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": layout.kubeconfig("proxy")},
            "clusterCIDR": settings.cluster_cidr,
            "hostnameOverride": settings.node_name,
        }),
    )
}

fn write(path: PathBuf, configuration: &serde_json::Value) -> anyhow::Result<PathBuf> {
    // JSON is YAML; two spaces of it are as easy to read.
    component::pki::write_public(&path, format!("{configuration:#}\n").as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_and_dns_are_told_a_range_of_services_that_is_not_the_usual_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let layout = Layout { cluster: "t".into(), config: path("etc"), state: path("var"), run: path("run") };
        std::fs::create_dir_all(&layout.config).unwrap();
        let settings = Settings { service_cidr: "10.97.0.0/16".parse().unwrap(), ..Settings::default() };
        let (proxy, dns) = (proxy_arguments(&layout, &settings).unwrap(), dns_arguments(&layout, &settings));
        let range = "--service-cluster-ip-range=10.97.0.0/16";
        for (arguments, wanted) in [(&proxy, range), (&dns, range), (&dns, "--cluster-dns=10.97.0.10")] {
            assert!(arguments.contains(&wanted.into()), "{wanted} is not in {arguments:?}");
        }
    }
}
