//! /livez, /readyz and /healthz: whether this server works, check by check.
//!
//! Upstream: apiserver/pkg/server/healthz/healthz.go
//! Left out: checks of start-up hooks; what they would wait for is done before anything is served.

use std::time::Duration;

use axum::body::Body;
use component::query::Query;
use http::Response;

use crate::{answer, core::Core};

/// The checks by name: `informer-sync` asks whether memory follows the store, and only readiness needs it.
const LIVE: &[&str] = &["ping", "etcd"];
const READY: &[&str] = &["ping", "etcd", "informer-sync"];

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the checks of an endpoint, or one of them: `/livez/etcd`. `?verbose` lists them, `?exclude=NAME` leaves one out.
pub(super) async fn answer(core: &Core, segments: &[&str], query: &Query) -> Response<Body> {
    let (endpoint, only) = (segments[0], segments[1..].join("/"));
    let checks = if endpoint == "readyz" { READY } else { LIVE };
    if !only.is_empty() {
        return match checks.iter().find(|check| **check == only) {
            None => super::missing(core, segments),
            Some(check) => match run(core, check).await {
                Ok(()) => answer::text(200, "ok"),
                Err(error) => answer::text(500, format!("internal server error: {error}\n")),
            },
        };
    }
    let excluded: Vec<&str> = query.all("exclude").collect();
    let (mut report, mut failed) = (String::new(), Vec::new());
    for check in checks {
        if excluded.contains(check) {
            report += &format!("[+]{check} excluded: ok\n");
        } else if let Err(error) = run(core, check).await {
            tracing::warn!(check, error, "a health check fails");
            report += &format!("[-]{check} failed: reason withheld\n");
            failed.push(*check);
        } else {
            report += &format!("[+]{check} ok\n");
        }
    }
    let unknown: Vec<String> =
        excluded.iter().filter(|name| !checks.contains(name)).map(|n| format!("{n:?}")).collect();
    if !unknown.is_empty() {
        report += &format!("warn: some health checks cannot be excluded: no matches for {}\n", unknown.join(","));
    }
    match (failed.is_empty(), query.get("verbose").is_some()) {
        (false, _) => answer::text(500, format!("{report}{endpoint} check failed\n")),
        (true, true) => answer::text(200, format!("{report}{endpoint} check passed\n")),
        (true, false) => answer::text(200, "ok"),
    }
}

async fn run(core: &Core, check: &str) -> Result<(), String> {
    let checked = async {
        match check {
            "etcd" => core.store.current().await.map(drop).map_err(|error| error.to_string()),
            "informer-sync" => core.fresh().await.map_err(|status| status.message),
            _ => Ok(()),
        }
    };
    tokio::time::timeout(PATIENCE, checked).await.unwrap_or_else(|_| Err(format!("{check} takes too long")))
}
