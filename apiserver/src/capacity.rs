//! What the pods of a node have been promised of it: a ledger per node and resource, kept by the writes themselves.
//!
//! Upstream: none; there the scheduler's own view is all that stands between two bindings and one last core
//! Left out: devices of dynamic resource allocation; host ports, which the kubelet checks.
//!
//! Every write that puts a pod on a node, takes it off or changes what it asks for adds to the node's ledgers in its
//! own transaction. A binding names the node's allocatable as the ceiling, at the revision of the node that it was
//! read from: however many schedulers and API servers bind, a node is never promised more than it has. Pods that come
//! with a node name of their own (static pods, daemons of old) are counted but not refused: the kubelet does that.

use std::collections::BTreeMap;

use api::quantity::{Format, Quantity};
use serde_json::Value;
use store::{Compare, Op, Txn};

use crate::{core::Core, memory::store_key, object::ObjectKey, row::Row};

/// The prefix of the ledgers' keys.
const LEDGERS: &str = "/allocations/node-capacity/";

/// Amounts by resource: thousandths of cpus, whole units of everything else.
type Amounts = BTreeMap<String, i64>;

/// The additional operations of a write that makes `before` into `after`; `None` is no pod.
///
/// A binding (a pod that had no node and gets one) is refused beyond the node's allocatable; everything else only
/// counts.
pub fn for_write(core: &Core, row: &Row, before: Option<&Value>, after: Option<&Value>) -> Txn {
    let mut txn = Txn::default();
    if row.kind != "Pod" || !row.group.is_empty() {
        return txn;
    }
    let is_binding = before.is_some_and(|pod| node_of(pod).is_empty()) && after.is_some();
    let (held, wanted) = (before.map(holdings), after.map(holdings));
    let mut deltas: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (holding, sign) in [(held, -1), (wanted, 1)] {
        let Some((node, amounts)) = holding.flatten() else { continue };
        for (resource, amount) in amounts {
            *deltas.entry((node.clone(), resource)).or_default() += sign * amount;
        }
    }
    deltas.retain(|_, delta| *delta != 0);
    let mut allocatable = None;
    if is_binding && let Some(((node, _), _)) = deltas.first_key_value() {
        allocatable = node_allocatable(core, node, &mut txn);
    }
    for ((node, resource), delta) in deltas {
        let ceiling = allocatable.as_ref().map(|all| all.get(&resource).copied().unwrap_or_default());
        txn.ops.push(Op::Add { ledger: format!("{LEDGERS}{node}/{resource}").into(), delta, ceiling });
    }
    txn
}

/// The node and resource of a ledger's key; `None` when it is no such ledger.
pub fn ledger_of(key: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(key).ok()?.strip_prefix(LEDGERS)?;
    let (node, resource) = text.split_once('/')?;
    Some((node.to_owned(), resource.to_owned()))
}

/// The same operations without those on ledgers: for a release that the ledger refuses, because it has never seen
/// what is given back (the pod is older than its ledger).
pub fn without_ledgers(mut txn: Txn) -> Txn {
    txn.ops.retain(|op| !matches!(op, Op::Add { ledger, .. } if ledger_of(ledger).is_some()));
    txn
}

/// What the node has to give, and that it must still be what was read. A node that is not there, or has not said yet
/// what it has, sets no limit.
fn node_allocatable(core: &Core, name: &str, txn: &mut Txn) -> Option<Amounts> {
    let table = core.memory.table("", "nodes")?;
    let node = table.get(&ObjectKey::new("", name))?;
    let allocatable = node.value()["status"]["allocatable"].clone();
    let amounts: Amounts =
        allocatable.as_object()?.iter().map(|(resource, amount)| (resource.clone(), units(resource, amount))).collect();
    if amounts.is_empty() {
        return None;
    }
    txn.compares.push(Compare::Modified(store_key(&table.row, &node.key), node.revision));
    Some(amounts)
}

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// The node that a pod holds something of, and what; `None` for a pod without a node or one that has ended.
fn holdings(pod: &Value) -> Option<(String, Amounts)> {
    let node = node_of(pod);
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if node.is_empty() || ended {
        return None;
    }
    let mut amounts = requests(pod);
    amounts.insert("pods".to_owned(), 1);
    Some((node.to_owned(), amounts))
}

/// What a pod asks for as a whole: its containers together with its sidecars, or its greediest init container beside
/// the sidecars started before it, whichever is more; and its overhead.
fn requests(pod: &Value) -> Amounts {
    let spec = &pod["spec"];
    let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in list("initContainers") {
        let asked = amounts(&container["resources"]["requests"]);
        if container["restartPolicy"] == "Always" {
            add(&mut sidecars, &asked);
            raise(&mut peak, &sidecars);
        } else {
            let mut together = asked;
            add(&mut together, &sidecars);
            raise(&mut peak, &together);
        }
    }
    let mut total = sidecars;
    for container in list("containers") {
        add(&mut total, &amounts(&container["resources"]["requests"]));
    }
    raise(&mut total, &peak);
    // What the whole pod asks for stands in place of its containers' requests.
    total.extend(amounts(&spec["resources"]["requests"]));
    add(&mut total, &amounts(&spec["overhead"]));
    total.retain(|_, amount| *amount > 0);
    total
}

fn amounts(list: &Value) -> Amounts {
    let entries = list.as_object().into_iter().flatten();
    entries.map(|(resource, amount)| (resource.clone(), units(resource, amount))).collect()
}

fn units(resource: &str, amount: &Value) -> i64 {
    let quantity = match amount {
        Value::String(text) => Quantity::parse(text).unwrap_or_default(),
        Value::Number(number) => Quantity::parse(&number.to_string()).unwrap_or_default(),
        _ => Quantity::new(0, Format::Decimal),
    };
    if resource == "cpu" { quantity.milli_value() } else { quantity.value() }
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        let entry = total.entry(resource.clone()).or_default();
        *entry = entry.saturating_add(*amount);
    }
}

fn raise(total: &mut Amounts, least: &Amounts) {
    for (resource, amount) in least {
        let entry = total.entry(resource.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asks(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn a_pod_holds_what_its_containers_ask_for_at_their_greediest() {
        let mut big_init = asks("3");
        big_init["name"] = "init".into();
        let mut sidecar = asks("1");
        sidecar["restartPolicy"] = "Always".into();
        let pod = |inits: Value, overhead: Value| json!({"spec": {"nodeName": "n", "initContainers": inits, "containers": [asks("1"), asks("500m")], "overhead": overhead}});
        let cpu = |pod: Value| holdings(&pod).map(|(_, amounts)| amounts["cpu"]);
        assert_eq!(cpu(pod(json!([]), json!({}))), Some(1500));
        assert_eq!(cpu(pod(json!([big_init]), json!({}))), Some(3000));
        assert_eq!(cpu(pod(json!([sidecar]), json!({"cpu": "250m"}))), Some(2750));
        assert_eq!(cpu(pod(json!([sidecar, big_init]), json!({}))), Some(4000));
    }

    #[test]
    fn a_pod_without_a_node_and_one_that_has_ended_hold_nothing() {
        assert_eq!(holdings(&json!({"spec": {"containers": [asks("1")]}})), None);
        let ended = json!({"spec": {"nodeName": "n", "containers": [asks("1")]}, "status": {"phase": "Failed"}});
        assert_eq!(holdings(&ended), None);
    }
}
