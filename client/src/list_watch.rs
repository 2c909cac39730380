//! Keeps a cache equal to the API server: list once, then watch from the list's revision, for ever.
//!
//! A watch that ends is resumed from the last revision seen, so nothing is lost and nothing is listed twice. Only when
//! the server says 410 (that revision is no longer in its history) everything is listed again, and the cache itself
//! finds out what changed meanwhile.
//!
//! Upstream: client-go/tools/cache/reflector.go
//! Left out: WatchList (sendInitialEvents): our lists are served from memory. kube's own `watcher` does the same work
//! but hides bookmarks and the list's revision, which the gate of the runner needs.

use std::fmt::Debug;
use std::sync::Weak;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Error, Resource};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::cache::Shared;
use crate::{ObjectKey, Selector};

/// Objects per page of a list; client-go's page size.
const PAGE_SIZE: u32 = 500;
/// How long the server keeps a watch open, and how much longer we wait for a word before we call it dead.
const WATCH_SECONDS: u32 = 290;
const WATCH_GRACE: Duration = Duration::from_secs(10);
/// First and longest wait after a failure. Much shorter than client-go's 0.8 s to 30 s: our server is near.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Lists and watches until the cache is dropped.
pub(crate) async fn keep<K>(api: Api<K>, selector: Selector, cache: Weak<Shared<K>>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let mut seen: Option<String> = None;
    let mut wait = BACKOFF.0;
    loop {
        let began_at = seen.clone();
        let ended = list_then_watch(&api, &selector, &cache, &mut seen).await;
        if ended.is_ok() || seen != began_at {
            wait = BACKOFF.0;
        }
        match ended {
            Ok(Ended::Dropped) => return,
            // The server closes a watch from time to time; that is its normal end.
            Ok(Ended::Watch) => {}
            Err(error) if is_expired(&error) => {
                debug!(resource = api.resource_url(), "history is gone, listing again");
                seen = None;
            }
            Err(error) => warn!(resource = api.resource_url(), %error, "list or watch failed, will retry"),
        }
        tokio::time::sleep(wait.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
}

enum Ended {
    /// The watch came to its end and can be resumed.
    Watch,
    /// Nobody holds the cache any more.
    Dropped,
}

/// Lists when `seen` is not set, then watches from there. `seen` is always the last revision that is in the cache.
async fn list_then_watch<K>(
    api: &Api<K>,
    selector: &Selector,
    cache: &Weak<Shared<K>>,
    seen: &mut Option<String>,
) -> Result<Ended, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let from = match seen.clone() {
        Some(revision) => revision,
        None => {
            let (objects, revision) = list(api, selector).await?;
            let Some(cache) = cache.upgrade() else { return Ok(Ended::Dropped) };
            cache.replace_all(objects, number(&revision));
            seen.insert(revision).clone()
        }
    };
    let params = WatchParams {
        label_selector: selector.labels.clone(),
        field_selector: selector.fields.clone(),
        timeout: Some(WATCH_SECONDS),
        bookmarks: true,
        ..WatchParams::default()
    };
    let events = api.watch(&params, &from).await?;
    pin_mut!(events);
    let patience = Duration::from_secs(WATCH_SECONDS.into()) + WATCH_GRACE;
    while let Ok(Some(event)) = tokio::time::timeout(patience, events.next()).await {
        let Some(cache) = cache.upgrade() else { return Ok(Ended::Dropped) };
        let revision = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                let object = lighten(object);
                let revision = object.meta().resource_version.clone().unwrap_or_default();
                cache.apply(object, number(&revision));
                revision
            }
            Ok(WatchEvent::Deleted(object)) => {
                let revision = object.meta().resource_version.clone().unwrap_or_default();
                cache.remove(&ObjectKey::of(&object), number(&revision));
                revision
            }
            Ok(WatchEvent::Bookmark(bookmark)) => {
                cache.advance(number(&bookmark.metadata.resource_version));
                bookmark.metadata.resource_version
            }
            Ok(WatchEvent::Error(status)) => return Err(Error::Api(status)),
            Err(Error::SerdeError(error)) => {
                // One object that does not fit its type stops nothing but itself.
                warn!(resource = api.resource_url(), %error, "an event cannot be read, passed over");
                continue;
            }
            Err(error) => return Err(error),
        };
        *seen = Some(revision);
    }
    Ok(Ended::Watch)
}

/// All objects and the revision at which they are all there is, in pages.
async fn list<K>(api: &Api<K>, selector: &Selector) -> Result<(Vec<K>, String), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams {
        label_selector: selector.labels.clone(),
        field_selector: selector.fields.clone(),
        limit: Some(PAGE_SIZE),
        ..ListParams::default()
    };
    let mut objects = Vec::new();
    loop {
        let page = api.list(&params).await?;
        objects.extend(page.items.into_iter().map(lighten));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok((objects, page.metadata.resource_version.unwrap_or_default())),
        }
    }
}

/// Drops the managed fields: often half of an object's bytes, and no component of ours reads them.
fn lighten<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

fn number(revision: &str) -> u64 {
    revision.parse().unwrap_or(0)
}

fn is_expired(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 410)
}
