//! POST of an eviction: a delete that asks the pod's disruption budget first.
//!
//! The budget is charged in the transaction that deletes the pod, or begins to: an eviction that fails costs nothing,
//! and of two that both fit only alone one is judged again. The status of a budget is its controller's word; nothing is
//! counted here.
//!
//! Upstream: pkg/registry/core/pod/storage/eviction.go
//! Left out: the two writes (condition, then delete): both are one.

use std::sync::Arc;

use api::{
    decode::Target,
    object::Object as _,
    selector::Selector,
    status::{Cause, Details, Status},
};
use axum::body::Body;
use component::query::Query;
use http::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Compare, Txn};

use super::{
    call::Call,
    delete::{self, Prepared},
    options::{DeleteOptions, WriteOptions},
    write::beside,
};
use crate::{
    admission::Operation,
    answer,
    body::{self, Warnings},
    memory::store_key,
    object::Object,
};

const GROUP: &str = "policy";
/// So many evictions may wait for the controller's confirmation.
const MAX_DISRUPTED_PODS: usize = 2000;
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

/// Evicts the pod that the request names.
pub async fn evict(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let create = WriteOptions::of(call.query, "CreateOptions")?;
    let mut warnings = Warnings::default();
    let target = Target::built_in(GROUP, "v1", "Eviction").ok_or_else(|| Status::internal("no schema for Eviction"))?;
    // The older version is the same but for its name.
    let version = if body.api_version().as_deref() == Some("policy/v1beta1") { "v1beta1" } else { "v1" };
    let target = Target { version, ..target };
    let eviction = body::typed(&body, &target, create.field_validation, &mut warnings)?;
    let mut options = DeleteOptions::of(&Query::default(), eviction.get("deleteOptions"))?;
    options.dry_run |= create.dry_run;
    call.server.fresh().await?;
    let eviction = call.admit(Operation::Create, Some(eviction), None, options.dry_run)?.unwrap_or_default();
    if eviction.name() != call.info().name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    call.check_admitted(Operation::Create, eviction, None, options.dry_run)?;
    let dry_run = options.dry_run;
    delete::delete_prepared(call, &call.info().name, &options, |pod| prepare(call, pod, dry_run)).await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(warnings.put_on(answer::value(201, call.format, &status)))
}

/// The pod with the reason of its end, and the charge to its budget.
fn prepare(call: &Call<'_>, pod: &Value, dry_run: bool) -> Result<Prepared, Status> {
    let mut txn = Txn::default();
    if !budget_is_ignored(pod) {
        let table = call.server.memory.table(GROUP, "poddisruptionbudgets").ok_or_else(Status::no_such_path)?;
        let budgets: Vec<Arc<Object>> = table.snapshot().in_namespace(pod.namespace()).cloned().collect();
        if let Some((budget, after)) = judge(pod, &budgets, call.now())?
            && !dry_run
        {
            txn.compares.push(Compare::Modified(store_key(&table.row, &budget.key), budget.revision));
            txn.ops.extend(beside(call, &table.row, &budget.key, &after));
        }
    }
    let mut evicted = pod.clone();
    add_condition(&mut evicted, call.now());
    Ok(Prepared { object: Some(evicted), txn })
}

/// A pod that has ended, has not begun or is going already disrupts nothing.
fn budget_is_ignored(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending")) || pod.is_terminating()
}

fn add_condition(pod: &mut Value, now: Timestamp) {
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let before = conditions.iter().position(|each| each["type"] == "DisruptionTarget");
    let mut condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": api::time::to_seconds(now),
    });
    match before {
        Some(at) => {
            if conditions[at]["status"] == "True" {
                condition["lastTransitionTime"] = conditions[at]["lastTransitionTime"].clone();
            }
            conditions[at] = condition;
        }
        None => conditions.push(condition),
    }
    pod["status"]["conditions"] = conditions.into();
}

/// The budget that the eviction is charged to, with its status afterwards; none when no budget minds.
///
/// # Errors
/// 429 when the budget does not allow it now, 403 when it is not in order, 500 when there are several.
fn judge(pod: &Value, budgets: &[Arc<Object>], now: Timestamp) -> Result<Option<(Arc<Object>, Value)>, Status> {
    let mut found = budgets.iter().map(|budget| (budget, budget.value())).filter(|(_, budget)| {
        let selector = Selector::from_json(&budget["spec"]["selector"]);
        selector.is_ok_and(|selector| selector.matches_json(&pod["metadata"]["labels"]))
    });
    let Some((object, mut budget)) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        let message =
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Status::new(500, "", message));
    }
    if is_unhealthy_and_free(pod, &budget) {
        return Ok(None);
    }
    let name = budget.name().to_owned();
    let status = &budget["status"];
    let number = |field: &str| status[field].as_i64().unwrap_or_default();
    if number("observedGeneration") < budget.generation() {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(why, Some(10)));
    }
    let allowed = number("disruptionsAllowed");
    let not_in_order = |why: &str| Err(Status::forbidden(GROUP, "poddisruptionbudget", &name, why));
    if allowed < 0 {
        return not_in_order("pdb disruptions allowed is negative");
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MAX_DISRUPTED_PODS) {
        return not_in_order("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        return Err(too_many(refusal(&name, status), None));
    }
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    if allowed == 1 {
        no_more_disruptions(&mut budget["status"], now);
    }
    budget["status"]["disruptedPods"][pod.name()] = api::time::to_seconds(now).into();
    Ok(Some((object.clone(), budget)))
}

/// A pod that is not ready may go without being counted when the budget says so, or has enough without it.
fn is_unhealthy_and_free(pod: &Value, budget: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    if conditions.any(|each| each["type"] == "Ready" && each["status"] == "True") {
        return false;
    }
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or_default();
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy"))
}

