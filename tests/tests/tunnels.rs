//! What goes through the API server to a node and back: attach, proxy, ephemeral containers; and images from a file.
//!
//! Upstream: test/e2e/kubectl/kubectl.go, test/e2e/network/proxy.go, test/e2e/common/node/ephemeral_containers.go
//! Left out: exec, logs and port-forward (application.rs).

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "tunnels/backend.rs"]
mod backend;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
};

use apiserver::{
    attributes::UserInfo,
    server::{self, Config},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tests::application::part;
use tests::rig::{
    Image, Namespace, Node,
    namespace::NODE_ADDRESS,
    node::{condition, container},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn on_a_node<F: Future<Output = ()>>(test: impl FnOnce(Node) -> F) {
    Namespace::new().run(async |_| test(Node::start().await).await);
}

fn kubectl(node: &Node, arguments: &[&str]) -> Command {
    let mut command = Command::new(part("kubectl-1.35"));
    command.arg("--kubeconfig").arg(node.layout.kubeconfig("admin")).args(arguments);
    command
}

async fn get(node: &Node, path: &str) -> Result<String, String> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    node.client().request_text(request).await.map_err(|error| error.to_string())
}

fn web() -> Value {
    let script = "mkdir -p /srv/cgi-bin; echo hello > /srv/index.html; \
        printf '%s\\n' '#!/bin/sh' 'echo content-type: text/plain' 'echo' 'echo $REQUEST_METHOD $QUERY_STRING' 'cat' \
        > /srv/cgi-bin/echo; chmod +x /srv/cgi-bin/echo; exec httpd -f -p 8080 -h /srv";
    let probe = json!({"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1});
    json!({"containers": [container(script, json!({"ports": [{"containerPort": 8080}], "readinessProbe": probe}))]})
}

#[test]
fn pods_services_and_nodes_are_reached_through_the_api_server() {
    on_a_node(async |node| {
        node.create_with("web", web()).await;
        let pod = node.running("web").await;
        let pods = "/api/v1/namespaces/default/pods";
        assert_eq!(get(&node, &format!("{pods}/web/proxy/")).await.unwrap(), "hello\n");
        assert_eq!(get(&node, &format!("{pods}/http:web:8080/proxy/index.html")).await.unwrap(), "hello\n");
        assert!(
            get(&node, &format!("{pods}/web:1/proxy/")).await.unwrap_err().contains("error trying to reach service")
        );
        let post = http::Request::post(format!("{pods}/web/proxy/cgi-bin/echo?a=b")).body(b"body".to_vec()).unwrap();
        assert_eq!(node.client().request_text(post).await.unwrap(), "POST a=b\nbody");

        let spec = json!({"ports": [{"name": "http", "port": 80, "targetPort": 8080}]});
        node.make::<Service>(json!({"metadata": {"name": "web"}, "spec": spec})).await;
        let ip = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
        let address = json!({"ip": ip, "targetRef": {"kind": "Pod", "namespace": "default", "name": "web"}});
        let subsets = json!([{"addresses": [address], "ports": [{"name": "http", "port": 8080}]}]);
        node.make::<Endpoints>(json!({"metadata": {"name": "web"}, "subsets": subsets})).await;
        let services = "/api/v1/namespaces/default/services";
        assert_eq!(get(&node, &format!("{services}/web:http/proxy/")).await.unwrap(), "hello\n");
        assert_eq!(get(&node, &format!("{services}/web:80/proxy/")).await.unwrap(), "hello\n");
        let refused = get(&node, &format!("{services}/web:other/proxy/")).await.unwrap_err();
        assert!(refused.contains("no endpoints available for service"), "{refused}");

        assert_eq!(get(&node, "/api/v1/nodes/n1/proxy/healthz").await.unwrap(), "ok");
        let listed = get(&node, "/api/v1/nodes/n1:10250/proxy/pods").await.unwrap();
        assert!(listed.contains("\"name\":\"web\""), "{listed}");
    });
}

/// An API server on loopback, whom everybody is the cluster's administrator to; and a client of it.
async fn api_server() -> (String, kube::Client) {
    let config = Config { disabled_admission_plugins: vec!["ServiceAccount".to_owned()], ..Config::default() };
    let store = Arc::new(store::memory::Memory::new());
    let server = server::open(config, store, Default::default()).await.unwrap();
    let service = server.service_as(UserInfo::new("admin", &["system:masters"]));
    let client = kube::Client::new(service.clone(), "default");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, client)
}

/// A pod `web` that runs at the node's address, and a Service of it with these ports.
async fn make_web(client: &kube::Client, ports: &[(&str, u16)]) {
    let send = async |method: &str, path: &str, body: Value| {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(format!("/api/v1/namespaces/default/{path}"));
        let request = request.header("content-type", kind).body(body.to_string().into_bytes()).unwrap();
        client.request::<Value>(request).await.unwrap()
    };
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    send("POST", "pods", pod).await;
    let status = json!({"podIP": NODE_ADDRESS, "podIPs": [{"ip": NODE_ADDRESS}], "phase": "Running"});
    send("PATCH", "pods/web/status", json!({"status": status})).await;
    let of_service = ports.iter().map(|(name, port)| json!({"name": name, "port": port}));
    let spec = json!({"ports": of_service.collect::<Vec<Value>>()});
    send("POST", "services", json!({"metadata": {"name": "web"}, "spec": spec})).await;
    let address = json!({"ip": NODE_ADDRESS, "targetRef": {"kind": "Pod", "namespace": "default", "name": "web"}});
    let of_endpoints = ports.iter().map(|(name, port)| json!({"name": name, "port": port}));
    let subsets = json!([{"addresses": [address], "ports": of_endpoints.collect::<Vec<Value>>()}]);
    send("POST", "endpoints", json!({"metadata": {"name": "web"}, "subsets": subsets})).await;
}

/// Sends a request as it stands there and reads the head of the answer.
async fn ask(server: &str, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer secret\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

/// The next short message of a server.
async fn hear(stream: &mut TcpStream) -> String {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    let mut text = vec![0; head[1].into()];
    stream.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn https_and_websockets_of_pods_and_services_are_reached_through_the_api_server() {
    Namespace::new().run(async |_| {
        let plain = backend::serve((NODE_ADDRESS, 0).into()).await.port();
        let secret = backend::serve_tls((NODE_ADDRESS, 0).into()).await.port();
        let (server, client) = api_server().await;
        make_web(&client, &[("plain", plain), ("secret", secret)]).await;
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let upgrade = format!(
            "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: chat\r\n"
        );
        for id in [
            format!("pods/web:{plain}"),
            format!("pods/https:web:{secret}"),
            "services/web:plain".to_owned(),
            format!("services/https:web:{secret}"),
            "services/https:web:secret".to_owned(),
        ] {
            let path = format!("/api/v1/namespaces/default/{id}/proxy");
            let (mut stream, head) = ask(&server, &format!("{path}/a%2Fb?x=1"), "Connection: close\r\n").await;
            let mut body = String::new();
            stream.read_to_string(&mut body).await.unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{id}: {head}");
            assert_eq!(body, "GET /a%2Fb?x=1 false", "{id}");

            let (mut stream, head) = ask(&server, &format!("{path}/echo?y=2"), &upgrade).await;
            let head = head.to_lowercase();
            assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{id}: {head}");
            let accepted = format!("sec-websocket-accept: {}\r\n", backend::accept_of(key).to_lowercase());
            assert!(head.contains(&accepted) && head.contains("sec-websocket-protocol: chat\r\n"), "{id}: {head}");
            assert_eq!(hear(&mut stream).await, "/echo?y=2", "{id}");
            for text in ["hello", "again"] {
                stream.write_all(&backend::of_client(text)).await.unwrap();
                assert_eq!(hear(&mut stream).await, text.to_uppercase(), "{id}");
            }
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0, "{id}: the end is passed on");
        }
        // A backend that speaks TLS is not reached without it, nor one that does not with it.
        for id in [format!("pods/web:{secret}"), format!("pods/https:web:{plain}")] {
            let path = format!("/api/v1/namespaces/default/{id}/proxy/");
            let (_, head) = ask(&server, &path, "Connection: close\r\n").await;
            assert!(head.starts_with("HTTP/1.1 503 "), "{id}: {head}");
        }
    });
}

#[test]
fn attach_talks_to_the_process_that_runs() {
    on_a_node(async |node| {
        let script = "while read line; do echo got $line; [ $line = end ] && exit 0; done";
        node.create_with("p", json!({"containers": [container(script, json!({"stdin": true}))]})).await;
        node.running("p").await;
        let mut attach = kubectl(&node, &["attach", "-i", "p"]);
        let mut attach = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = attach.stdin.take().unwrap();
        let output = BufReader::new(attach.stdout.take().unwrap());
        let read = tokio::task::spawn_blocking(move || {
            let mut lines = output.lines().map(Result::unwrap).filter(|line| line.starts_with("got"));
            input.write_all(b"one\n").unwrap();
            assert_eq!(lines.next().unwrap(), "got one");
            input.write_all(b"end\n").unwrap();
            assert_eq!(lines.next().unwrap(), "got end");
            drop(input);
            attach.wait().unwrap()
        });
        assert!(read.await.unwrap().success());
    });
}

#[test]
fn an_ephemeral_container_looks_into_a_running_pod() {
    on_a_node(async |node| {
        node.create("p", "exec sleep 1234").await;
        node.running("p").await;
        let debug = container("ps", json!({"name": "debug", "targetContainerName": "c"}));
        let patch = json!({"spec": {"ephemeralContainers": [debug]}});
        let (pods, patch) = (node.pods(), Patch::Strategic(patch));
        let added = pods.patch_subresource("ephemeralcontainers", "p", &PatchParams::default(), &patch).await;
        added.unwrap();
        let ended = |pod: &Pod| {
            let statuses = pod.status.as_ref().and_then(|status| status.ephemeral_container_statuses.as_ref());
            let state = statuses.and_then(|statuses| statuses.first()?.state.clone());
            state.is_some_and(|state| state.terminated.is_some_and(|ended| ended.exit_code == 0))
        };
        let pod = node.so("p", "been looked into", ended).await;
        assert_eq!(condition(&pod, "Ready"), Some("True"));
        let processes = node.log("p", "debug").await;
        assert!(processes.contains("sleep 1234"), "it sees the other's processes: {processes}");
    });
}

#[test]
fn an_image_from_a_file_runs_without_a_registry() {
    on_a_node(async |node| {
        let mut image = Image::busybox("example.com/loaded:1", json!({"Cmd": ["/bin/sh", "-c", "cat /word"]}));
        image.file("word", b"from a file", 0o644);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image.tar");
        std::fs::write(&file, image.into_archive()).unwrap();
        assert_eq!(skiff::containerd::import_file(&node.layout, &file).unwrap(), ["example.com/loaded:1"]);
        std::fs::write(&file, "no archive").unwrap();
        assert!(skiff::containerd::import_file(&node.layout, &file).is_err());
        let container = json!({"name": "c", "image": "example.com/loaded:1", "imagePullPolicy": "Never"});
        let spec = json!({"restartPolicy": "Never", "containers": [container]});
        assert_eq!(node.output("p", spec).await, "from a file");
    });
}
