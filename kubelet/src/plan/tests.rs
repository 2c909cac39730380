use super::*;
use crate::observed::Sandbox;
use crate::probes::{Unhealthy, Verdict};
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T00:10:00Z";

fn at(seconds_ago: i64) -> Timestamp {
    let now: Timestamp = NOW.parse().expect("a time");
    now - SignedDuration::from_secs(seconds_ago)
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({ "metadata": { "name": "web", "namespace": "default", "uid": "u" }, "spec": spec }))
        .expect("a pod")
}

fn simple(policy: &str) -> Pod {
    pod(json!({ "restartPolicy": policy, "containers": [{ "name": "main", "image": "i" }] }))
}

fn container(name: &str, state: State) -> Container {
    let spec = ContainerSpec { name: name.into(), image: Some("i".into()), ..Default::default() };
    Container {
        id: format!("{name}-id"),
        sandbox_id: "s0".into(),
        name: name.into(),
        restart_count: 0,
        hash: pod_spec::hash(&spec),
        image: "i".into(),
        image_ref: "i".into(),
        created_at: at(60),
        state,
        back_off: SignedDuration::ZERO,
        grace_seconds: 30,
        log_path: String::new(),
        user: None,
        resources: None,
    }
}

fn running(name: &str) -> Container {
    container(name, State::Running { started_at: at(60) })
}

fn exited(name: &str, code: i32, seconds_ago: i64) -> Container {
    let exit =
        Exit { code, reason: String::new(), message: String::new(), started_at: None, finished_at: at(seconds_ago) };
    container(name, State::Exited(exit))
}

fn in_sandbox(containers: Vec<Container>) -> PodRuntime {
    PodRuntime { sandboxes: vec![Sandbox { id: "s0".into(), attempt: 0, ready: true, ips: vec![] }], containers }
}

fn check(pod: &Pod, runtime: PodRuntime, expected: &[&str]) {
    check_with(pod, runtime, Progress::default(), Verdicts::default(), expected);
}

fn check_with(pod: &Pod, runtime: PodRuntime, progress: Progress, probes: Verdicts, expected: &[&str]) {
    let plan = plan(pod, &runtime, &progress, &probes, at(0));
    let actions: Vec<_> = plan.actions.iter().map(Action::to_string).collect();
    assert_eq!(actions, expected);
}

fn deleted(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
    pod.metadata.deletion_grace_period_seconds = Some(5);
    pod
}

#[test]
fn a_new_pod_gets_a_sandbox_first() {
    check(&simple("Always"), PodRuntime::default(), &["create sandbox 0"]);
}

#[test]
fn containers_start_in_order_one_at_a_time() {
    let pod = pod(json!({ "containers": [{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }] }));
    check(&pod, in_sandbox(vec![]), &["start a"]);
    check(&pod, in_sandbox(vec![running("a")]), &["start b"]);
    check(&pod, in_sandbox(vec![running("a"), running("b")]), &[]);
}

#[test]
fn init_containers_run_to_their_end_before_the_others_start() {
    let pod = pod(json!({
        "initContainers": [{ "name": "first", "image": "i" }, { "name": "second", "image": "i" }],
        "containers": [{ "name": "main", "image": "i" }]
    }));
    check(&pod, in_sandbox(vec![]), &["start first"]);
    check(&pod, in_sandbox(vec![running("first")]), &[]);
    check(&pod, in_sandbox(vec![exited("first", 0, 1)]), &["start second"]);
    check(&pod, in_sandbox(vec![exited("first", 1, 1)]), &["start first again (1)"]);
    check(&pod, in_sandbox(vec![exited("first", 0, 1), exited("second", 0, 1)]), &["start main"]);
}

#[test]
fn a_sidecar_has_started_before_the_others_start() {
    let pod = pod(json!({
        "initContainers": [{ "name": "proxy", "image": "i", "restartPolicy": "Always" }],
        "containers": [{ "name": "main", "image": "i" }]
    }));
    check(&pod, in_sandbox(vec![running("proxy")]), &[]);
    let started = Verdicts::default().with("proxy-id", Verdict { started: true, ready: true, unhealthy: None });
    check_with(&pod, in_sandbox(vec![running("proxy")]), Progress::default(), started, &["start main"]);
}

