//! The table of pods: readiness, and the one word that says most about a pod's state.
//!
//! Upstream: pkg/printers/internalversion/printers.go (printPod)
//! Left out: nothing. That a row's pod has ended is said in `table.rs`.

use serde_json::{Value, json};

use super::{NONE, Table, ages, items, name, name_of, number, text, text_or, wide};

pub const PODS: Table = Table {
    headings: &[
        name(),
        text("Ready"),
        text("Status"),
        text("Restarts"),
        text("Age"),
        wide(text("IP")),
        wide(text("Node")),
        wide(text("Nominated Node")),
        wide(text("Readiness Gates")),
    ],
    cells,
};

fn cells(pod: &Value, now: i64) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.last_restart {
        Some(time) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, ages::human_duration(now - time))
        }
        _ => summary.restarts.to_string(),
    };
    vec![
        name_of(pod),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts),
        ages::age(pod, now),
        json!(text_or(pod, "/status/podIPs/0/ip", text_or(pod, "/status/podIP", NONE))),
        json!(text_or(pod, "/spec/nodeName", NONE)),
        json!(text_or(pod, "/status/nominatedNodeName", NONE)),
        json!(readiness_gates(pod)),
    ]
}

/// How many of the pod's readiness gates are true.
fn readiness_gates(pod: &Value) -> String {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let is_true = |gate: &&Value| condition(pod, text_or(gate, "/conditionType", "")).is_some_and(is_true);
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    items(pod, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

fn is_true(condition: &Value) -> bool {
    condition["status"] == "True"
}

#[derive(Default)]
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    /// When a container last ended, seconds since 1970.
    last_restart: Option<i64>,
    reason: String,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let phase = text_or(pod, "/status/phase", "");
        let mut summary = Summary {
            total: items(pod, "/spec/containers").len(),
            reason: text_or(pod, "/status/reason", phase).to_owned(),
            ..Summary::default()
        };
        if condition(pod, "PodScheduled").is_some_and(|scheduled| scheduled["reason"] == "SchedulingGated") {
            summary.reason = "SchedulingGated".to_owned();
        }
        let initializing = summary.add_init_containers(pod);
        if !initializing || condition(pod, "Initialized").is_some_and(is_true) {
            summary.add_containers(pod);
        }
        if pod.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()) {
            if text_or(pod, "/status/reason", "") == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Counts init containers; answers whether one of them still holds the pod up. Those that run beside the
    /// containers (restartPolicy Always) count like containers once they have started.
    fn add_init_containers(&mut self, pod: &Value) -> bool {
        let specs = items(pod, "/spec/initContainers");
        let is_sidecar = |name: &Value| {
            specs.iter().any(|container| container["name"] == *name && container["restartPolicy"] == "Always")
        };
        self.total += specs.iter().filter(|container| container["restartPolicy"] == "Always").count();
        let (mut all_restarts, mut all_last) = (0, None);
        for (index, status) in items(pod, "/status/initContainerStatuses").iter().enumerate() {
            let sidecar = is_sidecar(&status["name"]);
            let (restarts, last) = (number(status, "/restartCount"), last_end(status));
            all_restarts += restarts;
            all_last = all_last.max(last);
            if sidecar {
                self.restarts += restarts;
                self.last_restart = self.last_restart.max(last);
            }
            let state = &status["state"];
            if state["terminated"].is_object() && number(state, "/terminated/exitCode") == 0 {
                continue;
            }
            if sidecar && status["started"] == true {
                self.ready += usize::from(status["ready"] == true);
                continue;
            }
            let waiting = text_or(state, "/waiting/reason", "");
            self.reason = if state["terminated"].is_object() {
                format!("Init:{}", end_reason(state))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            (self.restarts, self.last_restart) = (all_restarts, all_last);
            return true;
        }
        false
    }

    fn add_containers(&mut self, pod: &Value) {
        let mut has_running = false;
        for status in items(pod, "/status/containerStatuses").iter().rev() {
            self.restarts += number(status, "/restartCount");
            self.last_restart = self.last_restart.max(last_end(status));
            let state = &status["state"];
            let waiting = text_or(state, "/waiting/reason", "");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if state["terminated"].is_object() {
                self.reason = end_reason(state);
            } else if status["ready"] == true && state["running"].is_object() {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && has_running {
            let ready = condition(pod, "Ready").is_some_and(is_true);
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

/// Why a container ended: the runtime's reason, else its signal or exit code.
fn end_reason(state: &Value) -> String {
    let reason = text_or(state, "/terminated/reason", "");
    match number(state, "/terminated/signal") {
        _ if !reason.is_empty() => reason.to_owned(),
        0 => format!("ExitCode:{}", number(state, "/terminated/exitCode")),
        signal => format!("Signal:{signal}"),
    }
}

/// When the container ended before its present state.
fn last_end(status: &Value) -> Option<i64> {
    ages::seconds(status.pointer("/lastState/terminated/finishedAt")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pod: Value, ready: &str, status: &str, restarts: &str) {
        let cells = cells(&pod, ages::seconds(&json!("2026-01-01T01:00:00Z")).unwrap());
        assert_eq!(cells[1], ready);
        assert_eq!(cells[2], status);
        assert_eq!(cells[3], restarts);
    }

    #[test]
    fn restarts_tell_when_the_last_was() {
        let pod = json!({"spec": {"containers": [{"name": "a"}]}, "status": {"phase": "Running", "containerStatuses": [{
            "name": "a", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:58:00Z"}}}]}});
        check(pod, "0/1", "CrashLoopBackOff", "2 (2m ago)");
    }

    #[test]
    fn a_sidecar_counts_as_a_container() {
        let pod = json!({
            "spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            "status": {"phase": "Running",
                "initContainerStatuses": [{"name": "s", "started": true, "ready": true, "state": {"running": {}}}],
                "containerStatuses": [{"name": "a", "ready": true, "state": {"running": {}}}]}});
        check(pod, "2/2", "Running", "0");
    }

    #[test]
    fn a_finished_container_beside_a_running_one_does_not_complete_the_pod() {
        let pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": {"phase": "Running",
            "containerStatuses": [
                {"name": "a", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}},
                {"name": "b", "ready": true, "state": {"running": {}}}]}});
        check(pod, "1/2", "NotReady", "0");
    }
}
