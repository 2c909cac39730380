//! An API server in this process, asked directly or by kubectl over loopback.

#![allow(dead_code, reason = "each program uses what it needs")]

use std::{path::PathBuf, sync::Arc};

use apiserver::{
    attributes::UserInfo,
    authorization::Mode,
    server::{self, Config},
    service::Service,
};
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub async fn open() -> Service {
    let config = Config {
        authorization_modes: vec![Mode::AlwaysAllow],
        disabled_admission_plugins: vec!["ServiceAccount".to_owned()],
        ..Config::default()
    };
    let store = Arc::new(store::memory::Memory::new());
    let server = server::open(config, store, CancellationToken::new()).await.unwrap();
    server.service_as(UserInfo::new("admin", &["system:masters"]))
}

/// Sends a request with a JSON body; none when it is null.
pub async fn ask(
    service: &Service,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = service.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

/// kubectl with a home of its own, against a server that listens on loopback.
pub struct Kubectl {
    address: String,
    home: tempfile::TempDir,
}

impl Kubectl {
    pub async fn against(service: Service) -> Kubectl {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Kubectl { address, home: tempfile::tempdir().unwrap() }
    }

    /// What it prints; it must not fail.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/parts/kubectl-1.35");
        assert!(program.exists(), "deploy/test-parts brings {}", program.display());
        let mut command = tokio::process::Command::new(program);
        command.args(["--server", &self.address, "--cache-dir"]).arg(self.home.path()).args(arguments);
        let output = command.env("HOME", self.home.path()).env_remove("KUBECONFIG").output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
