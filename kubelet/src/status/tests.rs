use super::*;
use crate::observed::{Exit, Sandbox, State};
use crate::probes::Verdict;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn pod(policy: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "u", "generation": 3 },
        "spec": { "restartPolicy": policy, "containers": [{ "name": "main", "image": "i" }] },
    }))
    .expect("a pod")
}

fn world(state: Option<State>) -> PodRuntime {
    let container = state.map(|state| Container {
        id: "c1".into(),
        sandbox_id: "s0".into(),
        name: "main".into(),
        restart_count: 1,
        hash: String::new(),
        image: "i".into(),
        image_ref: "sha256:1".into(),
        created_at: now(),
        state,
        back_off: jiff::SignedDuration::from_secs(10),
        grace_seconds: 30,
        log_path: String::new(),
        user: None,
        resources: None,
    });
    let sandbox = Sandbox { id: "s0".into(), attempt: 0, ready: true, ips: vec!["10.244.0.2".into()] };
    PodRuntime { sandboxes: vec![sandbox], containers: container.into_iter().collect() }
}

fn exited(code: i32) -> Option<State> {
    let (reason, message) = (String::new(), String::new());
    Some(State::Exited(Exit { code, reason, message, started_at: None, finished_at: now() }))
}

fn of(pod: &Pod, state: Option<State>, progress: Progress) -> Value {
    let verdicts = Verdicts::default().with("c1", Verdict { started: true, ready: true, unhealthy: None });
    let host = HostAddresses { ips: vec!["192.168.0.1".into()] };
    let status = pod_status(pod, &world(state), &progress, &verdicts, &host, now());
    serde_json::to_value(status).expect("a status")
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().expect("conditions");
    conditions.iter().find(|condition| condition["type"] == kind).expect("the condition")
}

#[test]
fn a_running_pod_has_its_address_and_is_ready() {
    let status = of(&pod("Always"), Some(State::Running { started_at: now() }), Progress::default());
    assert_eq!(status["phase"], "Running");
    assert_eq!((&status["podIP"], &status["hostIP"]), (&json!("10.244.0.2"), &json!("192.168.0.1")));
    assert_eq!(condition(&status, "Ready")["status"], "True");
    assert_eq!(status["containerStatuses"][0]["containerID"], "containerd://c1");
    assert_eq!(status["observedGeneration"], 3);
}

#[test]
fn a_pod_without_containers_yet_is_pending() {
    let status = of(&pod("Always"), None, Progress::default());
    assert_eq!(status["phase"], "Pending");
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    assert_eq!(condition(&status, "Ready")["message"], "containers with unready status: [main]");
}

#[test]
fn a_crash_loop_says_how_long_it_waits() {
    let status = of(&pod("Always"), exited(1), Progress::default());
    assert_eq!(status["phase"], "Running");
    let container = &status["containerStatuses"][0];
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    let message = "back-off 10s restarting failed container=main pod=web_default(u)";
    assert_eq!(container["state"]["waiting"]["message"], message);
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
}

#[test]
fn a_pod_that_is_not_restarted_ends_as_its_exit_code_says() {
    assert_eq!(of(&pod("Never"), exited(0), Progress::default())["phase"], "Succeeded");
    assert_eq!(of(&pod("Never"), exited(2), Progress::default())["phase"], "Failed");
    assert_eq!(of(&pod("OnFailure"), exited(2), Progress::default())["phase"], "Running");
}

#[test]
fn a_container_s_own_restart_policy_decides_whether_the_pod_has_ended() {
    let with = |pod_policy: &str, own: &str, code: i32| {
        let mut pod = pod(pod_policy);
        let container = &mut pod.spec.as_mut().expect("a spec").containers[0];
        container.restart_policy = Some(own.into());
        of(&pod, exited(code), Progress::default())
    };
    assert_eq!(with("Always", "Never", 1)["phase"], "Failed");
    assert_eq!(with("Always", "OnFailure", 0)["phase"], "Succeeded");
    let waiting = with("Never", "OnFailure", 1);
    assert_eq!(waiting["phase"], "Running");
    assert_eq!(waiting["containerStatuses"][0]["state"]["waiting"]["reason"], "CrashLoopBackOff");
}

