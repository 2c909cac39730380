//! Writes of leaders happen in their term of office or not at all.
//!
//! A leader names its term in a header: the Lease, its holder and how often that has changed. When a Lease passes on,
//! the transaction that does so also writes a key that says that the term before is over; every write in a term demands,
//! in its own transaction, that this key is absent. So no write of an old leader can come after the new one's election,
//! however late it arrives.
//!
//! Upstream: none; there a leader trusts its clock
//! Left out: nothing.

use std::time::Duration;

use api::status::Status;
use http::HeaderMap;
use serde_json::Value;
use store::{Compare, Key, Op};

use crate::{core::Core, object::Object, row::Row};

const HEADER: &str = "x-skiff-term";
/// So long an end is remembered in the store. A write that comes later finds the Lease in memory in other hands.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// From one change of leaders to the next.
#[derive(Debug, PartialEq)]
struct Term<'a> {
    uid: &'a str,
    transitions: i64,
    holder: &'a str,
}

impl Term<'_> {
    /// The key that is there once the term is over.
    fn end(&self) -> Key {
        format!("/leadership-lost/{}/{}/{}", self.uid, self.transitions, self.holder).into()
    }
}

/// The term that a Lease says is on; none while nobody holds it.
fn term_of(lease: &Value) -> Option<Term<'_>> {
    let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty())?;
    let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap_or_default();
    Some(Term { uid: lease["metadata"]["uid"].as_str().unwrap_or_default(), transitions, holder })
}

/// What a write must demand of the store: that the term that its headers name is not over.
///
/// # Errors
/// 409 when it is, as far as memory knows.
pub fn demand(core: &Core, headers: &HeaderMap) -> Result<Option<Compare>, Status> {
    let Some(header) = headers.get(HEADER).and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let mut parts = header.splitn(5, '/');
    let mut next = || parts.next().unwrap_or_default();
    let (namespace, name, uid, transitions, holder) = (next(), next(), next(), next(), next());
    let asked = Term { uid, transitions: transitions.parse().unwrap_or(-1), holder };
    let lease = core.memory.get("coordination.k8s.io", "leases", namespace, name).map(|lease| lease.value());
    if lease.as_ref().and_then(term_of).as_ref() != Some(&asked) {
        let why = format!("{holder} does not lead any more");
        return Err(Status::conflict("coordination.k8s.io", "leases", name, &why));
    }
    Ok(Some(Compare::Absent(asked.end())))
}

/// What ends the term of a Lease that is written, or deleted, over `before`; none when the term goes on.
pub fn end(row: &Row, before: Option<&Object>, after: Option<&[u8]>) -> Option<Op> {
    if row.plural != "leases" || row.group != "coordination.k8s.io" {
        return None;
    }
    let before = before?.value();
    let ended = term_of(&before)?;
    let after: Option<Value> = after.and_then(|after| serde_json::from_slice(after).ok());
    let goes_on = after.as_ref().and_then(term_of).is_some_and(|now| now == ended);
    (!goes_on).then(|| Op::Put { key: ended.end(), value: "".into(), ttl: Some(REMEMBERED) })
}
