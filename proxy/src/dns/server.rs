//! Listens for questions over UDP and TCP, and answers them.
//!
//! Upstream: CoreDNS core/dnsserver
//! Left out: TLS, HTTPS, several messages at once on one TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use ipnet::Ipv4Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::answer::{Answer, answer, authority};
use super::forward::Forwarder;
use super::metrics::{Asked, By, Metrics};
use super::wire::{self, LONGEST_QUESTION, Question, Reply, Transport, Unanswerable};
use super::zone::Zone;

/// A TCP client that says nothing for so long is not coming back.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_CONNECTIONS: usize = 256;
/// Names of names of names: a circle ends here.
const MOST_ALIASES: usize = 8;

/// Answers questions: from the zone, or from others.
#[derive(Debug)]
pub struct Resolver {
    pub zone: Arc<RwLock<Zone>>,
    pub forwarder: Forwarder,
    /// Who is answered, beside the machine itself. A resolver for everybody would be a tool for attacks.
    pub clients: Vec<Ipv4Net>,
    /// What it is called where questions are counted.
    pub name: Arc<str>,
    pub metrics: Metrics,
}

/// An answer that is there at once, or a question that others must be asked.
enum Step {
    Done(Option<Vec<u8>>),
    Ask(Asked, Question, Vec<Record>, Option<Name>),
}

impl Resolver {
    fn may_ask(&self, client: IpAddr) -> bool {
        let IpAddr::V4(client) = client else { return client.is_loopback() };
        client.is_loopback() || self.clients.iter().any(|network| network.contains(&client))
    }

    /// What memory has to say.
    fn first(&self, bytes: &[u8], transport: Transport) -> Step {
        let since = Instant::now();
        let question = match wire::read(bytes) {
            Ok(question) => question,
            Err(Unanswerable::Ignored) => return Step::Done(None),
            Err(Unanswerable::Refused(answer)) => return Step::Done(Some(answer)),
        };
        let zone = self.zone.read().unwrap_or_else(PoisonError::into_inner);
        let (mut name, kind) = (question.query.name().clone(), question.query.query_type());
        let asked = Asked { kind, transport, since };
        let mut aliases: Vec<Record> = Vec::new();
        for _ in 0..MOST_ALIASES {
            let (code, mut answers, additionals) = match answer(&zone, &name, kind) {
                Answer::Records { answers, additionals } => (ResponseCode::NoError, answers, additionals),
                Answer::NoSuchName => (ResponseCode::NXDomain, Vec::new(), Vec::new()),
                Answer::Alias { record, target } => {
                    aliases.push(*record);
                    name = target;
                    continue;
                }
                Answer::NotOurs => {
                    let target = (!aliases.is_empty()).then_some(name);
                    return Step::Ask(asked, question, aliases, target);
                }
            };
            fastrand::shuffle(&mut answers);
            let authorities = if answers.is_empty() { authority(&zone).into_iter().collect() } else { Vec::new() };
            answers.splice(0..0, aliases);
            let reply = Reply { code, authoritative: true, answers, authorities, additionals };
            return Step::Done(Some(self.counted(&asked, By::Kubernetes, wire::write(&question, reply, transport))));
        }
        let failure = wire::write(&question, Reply::code(ResponseCode::ServFail), transport);
        Step::Done(Some(self.counted(&asked, By::Kubernetes, failure)))
    }

    fn counted(&self, asked: &Asked, by: By, answer: Vec<u8>) -> Vec<u8> {
        self.metrics.answered(&self.name, asked, by, &answer, asked.since.elapsed());
        answer
    }

    /// What others have to say: to the question as it came, or about the name that its name stands for.
    async fn ask(
        &self,
        bytes: &[u8],
        asked: Asked,
        question: Question,
        aliases: Vec<Record>,
        target: Option<Name>,
    ) -> Vec<u8> {
        let transport = asked.transport;
        let Some(target) = target else {
            let (by, answer) = match self.forwarder.ask(bytes, transport).await {
                Some(answer) => (By::Forward, answer),
                None => (By::Nobody, wire::write(&question, Reply::code(ResponseCode::ServFail), transport)),
            };
            return self.counted(&asked, by, answer);
        };
        let found = self.look_up(target, question.query.query_type()).await;
        let (code, more) = found.unwrap_or((ResponseCode::ServFail, Vec::new()));
        let answers = aliases.into_iter().chain(more).collect();
        let reply = Reply { code, answers, ..Reply::default() };
        self.counted(&asked, By::Kubernetes, wire::write(&question, reply, transport))
    }

