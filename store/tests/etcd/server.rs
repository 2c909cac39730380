//! A real etcd on a free loopback port, in a directory of its own.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use store::etcd::{Config, Tls};
use tempfile::TempDir;

pub enum Transport {
    Plain,
    MutualTls,
}

pub struct Server {
    directory: TempDir,
    client_port: u16,
    peer_port: u16,
    tls: Option<Tls>,
    process: Child,
}

impl Server {
    pub fn start(transport: Transport) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let tls = matches!(transport, Transport::MutualTls).then(|| certificates(directory.path()));
        let (client_port, peer_port) = (free_port(), free_port());
        let process = run(directory.path(), client_port, peer_port, tls.is_some());
        Server { directory, client_port, peer_port, tls, process }
    }

    pub fn config(&self) -> Config {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Config { tls: self.tls.clone(), ..Config::new([format!("{scheme}://127.0.0.1:{}", self.client_port)]) }
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.process = run(self.directory.path(), self.client_port, self.peer_port, self.tls.is_some());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts etcd and returns when it says that it serves.
fn run(directory: &Path, client_port: u16, peer_port: u16, tls: bool) -> Child {
    let scheme = if tls { "https" } else { "http" };
    let client = format!("{scheme}://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let mut command = Command::new("etcd");
    command.args(["--name", "test", "--logger", "zap", "--data-dir"]).arg(directory.join("data"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("test={peer}")]);
    if tls {
        let file = |name: &str| directory.join(name).into_os_string();
        command.arg("--client-cert-auth");
        for (flag, name) in
            [("--trusted-ca-file", "ca.crt"), ("--cert-file", "server.crt"), ("--key-file", "server.key")]
        {
            command.arg(flag).arg(file(name));
        }
    }
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("etcd is installed");
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else { panic!("etcd ended:\n{}", said.join("\n")) };
        let serves = line.contains("serving client traffic");
        said.push(line);
        if serves {
            break;
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    process
}

/// Writes a CA and the server's certificate into `directory`; the client's are returned.
fn certificates(directory: &Path) -> Tls {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let issue = |names: Vec<String>, purposes: Vec<ExtendedKeyUsagePurpose>| {
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.extended_key_usages = purposes;
        (leaf.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    // etcd's own gateway connects to it as a client, with the server's certificate.
    let both = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let (server, server_key) = issue(vec!["127.0.0.1".into()], both);
    let (client, client_key) = issue(vec![], vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let ca = ca_certificate.pem();
    for (name, pem) in [("ca.crt", &ca), ("server.crt", &server), ("server.key", &server_key)] {
        std::fs::write(directory.join(name), pem).unwrap();
    }
    Tls { ca: ca.into(), certificate: client.into(), key: client_key.into() }
}
