//! The numbers of the DNS, under CoreDNS's names.
//!
//! As with the one server block of kubeadm's configuration, every question is one of the zone `.`; what the cluster knows
//! is answered by `kubernetes`, everything else by `forward`, and a failure by nobody.
//!
//! Upstream: CoreDNS 1.13 plugin/metrics (vars/{vars,report,monitor}.go), plugin/plugin.go (TimeBuckets)
//! Left out: the label `view`, which is empty there too; sizes, the DO bit, panics; messages that are no question.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::wire::Transport;

const ZONE: &str = ".";
/// The address family of IPv4; we listen on no other.
const FAMILY: &str = "1";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    server: Arc<str>,
    zone: &'static str,
    proto: &'static str,
    family: &'static str,
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    server: Arc<str>,
    zone: &'static str,
    rcode: &'static str,
    plugin: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    server: Arc<str>,
    zone: &'static str,
}

/// Who found the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The cluster's names, also when others were asked what such a name stands for.
    Kubernetes,
    Forward,
    /// Nobody: there is only a failure to tell.
    Nobody,
}

/// A question that was read.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub kind: RecordType,
    pub transport: Transport,
    pub since: Instant,
}

/// All numbers; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    responses: Family<ResponseLabels, Counter>,
    request_seconds: Family<ServerLabels, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    /// Numbers that are shown nowhere.
    fn default() -> Metrics {
        let (requests, responses) = Default::default();
        // Upstream's: from a quarter of a millisecond to 8 seconds.
        let histogram = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        Metrics { requests, responses, request_seconds: Family::new_with_constructor(histogram) }
    }
}

impl Metrics {
    /// Numbers that are shown with those of `all`.
    pub fn shown_in(all: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        let registry = all.sub_registry_with_prefix("coredns_dns");
        let requests = "Counter of DNS requests made per zone, protocol and family";
        registry.register("requests", requests, metrics.requests.clone());
        registry.register("responses", "Counter of response status codes", metrics.responses.clone());
        let seconds = "Histogram of the time (in seconds) each request took per zone";
        registry.register("request_duration_seconds", seconds, metrics.request_seconds.clone());
        metrics
    }

    /// Counts a question that the server of this name has answered after so long.
    pub fn answered(&self, server: &Arc<str>, asked: &Asked, by: By, answer: &[u8], took: Duration) {
        let proto = match asked.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        let server = || server.clone();
        let request =
            RequestLabels { server: server(), zone: ZONE, proto, family: FAMILY, r#type: name_of_kind(asked.kind) };
        self.requests.get_or_create(&request).inc();
        let plugin = match by {
            By::Kubernetes => "kubernetes",
            By::Forward => "forward",
            By::Nobody => "",
        };
        let response = ResponseLabels { server: server(), zone: ZONE, rcode: name_of_code(answer), plugin };
        self.responses.get_or_create(&response).inc();
        let labels = ServerLabels { server: server(), zone: ZONE };
        self.request_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// The types that are counted each for itself.
fn name_of_kind(kind: RecordType) -> &'static str {
    match kind {
        RecordType::A => "A",
        RecordType::AAAA => "AAAA",
        RecordType::ANY => "ANY",
        RecordType::AXFR => "AXFR",
        RecordType::CNAME => "CNAME",
        RecordType::DNSKEY => "DNSKEY",
        RecordType::DS => "DS",
        RecordType::HTTPS => "HTTPS",
        RecordType::IXFR => "IXFR",
        RecordType::MX => "MX",
        RecordType::NS => "NS",
        RecordType::NSEC => "NSEC",
        RecordType::NSEC3 => "NSEC3",
        RecordType::PTR => "PTR",
        RecordType::RRSIG => "RRSIG",
        RecordType::SOA => "SOA",
        RecordType::SRV => "SRV",
        RecordType::TXT => "TXT",
        _ => "other",
    }
}

/// The code in an answer's header, as Go's DNS library spells it.
fn name_of_code(answer: &[u8]) -> &'static str {
    match ResponseCode::from(0, answer.get(3).copied().unwrap_or_default() & 0x0f) {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::YXDomain => "YXDOMAIN",
        ResponseCode::YXRRSet => "YXRRSET",
        ResponseCode::NXRRSet => "NXRRSET",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotZone => "NOTZONE",
        _ => "other",
    }
}
