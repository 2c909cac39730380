//! What goes through the API server to a node and back: attach, proxy, ephemeral containers; and images from a file.
//!
//! Upstream: test/e2e/kubectl/kubectl.go, test/e2e/network/proxy.go, test/e2e/common/node/ephemeral_containers.go
//! Left out: exec, logs and port-forward (application.rs).

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tests::application::part;
use tests::rig::{
    Image, Namespace, Node,
    node::{condition, container},
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