#[test]
fn a_verdict_of_the_node_fails_the_pod() {
    let progress = Progress { verdict: Some(("DeadlineExceeded".into(), "late".into())), ..Default::default() };
    let status = of(&pod("Always"), exited(137), progress);
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("DeadlineExceeded")));
}

/// The status of a container that runs with what the runtime says of it.
fn of_running(spec: Value, before: Value, resources: proto::cri::LinuxContainerResources) -> Value {
    let pod = json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "u" },
        "spec": { "containers": [spec] },
        "status": { "containerStatuses": [before] },
    });
    let mut world = world(Some(State::Running { started_at: now() }));
    world.containers[0].image = "docker.io/library/i:1".into();
    world.containers[0].user = Some(proto::cri::LinuxContainerUser { uid: 7, gid: 8, supplemental_groups: vec![8, 9] });
    world.containers[0].resources = Some(resources);
    let pod = serde_json::from_value(pod).expect("a pod");
    let host = HostAddresses::default();
    let status = pod_status(&pod, &world, &Progress::default(), &Verdicts::default(), &host, now());
    serde_json::to_value(&status.container_statuses.expect("a container")[0]).expect("a status")
}

#[test]
fn a_container_tells_its_image_its_user_and_its_mounts() {
    let mounts = json!([{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b", "readOnly": true}]);
    let spec = json!({ "name": "main", "image": "i", "volumeMounts": mounts });
    let status = of_running(
        spec,
        json!({ "name": "other", "image": "", "imageID": "", "ready": false, "restartCount": 0 }),
        Default::default(),
    );
    assert_eq!(status["image"], "docker.io/library/i:1");
    assert_eq!(status["user"], json!({"linux": {"uid": 7, "gid": 8, "supplementalGroups": [8, 9]}}));
    let mounts = json!([{"name": "a", "mountPath": "/a"},
        {"name": "b", "mountPath": "/b", "readOnly": true, "recursiveReadOnly": "Disabled"}]);
    assert_eq!(status["volumeMounts"], mounts);
    assert_eq!(status["resources"], json!({}));
    let waiting = of(&pod("Always"), None, Progress::default());
    assert_eq!(
        (&waiting["containerStatuses"][0]["image"], &waiting["containerStatuses"][0]["resources"]),
        (&json!("i"), &Value::Null)
    );
}

#[test]
fn a_container_has_what_the_runtime_says_is_in_force() {
    let asked = |cpu: &str, memory: &str| json!({ "cpu": cpu, "memory": memory });
    let spec = |resources: Value| json!({ "name": "main", "image": "i", "resources": resources });
    let before = |id: &str, memory: &str| {
        json!({ "name": "main", "image": "i", "imageID": "", "ready": true, "restartCount": 1,
            "containerID": format!("containerd://{id}"), "state": { "running": {} },
            "resources": { "requests": { "memory": memory } } })
    };
    let actual = proto::cri::LinuxContainerResources {
        cpu_shares: 102,
        cpu_quota: 50_000,
        cpu_period: 100_000,
        memory_limit_in_bytes: 64 << 20,
        ..Default::default()
    };
    // Asked for more since it was started, which is not in force.
    let grown = json!({ "requests": asked("1", "1Gi"), "limits": asked("2", "2Gi") });
    let status = of_running(spec(grown.clone()), before("c1", "32Mi"), actual.clone());
    let expected = json!({ "requests": asked("100m", "32Mi"), "limits": asked("500m", "64Mi") });
    assert_eq!(status["resources"], expected);
    let status = of_running(spec(grown.clone()), before("c0", "32Mi"), actual);
    assert_eq!(status["resources"]["requests"]["memory"], "1Gi", "another run's report says nothing");
    // The least shares stand for no request.
    let least = proto::cri::LinuxContainerResources { cpu_shares: 2, ..Default::default() };
    let small = json!({ "requests": { "memory": "8Mi" } });
    assert_eq!(of_running(spec(small.clone()), before("c0", "8Mi"), least)["resources"], small);
    let untold = of_running(spec(grown.clone()), before("c0", "8Mi"), Default::default());
    assert_eq!(untold["resources"], grown);
}
