//! The command line of `skiff`.
//!
//! Upstream: cmd/kubeadm
//! Left out: nothing; what the commands do is in `commands`.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use component::logging::LogFlags;

use skiff::commands::{delete, doctor, down, image, kubeconfig, serve, status, up};
use skiff::layout::Layout;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kubernetes cluster on this machine.
#[derive(Parser)]
#[command(name = "skiff", version = component::version::GIT_VERSION)]
struct Flags {
    /// The cluster's name, when there is more than one on this machine.
    #[arg(long, global = true, default_value = "skiff", env = "SKIFF_NAME")]
    name: String,
    #[command(flatten)]
    logs: LogFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the cluster run: from nothing, after `down`, after a reboot.
    Up(up::Flags),
    /// Stop the cluster and keep its state.
    Down(down::Flags),
    /// Stop the cluster and remove everything of it from this machine.
    Delete(delete::Flags),
    /// What would keep a cluster from working here, each with its fix.
    Doctor(doctor::Flags),
    /// Which processes run, whether the node is Ready, how long certificates last.
    Status(status::Flags),
    /// Print the admin's kubeconfig.
    Kubeconfig(kubeconfig::Flags),
    /// Images for the cluster's pods.
    #[command(subcommand)]
    Image(image::Command),
    /// Be the cluster: what `up` starts.
    #[command(hide = true)]
    Serve(serve::Flags),
    /// Print a shell's completion script.
    #[command(after_help = "Example:\n  skiff completion bash > /etc/bash_completion.d/skiff")]
    Completion { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    component::install_crypto_provider();
    match component::runtime::block_on(run(&flags)).map_err(Into::into).flatten() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("skiff: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command; false when what it looked at is not as it should be.
async fn run(flags: &Flags) -> anyhow::Result<bool> {
    let layout = Layout::of(&flags.name)?;
    match &flags.command {
        Command::Up(up) => up::run(&layout, up).await?,
        Command::Down(_) => down::run(&layout).await?,
        Command::Delete(_) => delete::run(&layout).await?,
        Command::Doctor(doctor) => return doctor::run(&layout, doctor),
        Command::Status(status) => return status::run(&layout, status).await,
        Command::Kubeconfig(kubeconfig) => kubeconfig::run(&layout, kubeconfig)?,
        Command::Image(image) => image::run(&layout, image)?,
        Command::Serve(_) => {
            component::logging::init(&flags.logs);
            serve::run(&layout).await?;
        }
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Flags::command(), "skiff", &mut std::io::stdout());
        }
    }
    Ok(true)
}
