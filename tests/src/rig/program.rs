//! The programs of this workspace, as processes.
//!
//! Upstream: none
//! Left out: building them; `./deploy/build` does, and `./deploy/test` calls it first.

use std::path::{Path, PathBuf};

/// The path of a program of ours: `program("skiff-kubelet")`.
///
/// # Panics
/// It isn't built.
pub fn program(name: &str) -> PathBuf {
    // This test lies in target/debug/deps.
    let test = std::env::current_exe().expect("a test has a path");
    let path = test.parent().and_then(Path::parent).expect("target/debug").join(name);
    assert!(path.exists(), "{} is missing: run ./deploy/build", path.display());
    path
}
