//! A real image registry on loopback, filled over its own API.
//!
//! Upstream: distribution/distribution, docs/spec/api.md
//! Left out: token servers, chunked uploads.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use skiff::image::MANIFEST_TYPE;

use super::part;
use crate::rig::Image;

/// The login that a guarded registry asks for, and its line in an htpasswd file.
pub const LOGIN: (&str, &str) = ("alice", "secret");
const HTPASSWD: &str = "alice:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

pub struct Registry {
    pub address: SocketAddr,
    process: Child,
    client: Client<HttpConnector, Full<Bytes>>,
    guarded: bool,
}

impl Registry {
    /// Starts one that keeps its blobs below `folder`, and returns once it listens.
    ///
    /// # Errors
    /// It ends without listening.
    pub fn start(folder: &Path) -> anyhow::Result<Registry> {
        Registry::start_as(folder, false)
    }

    /// Starts one that answers only to [`LOGIN`].
    ///
    /// # Errors
    /// It ends without listening.
    pub fn start_guarded(folder: &Path) -> anyhow::Result<Registry> {
        fs::write(folder.join("htpasswd"), HTPASSWD)?;
        Registry::start_as(folder, true)
    }

    fn start_as(folder: &Path, guarded: bool) -> anyhow::Result<Registry> {
        let address = SocketAddr::from(([127, 0, 0, 1], 5000));
        let config = folder.join("registry.yml");
        let blobs = folder.join("registry");
        let mut text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{address}'}}\n",
            blobs.display()
        );
        if guarded {
            let htpasswd = folder.join("htpasswd");
            text += &format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", htpasswd.display());
        }
        fs::write(&config, text)?;
        let mut command = Command::new(part("docker-registry"));
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let mut log = BufReader::new(process.stderr.take().context("a pipe was asked for")?).lines();
        let listens = log.by_ref().map_while(Result::ok).any(|line| line.contains("listening on"));
        ensure!(listens, "the registry ended without listening on {address}");
        // It must never wait for a reader of its log.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Ok(Registry { address, process, client: Client::builder(TokioExecutor::new()).build_http(), guarded })
    }

    /// Makes this registry the mirror of docker.io for a containerd whose `config_path` is `folder`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn mirror_docker_hub(&self, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.join("docker.io");
        fs::create_dir_all(&folder)?;
        let url = format!("http://{}", self.address);
        let text = format!("server = \"{url}\"\n\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
        Ok(fs::write(folder.join("hosts.toml"), text)?)
    }

    /// Uploads an image as `repository:tag`.
    ///
    /// # Errors
    /// The registry refuses it.
    pub async fn push(&self, repository: &str, tag: &str, image: Image) -> anyhow::Result<()> {
        let parts = image.into_parts();
        for (digest, content) in parts.blobs {
            self.push_blob(repository, &digest, content).await?;
        }
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let request = Request::put(url).header(header::CONTENT_TYPE, MANIFEST_TYPE);
        self.send(request.body(Full::from(parts.manifest))?, StatusCode::CREATED).await?;
        Ok(())
    }

    async fn push_blob(&self, repository: &str, digest: &str, content: Vec<u8>) -> anyhow::Result<()> {
        let begin = Request::builder().method(Method::POST);
        let begin = begin.uri(format!("http://{}/v2/{repository}/blobs/uploads/", self.address));
        let location = self.send(begin.body(Full::default())?, StatusCode::ACCEPTED).await?;
        let location = location.context("an upload has a location")?;
        let mark = if location.contains('?') { '&' } else { '?' };
        let upload = Request::put(format!("{location}{mark}digest={digest}"));
        let upload = upload.header(header::CONTENT_TYPE, "application/octet-stream");
        self.send(upload.body(Full::from(content))?, StatusCode::CREATED).await?;
        Ok(())
    }

    /// Sends a request and returns the answer's location.
    async fn send(&self, mut request: Request<Full<Bytes>>, expected: StatusCode) -> anyhow::Result<Option<String>> {
        if self.guarded {
            let login = BASE64_STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
            request.headers_mut().insert(header::AUTHORIZATION, format!("Basic {login}").parse()?);
        }
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.client.request(request).await.with_context(|| what.clone())?;
        let status = response.status();
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.map(str::to_owned);
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status == expected, "{what}: {status} {}", String::from_utf8_lossy(&body));
        Ok(location)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
