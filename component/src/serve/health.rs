//! /healthz, /livez and /readyz: named checks, in the words that `kubectl get --raw=/readyz?verbose` prints.
//!
//! Upstream: apiserver/pkg/server/healthz/healthz.go

use std::{
    fmt::Write,
    sync::{Arc, RwLock},
};

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What one check is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Healthz,
    Livez,
    Readyz,
}

/// The checks of one component. Clones share them.
#[derive(Clone)]
pub struct Health {
    checks: Arc<RwLock<Vec<(String, bool, Check)>>>,
}

impl Default for Health {
    fn default() -> Health {
        let health = Health { checks: Arc::default() };
        health.alive("ping", || Ok(()));
        health
    }
}

impl Health {
    /// Adds a check that must pass for the process to be alive and to be ready. It must answer at once, from memory.
    pub fn alive(&self, name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.add(name, true, Arc::new(check));
    }

    /// Adds a check that must pass for the process to be ready; failing it is no reason to restart it.
    pub fn ready(&self, name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.add(name, false, Arc::new(check));
    }

    fn add(&self, name: &str, alive: bool, check: Check) {
        self.checks.write().unwrap_or_else(|poisoned| poisoned.into_inner()).push((name.to_owned(), alive, check));
    }

    fn selected(&self, endpoint: Endpoint) -> Vec<(String, Check)> {
        let checks = self.checks.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let wanted = checks.iter().filter(|(_, alive, _)| *alive || endpoint == Endpoint::Readyz);
        wanted.map(|(name, _, check)| (name.clone(), check.clone())).collect()
    }

    fn report(&self, endpoint: Endpoint, query: &str) -> (StatusCode, String) {
        let has = |name: &str| query.split('&').any(|part| part == name || part.starts_with(&format!("{name}=")));
        let excluded: Vec<&str> = query.split('&').filter_map(|part| part.strip_prefix("exclude=")).collect();
        let mut lines = String::new();
        let mut failed = false;
        for (name, check) in self.selected(endpoint) {
            // The reason may hold internals: as upstream, it goes to the log and not to whoever asks.
            let line = match check() {
                _ if excluded.contains(&name.as_str()) => format!("[+]{name} excluded: ok"),
                Ok(()) => format!("[+]{name} ok"),
                Err(reason) => {
                    tracing::warn!(check = name, reason, "health check failed");
                    failed = true;
                    format!("[-]{name} failed: reason withheld")
                }
            };
            let _ = writeln!(lines, "{line}");
        }
        let word = match endpoint {
            Endpoint::Healthz => "healthz",
            Endpoint::Livez => "livez",
            Endpoint::Readyz => "readyz",
        };
        match (failed, has("verbose")) {
            (true, _) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{word} check failed\n")),
            (false, true) => (StatusCode::OK, format!("{lines}{word} check passed\n")),
            (false, false) => (StatusCode::OK, "ok".to_owned()),
        }
    }

    fn single(&self, endpoint: Endpoint, name: &str) -> (StatusCode, String) {
        match self.selected(endpoint).into_iter().find(|(found, _)| found == name) {
            None => (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
            Some((_, check)) => match check() {
                Ok(()) => (StatusCode::OK, "ok".to_owned()),
                Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {reason}\n")),
            },
        }
    }
}

/// The three end points, each also with the name of one check behind it.
pub fn routes(health: Health) -> Router {
    let mut router = Router::new();
    for (path, endpoint) in
        [("/healthz", Endpoint::Healthz), ("/livez", Endpoint::Livez), ("/readyz", Endpoint::Readyz)]
    {
        let all = move |State(health): State<Health>, RawQuery(query): RawQuery| async move {
            plain(health.report(endpoint, query.as_deref().unwrap_or_default()))
        };
        let one = move |State(health): State<Health>, Path(name): Path<String>| async move {
            plain(health.single(endpoint, &name))
        };
        router = router.route(path, get(all)).route(&format!("{path}/{{check}}"), get(one));
    }
    router.with_state(health)
}

fn plain((status, text): (StatusCode, String)) -> Response {
    let headers = [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")];
    (status, headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_component_answers_ok() {
        assert_eq!(Health::default().report(Endpoint::Livez, ""), (StatusCode::OK, "ok".into()));
    }

    #[test]
    fn a_failing_ready_check_leaves_the_component_alive_and_names_itself() {
        let health = Health::default();
        health.ready("informer-sync", || Err("not yet".into()));
        assert_eq!(health.report(Endpoint::Livez, "").0, StatusCode::OK);
        let (status, text) = health.report(Endpoint::Readyz, "");
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text, "[+]ping ok\n[-]informer-sync failed: reason withheld\nreadyz check failed\n");
    }

    #[test]
    fn verbose_lists_every_check() {
        let (_, text) = Health::default().report(Endpoint::Readyz, "verbose");
        assert_eq!(text, "[+]ping ok\nreadyz check passed\n");
    }
}