#[test]
fn the_first_restart_is_at_once_and_the_next_waits() {
    check(&simple("Always"), in_sandbox(vec![exited("main", 1, 0)]), &["start main again (1)"]);
    let mut again = exited("main", 1, 4);
    again.restart_count = 1;
    again.back_off = FIRST_BACK_OFF;
    let runtime = in_sandbox(vec![again]);
    let planned = plan(&simple("Always"), &runtime, &Progress::default(), &Verdicts::default(), at(0));
    let tell = Action::TellBackOff { container: "main".into(), id: "main-id".into() };
    assert_eq!(planned, Plan { actions: vec![tell], look_again_at: Some(at(-6)) });
    // Said once, it is not said again.
    let told = Progress { told: ["main-id".into()].into(), ..Progress::default() };
    let planned = plan(&simple("Always"), &runtime, &told, &Verdicts::default(), at(0));
    assert_eq!(planned, Plan { actions: vec![], look_again_at: Some(at(-6)) });
}

#[test]
fn the_wait_doubles_up_to_five_minutes() {
    let mut looping = exited("main", 1, 301);
    looping.created_at = at(400);
    for (before, next) in [(10, 20), (160, 300), (300, 300)] {
        looping.back_off = SignedDuration::from_secs(before);
        let world = in_sandbox(vec![looping.clone()]);
        let plan = plan(&simple("Always"), &world, &Progress::default(), &Verdicts::default(), at(0));
        let back_off = SignedDuration::from_secs(next);
        assert_eq!(plan.actions, [Action::Start { container: "main".into(), restart_count: 1, back_off }]);
    }
}

#[test]
fn the_restart_policy_decides_who_comes_back() {
    check(&simple("OnFailure"), in_sandbox(vec![exited("main", 1, 0)]), &["start main again (1)"]);
    check(&simple("OnFailure"), in_sandbox(vec![exited("main", 0, 0)]), &["stop sandbox s0"]);
    check(&simple("Never"), in_sandbox(vec![exited("main", 1, 0)]), &["stop sandbox s0"]);
}

/// A pod whose container has a policy of its own and a rule, beside one that runs on.
fn with_own(pod_policy: &str, own: Value) -> Pod {
    let mut main = json!({ "name": "main", "image": "i" });
    main.as_object_mut().expect("a container").extend(own.as_object().expect("fields").clone());
    pod(json!({ "restartPolicy": pod_policy, "containers": [main, { "name": "other", "image": "i" }] }))
}

fn ended(code: i32) -> PodRuntime {
    in_sandbox(vec![exited("main", code, 0), running("other")])
}

#[test]
fn the_policy_of_a_container_overrides_the_pod_s() {
    let again = ["start main again (1)"];
    check(&with_own("Never", json!({ "restartPolicy": "Always" })), ended(0), &again);
    check(&with_own("Never", json!({ "restartPolicy": "OnFailure" })), ended(1), &again);
    check(&with_own("Always", json!({ "restartPolicy": "OnFailure" })), ended(0), &[]);
    check(&with_own("Always", json!({ "restartPolicy": "Never" })), ended(1), &[]);
    // A pod of nothing but such containers ends.
    let one = |own: &str| {
        pod(
            json!({ "restartPolicy": "Always", "containers": [{ "name": "main", "image": "i", "restartPolicy": own }] }),
        )
    };
    check(&one("Never"), in_sandbox(vec![exited("main", 1, 0)]), &["stop sandbox s0"]);
}

#[test]
fn the_first_rule_that_knows_the_exit_code_restarts_the_container() {
    let again = ["start main again (1)"];
    let rule = |operator: &str, values: &[i32]| {
        json!({ "restartPolicy": "Never", "restartPolicyRules": [
            { "action": "Restart", "exitCodes": { "operator": operator, "values": values } }] })
    };
    check(&with_own("Never", rule("In", &[42])), ended(42), &again);
    check(&with_own("Never", rule("In", &[42])), ended(1), &[]);
    check(&with_own("Never", rule("NotIn", &[0, 1])), ended(2), &again);
    check(&with_own("Never", rule("NotIn", &[0, 1])), ended(1), &[]);
    let mut no_policy = rule("In", &[42]);
    no_policy["restartPolicy"] = Value::Null;
    check(&with_own("Never", no_policy), ended(42), &[]);
}

