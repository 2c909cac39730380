//! Keys that the store deletes by itself.
//!
//! Upstream: apiserver/pkg/storage/testing/store_tests.go (TTL)

use std::time::{Duration, Instant};

use super::{events, next, put, read, shown, watch, write};
use crate::{Op, Range, Store};

fn put_for(key: &'static str, value: &'static str, ttl: Duration) -> Op {
    Op::Put { key: key.into(), value: value.into(), ttl: Some(ttl) }
}

pub(super) async fn a_key_expires_at_a_revision_of_its_own(store: &impl Store) {
    let ttl = Duration::from_secs(1);
    let began = Instant::now();
    let written = write(store, vec![put("/kept", "1"), put_for("/short", "1", ttl)]).await;
    let mut watch = watch(store, Range::all(), written).await;
    let commit = next(&mut watch).await;
    assert!(began.elapsed() >= ttl, "not before its time, but after {:?}", began.elapsed());
    assert_eq!(events(&commit), ["/short-"]);
    assert!(commit.revision > written);
    let later = write(store, vec![put("/short", "2")]).await;
    assert!(later > commit.revision);
    assert_eq!(shown(&read(store, Range::all()).await), ["/kept=1", "/short=2"]);
}

pub(super) async fn writing_a_key_again_replaces_its_ttl(store: &impl Store) {
    let short = Duration::from_secs(1);
    write(store, vec![put_for("/ended", "1", short), put_for("/longer", "1", short), put_for("/deleted", "1", short)])
        .await;
    write(store, vec![put("/ended", "2")]).await;
    write(store, vec![put_for("/longer", "2", Duration::from_secs(3600)), Op::Delete { key: "/deleted".into() }]).await;
    write(store, vec![put("/deleted", "2")]).await;
    let written = write(store, vec![put_for("/witness", "1", short)]).await;
    let mut watch = watch(store, Range::all(), written).await;
    assert_eq!(events(&next(&mut watch).await), ["/witness-"], "what was rewritten does not expire");
    assert_eq!(shown(&read(store, Range::all()).await), ["/deleted=2", "/ended=2", "/longer=2"]);
}
