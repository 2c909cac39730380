//! `skiff image load`: an image from a file, for the cluster's pods to run without a registry.
//!
//! Upstream: `kind load image-archive`
//! Left out: other nodes than this one; each loads its own.

use std::path::PathBuf;

use anyhow::ensure;

use crate::{containerd, layout::Layout};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Give the cluster the images of an archive: `docker save`, `podman save`, or an OCI layout as a tar file.
    #[command(after_help = "Example:\n  docker save my/app:1 > app.tar && skiff image load app.tar\n\nPods with \
        imagePullPolicy IfNotPresent or Never then run it under the name that it has in the archive.")]
    Load { file: PathBuf },
}

pub fn run(layout: &Layout, command: &Command) -> anyhow::Result<()> {
    let Command::Load { file } = command;
    ensure!(layout.containerd_socket().exists(), "the cluster {} does not run: skiff up", layout.cluster);
    ensure!(file.exists(), "there is no file {}", file.display());
    for name in containerd::import_file(layout, file)? {
        println!("loaded {name}");
    }
    Ok(())
}