#[test]
fn an_init_container_with_a_policy_fails_or_is_tried_again_as_that_says() {
    let with = |pod_policy: &str, own: &str| {
        pod(json!({
            "restartPolicy": pod_policy,
            "initContainers": [{ "name": "first", "image": "i", "restartPolicy": own }],
            "containers": [{ "name": "main", "image": "i" }]
        }))
    };
    check(&with("Never", "OnFailure"), in_sandbox(vec![exited("first", 1, 0)]), &["start first again (1)"]);
    check(&with("Always", "Never"), in_sandbox(vec![exited("first", 1, 0)]), &["stop sandbox s0"]);
    check(&with("Always", "Never"), in_sandbox(vec![exited("first", 0, 0)]), &["start main"]);
}

#[test]
fn a_dead_sandbox_is_replaced_unless_the_pod_has_ended() {
    let mut runtime = in_sandbox(vec![exited("main", 0, 1)]);
    runtime.sandboxes[0].ready = false;
    check(&simple("Always"), runtime.clone(), &["create sandbox 1"]);
    check(&simple("Never"), runtime, &[]);
}

#[test]
fn a_deleted_pod_is_killed_then_stopped_then_finished() {
    let pod = deleted(simple("Always"));
    check(&pod, in_sandbox(vec![running("main")]), &["kill main in 5s: Stopping container main"]);
    check(&pod, in_sandbox(vec![exited("main", 0, 1)]), &["stop sandbox s0"]);
    check(&pod, PodRuntime::default(), &["finish"]);
}

#[test]
fn a_kill_under_way_is_repeated_only_with_less_grace() {
    let pod = deleted(simple("Always"));
    let stopping = |grace| Progress { stopping: BTreeMap::from([("main-id".into(), grace)]), ..Default::default() };
    let world = || in_sandbox(vec![running("main")]);
    check_with(&pod, world(), stopping(5), Verdicts::default(), &[]);
    check_with(&pod, world(), stopping(30), Verdicts::default(), &["kill main in 5s: Stopping container main"]);
}

#[test]
fn an_unhealthy_container_is_killed() {
    let unhealthy = Some(Unhealthy { probe: "liveness", grace_seconds: None });
    let verdicts = Verdicts::default().with("main-id", Verdict { started: true, ready: true, unhealthy });
    let expected = ["kill main in 30s: Container main failed liveness probe, will be restarted"];
    check_with(&simple("Always"), in_sandbox(vec![running("main")]), Progress::default(), verdicts, &expected);
}

#[test]
fn another_image_restarts_the_container() {
    let mut old = running("main");
    old.hash = "other".into();
    let expected = ["kill main in 30s: Container main definition changed, will be restarted"];
    check(&simple("Always"), in_sandbox(vec![old]), &expected);
}

#[test]
fn a_container_that_was_never_started_is_removed() {
    check(&simple("Always"), in_sandbox(vec![container("main", State::Created)]), &["remove main"]);
}

#[test]
fn a_clean_up_that_failed_is_tried_again_later() {
    let (reason, message) = (String::new(), String::new());
    let failure = Failure { reason, message, retry_at: at(-1), delay: SignedDuration::from_secs(1) };
    let progress = Progress { failures: BTreeMap::from([(FINISH.into(), failure)]), ..Default::default() };
    let plan = plan(&deleted(simple("Always")), &PodRuntime::default(), &progress, &Verdicts::default(), at(0));
    assert_eq!(plan, Plan { actions: vec![], look_again_at: Some(at(-1)) });
}

#[test]
fn an_ephemeral_container_starts_once_and_keeps_nothing_alive() {
    let pod = pod(json!({
        "restartPolicy": "Never",
        "containers": [{ "name": "main", "image": "i" }],
        "ephemeralContainers": [{ "name": "debug", "image": "i", "targetContainerName": "main" }]
    }));
    check(&pod, in_sandbox(vec![running("main")]), &["start debug"]);
    check(&pod, in_sandbox(vec![running("main"), running("debug")]), &[]);
    check(&pod, in_sandbox(vec![running("main"), exited("debug", 1, 5)]), &[]);
    let over = in_sandbox(vec![exited("main", 0, 5), running("debug")]);
    check(&pod, over, &["kill debug in 30s: Stopping container debug"]);
}
