//! SIGTERM and SIGINT ask the process to finish; a second one makes it stop at once.
//!
//! Upstream: apiserver/pkg/server/signal.go

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second ends the process with code 1.
///
/// Must be called inside a tokio runtime.
///
/// # Errors
/// The signal handlers can't be installed.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        for remaining in [1, 0] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if remaining == 0 {
                std::process::exit(1);
            }
            tracing::info!("asked to stop");
            cancelled.cancel();
        }
    });
    Ok(token)
}
