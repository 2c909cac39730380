//! What the components show of themselves on their ports, and to whom.
//!
//! Upstream: test/integration/serving/serving_test.go, test/e2e/instrumentation

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use apiserver::{attributes::UserInfo, flags::Flags, service::ApiServer};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Parser;
use client::{ClientSource, Metrics, Numbers};
use component::monitoring::{self, Monitoring, gate::Gate};
use component::pki::{ClusterPki, Identity, ServerNames};
use expect_test::{ExpectFile, expect_file};
use http_body_util::BodyExt;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::{
    Api, Client,
    api::PostParams,
    client::Body,
    runtime::{WatchStreamExt, watcher},
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tests::{
    metrics::names,
    rig::{Namespace, Node, namespace::NODE_ADDRESS},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::{Notify, oneshot},
};
use tokio_util::sync::CancellationToken;
use tower::Layer;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API server that knows certificates and tokens.
struct Cluster {
    server: ApiServer,
    pki: ClusterPki,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Cluster {
        component::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::at(folder.path());
        let names = ServerNames::of_api_server([10, 96, 0, 1].into(), "cluster.local", &ServerNames::default());
        pki.ensure_control_plane(&names, Timestamp::now()).unwrap();
        let file = |option: &str, name: &str| format!("--{option}={}", pki.path(name).display());
        let flags = Flags::parse_from([
            "skiff-apiserver".to_owned(),
            "--store=memory".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            file("service-account-key-file", "sa.pub"),
            file("service-account-signing-key-file", "sa.key"),
        ]);
        let server = flags.open(&CancellationToken::new()).await.unwrap().server;
        Cluster { server, pki, _folder: folder }
    }

    fn client(&self, user: UserInfo) -> Client {
        Client::new(self.server.service_as(user), "default")
    }

    fn admin(&self) -> Client {
        self.client(UserInfo::new("admin", &["system:masters"]))
    }

    /// A client whose requests `metrics` counts.
    fn counted(&self, user: UserInfo, metrics: &Metrics) -> Client {
        let service = metrics.count_requests("10.0.0.1:6443").layer(self.server.service_as(user));
        Client::new(service, "default")
    }

    async fn make(&self, path: &str, body: Value) -> Value {
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(body.to_string().into_bytes()).unwrap();
        self.admin().request(request).await.unwrap()
    }

    /// A token of the service account `name`, which is made for it.
    async fn token(&self, name: &str) -> String {
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        self.make(accounts, json!({"metadata": {"name": name}})).await;
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self.make(&format!("{accounts}/{name}/token"), request).await;
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    /// What shows `user` with a certificate.
    fn certificate(&self, user: &str, groups: &[&str]) -> Value {
        let issued = self.pki.issue_client(&Identity::new(user, groups), Timestamp::now()).unwrap();
        json!({
            "client-certificate-data": BASE64_STANDARD.encode(issued.certificate_pem),
            "client-key-data": BASE64_STANDARD.encode(issued.key_pem),
        })
    }

    /// Starts the controllers as a process does, and says where they show themselves.
    async fn controllers(&self) -> SocketAddr {
        let Numbers { registry, metrics } = Numbers::default();
        let client = self.counted(UserInfo::new("system:kube-controller-manager", &[]), &metrics);
        let address = self.monitor(registry, client.clone()).await;
        let (server, numbers) = (self.server.clone(), metrics.clone());
        let accounts = ClientSource::new(move |name| {
            let service = server.service_as(UserInfo::service_account("kube-system", name));
            Client::new(numbers.count_requests("10.0.0.1:6443").layer(service), "default")
        });
        let config = controller_manager::Config {
            leader_elect: true,
            ..controller_manager::Config::in_process(Some(self.pki.path("ca.crt")))
        };
        tokio::spawn(controller_manager::run(config, client, accounts, metrics, CancellationToken::new()));
        address
    }

    /// Starts a scheduler as a process does, and says where it shows itself.
    async fn scheduler(&self) -> SocketAddr {
        let mut numbers = Numbers::default();
        let config = scheduler::configuration::Configuration::default();
        let metrics = scheduler::metrics::Metrics::new(&mut numbers, config.scheduler_name());
        let client = self.counted(UserInfo::new("system:kube-scheduler", &[]), &numbers.metrics);
        let address = self.monitor(numbers.registry, client.clone()).await;
        tokio::spawn(scheduler::run(config, client, metrics, CancellationToken::new()));
        address
    }

    async fn monitor(&self, registry: Registry, client: Client) -> SocketAddr {
        let listener = monitoring::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let monitoring =
            Monitoring { registry, gate: Gate::new(client), client_authority: Some(self.pki.path("ca.crt")) };
        tokio::spawn(monitoring.serve(listener, CancellationToken::new()));
        address
    }
}

/// Asks over HTTPS with these credentials.
async fn get(address: SocketAddr, credentials: Value, path: &str) -> (u16, String) {
    let mut config = kube::Config::new(format!("https://{address}").parse().unwrap());
    config.accept_invalid_certs = true;
    config.auth_info = serde_json::from_value(credentials).unwrap();
    let client = Client::try_from(config).unwrap();
    let answer = client.send(http::Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let code = answer.status().as_u16();
    (code, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

/// What /metrics says to somebody who may read it.
async fn metrics(cluster: &Cluster, address: SocketAddr) -> String {
    let (code, text) = get(address, cluster.certificate("ann", &["system:monitoring"]), "/metrics").await;
    assert_eq!(code, 200, "{text}");
    text
}

/// Reads /metrics until it is so: what a component has done is counted a moment later.
async fn until(read: impl AsyncFn() -> String, is_so: impl Fn(&str) -> bool) -> String {
    let reading = async {
        loop {
            let text = read().await;
            if is_so(&text) {
                return text;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(text) => text,
        Err(_) => panic!("it is never so:\n{}", read().await),
    }
}

/// Compares the names of metrics and their types with a file.
fn check_names(text: &str, expected: ExpectFile) {
    expected.assert_eq(&names(text));
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn metrics_are_for_those_who_may_get_them_and_health_is_for_all() {
    let cluster = Cluster::start().await;
    for user in ["system:kube-controller-manager", "system:kube-scheduler"] {
        let address = cluster.monitor(Numbers::default().registry, cluster.client(UserInfo::new(user, &[]))).await;
        let refused = |user: &str| {
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden",
                "message": format!("forbidden: User \"{user}\" cannot get path \"/metrics\""), "details": {}, "code": 403})
        };
        for path in ["/healthz", "/livez", "/readyz"] {
            assert_eq!(get(address, json!({}), path).await, (200, "ok".into()));
        }
        let (code, text) = get(address, json!({}), "/metrics").await;
        assert_eq!((code, serde_json::from_str::<Value>(&text).unwrap()), (403, refused("system:anonymous")));
        let (code, text) = get(address, json!({"token": "stolen"}), "/metrics").await;
        let unknown = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
        assert_eq!((code, serde_json::from_str::<Value>(&text).unwrap()), (401, unknown));
        let (code, text) = get(address, cluster.certificate("eve", &["dev"]), "/metrics").await;
        assert_eq!((code, serde_json::from_str::<Value>(&text).unwrap()), (403, refused("eve")));
        assert_eq!(get(address, cluster.certificate("eve", &["dev"]), "/debug").await.0, 403);
        let (code, text) = get(address, cluster.certificate("ann", &["system:monitoring"]), "/metrics").await;
        assert!(code == 200 && text.contains("\nprocess_resident_memory_bytes "), "{code} {text}");
    }
}

#[tokio::test]
async fn a_service_account_reads_metrics_once_it_has_the_right() {
    let cluster = Cluster::start().await;
    let client = cluster.client(UserInfo::new("system:kube-scheduler", &[]));
    let address = cluster.monitor(Registry::default(), client.clone()).await;
    let credentials = json!({"token": cluster.token("prometheus").await});
    let (code, text) = get(address, credentials.clone(), "/metrics").await;
    let told = "forbidden: User \\\"system:serviceaccount:default:prometheus\\\" cannot get path \\\"/metrics\\\"";
    assert!(code == 403 && text.contains(told), "{code} {text}");
    let rules = json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]);
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    cluster.make(&format!("{roles}/clusterroles"), json!({"metadata": {"name": "reader"}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "default"}],
    });
    cluster.make(&format!("{roles}/clusterrolebindings"), binding).await;
    // Another gate: the first remembers its no for a while.
    let address = cluster.monitor(Registry::default(), client).await;
    assert_eq!(get(address, credentials, "/metrics").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_count_what_they_do() {
    let cluster = Cluster::start().await;
    let address = cluster.controllers().await;
    let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": pod});
    let deployment: Deployment = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(cluster.admin());
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    let replica_sets: Api<ReplicaSet> = Api::default_namespaced(cluster.admin());
    let mut seen = Box::pin(watcher(replica_sets, watcher::Config::default()).applied_objects());
    tokio::time::timeout(PATIENCE, futures::StreamExt::next(&mut seen)).await.expect("a ReplicaSet").unwrap().unwrap();

    let text = metrics(&cluster, address).await;
    check_names(&text, expect_file!["monitoring/controller-manager.txt"]);
    assert!(value(&text, r#"workqueue_adds_total{name="deployment"}"#) >= 1.0);
    assert!(value(&text, r#"workqueue_queue_duration_seconds_count{name="deployment"}"#) >= 1.0);
    assert!(value(&text, r#"workqueue_depth{name="deployment"}"#) <= 1.0);
    assert_eq!(value(&text, r#"leader_election_master_status{name="kube-controller-manager"}"#), 1.0);
    assert!(value(&text, r#"rest_client_requests_total{code="201",method="POST",host="10.0.0.1:6443"}"#) >= 1.0);
    assert!(value(&text, r#"rest_client_request_duration_seconds_count{verb="GET",host="10.0.0.1:6443"}"#) >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_counts_attempts_and_what_waits() {
    let cluster = Cluster::start().await;
    let room = json!({"cpu": "1", "memory": "1Gi", "pods": "10"});
    let node = json!({"metadata": {"name": "n"}, "status": {"capacity": room, "allocatable": room}});
    cluster.make("/api/v1/nodes", node).await;
    // It knows the node before it looks at a pod.
    let address = cluster.scheduler().await;
    cluster.make("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}})).await;
    for (name, cpu) in [("small", "100m"), ("large", "10")] {
        let container = json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}});
        let spec = json!({"containers": [container], "tolerations": [{"operator": "Exists"}]});
        cluster.make("/api/v1/namespaces/default/pods", json!({"metadata": {"name": name}, "spec": spec})).await;
    }
    let attempts = |result: &str| format!("{{result=\"{result}\",profile=\"default-scheduler\"}}");
    let (scheduled, unschedulable) = (attempts("scheduled"), attempts("unschedulable"));
    let [small, large] =
        [&scheduled, &unschedulable].map(|labels| format!("scheduler_schedule_attempts_total{labels}"));
    let read = async || metrics(&cluster, address).await;
    let text = until(read, |text| [&small, &large].iter().all(|series| text.contains(&format!("\n{series} ")))).await;
    check_names(&text, expect_file!["monitoring/scheduler.txt"]);
    assert_eq!(value(&text, &small), 1.0);
    assert_eq!(value(&text, &format!("scheduler_scheduling_attempt_duration_seconds_count{scheduled}")), 1.0);
    assert_eq!(value(&text, r#"scheduler_pod_scheduling_sli_duration_seconds_count{attempts="1"}"#), 1.0);
    assert_eq!(value(&text, "scheduler_pod_scheduling_attempts_count"), 1.0);
    assert!(value(&text, "scheduler_scheduling_algorithm_duration_seconds_count") >= 2.0);
    assert_eq!(value(&text, r#"scheduler_pending_pods{queue="active"}"#), 0.0);
    let waiting = |queue: &str| value(&text, &format!("scheduler_pending_pods{{queue=\"{queue}\"}}"));
    assert_eq!(waiting("unschedulable") + waiting("backoff"), 1.0);
    let came = r#"scheduler_queue_incoming_pods_total{event="UnschedulablePodAdd",queue="active"}"#;
    assert_eq!(value(&text, came), 2.0);
    assert_eq!(value(&text, r#"leader_election_master_status{name="kube-scheduler"}"#), 1.0);
}

#[test]
fn a_kubelet_counts_its_pods_and_its_calls_of_the_runtime() {
    Namespace::new().run(async |_| {
        let node = Node::start().await;
        node.create("p", "trap 'exit 0' TERM; while :; do sleep 1000000 & wait; done").await;
        node.running("p").await;
        let client = node.client();
        let read = async || {
            let request = http::Request::get("/api/v1/nodes/n1/proxy/metrics").body(Vec::new()).unwrap();
            client.request_text(request).await.unwrap()
        };
        let running = "\nkubelet_running_containers{container_state=\"running\"} 1\n";
        let text = until(read, |text| text.contains(running)).await;
        check_names(&text, expect_file!["monitoring/kubelet.txt"]);
        assert_eq!(value(&text, r#"kubelet_node_name{node="n1"}"#), 1.0);
        assert_eq!(value(&text, "kubelet_running_pods"), 1.0);
        assert_eq!(value(&text, "kubelet_pod_start_duration_seconds_count"), 1.0);
        assert_eq!(value(&text, r#"kubelet_pod_worker_duration_seconds_count{operation_type="create"}"#), 1.0);
        for (operation, count) in [("run_podsandbox", 1.0), ("create_container", 1.0), ("start_container", 1.0)] {
            let of = |name: &str| value(&text, &format!("kubelet_{name}{{operation_type=\"{operation}\"}}"));
            assert_eq!(of("runtime_operations_total"), count);
            assert_eq!(of("runtime_operations_errors_total"), 0.0);
            assert_eq!(of("runtime_operations_duration_seconds_count"), count);
        }
    });
}

/// What the proxy on this node says.
async fn proxy_metrics() -> String {
    read_plain(10249, "/metrics").await
}

/// What is said over plain HTTP on a port of this node, with the head of the answer.
async fn read_plain(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: here\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[test]
fn a_proxy_says_when_the_kernel_got_its_rules() {
    Namespace::new().run(async |_| {
        let cluster = Cluster::start().await;
        let Numbers { registry, metrics } = Numbers::default();
        let client = cluster.counted(UserInfo::new("system:kube-proxy", &[]), &metrics);
        let (say, ready) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let ready_now = move || say.send(()).unwrap();
        tokio::spawn(proxy::run(proxy::Config::new("n1"), client, registry, ready_now, shutdown.clone()));
        tokio::time::timeout(PATIENCE, ready).await.expect("the first run ends").unwrap();
        let text = proxy_metrics().await;
        let now = Timestamp::now().as_duration().as_secs_f64();
        let of = |name: &str| format!("kubeproxy_{name}{{ip_family=\"IPv4\"}}");
        let updated = value(&text, &of("sync_proxy_rules_last_timestamp_seconds"));
        assert!(now - 60.0 < updated && updated <= now, "{updated} {now}");

        // A run is due when a change is seen, and begins when no more of them have come for a moment.
        let runs = of("sync_proxy_rules_duration_seconds_count");
        let before = value(&text, &runs);
        let ports = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
        cluster.make("/api/v1/namespaces/default/services", ports).await;
        let text_after = until(proxy_metrics, |text| value(text, &runs) > before).await;
        check_names(&text_after, expect_file!["monitoring/proxy.txt"]);
        let took = |text: &str| value(text, &of("sync_proxy_rules_duration_seconds_sum"));
        let queued = value(&text_after, &of("sync_proxy_rules_last_queued_timestamp_seconds"));
        let updated = value(&text_after, &of("sync_proxy_rules_last_timestamp_seconds"));
        let waited = updated - queued - (took(&text_after) - took(&text));
        assert!(waited > 0.0005, "{queued} {updated} {waited}");

        for table in ["nat", "filter"] {
            let rules = format!("kubeproxy_sync_proxy_rules_iptables_total{{ip_family=\"IPv4\",table=\"{table}\"}}");
            assert!(value(&text_after, &rules) > 3.0);
        }

        // What was triggered before the proxy began says nothing about it.
        let [times, seconds] = ["count", "sum"].map(|what| of(&format!("network_programming_duration_seconds_{what}")));
        for (name, at) in [("old", "2020-01-01T00:00:00Z"), ("new", &Timestamp::now().to_string())] {
            let annotations = json!({"endpoints.kubernetes.io/last-change-trigger-time": at});
            let labels = json!({"kubernetes.io/service-name": "s"});
            let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
            let slice = json!({"metadata": metadata, "addressType": "IPv4", "endpoints": []});
            cluster.make("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await;
        }
        let text = until(proxy_metrics, |text| value(text, &times) > 0.0).await;
        assert_eq!(value(&text, &times), 1.0);
        let took = value(&text, &seconds);
        assert!(0.001 < took && took < 60.0, "{took}");
        shutdown.cancel();
    });
}

/// A question about a name, as it travels: one of type A is 1, of type TXT 16, of one that nobody counts 99.
fn question(name: &str, kind: u16) -> Vec<u8> {
    let labels = name.split('.').map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    let head = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&head, &*labels.collect::<Vec<_>>().concat(), &[0], &kind.to_be_bytes(), &[0, 1]].concat()
}

/// The response code that is answered over UDP, or over TCP.
async fn ask_dns(server: SocketAddr, proto: &str, question: &[u8]) -> u8 {
    let mut answer = [0; 512];
    if proto == "udp" {
        let socket = UdpSocket::bind((NODE_ADDRESS, 0)).await.unwrap();
        socket.send_to(question, server).await.unwrap();
        socket.recv(&mut answer).await.unwrap();
        return answer[3] & 0x0f;
    }
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&[&(question.len() as u16).to_be_bytes(), question].concat()).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    stream.read_exact(&mut answer[..length.into()]).await.unwrap();
    answer[3] & 0x0f
}

#[test]
fn the_dns_counts_its_questions_and_says_when_it_is_ready() {
    Namespace::new().run(async |_| {
        let cluster = Cluster::start().await;
        let Numbers { registry, metrics } = Numbers::default();
        let client = cluster.counted(UserInfo::new("skiff:dns", &[]), &metrics);
        let folder = tempfile::tempdir().unwrap();
        let config = proxy::dns::Config {
            bind_address: Some(NODE_ADDRESS),
            resolv_conf: folder.path().join("none"),
            ..proxy::dns::Config::new("n1")
        };
        let (is_ready, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let ready = {
            let is_ready = is_ready.clone();
            move || is_ready.notify_one()
        };
        tokio::spawn(proxy::dns::run(config, client, registry, ready, shutdown.clone()));
        // It is alive, but without its node there is no address to listen on.
        let answers = |text: &str, code: &str, body: &str| text.starts_with(code) && text.ends_with(body);
        let listens = async { while TcpStream::connect("127.0.0.1:9153").await.is_err() {} };
        tokio::time::timeout(PATIENCE, listens).await.unwrap();
        assert!(answers(&read_plain(9153, "/health").await, "HTTP/1.0 200 ", "OK"));
        assert!(answers(&read_plain(9153, "/ready").await, "HTTP/1.0 503 ", "kubernetes"));
        let addresses = json!({"addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}]});
        cluster.make("/api/v1/nodes", json!({"metadata": {"name": "n1"}, "status": addresses})).await;
        let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
        cluster.make("/api/v1/namespaces/default/services", service).await;
        tokio::time::timeout(PATIENCE, is_ready.notified()).await.expect("it listens");
        assert!(answers(&read_plain(9153, "/ready").await, "HTTP/1.0 200 ", "OK"));

        let server = SocketAddr::from((NODE_ADDRESS, 10053));
        let found = question("s.default.svc.cluster.local", 1);
        let asked = async { while ask_dns(server, "udp", &found).await != 0 {} };
        tokio::time::timeout(PATIENCE, asked).await.expect("the Service has a name");
        let text = read_plain(9153, "/metrics").await;
        check_names(&text, expect_file!["monitoring/dns.txt"]);
        let requests = |proto: &str, kind: &str| {
            let labels = format!("server=\"dns://{server}\",zone=\".\",proto=\"{proto}\",family=\"1\",type=\"{kind}\"");
            format!("coredns_dns_requests_total{{{labels}}}")
        };
        let responses = |code: &str, plugin: &str| {
            let labels = format!("server=\"dns://{server}\",zone=\".\",rcode=\"{code}\",plugin=\"{plugin}\"");
            format!("coredns_dns_responses_total{{{labels}}}")
        };
        let took = format!("coredns_dns_request_duration_seconds_count{{server=\"dns://{server}\",zone=\".\"}}");
        let before = value(&text, &requests("udp", "A"));
        assert_eq!((value(&text, &responses("NOERROR", "kubernetes")), before >= 1.0), (1.0, true));

        assert_eq!(ask_dns(server, "tcp", &found).await, 0);
        assert_eq!(ask_dns(server, "udp", &question("nobody.default.svc.cluster.local", 16)).await, 3);
        assert_eq!(ask_dns(server, "udp", &question("www.example.org", 99)).await, 2);
        // What is no question is answered, and not counted.
        assert_eq!(ask_dns(server, "tcp", &found[..12]).await, 1);
        let text = read_plain(9153, "/metrics").await;
        for (series, count) in [
            (requests("udp", "A"), before),
            (requests("tcp", "A"), 1.0),
            (requests("udp", "TXT"), 1.0),
            (requests("udp", "other"), 1.0),
            (responses("NOERROR", "kubernetes"), 2.0),
            (responses("NXDOMAIN", "kubernetes"), before),
            (responses("SERVFAIL", ""), 1.0),
            (took, before + 3.0),
        ] {
            assert_eq!(value(&text, &series), count, "{series}\n{text}");
        }
        shutdown.cancel();
    });
}

#[tokio::test]
async fn the_api_server_shows_its_requests_and_its_process() {
    let cluster = Cluster::start().await;
    cluster.make("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "a"}})).await;
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = cluster.admin().request_text(request).await.unwrap();
    check_names(&text, expect_file!["monitoring/apiserver.txt"]);
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
    assert_eq!(value(&text, r#"apiserver_storage_objects{resource="configmaps"}"#), 1.0);
}

#[test]
fn the_page_about_metrics_says_what_is_served() {
    let page = include_str!("../../docs/metrics.md");
    let told = |heading: &str| -> BTreeSet<String> {
        let section = page.split("\n## ").find(|section| section.starts_with(heading)).expect(heading);
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        rows.filter_map(|(name, rest)| Some(format!("{name} {}", rest.split(' ').next()?))).collect()
    };
    for (heading, served) in [
        ("API server", include_str!("monitoring/apiserver.txt")),
        ("Controller manager", include_str!("monitoring/controller-manager.txt")),
        ("Scheduler", include_str!("monitoring/scheduler.txt")),
        ("Kubelet", include_str!("monitoring/kubelet.txt")),
        ("Proxy", include_str!("monitoring/proxy.txt")),
        ("DNS", include_str!("monitoring/dns.txt")),
    ] {
        // A counter's lines end in `_total`, its name does not.
        let served: BTreeSet<String> = served.lines().map(|line| line.replace(" counter", "_total counter")).collect();
        let page: BTreeSet<String> = told("Every component").union(&told(heading)).cloned().collect();
        assert_eq!(page, served, "{heading}");
    }
}