fn refusal(name: &str, status: &Value) -> String {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let condition = conditions.find(|each| each["type"] == DISRUPTION_ALLOWED && each["status"] == "False");
    let text = |field: &str| condition.and_then(|condition| condition[field].as_str()).unwrap_or_default();
    let number = |field: &str| status[field].as_i64().unwrap_or_default();
    if text("reason") == "SyncFailed" && !text("message").is_empty() {
        return format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
            text("message")
        );
    }
    format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        number("desiredHealthy"),
        number("currentHealthy")
    )
}

fn too_many(why: String, retry_after_seconds: Option<u32>) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let details = Details { retry_after_seconds, ..Details::default() };
    let cause = Cause { reason: "DisruptionBudget".to_owned(), message: why, ..Cause::default() };
    Status { details: Some(details), ..Status::new(429, "TooManyRequests", message) }.with_cause(cause)
}

fn no_more_disruptions(status: &mut Value, now: Timestamp) {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let changed = !conditions.iter().any(|each| each["type"] == DISRUPTION_ALLOWED && each["status"] == "False");
    let before = conditions.iter().find(|each| each["type"] == DISRUPTION_ALLOWED).cloned();
    conditions.retain(|each| each["type"] != DISRUPTION_ALLOWED);
    let since = before.filter(|_| !changed).map(|before| before["lastTransitionTime"].clone());
    conditions.push(json!({
        "type": DISRUPTION_ALLOWED, "status": "False", "reason": "InsufficientPods", "message": "",
        "observedGeneration": status["observedGeneration"],
        "lastTransitionTime": since.unwrap_or_else(|| api::time::to_seconds(now).into()),
    }));
    status["conditions"] = conditions.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Objects as _, world::World};

    fn budget(name: &str, spec: Value, status: Value) -> Value {
        let mut spec = spec;
        spec["selector"] = json!({"matchLabels": {"app": "web"}});
        json!({"kind": "PodDisruptionBudget", "metadata": {"namespace": "ns", "name": name, "generation": 1},
            "spec": spec, "status": status})
    }

    fn running(ready: &str) -> Value {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        json!({"metadata": {"namespace": "ns", "name": "p", "labels": {"app": "web"}},
            "status": {"phase": "Running", "conditions": conditions}})
    }

    fn status(allowed: i64, healthy: i64, desired: i64) -> Value {
        json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired})
    }

    /// What the budget's status is afterwards, or code and cause of the refusal.
    fn check(pod: &Value, budgets: Vec<Value>) -> Result<Value, (u16, String)> {
        let world = World::new(budgets);
        let judged =
            judge(pod, &world.list(GROUP, "poddisruptionbudgets", "ns"), "2026-01-01T00:00:00Z".parse().unwrap());
        judged.map(|charge| charge.map_or(Value::Null, |(_, mut budget)| budget["status"].take())).map_err(|status| {
            let cause = status.details.and_then(|mut details| details.causes.pop());
            (status.code, cause.map_or(status.message, |cause| cause.message))
        })
    }

    #[test]
    fn an_eviction_uses_up_a_disruption() {
        let after = check(&running("True"), vec![budget("b", json!({}), status(2, 3, 1))]).unwrap();
        assert_eq!(after["disruptionsAllowed"], 1);
        assert_eq!(after["disruptedPods"], json!({"p": "2026-01-01T00:00:00Z"}));
        assert_eq!(after.get("conditions"), None);
        let last = check(&running("True"), vec![budget("b", json!({}), status(1, 3, 1))]).unwrap();
        assert_eq!(last["conditions"][0]["status"], "False");
    }

    #[test]
    fn a_budget_that_is_used_up_refuses_with_the_reason() {
        let why = "The disruption budget b needs 2 healthy pods and has 2 currently";
        let used_up = || vec![budget("b", json!({}), status(0, 2, 2))];
        assert_eq!(check(&running("True"), used_up()), Err((429, why.to_owned())));
        let unseen = vec![budget("b", json!({}), json!({"disruptionsAllowed": 1}))];
        let why = "The disruption budget b is still being processed by the server.";
        assert_eq!(check(&running("True"), unseen), Err((429, why.to_owned())));
    }

    #[test]
    fn pods_that_are_not_ready_go_when_there_are_enough_or_always() {
        assert_eq!(check(&running("False"), vec![budget("b", json!({}), status(0, 2, 2))]), Ok(Value::Null));
        assert_eq!(check(&running("False"), vec![budget("b", json!({}), status(0, 1, 2))]).unwrap_err().0, 429);
        let always = json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"});
        assert_eq!(check(&running("False"), vec![budget("b", always, status(0, 1, 2))]), Ok(Value::Null));
    }

    #[test]
    fn of_several_budgets_none_can_say_yes() {
        let two = vec![budget("a", json!({}), status(1, 2, 1)), budget("b", json!({}), status(1, 2, 1))];
        assert_eq!(check(&running("True"), two).unwrap_err().0, 500);
        let mut other = running("True");
        other["metadata"]["labels"] = json!({"app": "other"});
        assert_eq!(check(&other, vec![budget("a", json!({}), status(0, 2, 2))]), Ok(Value::Null));
    }

    #[test]
    fn what_has_not_begun_or_has_ended_needs_no_budget() {
        for (phase, ignored) in [("Pending", true), ("Running", false), ("Failed", true), ("Succeeded", true)] {
            assert_eq!(budget_is_ignored(&json!({"metadata": {}, "status": {"phase": phase}})), ignored, "{phase}");
        }
        let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
        assert!(budget_is_ignored(&going));
    }
}
