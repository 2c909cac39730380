//! `skiff-apiserver`: the API server as a process of its own.
//!
//! Upstream: cmd/kube-apiserver

use apiserver::flags::Flags;
use component::flags::Component;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    component::runtime::block_on(serve())?
}

async fn serve() -> anyhow::Result<()> {
    let flags: Flags = component::flags::parse(Component::ApiServer);
    component::logging::init(&flags.log);
    component::install_crypto_provider();
    let shutdown = component::shutdown::on_signal()?;
    let opened = flags.open(&shutdown).await?;
    component::notify::ready();
    opened.serve(shutdown).await
}
