//! `skiff kubeconfig`: prints the admin's kubeconfig, or merges it into the caller's.
//!
//! Upstream: `kind get kubeconfig`, `kind export kubeconfig`
//! Left out: other users' kubeconfigs: they lie beside it in the configuration folder.

use std::fs;

use anyhow::Context;

use crate::{layout::Layout, user_kubeconfig};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  skiff kubeconfig > lab.conf\n  skiff kubeconfig --merge")]
pub struct Flags {
    /// Merge it into the file that kubectl reads, instead of printing it.
    #[arg(long)]
    merge: bool,
}

pub fn run(layout: &Layout, flags: &Flags) -> anyhow::Result<()> {
    if flags.merge {
        println!("{}", user_kubeconfig::merge(layout)?);
        return Ok(());
    }
    let path = layout.kubeconfig("admin");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("can't read {}: `skiff up` makes the cluster {}", path.display(), layout.cluster))?;
    print!("{text}");
    Ok(())
}
