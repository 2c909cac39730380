//! Tells whoever started the process that it is ready, by the protocol that systemd and containerd use too.
//!
//! Upstream: coreos/go-systemd/daemon (SdNotify)
//! Left out: watchdogs, status texts, file descriptors.

use std::os::unix::net::UnixDatagram;

/// Sends `READY=1` to the socket that `NOTIFY_SOCKET` names; does nothing when nobody asked for it.
pub fn ready() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|from| from.send_to(b"READY=1", &socket));
    if let Err(error) = sent {
        tracing::warn!(%error, socket = %socket.display(), "nobody hears that this process is ready");
    }
}
