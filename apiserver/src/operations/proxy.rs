//! The proxy subresource of pods, services and nodes: any request, passed on to what they name.
//!
//! Upstream: pkg/registry/core/{pod,service,node}/rest, apimachinery/pkg/util/proxy/{upgradeaware,transport}.go
//! Left out: rewriting the links in HTML pages.

use std::sync::Arc;

use api::status::Status;
use axum::body::Body;
use component::upgrade::{self, UpgradeError};
use http::{HeaderValue, Method, Response, request::Parts};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{call::Call, connect};

pub(crate) mod forward;
mod location;

use location::{Host, Scheme};

/// A connection to what is proxied, whatever it is made of.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Passes the request on.
pub async fn answer(call: &Call<'_>, parts: &Parts, body: Body) -> Result<Response<Body>, Status> {
    let path = location::rest_of(parts.uri.path()).ok_or_else(Status::no_such_path)?;
    let host = location::of(call).await?;
    let asked_for_upgrade = upgrade::is_asked(&parts.headers);
    if path.is_empty() && !asked_for_upgrade && matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(forward::to_root(&parts.uri));
    }
    let target = location::target(path, parts.uri.query())?;
    let (stream, authority) = connect_to(call, &host).await?;
    let headers = forward::request_headers(parts, &authority);
    if !asked_for_upgrade {
        let prefix = &parts.uri.path()[..parts.uri.path().len() - path.len()];
        return forward::send(parts, headers, target, prefix, &authority, stream, body).await;
    }
    let mut parts = parts.clone();
    let answered = upgrade::tunnel(&mut parts, headers, target, stream).await;
    answered.map_err(|error| match error {
        UpgradeError::NotAsked => Status::bad_request(error.to_string()),
        UpgradeError::Backend(_) => unreachable(&error),
    })
}

/// 503: nobody answers there.
fn unreachable(error: &dyn std::fmt::Display) -> Status {
    let message = format!("error trying to reach service: {error}");
    Status { details: Some(Default::default()), ..Status::new(503, "ServiceUnavailable", message) }
}

async fn connect_to(call: &Call<'_>, host: &Host) -> Result<(Box<dyn Stream>, HeaderValue), Status> {
    let (scheme, address) = match host {
        Host::Kubelet(node) => {
            let connection = connect::to_kubelet(call, node).await?;
            let authority = HeaderValue::from_str(connection.host.as_str()).map_err(Status::internal)?;
            return Ok((Box::new(connection.stream), authority));
        }
        Host::Address(scheme, address) => (*scheme, *address),
    };
    let authority = HeaderValue::from_str(&address.to_string()).map_err(Status::internal)?;
    let dialling = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        std::io::Result::Ok(stream)
    };
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "i/o timeout");
    let dialled =
        tokio::time::timeout(location::PATIENCE, dialling).await.map_err(|_| late()).and_then(|dialled| dialled);
    let stream = dialled.map_err(|error| unreachable(&format!("dial tcp {address}: {error}")))?;
    if scheme == Scheme::Http {
        return Ok((Box::new(stream), authority));
    }
    let connector = TlsConnector::from(Arc::new(forward::unverified_tls()));
    let stream =
        connector.connect(ServerName::from(address.ip()), stream).await.map_err(|error| unreachable(&error))?;
    Ok((Box::new(stream), authority))
}
