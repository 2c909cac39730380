//! Writes while lists and compaction run.
//!
//! Upstream: none
//! Left out: watchers; `watch` has them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Mixed, load, pods, server::Server};

/// How long patches take while other clients list all pods again and again and the history is compacted each second.
///
/// # Errors
/// A request fails.
pub async fn writes_under_lists(flags: &Mixed) -> anyhow::Result<Value> {
    let server = Server::start_with(&["--etcd-compaction-interval=1s"]).await?;
    let connections = server.connect(4).await?;
    pods::create_all(&server, &connections, flags.pods).await?;
    let listing = server.connect(flags.lists).await?;
    let (enough, lists) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut listers = JoinSet::new();
    for number in 0..flags.lists {
        let (mut connection, enough, lists) = (listing.of(number), enough.clone(), lists.clone());
        listers.spawn(async move {
            while !enough.load(Ordering::Relaxed) {
                connection.read("/api/v1/pods").await?;
                lists.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let pods = flags.pods;
    let load =
        load::run(&server, &connections, (flags.clients, flags.count), move |mut connection, number| async move {
            connection.send("PATCH", &pods::path(number * 7919 % pods), pods::change(number)).await.map(drop)
        });
    let mut figures = load.await?.figures("writes-under-lists", (flags.clients, 4));
    enough.store(true, Ordering::Relaxed);
    while let Some(lister) = listers.join_next().await {
        lister??;
    }
    // It would have the lists' share in it.
    figures.as_object_mut().map(|figures| figures.remove("server_cpu_us_per_operation"));
    figures["pods"] = json!(flags.pods);
    figures["lists_at_once"] = json!(flags.lists);
    figures["lists"] = json!(lists.load(Ordering::Relaxed));
    server.stop().await?;
    Ok(figures)
}
