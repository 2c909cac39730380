//! A test that sees no mounts but the machine's and its own: it runs itself again in a mount namespace, where /run is
//! empty, and so are the lists of network namespaces and sockets in it.
//!
//! Upstream: none
//! Left out: other kinds of namespaces.

use std::{env, process::Command};

/// Set in the second run.
const INSIDE: &str = "SKIFF_TEST_INSIDE";

/// Runs the test `name` of this program again in a mount namespace of its own, unless this is that run. Returns
/// whether it is.
///
/// # Panics
/// The second run fails; it has said why.
pub fn is_own(name: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = env::current_exe().expect("a test has a path");
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--", "sh", "-c"])
        .arg("mount -t tmpfs -o mode=755 run /run && exec \"$0\" \"$@\"")
        .arg(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare is part of every Linux");
    assert!(status.success(), "{name} failed; see above");
    false
}
