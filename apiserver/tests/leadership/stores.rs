//! The stores that a test runs over: in memory, and a real etcd.

use std::sync::Arc;

use store::{Memory, Store, etcd::Etcd};

#[allow(dead_code, reason = "only its plain transport is used here")]
#[path = "../../../store/tests/etcd/server.rs"]
mod etcd;

use etcd::{Server, Transport};

/// Runs a test over each kind of store; each is empty.
pub async fn over_each<F: Future<Output = ()>>(test: impl Fn(Arc<dyn Store>) -> F) {
    test(Arc::new(Memory::new())).await;
    let server = Server::start(Transport::Plain);
    test(Arc::new(Etcd::connect(server.config()).await.unwrap())).await;
}
