use std::net::Ipv4Addr;

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{A, CNAME};
use prometheus_client::registry::Registry;

use super::*;
use crate::dns::zone::{Entry, Host, Target};

/// A server on loopback with one headless Service of many pods and one name elsewhere. Others are asked at `port`.
async fn server(folder: &std::path::Path, port: u16) -> SocketAddr {
    counted_server(folder, port, Metrics::default()).await
}

/// The same, whose questions `metrics` counts.
async fn counted_server(folder: &std::path::Path, port: u16, metrics: Metrics) -> SocketAddr {
    let mut zone = Zone::new("cluster.local", Ipv4Addr::new(10, 96, 0, 10), Vec::new());
    let hosts = (0..100).map(|number| Host {
        name: format!("p{number}"),
        address: Ipv4Addr::new(10, 244, 0, number),
        ports: Vec::new(),
    });
    let many = Entry { target: Target::Headless, endpoints: hosts.collect() };
    zone.set(&client::ObjectKey::new("shop", "many"), Some(many));
    let old = Entry { target: Target::External("www.example.org".into()), endpoints: Vec::new() };
    zone.set(&client::ObjectKey::new("shop", "old"), Some(old));
    let circle = Entry { target: Target::External("circle.shop.svc.cluster.local".into()), endpoints: Vec::new() };
    zone.set(&client::ObjectKey::new("shop", "circle"), Some(circle));
    let resolv_conf = folder.join("resolv.conf");
    std::fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
    let forwarder = Forwarder::new(resolv_conf, Vec::new()).on_port(port).even_on_loopback();
    let (zone, name) = (Arc::new(RwLock::new(zone)), "dns://test".into());
    let resolver = Resolver { zone, forwarder, clients: Vec::new(), name, metrics };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address.into();
    tokio::spawn(listener.serve(Arc::new(resolver)));
    address
}

/// A resolver of the machine that answers every question with a name that stands for another, and that one's address.
async fn elsewhere() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let mut message = Message::from_vec(&buffer[..length]).unwrap().into_response();
            let name = message.queries[0].name().clone();
            let target = Name::from_ascii("real.example.org.").unwrap();
            message.add_answer(Record::from_rdata(name, 60, RData::CNAME(CNAME(target.clone()))));
            message.add_answer(Record::from_rdata(target, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))));
            socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
        }
    });
    port
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

async fn over_udp(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question(name, kind), server).await.unwrap();
    let mut buffer = [0; 4096];
    let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn over_tcp(stream: &mut TcpStream, name: &str, kind: RecordType) -> Message {
    let question = question(name, kind);
    stream.write_u16(question.len().try_into().unwrap()).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

#[tokio::test]
async fn an_answer_that_is_cut_is_whole_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), 9).await;
    let cut = over_udp(server, "many.shop.svc.cluster.local.", RecordType::A).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut stream = TcpStream::connect(server).await.unwrap();
    // One connection may ask more than once.
    for _ in 0..2 {
        let whole = over_tcp(&mut stream, "many.shop.svc.cluster.local.", RecordType::A).await;
        assert_eq!((whole.answers.len(), whole.metadata.id, whole.metadata.authoritative), (100, 4711, true));
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_comes_with_the_zones_authority() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), 9).await;
    let missing = over_udp(server, "nobody.shop.svc.cluster.local.", RecordType::A).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(missing.authorities[0].ttl, 5);
    let empty = over_udp(server, "many.shop.svc.cluster.local.", RecordType::AAAA).await;
    assert_eq!((empty.metadata.response_code, empty.authorities.len()), (ResponseCode::NoError, 1));
}

#[tokio::test]
async fn what_others_know_is_asked_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    let metrics = Metrics::shown_in(&mut registry);
    let server = counted_server(folder.path(), elsewhere().await, metrics).await;
    let forwarded = over_udp(server, "www.example.net.", RecordType::A).await;
    assert_eq!((forwarded.metadata.id, forwarded.answers.len()), (4711, 2));
    // A Service that stands for a name elsewhere: all of the way there is in the answer.
    let followed = over_udp(server, "old.shop.svc.cluster.local.", RecordType::A).await;
    let names: Vec<String> = followed.answers.iter().map(|record| record.name.to_ascii()).collect();
    assert_eq!(names, ["old.shop.svc.cluster.local.", "www.example.org.", "real.example.org."]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for plugin in ["forward", "kubernetes"] {
        let labels = format!("server=\"dns://test\",zone=\".\",rcode=\"NOERROR\",plugin=\"{plugin}\"");
        assert!(text.contains(&format!("coredns_dns_responses_total{{{labels}}} 1\n")), "{plugin}: {text}");
    }
}

#[tokio::test]
async fn without_others_it_says_at_once_that_it_failed() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), 9).await;
    std::fs::write(folder.path().join("resolv.conf"), "").unwrap();
    let failed = over_udp(server, "www.example.net.", RecordType::A).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    let circle = over_udp(server, "circle.shop.svc.cluster.local.", RecordType::A).await;
    assert_eq!(circle.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn strangers_are_not_answered() {
    let zone = Zone::new("cluster.local", Ipv4Addr::LOCALHOST, Vec::new());
    let forwarder = Forwarder::new("/nonexistent".into(), Vec::new());
    let clients = vec!["10.244.0.0/16".parse().unwrap()];
    let (name, metrics) = ("dns://test".into(), Metrics::default());
    let resolver = Resolver { zone: Arc::new(RwLock::new(zone)), forwarder, clients, name, metrics };
    assert!(resolver.may_ask("10.244.3.4".parse().unwrap()) && resolver.may_ask("127.0.0.1".parse().unwrap()));
    assert!(!resolver.may_ask("192.168.0.9".parse().unwrap()) && !resolver.may_ask("2001:db8::1".parse().unwrap()));
}
