//! Asks the kernel for the UDP flows that it remembers, and makes it forget some: conntrack over netlink.
//!
//! Upstream: pkg/proxy/conntrack/conntrack.go, and the conntrack part of github.com/vishvananda/netlink
//! Left out: filters in the kernel, which old kernels pass over: all IPv4 flows are read.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use futures::StreamExt;
use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator, parse_ip, parse_u16_be,
};
use rtnetlink::proto::{ConnectionHandle, NetlinkProtoError};
use rtnetlink::sys::{SocketAddr, protocols::NETLINK_NETFILTER};

use super::Flow;

/// Why the kernel's flows could not be read or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    /// This kernel has no such socket, or we may not open it.
    #[error("cannot talk to the kernel about flows: {0}")]
    Open(#[from] io::Error),
    /// The conversation ended early.
    #[error("the kernel stopped talking about flows: {0}")]
    Closed(#[from] NetlinkProtoError),
    /// The kernel said no.
    #[error("the kernel refuses to talk about flows: {0}")]
    Refused(io::Error),
}

/// All UDP flows of this network namespace, in no order.
///
/// # Errors
/// The kernel can't be asked.
pub async fn flows() -> Result<Vec<Flow>, ConntrackError> {
    let get = Message { verb: GET, attributes: Vec::new() };
    let answers = talk(vec![(get, NLM_F_REQUEST | NLM_F_DUMP)]).await?;
    Ok(answers.iter().filter_map(|message| read(&message.attributes)).collect())
}

/// Makes the kernel forget these flows: their next packet is a first one. One that it has forgotten already is no error.
///
/// # Errors
/// The kernel can't be asked, or refuses; other flows are forgotten nevertheless.
pub async fn forget(flows: &[Flow]) -> Result<(), ConntrackError> {
    let delete = |flow: &Flow| (Message { verb: DELETE, attributes: write(flow) }, NLM_F_REQUEST | NLM_F_ACK);
    talk(flows.iter().map(delete).collect()).await.map(drop)
}

/// Sends messages, one after the other is answered, and returns the flows that come back.
async fn talk(messages: Vec<(Message, u16)>) -> Result<Vec<Message>, ConntrackError> {
    let (connection, handle, _) = rtnetlink::proto::new_connection::<Message>(NETLINK_NETFILTER)?;
    let connection = tokio::spawn(connection);
    let mut answers = Vec::new();
    let mut result = Ok(());
    for (message, flags) in messages {
        result = result.and(say(&handle, message, flags, &mut answers).await);
    }
    connection.abort();
    result.map(|()| answers)
}

async fn say(
    handle: &ConnectionHandle<Message>,
    message: Message,
    flags: u16,
    answers: &mut Vec<Message>,
) -> Result<(), ConntrackError> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    let mut incoming = handle.request(message, SocketAddr::new(0, 0))?;
    while let Some(answer) = incoming.next().await {
        match answer.payload {
            NetlinkPayload::InnerMessage(message) => answers.push(message),
            NetlinkPayload::Error(error) if error.code.is_some() => {
                let error = error.to_io();
                if error.kind() != io::ErrorKind::NotFound {
                    return Err(ConntrackError::Refused(error));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

// The numbers are those of linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
const SUBSYSTEM: u16 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IPV4_SOURCE: u16 = 1;
const IPV4_DESTINATION: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
const UDP: u8 = 17;
/// Family AF_INET, version 0, no resource.
const HEADER: [u8; 4] = [2, 0, 0, 0];

/// A message about one flow or all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    verb: u8,
    attributes: Vec<u8>,
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        (SUBSYSTEM << 8) | u16::from(self.verb)
    }

    fn buffer_len(&self) -> usize {
        HEADER.len() + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..HEADER.len()].copy_from_slice(&HEADER);
        buffer[HEADER.len()..].copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Message, DecodeError> {
        let attributes = payload.get(HEADER.len()..).ok_or("a message about flows without its header")?;
        Ok(Message { verb: header.message_type.to_be_bytes()[1], attributes: attributes.to_vec() })
    }
}

fn write(flow: &Flow) -> Vec<u8> {
    attributes(&[write_ends(ORIGINAL, flow.source, flow.destination, UDP), (ZONE, flow.zone.to_be_bytes().to_vec())])
}

/// Both ends of one direction.
fn write_ends(direction: u16, source: SocketAddrV4, destination: SocketAddrV4, protocol: u8) -> (u16, Vec<u8>) {
    let addresses = attributes(&[
        (IPV4_SOURCE, source.ip().octets().to_vec()),
        (IPV4_DESTINATION, destination.ip().octets().to_vec()),
    ]);
    let protocol = attributes(&[
        (PROTOCOL_NUMBER, vec![protocol]),
        (SOURCE_PORT, source.port().to_be_bytes().to_vec()),
        (DESTINATION_PORT, destination.port().to_be_bytes().to_vec()),
    ]);
    let tuple = attributes(&[(TUPLE_IP | NLA_F_NESTED, addresses), (TUPLE_PROTOCOL | NLA_F_NESTED, protocol)]);
    (direction | NLA_F_NESTED, tuple)
}

fn attributes(all: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let all: Vec<DefaultNla> = all.iter().map(|(kind, value)| DefaultNla::new(*kind, value.clone())).collect();
    let mut bytes = vec![0; all.as_slice().buffer_len()];
    all.as_slice().emit(&mut bytes);
    bytes
}

/// The flow, if it is one of UDP over IPv4.
fn read(attributes: &[u8]) -> Option<Flow> {
    let (source, destination) = read_ends(attribute(attributes, ORIGINAL)?)?;
    let (answers, _) = read_ends(attribute(attributes, REPLY)?)?;
    let zone = attribute(attributes, ZONE).and_then(|zone| parse_u16_be(zone).ok()).unwrap_or_default();
    Some(Flow { source, destination, answers, zone })
}

fn read_ends(tuple: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (addresses, protocol) = (attribute(tuple, TUPLE_IP)?, attribute(tuple, TUPLE_PROTOCOL)?);
    if attribute(protocol, PROTOCOL_NUMBER)? != [UDP] {
        return None;
    }
    let address = |kind| -> Option<Ipv4Addr> {
        match parse_ip(attribute(addresses, kind)?).ok()? {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        }
    };
    let port = |kind| parse_u16_be(attribute(protocol, kind)?).ok();
    let end = |address, port| Some(SocketAddrV4::new(address?, port?));
    Some((end(address(IPV4_SOURCE), port(SOURCE_PORT))?, end(address(IPV4_DESTINATION), port(DESTINATION_PORT))?))
}

/// The value of the first attribute of a kind.
fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let all = NlasIterator::new(attributes).map_while(Result::ok);
    all.into_iter().find(|attribute| attribute.kind() == kind).map(|attribute| attribute.into_inner()).and_then(value)
}

/// What follows the header of an attribute: a length of two bytes, which counts the header, and a kind.
fn value(attribute: &[u8]) -> Option<&[u8]> {
    let length = u16::from_ne_bytes(attribute.get(..2)?.try_into().ok()?);
    attribute.get(4..usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(direction: u16, source: &str, destination: &str, protocol: u8) -> (u16, Vec<u8>) {
        write_ends(direction, source.parse().unwrap(), destination.parse().unwrap(), protocol)
    }

    #[test]
    fn a_flow_is_read_as_it_is_written_with_who_answers_it() {
        let of_protocol = |protocol| {
            let original = ends(ORIGINAL, "10.244.0.5:4000", "10.96.0.10:53", protocol);
            let reply = ends(REPLY, "10.244.0.7:5353", "10.244.0.5:4000", protocol);
            read(&attributes(&[original, reply, (ZONE, vec![1, 2])]))
        };
        let expected = Flow {
            source: "10.244.0.5:4000".parse().unwrap(),
            destination: "10.96.0.10:53".parse().unwrap(),
            answers: "10.244.0.7:5353".parse().unwrap(),
            zone: 0x102,
        };
        assert_eq!(of_protocol(UDP), Some(expected));
        assert_eq!(of_protocol(6), None);
    }

    #[test]
    fn what_is_cut_off_is_no_flow() {
        let (original, reply) = (
            ends(ORIGINAL, "10.244.0.5:4000", "10.96.0.10:53", UDP),
            ends(REPLY, "10.244.0.7:5353", "10.244.0.5:4000", UDP),
        );
        let bytes = attributes(&[original, reply]);
        assert!(read(&bytes).is_some());
        (0..bytes.len()).for_each(|length| assert_eq!(read(&bytes[..length]), None));
    }
}
