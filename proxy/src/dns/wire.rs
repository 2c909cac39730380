//! Reads questions and writes answers, within limits.
//!
//! Upstream: RFC 1035, RFC 6891 (EDNS), RFC 2308 (negative answers)
//! Left out: TSIG, DNSSEC, EDNS options.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Record};

/// No question needs more; longer messages are not read.
pub const LONGEST_QUESTION: usize = 4096;
/// What a datagram may hold when the client says nothing, and what it may hold at most: no network splits these.
const PLAIN_BYTES: u16 = 512;
const LARGEST_BYTES: u16 = 1232;
/// A question comes with an OPT record at most, and perhaps a signature that we don't read.
const MOST_ADDITIONALS: u16 = 2;
const HEADER_BYTES: usize = 12;

/// A question that can be answered.
#[derive(Debug, Clone)]
pub struct Question {
    pub id: u16,
    pub query: Query,
    recursion_desired: bool,
    /// What the client can take in one datagram, when it says so.
    edns_bytes: Option<u16>,
}

/// Why a message is not a question that can be answered.
#[derive(Debug)]
pub enum Unanswerable {
    /// Nothing can be sent back: it is too short, or an answer itself.
    Ignored,
    /// Send this back.
    Refused(Vec<u8>),
}

/// How the answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What an answer says.
#[derive(Debug, Default)]
pub struct Reply {
    pub code: ResponseCode,
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Reply {
    /// An answer that only says how it went.
    pub fn code(code: ResponseCode) -> Reply {
        Reply { code, ..Reply::default() }
    }
}

/// Reads a question. The counts in its header are held against the limits before any record is read.
///
/// # Errors
/// Says what to do with a message that is none.
pub fn read(bytes: &[u8]) -> Result<Question, Unanswerable> {
    if bytes.len() < HEADER_BYTES || bytes.len() > LONGEST_QUESTION {
        return Err(Unanswerable::Ignored);
    }
    let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (id, is_answer, op_code) = (number(0), bytes[2] & 0x80 != 0, OpCode::from_u8((bytes[2] >> 3) & 0x0f));
    if is_answer {
        return Err(Unanswerable::Ignored);
    }
    let refuse = |code| Unanswerable::Refused(Message::error_msg(id, op_code, code).to_vec().unwrap_or_default());
    if op_code != OpCode::Query {
        return Err(refuse(ResponseCode::NotImp));
    }
    if number(4) != 1 || number(6) != 0 || number(8) != 0 || number(10) > MOST_ADDITIONALS {
        return Err(refuse(ResponseCode::FormErr));
    }
    let Ok(message) = Message::from_vec(bytes) else { return Err(refuse(ResponseCode::FormErr)) };
    let Some(query) = message.queries.first().cloned() else { return Err(refuse(ResponseCode::FormErr)) };
    let edns_bytes = message.edns.as_ref().map(|edns| edns.max_payload().clamp(PLAIN_BYTES, LARGEST_BYTES));
    let question = Question { id, query, recursion_desired: message.metadata.recursion_desired, edns_bytes };
    if message.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
        return Err(Unanswerable::Refused(write(&question, Reply::code(ResponseCode::BADVERS), Transport::Udp)));
    }
    if question.query.query_class() != DNSClass::IN {
        return Err(Unanswerable::Refused(write(&question, Reply::code(ResponseCode::Refused), Transport::Udp)));
    }
    Ok(question)
}

/// Writes an answer. One that does not fit in a datagram is cut, and says so: the client asks again over TCP.
pub fn write(question: &Question, reply: Reply, transport: Transport) -> Vec<u8> {
    let mut message = Message::new(question.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = question.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.authoritative = reply.authoritative;
    message.metadata.response_code = reply.code;
    message.add_query(question.query.clone());
    if question.edns_bytes.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_BYTES).set_rcode_high(reply.code.high());
        message.set_edns(edns);
    }
    let empty = message.clone();
    message.add_answers(reply.answers).add_authorities(reply.authorities);
    let without_additionals = message.clone();
    message.add_additionals(reply.additionals);
    let longest = match transport {
        Transport::Udp => question.largest_datagram(),
        Transport::Tcp => usize::from(u16::MAX),
    };
    // Additional records are a kindness: they go first, and silently.
    for attempt in [&message, &without_additionals] {
        if let Some(bytes) = attempt.to_vec().ok().filter(|bytes| bytes.len() <= longest) {
            return bytes;
        }
    }
    empty.truncate().to_vec().unwrap_or_default()
}