    async fn look_up(&self, name: Name, kind: RecordType) -> Option<(ResponseCode, Vec<Record>)> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, kind));
        let question = message.to_vec().ok()?;
        let mut answer = Message::from_vec(&self.forwarder.ask(&question, Transport::Udp).await?).ok()?;
        if answer.metadata.truncation {
            answer = Message::from_vec(&self.forwarder.ask(&question, Transport::Tcp).await?).ok()?;
        }
        Some((answer.metadata.response_code, answer.answers))
    }

    /// The answer to a message; `None` when it deserves none.
    pub async fn resolve(&self, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match self.first(bytes, transport) {
            Step::Done(answer) => answer,
            Step::Ask(asked, question, aliases, target) => {
                Some(self.ask(bytes, asked, question, aliases, target).await)
            }
        }
    }
}

/// Both sockets of the DNS, on one port.
#[derive(Debug)]
pub struct Listener {
    pub address: SocketAddrV4,
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Listener {
    /// Listens on an address; on another port of it when that one is taken.
    ///
    /// # Errors
    /// The address is not this machine's.
    pub async fn bind(address: SocketAddrV4) -> io::Result<Listener> {
        match Listener::bind_exactly(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                warn!(%address, "the port is taken, listening on another");
                Listener::bind_exactly(SocketAddrV4::new(*address.ip(), 0)).await
            }
            bound => bound,
        }
    }

    async fn bind_exactly(address: SocketAddrV4) -> io::Result<Listener> {
        let udp = UdpSocket::bind(address).await?;
        let address = SocketAddrV4::new(*address.ip(), udp.local_addr()?.port());
        Ok(Listener { address, udp, tcp: TcpListener::bind(address).await? })
    }

    /// Answers for ever.
    pub async fn serve(self, resolver: Arc<Resolver>) {
        tokio::join!(serve_udp(Arc::new(self.udp), resolver.clone()), serve_tcp(self.tcp, resolver));
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) {
    let mut buffer = [0; LONGEST_QUESTION];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // An earlier answer that could not be delivered is reported here; it is nobody else's business.
                debug!(%error, "receiving");
                continue;
            }
        };
        if !resolver.may_ask(client.ip()) {
            continue;
        }
        let bytes = &buffer[..length];
        match resolver.first(bytes, Transport::Udp) {
            Step::Done(answer) => send(&socket, client, answer).await,
            Step::Ask(asked, question, aliases, target) => {
                let (socket, resolver, bytes) = (socket.clone(), resolver.clone(), bytes.to_vec());
                tokio::spawn(async move {
                    let answer = resolver.ask(&bytes, asked, question, aliases, target).await;
                    send(&socket, client, Some(answer)).await;
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, client: SocketAddr, answer: Option<Vec<u8>>) {
    let Some(answer) = answer else { return };
    if let Err(error) = socket.send_to(&answer, client).await {
        debug!(%client, %error, "answering");
    }
}

async fn serve_tcp(listener: TcpListener, resolver: Arc<Resolver>) {
    let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = free.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) if resolver.may_ask(client.ip()) => {
                let resolver = resolver.clone();
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = converse(stream, &resolver).await {
                        debug!(%client, %error, "a connection ended");
                    }
                });
            }
            Ok(_) => {}
            Err(error) => {
                // Out of file descriptors, most likely: others will be closed, so try again in a moment.
                warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One question after the other, each with its length in front.
async fn converse(mut stream: TcpStream, resolver: &Resolver) -> io::Result<()> {
    loop {
        let received = tokio::time::timeout(PATIENCE, async {
            let length = usize::from(stream.read_u16().await?);
            if length > LONGEST_QUESTION {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).await?;
            Ok(bytes)
        });
        let bytes = match received.await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(received) => received?,
            Err(_) => return Ok(()),
        };
        let Some(answer) = resolver.resolve(&bytes, Transport::Tcp).await else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await?;
    }
}

#[cfg(test)]
mod tests;
