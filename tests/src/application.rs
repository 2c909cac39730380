//! The user's application and what it takes to try it: its images in a real registry, a cluster that `skiff` starts,
//! clients that count, and a scan of the host that shows what is left behind.
//!
//! Upstream: test/e2e
//! Left out: nodes beyond one.

pub mod cluster;
pub mod images;
pub mod machine;
pub mod registry;
pub mod requests;
pub mod scan;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are a folder of the workspace").to_owned()
}

/// What `deploy/test-parts` has put into target/parts.
///
/// # Panics
/// It isn't there.
pub fn part(name: &str) -> PathBuf {
    let path = workspace().join("target/parts").join(name);
    assert!(path.exists(), "{} is missing: run ./deploy/test-parts", path.display());
    path
}
