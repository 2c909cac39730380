//! A network namespace of a test's own, and a runtime whose every thread lives in it.
//!
//! Whatever such a thread listens on, connects to or starts is in the namespace too, so a test is written as if it had
//! the machine for itself.
//!
//! Upstream: none

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The node's own address inside, of a range that is for documentation (RFC 5737).
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// A network namespace that is removed with this value.
pub struct Namespace {
    pub name: String,
    link: File,
}

impl Namespace {
    /// Makes a namespace with loopback up and [`NODE_ADDRESS`] on a link of its own.
    pub fn new() -> Self {
        let namespace = Self::empty();
        for line in ["link add node0 type bridge", "link set node0 up"] {
            namespace.ip(line);
        }
        namespace.ip(&format!("address add {NODE_ADDRESS}/24 dev node0"));
        namespace
    }

    /// Makes a namespace with loopback up and nothing else.
    pub fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skiff-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        let link = File::open(format!("/run/netns/{name}")).expect("the namespace was just made");
        let namespace = Self { name, link };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `ip` in the namespace.
    pub fn ip(&self, arguments: &str) {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split(' '));
        ip(&all);
    }

    /// Moves the calling thread into the namespace, for good.
    fn enter(&self) {
        move_into_link_name_space(self.link.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter");
    }

    /// Runs a test inside, on a runtime of its own. The calling thread stays inside afterwards.
    pub fn run<F: Future>(self, test: impl FnOnce(Arc<Namespace>) -> F) -> F::Output {
        let _ = tracing_subscriber::fmt().with_env_filter("warn").with_test_writer().try_init();
        component::install_crypto_provider();
        let namespace = Arc::new(self);
        let inside = namespace.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || inside.enter())
            .build()
            .expect("a runtime");
        namespace.enter();
        runtime.block_on(test(namespace))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