impl Question {
    /// The longest datagram that the client takes.
    pub fn largest_datagram(&self) -> usize {
        self.edns_bytes.unwrap_or(PLAIN_BYTES).into()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData, RecordType};
    use proptest::prelude::*;

    use super::*;

    fn question(edns: Option<u16>) -> Vec<u8> {
        let mut message = Message::new(77, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii("Web.shop.svc.cluster.local.").unwrap(), RecordType::A));
        if let Some(bytes) = edns {
            let mut edns = Edns::new();
            edns.set_max_payload(bytes);
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    }

    fn reply(count: u8) -> Reply {
        let name = Name::from_ascii("Web.shop.svc.cluster.local.").unwrap();
        let record = |number| Record::from_rdata(name.clone(), 30, RData::A(A(Ipv4Addr::new(10, 0, 0, number))));
        Reply { authoritative: true, answers: (0..count).map(record).collect(), ..Reply::default() }
    }

    /// Sends so many records to a client, and returns how many arrive, and whether it is told that some are missing.
    fn check(edns: Option<u16>, transport: Transport, sent: u8) -> (usize, bool) {
        let question = read(&question(edns)).unwrap();
        let bytes = write(&question, reply(sent), transport);
        if transport == Transport::Udp {
            assert!(bytes.len() <= question.largest_datagram());
        }
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!((message.metadata.id, message.metadata.recursion_desired), (77, true));
        // The name comes back in the letters in which it was asked.
        assert_eq!(message.queries[0].name().to_ascii(), "Web.shop.svc.cluster.local.");
        assert_eq!(message.edns.is_some(), edns.is_some());
        (message.answers.len(), message.metadata.truncation)
    }

    #[test]
    fn what_does_not_fit_into_a_datagram_is_cut_and_said() {
        assert_eq!(check(None, Transport::Udp, 20), (20, false));
        assert_eq!(check(None, Transport::Udp, 60), (0, true));
        assert_eq!(check(Some(1232), Transport::Udp, 60), (60, false));
        assert_eq!(check(Some(65535), Transport::Udp, 200), (0, true));
        assert_eq!(check(Some(100), Transport::Udp, 20), (20, false));
        assert_eq!(check(None, Transport::Tcp, 200), (200, false));
    }

    #[test]
    fn what_is_no_question_is_refused_or_ignored() {
        let code = |bytes: &[u8]| match read(bytes) {
            Err(Unanswerable::Refused(bytes)) => Message::from_vec(&bytes).unwrap().metadata.response_code,
            other => panic!("{other:?}"),
        };
        let mut two_questions = question(None);
        two_questions[5] = 2;
        assert_eq!(code(&two_questions), ResponseCode::FormErr);
        let mut update = question(None);
        update[2] |= 5 << 3;
        assert_eq!(code(&update), ResponseCode::NotImp);
        let mut many_records = question(None);
        many_records[10] = 0xff;
        assert_eq!(code(&many_records), ResponseCode::FormErr);
        let mut answer = question(None);
        answer[2] |= 0x80;
        assert!(matches!(read(&answer), Err(Unanswerable::Ignored)));
        assert!(matches!(read(&[0; 11]), Err(Unanswerable::Ignored)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_damaged_question_never_panics(at in 0usize..80, byte in any::<u8>()) {
            let mut bytes = question(Some(1232));
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            if let Ok(question) = read(&bytes) {
                write(&question, reply(3), Transport::Udp);
            }
        }
    }
}
