//! The programs of this workspace, as processes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a program of ours, brought up to date first: `program("kubelet", "skiff-kubelet")`.
pub fn program(package: &str, name: &str) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", package, "--bin", name])
        .current_dir(workspace)
        .status()
        .expect("cargo runs the tests, so it is there");
    assert!(built.success(), "{name} does not build");
    // This test lies in target/debug/deps.
    let test = std::env::current_exe().expect("a test has a path");
    test.parent().and_then(Path::parent).expect("target/debug").join(name)
}
