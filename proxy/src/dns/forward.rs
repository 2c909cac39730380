//! Asks the machine's own resolvers what the cluster does not know.
//!
//! Upstream: CoreDNS plugin/forward with /etc/resolv.conf
//! Left out: health checks of the servers, connections that are kept open, TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::wire::Transport;

/// How long one server is waited for; a client waits five seconds for all of them.
const PATIENCE: Duration = Duration::from_secs(2);
/// Servers after these are never asked: the C library reads three as well.
const MOST_SERVERS: usize = 3;
/// So many questions may be under way at once; more are failed at once.
const MOST_QUESTIONS: usize = 1000;

/// The way to the machine's resolvers.
#[derive(Debug)]
pub struct Forwarder {
    resolv_conf: PathBuf,
    /// The DNS itself: to ask it would go round in circles.
    own: Vec<Ipv4Addr>,
    port: u16,
    loopback: bool,
    known: Mutex<Known>,
    free: Semaphore,
}

#[derive(Debug, Default)]
struct Known {
    modified: Option<SystemTime>,
    servers: Vec<IpAddr>,
}

impl Forwarder {
    pub fn new(resolv_conf: PathBuf, own: Vec<Ipv4Addr>) -> Forwarder {
        Forwarder {
            resolv_conf,
            own,
            port: 53,
            loopback: false,
            known: Mutex::default(),
            free: Semaphore::new(MOST_QUESTIONS),
        }
    }

    /// Servers on another port than 53.
    #[cfg(test)]
    pub(super) fn on_port(self, port: u16) -> Forwarder {
        Forwarder { port, ..self }
    }

    /// Loopback servers too.
    #[cfg(test)]
    pub(super) fn even_on_loopback(self) -> Forwarder {
        Forwarder { loopback: true, ..self }
    }

    /// The answer to a question, in bytes and with the question's own id; `None` when nobody answers, at once when
    /// there is nobody to ask.
    pub async fn ask(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let _place = self.free.try_acquire().ok()?;
        for server in self.servers() {
            let address = SocketAddr::new(server, self.port);
            let asked = async {
                match transport {
                    Transport::Udp => ask_udp(address, question).await,
                    Transport::Tcp => ask_tcp(address, question).await,
                }
            };
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%address, %error, "a resolver failed"),
                Err(_) => tracing::debug!(%address, "a resolver does not answer"),
            }
        }
        None
    }

    /// The servers that the file names now; it is read again when it was changed.
    fn servers(&self) -> Vec<IpAddr> {
        let modified = std::fs::metadata(&self.resolv_conf).and_then(|metadata| metadata.modified()).ok();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if modified.is_none() || known.modified != modified {
            let text = std::fs::read_to_string(&self.resolv_conf).unwrap_or_default();
            *known = Known { modified, servers: servers(&text, &self.own, self.loopback) };
        }
        known.servers.clone()
    }
}

/// The servers in a resolv.conf that can be asked: none on this machine's loopback, which are stubs, and not ourselves.
fn servers(text: &str, own: &[Ipv4Addr], loopback: bool) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.split(['#', ';']).next()?.trim().strip_prefix("nameserver"));
    let servers = lines.filter_map(|rest| rest.trim().parse::<IpAddr>().ok());
    let usable = servers.filter(|server| {
        let ourselves = own.iter().any(|own| IpAddr::from(*own) == *server);
        (loopback || !server.is_loopback()) && !server.is_unspecified() && !ourselves
    });
    usable.take(MOST_SERVERS).collect()
}

/// A new id and a new port for each question: who can't see it can't answer in the server's place.
async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0u8; 16]) };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let (sent, id) = with_new_id(question);
    socket.send(&sent).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = &buffer[..length];
        if answers(answer, &sent, id) {
            return Ok(with_id_of(answer, question));
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let (sent, id) = with_new_id(question);
    let length = u16::try_from(sent.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), sent.as_slice()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    if answers(&answer, &sent, id) { Ok(with_id_of(&answer, question)) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn with_new_id(question: &[u8]) -> (Vec<u8>, u16) {
    let id = fastrand::u16(..);
    let mut sent = question.to_vec();
    sent.splice(..2, id.to_be_bytes());
    (sent, id)
}

fn with_id_of(answer: &[u8], question: &[u8]) -> Vec<u8> {
    let mut answer = answer.to_vec();
    answer.splice(..2, question[..2].iter().copied());
    answer
}

/// Is this an answer to that question: the id, and the question's first bytes (its name) repeated?
fn answers(answer: &[u8], sent: &[u8], id: u16) -> bool {
    const HEADER: usize = 12;
    let name_ends = sent.iter().skip(HEADER).position(|byte| *byte == 0).map_or(sent.len(), |at| HEADER + at + 1);
    answer.len() >= name_ends
        && answer[..2] == id.to_be_bytes()
        && answer[2] & 0x80 != 0
        && answer[HEADER..name_ends].eq_ignore_ascii_case(&sent[HEADER..name_ends])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_and_ourselves_are_not_asked() {
        let text = "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver 10.96.0.10\nnameserver 1.1.1.1 ; first\n\
            nameserver ::1\nsearch example.org\nnameserver 2001:db8::1\nnameserver nonsense\n";
        let expected: [IpAddr; 2] = ["1.1.1.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(servers(text, &[Ipv4Addr::new(10, 96, 0, 10)], false), expected);
    }

    #[tokio::test]
    async fn with_nobody_to_ask_it_fails_at_once() {
        let forwarder = Forwarder::new("/nonexistent".into(), Vec::new());
        assert_eq!(forwarder.ask(&[0; 20], Transport::Udp).await, None);
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let question = [&[1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x03www\0\0\x01\0\x01"].concat();
        let mut answer = question.clone();
        answer[2] |= 0x80;
        assert!(answers(&answer, &question, 0x0102));
        assert!(!answers(&answer, &question, 0x0103));
        answer[13] = b'x';
        assert!(!answers(&answer, &question, 0x0102));
        assert!(!answers(&answer[..5], &question, 0x0102));
    }
}
