//! An API server over the embedded store, started as `skiff up` starts it, in folders of its own.
//!
//! Upstream: none
//! Left out: etcd: `skiff-bench cluster --separate` has it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;
use skiff::{
    credentials,
    layout::Layout,
    parts,
    process::{self, Running},
    settings::Settings,
};
use tempfile::TempDir;
use tests::rig::namespace::NODE_ADDRESS;

use crate::connection::Connections;

const TOKEN: &str = "bench-token-of-an-administrator";
const PATIENCE: Duration = Duration::from_secs(120);
const NAME: &str = "apiserver";

/// A server that runs. It must be stopped.
pub struct Server {
    layout: Layout,
    settings: Settings,
    flags: &'static [&'static str],
    process: Running,
    _folder: TempDir,
}

impl Server {
    /// Starts one with an empty store.
    ///
    /// # Errors
    /// It doesn't start; with the end of its log.
    pub async fn start() -> anyhow::Result<Server> {
        Server::start_with(&[]).await
    }

    /// Starts one with more flags.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(flags: &'static [&'static str]) -> anyhow::Result<Server> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let layout = Layout { cluster: "bench".into(), config: path("etc"), state: path("var"), run: path("run") };
        let settings = Settings { node_name: "bench".into(), node_address: NODE_ADDRESS.into(), ..Settings::default() };
        fs::create_dir_all(&layout.config)?;
        credentials::ensure(&layout, &settings, Timestamp::now())?;
        let tokens = format!("{TOKEN},bench,bench,\"skiff:cluster-admins\"\n");
        fs::write(Self::token_file(&layout), tokens).context("token file")?;
        let process = Self::run(&layout, &settings, flags).await?;
        let server = Server { layout, settings, flags, process, _folder: folder };
        server.prepare().await?;
        Ok(server)
    }

    async fn run(layout: &Layout, settings: &Settings, flags: &[&str]) -> anyhow::Result<Running> {
        let mut start = parts::start(layout, settings, NAME)?;
        start.arguments.extend(flags.iter().map(Into::into));
        start.arguments.push(format!("--token-auth-file={}", Self::token_file(layout).display()).into());
        process::start(layout, &start, PATIENCE).await
    }

    fn token_file(layout: &Layout) -> PathBuf {
        layout.config.join("tokens.csv")
    }

    /// Pods need the account that a controller would make.
    async fn prepare(&self) -> anyhow::Result<()> {
        let account = json!({"metadata": {"name": "default"}});
        let path = "/api/v1/namespaces/default/serviceaccounts";
        self.connect(1).await?.first().send("POST", path, account.to_string().into()).await?;
        Ok(())
    }

    /// Ends it and starts it again over the same store. Returns how long the start took.
    ///
    /// # Errors
    /// It doesn't end, or doesn't start.
    pub async fn restart(&mut self) -> anyhow::Result<Duration> {
        process::stop(&self.layout, NAME, PATIENCE).await?;
        let began = std::time::Instant::now();
        self.process = Self::run(&self.layout, &self.settings, self.flags).await?;
        Ok(began.elapsed())
    }

    /// Ends it and takes its folders away.
    ///
    /// # Errors
    /// It doesn't end.
    pub async fn stop(self) -> anyhow::Result<()> {
        process::stop(&self.layout, NAME, PATIENCE).await?;
        Ok(())
    }

    /// Starts another process of the cluster beside it: `proxy`. It is ready when this returns.
    ///
    /// # Errors
    /// It doesn't start; with the end of its log.
    pub async fn start_part(&self, name: &'static str) -> anyhow::Result<Running> {
        process::start(&self.layout, &parts::start(&self.layout, &self.settings, name)?, PATIENCE).await
    }

    /// Ends such a process.
    ///
    /// # Errors
    /// It doesn't end.
    pub async fn stop_part(&self, name: &'static str) -> anyhow::Result<()> {
        process::stop(&self.layout, name, PATIENCE).await.map(drop)
    }

    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// HTTP/2 connections over TLS, with an administrator's bearer token.
    ///
    /// # Errors
    /// It refuses.
    pub async fn connect(&self, count: usize) -> anyhow::Result<Connections> {
        let address = (NODE_ADDRESS, self.settings.api_port).into();
        Connections::open(address, &self.layout.pki().join("ca.crt"), TOKEN, count).await
    }
}
