//! Decides whether the quotas of a namespace allow a write, and what each of them has used afterwards.
//!
//! Upstream: apiserver/pkg/admission/plugin/resourcequota/controller.go (CheckRequest)
//! Left out: nothing that needs no configuration.

use std::sync::Arc;

use api::{
    object::Object as _,
    quantity::Quantity,
    quota::{self, Counted},
    resources::{self, Resources},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{admission::Operation, object::Object};

/// A write that may cost something.
pub struct Write<'a> {
    pub counted: Counted<'a>,
    pub operation: Operation,
    pub is_resize: bool,
    pub object: &'a Value,
    pub old: Option<&'a Value>,
    pub now: Timestamp,
}

/// A quota, and what it shall be.
pub struct Charged {
    pub before: Arc<Object>,
    pub after: Value,
    /// How much more is used then.
    pub cost: Resources,
}

/// The quotas that the write is charged to, in the order given; none when it costs nothing.
///
/// # Errors
/// Why it is refused, in upstream's words.
pub fn check(write: &Write<'_>, quotas: &[Arc<Object>]) -> Result<Vec<Charged>, String> {
    if !may_cost(write) {
        return Ok(Vec::new());
    }
    let mut concerned = Vec::new();
    for quota in quotas {
        let value = quota.value();
        let hard = resources::read(&value["status"]["hard"]);
        let limited: Vec<&str> = hard.keys().map(String::as_str).filter(|name| write.counted.uses(name)).collect();
        if limited.is_empty() || !write.counted.in_scope(&value, write.object) {
            continue;
        }
        let name = value.name();
        if is_pod(write)
            && let Some(missing) = quota::unstated(write.object, limited.iter().copied())
        {
            return Err(format!("failed quota: {name}: must specify {missing}"));
        }
        let used = resources::read(&value["status"]["used"]);
        if limited.iter().any(|name| !used.contains_key(*name)) {
            return Err(format!("status unknown for quota: {name}, resources: {}", limited.join(",")));
        }
        concerned.push((quota, value, hard, used));
    }
    let usage = write.counted.usage(write.object, write.now);
    let growth = write.old.map(|old| grown(&usage, &write.counted.usage(old, write.now)));
    let mut charged = Vec::new();
    for (quota, mut value, hard, mut used) in concerned {
        let counted_before = write.old.filter(|old| write.counted.in_scope(&value, old));
        let cost = counted_before.and(growth.as_ref()).unwrap_or(&usage);
        let costs = |(name, amount): &(&String, &Quantity)| hard.contains_key(*name) && !amount.is_zero();
        let cost: Resources = cost.iter().filter(costs).map(|(name, amount)| (name.clone(), *amount)).collect();
        let before = used.clone();
        resources::add(&mut used, &cost);
        let exceeded: Vec<&str> =
            cost.keys().map(String::as_str).filter(|name| used.get(*name) > hard.get(*name)).collect();
        if !exceeded.is_empty() {
            return Err(format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                value.name(),
                listed(&cost, &exceeded),
                listed(&before, &exceeded),
                listed(&hard, &exceeded)
            ));
        }
        if !cost.is_empty() {
            value["status"]["used"] = resources::write(&used);
            charged.push(Charged { before: quota.clone(), after: value, cost });
        }
    }
    Ok(charged)
}

fn is_pod(write: &Write<'_>) -> bool {
    write.counted.group.is_empty() && write.counted.resource == "pods"
}

/// Whether the write can change what is used. Most objects only count; services and claims cost what they say, and pods
/// change only by a resize or by getting a deadline.
fn may_cost(write: &Write<'_>) -> bool {
    match (write.operation, write.old) {
        (Operation::Create, _) => !write.is_resize,
        (Operation::Update, Some(old)) if is_pod(write) => {
            write.is_resize || quota::has_deadline(old) != quota::has_deadline(write.object)
        }
        (Operation::Update, Some(_)) => {
            write.counted.group.is_empty() && matches!(write.counted.resource, "services" | "persistentvolumeclaims")
        }
        _ => false,
    }
}

/// What is used more than before.
fn grown(now: &Resources, before: &Resources) -> Resources {
    let more = |(name, amount): (&String, &Quantity)| {
        let had = before.get(name).copied().unwrap_or_default();
        (*amount > had).then(|| (name.clone(), *amount - had))
    };
    now.iter().filter_map(more).collect()
}

/// `cpu=1,pods=2`: those of `names`, in order.
fn listed(amounts: &Resources, names: &[&str]) -> String {
    let of = |name: &&str| format!("{name}={}", amounts.get(*name).copied().unwrap_or_default());
    names.iter().map(of).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::{Objects as _, world::World};

    fn world(quotas: Value) -> World {
        World::new(quotas.as_array().unwrap().iter().enumerate().map(|(at, quota)| {
            let mut quota = quota.clone();
            quota["kind"] = "ResourceQuota".into();
            quota["metadata"] = json!({"namespace": "ns", "name": format!("q{at}")});
            quota
        }))
    }

    /// What each charged quota has used afterwards.
    fn check_write(quotas: Value, resource: &str, object: Value, old: Option<Value>) -> Result<Value, String> {
        let world = world(quotas);
        let write = Write {
            counted: Counted { group: "", resource },
            operation: if old.is_some() { Operation::Update } else { Operation::Create },
            is_resize: false,
            object: &object,
            old: old.as_ref(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        let charged = check(&write, &world.list("", "resourcequotas", "ns"))?;
        Ok(charged.iter().map(|each| each.after["status"]["used"].clone()).collect())
    }

    fn quota(hard: Value, used: Value) -> Value {
        json!({"spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
    }

    fn pod(requests: Value) -> Value {
        json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}})
    }

    #[test]
    fn a_new_object_is_charged_to_every_quota_that_counts_it() {
        let quotas = json!([
            quota(json!({"pods": "2", "cpu": "1"}), json!({"pods": "1", "cpu": "500m"})),
            quota(json!({"services": "1"}), json!({"services": "0"})),
            quota(json!({"count/pods": "9"}), json!({"count/pods": "3"})),
        ]);
        let charged = check_write(quotas, "pods", pod(json!({"cpu": "500m"})), None);
        assert_eq!(charged, Ok(json!([{"cpu": "1", "pods": "2"}, {"count/pods": "4"}])));
    }

    #[test]
    fn what_is_too_much_is_told_with_what_there_was() {
        let quotas = json!([quota(
            json!({"limits.cpu": "9", "pods": "1", "requests.memory": "1Gi"}),
            json!({"limits.cpu": "0", "pods": "1", "requests.memory": "512Mi"}),
        )]);
        let mut pod = pod(json!({"memory": "600Mi"}));
        pod["spec"]["containers"][0]["resources"]["limits"] = json!({"cpu": "1"});
        let why = "exceeded quota: q0, requested: pods=1,requests.memory=600Mi, used: pods=1,requests.memory=512Mi, limited: pods=1,requests.memory=1Gi";
        assert_eq!(check_write(quotas, "pods", pod, None), Err(why.to_owned()));
    }

    #[test]
    fn what_is_limited_must_be_said_and_known() {
        let quotas = || json!([quota(json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "0"}))]);
        let missing = check_write(quotas(), "pods", pod(json!({})), None);
        assert_eq!(missing, Err("failed quota: q0: must specify cpu for: c; memory for: c".to_owned()));
        let unknown = check_write(quotas(), "pods", pod(json!({"cpu": "1", "memory": "1Mi"})), None);
        assert_eq!(unknown, Err("status unknown for quota: q0, resources: cpu,memory".to_owned()));
        // A quota that its controller has not seen yet limits nothing.
        assert_eq!(
            check_write(json!([{"spec": {"hard": {"pods": "0"}}}]), "pods", pod(json!({})), None),
            Ok(json!([]))
        );
    }

    #[test]
    fn a_change_is_charged_what_it_adds() {
        let quotas = || {
            json!([quota(
                json!({"services.nodeports": "2", "services": "1"}),
                json!({"services.nodeports": "1", "services": "1"})
            )])
        };
        let service =
            |kind: &str, ports: usize| json!({"spec": {"type": kind, "ports": vec![json!({"port": 1}); ports]}});
        let update = |before: Value, after: Value| check_write(quotas(), "services", after, Some(before));
        assert_eq!(update(service("NodePort", 1), service("NodePort", 1)), Ok(json!([])));
        assert_eq!(
            update(service("ClusterIP", 1), service("NodePort", 1)),
            Ok(json!([{"services": "1", "services.nodeports": "2"}]))
        );
        assert_eq!(update(service("NodePort", 2), service("ClusterIP", 2)), Ok(json!([])));
        assert!(update(service("ClusterIP", 2), service("NodePort", 2)).is_err());
    }

    #[test]
    fn a_pod_that_comes_into_a_scope_is_charged_in_full() {
        let mut scoped = quota(json!({"pods": "1"}), json!({"pods": "0"}));
        scoped["spec"]["scopes"] = json!(["Terminating"]);
        let mut after = pod(json!({}));
        after["spec"]["activeDeadlineSeconds"] = 5.into();
        let charged = check_write(json!([scoped]), "pods", after, Some(pod(json!({}))));
        assert_eq!(charged, Ok(json!([{"pods": "1"}])));
    }
}
