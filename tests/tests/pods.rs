//! What a pod can ask of its node, each asked of a real one and seen from inside the container.
//!
//! Upstream: test/e2e_node, test/e2e/common/{node,storage}
//! Left out: what is proven elsewhere: logs, exec and port-forward (application.rs), kill -9 (kubelet.rs).

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Pod, Secret};
use kube::api::LogParams;
use kubelet::logs::changes::Changes;
use serde_json::{Value, json};
use tests::application::registry::{LOGIN, Registry};
use tests::rig::{
    Image, Namespace, Node,
    namespace::NODE_ADDRESS,
    node::{BUSYBOX_IMAGE, PATIENCE, condition, container, phase},
};

fn on_a_node<F: Future<Output = ()>>(test: impl FnOnce(Node) -> F) {
    Namespace::new().run(async |_| test(Node::start().await).await);
}

/// A pod of one container that runs to its end.
fn once(script: &str, fields: Value, more: Value) -> Value {
    let mut spec = json!({"restartPolicy": "Never", "containers": [container(script, fields)]});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn first(pod: &Pod) -> &ContainerStatus {
    &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0]
}

fn waiting_for(pod: &Pod) -> Option<&str> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.first()?.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

#[test]
fn init_containers_run_one_after_the_other_before_the_rest() {
    on_a_node(async |node| {
        let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
        let init = |name: &str| {
            let script = format!("echo {name} >> /shared/order; sleep 1; echo {name} >> /shared/order");
            container(&script, json!({"name": name, "volumeMounts": mount}))
        };
        let spec = json!({"volumes": [{"name": "shared", "emptyDir": {}}], "initContainers": [init("a"), init("b")]});
        let log = node.output("p", once("cat /shared/order", json!({"volumeMounts": mount}), spec)).await;
        assert_eq!(log, "a\na\nb\nb\n");
    });
}

#[test]
fn the_environment_comes_from_everywhere() {
    on_a_node(async |node| {
        node.make::<ConfigMap>(json!({"metadata": {"name": "m"}, "data": {"KEY": "of the map", "one": "1"}})).await;
        node.make::<Secret>(json!({"metadata": {"name": "s"}, "stringData": {"password": "of the secret"}})).await;
        let env = json!([
            {"name": "PLAIN", "value": "x"},
            {"name": "EXPANDED", "value": "$(PLAIN)-$$(PLAIN)-$(NONE)"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "KEY"}}},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            {"name": "OPTIONAL", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": true}}},
        ]);
        let fields = json!({
            "env": env,
            "envFrom": [{"prefix": "FROM_", "configMapRef": {"name": "m"}}],
            "resources": {"limits": {"memory": "32Mi"}},
        });
        let names = "PLAIN EXPANDED POD LABEL NODE HOST MEMORY MAP SECRET OPTIONAL FROM_KEY FROM_one";
        let script = format!("for name in {names}; do eval \"echo $name=\\${{$name-unset}}\"; done");
        let expected = format!(
            "PLAIN=x\nEXPANDED=x-$(PLAIN)-$(NONE)\nPOD=p\nLABEL=p\nNODE=n1\nHOST={NODE_ADDRESS}\nMEMORY=32\n\
             MAP=of the map\nSECRET=of the secret\nOPTIONAL=unset\nFROM_KEY=of the map\nFROM_one=1\n"
        );
        assert_eq!(node.output("p", once(&script, fields, json!({}))).await, expected);
    });
}

#[test]
fn a_variable_comes_from_a_file_that_an_init_container_wrote() {
    on_a_node(async |node| {
        let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
        let script = "printf \"# from the first\\nA='one\\ntwo'\\n\" > /shared/a.env";
        let init = container(script, json!({"name": "init", "volumeMounts": mount}));
        let spec = json!({"volumes": [{"name": "shared", "emptyDir": {}}], "initContainers": [init]});
        let of = |key: &str, optional: bool| json!({"fileKeyRef": {"volumeName": "shared", "path": "a.env", "key": key, "optional": optional}});
        let env = json!([{"name": "A", "valueFrom": of("A", false)}, {"name": "B", "valueFrom": of("B", true)}]);
        // The container that has the variables needs no mount.
        let log = node.output("p", once("echo \"$A ${B-unset}\"", json!({"env": env}), spec)).await;
        assert_eq!(log, "one\ntwo unset\n");
    });
}

#[test]
fn volumes_hold_what_they_say_with_the_permissions_they_say() {
    on_a_node(async |node| {
        node.make::<ConfigMap>(json!({"metadata": {"name": "m"}, "data": {"a": "of a", "b": "of b"}})).await;
        node.make::<Secret>(json!({"metadata": {"name": "s"}, "stringData": {"password": "secret"}})).await;
        let host = tempfile::tempdir().unwrap();
        std::fs::write(host.path().join("file"), "of the host").unwrap();
        let labels = json!({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}});
        let volumes = json!({"volumes": [
            {"name": "map", "configMap": {"name": "m", "items": [{"key": "a", "path": "sub/a", "mode": 0o400}]}},
            {"name": "whole", "configMap": {"name": "m"}},
            {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o440}},
            {"name": "projected", "projected": {"sources": [
                {"downwardAPI": {"items": [labels]}}, {"configMap": {"name": "m"}}, {"secret": {"name": "s"}}]}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "host", "hostPath": {"path": host.path(), "type": "Directory"}},
        ]});
        let mounts = json!({"volumeMounts": [
            {"name": "map", "mountPath": "/map"},
            {"name": "whole", "mountPath": "/one", "subPath": "b"},
            {"name": "secret", "mountPath": "/secret", "readOnly": true},
            {"name": "projected", "mountPath": "/projected"},
            {"name": "memory", "mountPath": "/memory"},
            {"name": "host", "mountPath": "/host"},
        ]});
        let script = "cat /map/sub/a; echo; stat -L -c %a /map/sub/a; cat /one; echo; cat /secret/password; echo; \
                      stat -L -c %a /secret/password; (echo x > /secret/y) 2>/dev/null || echo refused; \
                      ls /projected; cat /projected/labels; echo; stat -f -c %T /memory; cat /host/file; echo; \
                      echo of the pod > /host/answer";
        let expected = "of a\n400\nof b\nsecret\n440\nrefused\na\nb\nlabels\npassword\napp=\"p\"\ntmpfs\n\
                        of the host\n";
        assert_eq!(node.output("p", once(script, mounts, volumes)).await, expected);
        assert_eq!(std::fs::read_to_string(host.path().join("answer")).unwrap(), "of the pod\n");
    });
}

#[test]
fn a_volume_whose_secret_is_missing_waits_for_it() {
    on_a_node(async |node| {
        let volumes = json!({"volumes": [{"name": "s", "secret": {"secretName": "late"}}]});
        let mounts = json!({"volumeMounts": [{"name": "s", "mountPath": "/s"}]});
        node.create_with("p", once("cat /s/k", mounts, volumes)).await;
        node.so("p", "waiting", |pod| waiting_for(pod) == Some("ContainerCreating")).await;
        node.make::<Secret>(json!({"metadata": {"name": "late"}, "stringData": {"k": "here"}})).await;
        node.ended("p").await;
        assert_eq!(node.log("p", "c").await, "here");
    });
}

#[test]
fn restart_policies_decide_what_becomes_of_a_container_that_ends() {
    on_a_node(async |node| {
        let mounts = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
        let mut again = once("test -e /v/ran && exit 0; touch /v/ran; exit 7", mounts, json!({}));
        again["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        again["restartPolicy"] = "OnFailure".into();
        node.create_with("again", again).await;
        node.create_with("never", once("echo dying; exit 7", json!({}), json!({}))).await;
        let (again, never) = (node.ended("again").await, node.ended("never").await);
        assert_eq!((phase(&again), first(&again).restart_count), (Some("Succeeded"), 1));
        let last = first(&again).last_state.as_ref().unwrap().terminated.as_ref().unwrap();
        assert_eq!((last.exit_code, last.reason.as_deref()), (7, Some("Error")));
        assert_eq!((phase(&never), first(&never).restart_count), (Some("Failed"), 0));
    });
}

#[test]
fn probes_of_all_three_kinds_decide_about_a_container() {
    on_a_node(async |node| {
        // Serves once it has started; is ready as long as /ready is there; stops serving for ever after /die.
        let script = "sleep 1; touch /started; mkdir -p /srv; echo ok > /srv/ready; httpd -f -p 8080 -h /srv & \
                      while ! test -e /die; do sleep 0.1; done; kill $!; sleep 1000";
        let often = |probe: Value| {
            let mut probe = probe;
            probe["periodSeconds"] = 1.into();
            probe["failureThreshold"] = 1.into();
            probe
        };
        let mut startup = often(json!({"exec": {"command": ["test", "-e", "/started"]}}));
        startup["failureThreshold"] = 30.into();
        let fields = json!({
            "startupProbe": startup,
            "readinessProbe": often(json!({"httpGet": {"path": "/ready", "port": 8080}})),
            "livenessProbe": often(json!({"tcpSocket": {"port": 8080}})),
        });
        node.create_with("p", json!({"containers": [container(script, fields)]})).await;
        let pod = node.running("p").await;
        assert_eq!((first(&pod).started, first(&pod).restart_count), (Some(true), 0));
        node.exec("p", &["rm", "/srv/ready"]).await;
        node.so("p", "not ready", |pod| condition(pod, "Ready") == Some("False")).await;
        node.exec("p", &["touch", "/die"]).await;
        node.so("p", "restarted", |pod| first(pod).restart_count == 1).await;
        node.running("p").await;
    });
}

#[test]
fn a_pod_that_goes_runs_its_hook_then_hears_sigterm_and_has_its_grace() {
    on_a_node(async |node| {
        let host = tempfile::tempdir().unwrap();
        let script = "trap 'echo TERM >> /host/order; sleep 1; echo done >> /host/order; exit 0' TERM; \
                      touch /up; while :; do sleep 0.1; done";
        let fields = json!({
            "volumeMounts": [{"name": "host", "mountPath": "/host"}],
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 1; echo hook >> /host/order"]}}},
            "readinessProbe": {"exec": {"command": ["test", "-e", "/up"]}, "periodSeconds": 1},
        });
        node.create_with(
            "p",
            json!({
                "containers": [container(script, fields)],
                "terminationGracePeriodSeconds": 30,
                "volumes": [{"name": "host", "hostPath": {"path": host.path()}}],
            }),
        )
        .await;
        let pod = node.running("p").await;
        node.delete(&pod).await;
        assert_eq!(std::fs::read_to_string(host.path().join("order")).unwrap(), "hook\nTERM\ndone\n");
    });
}

#[test]
fn resources_are_the_limits_of_a_cgroup() {
    on_a_node(async |node| {
        let fields = json!({"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "32Mi"}}});
        let script = "cd /sys/fs/cgroup; if test -e memory.max; then cat memory.max cpu.max; else \
                      cat memory/memory.limit_in_bytes; echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us); fi";
        assert_eq!(node.output("p", once(script, fields, json!({}))).await, "33554432\n50000 100000\n");
    });
}

#[test]
fn a_status_tells_what_the_container_has() {
    on_a_node(async |node| {
        let resources =
            json!({"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}});
        let mounts = json!([{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/r", "readOnly": true}]);
        let c = container("sleep 1000000", json!({"resources": resources, "volumeMounts": mounts}));
        let volumes = json!([{"name": "v", "emptyDir": {}}]);
        let spec = json!({"containers": [c], "volumes": volumes});
        node.create_with("p", spec).await;
        let pod = node.running("p").await;
        let status = serde_json::to_value(first(&pod)).unwrap();
        assert_eq!(status["resources"], resources);
        let mut told = mounts;
        told[1]["recursiveReadOnly"] = "Disabled".into();
        assert_eq!(status["volumeMounts"], told);
    });
}

#[test]
fn a_security_context_takes_rights_away() {
    on_a_node(async |node| {
        let fields = json!({
            "securityContext": {
                "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            },
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        });
        let more = json!({
            "securityContext": {"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000, "supplementalGroups": [4000]},
            "volumes": [{"name": "v", "emptyDir": {}}],
        });
        let script = "id -u; id -g; id -G; touch /x 2>/dev/null || echo read-only; touch /v/x; stat -c %g /v/x; \
                      grep -E 'CapBnd|NoNewPrivs' /proc/self/status";
        let log = node.output("p", once(script, fields, more)).await;
        let expected = "1000\n2000\n2000 3000 4000\nread-only\n3000\nCapBnd:\t0000000000000400\nNoNewPrivs:\t1\n";
        assert_eq!(log, expected);
    });
}

#[test]
fn a_pod_has_its_own_names_and_resolver() {
    on_a_node(async |node| {
        let more = json!({
            "hostname": "web",
            "hostAliases": [{"ip": "192.0.2.77", "hostnames": ["one", "two"]}],
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["192.0.2.53"], "searches": ["example.com"], "options": [{"name": "ndots", "value": "2"}]},
        });
        let log = node.output("p", once("hostname; grep one /etc/hosts; cat /etc/resolv.conf", json!({}), more)).await;
        assert_eq!(log, "web\n192.0.2.77\tone\ttwo\nsearch example.com\nnameserver 192.0.2.53\noptions ndots:2\n");
        let log = node.output("q", once("grep -v '^nameserver' /etc/resolv.conf", json!({}), json!({}))).await;
        assert_eq!(log, "search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n");
    });
}

#[test]
fn the_hosts_network_and_a_port_of_the_host() {
    on_a_node(async |node| {
        let script = format!("ip -o -4 addr show | grep -c {NODE_ADDRESS}");
        assert_eq!(node.output("host", once(&script, json!({}), json!({"hostNetwork": true}))).await, "1\n");
        let serve = "mkdir /srv; echo served > /srv/index.html; httpd -f -p 8080 -h /srv";
        let fields = json!({
            "ports": [{"containerPort": 8080, "hostPort": 18080}],
            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        });
        node.create_with("p", json!({"containers": [container(serve, fields)]})).await;
        node.running("p").await;
        let mut stream = TcpStream::connect((NODE_ADDRESS, 18080)).unwrap();
        stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("served\n"), "{answer}");
    });
}

#[test]
fn an_image_that_is_not_there_is_waited_for_as_its_policy_says() {
    on_a_node(async |node| {
        let image = |image: &str, policy: &str| json!({"containers": [{"name": "c", "image": image, "imagePullPolicy": policy}]});
        node.create_with("never", image("skiff.dev/none:1", "Never")).await;
        // Nothing listens at this address.
        node.create_with("missing", image("127.0.0.1:9/none:1", "IfNotPresent")).await;
        node.create_with("wrong", image("example.com/UPPER", "IfNotPresent")).await;
        node.so("never", "refused", |pod| waiting_for(pod) == Some("ErrImageNeverPull")).await;
        node.so("missing", "backing off", |pod| waiting_for(pod) == Some("ImagePullBackOff")).await;
        node.so("wrong", "refused", |pod| waiting_for(pod) == Some("InvalidImageName")).await;
        node.create_with(
            "there",
            json!({"containers": [{
                "name": "c", "image": BUSYBOX_IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1000"],
            }]}),
        )
        .await;
        node.running("there").await;
    });
}

#[test]
fn what_a_container_leaves_as_its_last_words_is_in_its_status() {
    on_a_node(async |node| {
        node.create_with("said", once("echo -n my last words > /dev/termination-log; exit 3", json!({}), json!({})))
            .await;
        let fallback = json!({"terminationMessagePolicy": "FallbackToLogsOnError"});
        node.create_with("logged", once("echo it broke; exit 3", fallback, json!({}))).await;
        for (name, expected) in [("said", "my last words"), ("logged", "it broke\n")] {
            let pod = node.ended(name).await;
            let ended = first(&pod).state.as_ref().unwrap().terminated.as_ref().unwrap();
            assert_eq!((ended.exit_code, ended.message.as_deref()), (3, Some(expected)));
        }
    });
}

#[test]
fn a_log_that_grows_too_long_is_put_aside_and_goes_on() {
    on_a_node(async |node| {
        // 12 MB, where 10 MiB are allowed; then a line whenever somebody asks for one.
        let script = "awk 'BEGIN { for (i = 0; i < 120000; i++) printf \"%0100d\\n\", i }'; \
                      while :; do test -e /more && { rm /more; echo more; }; sleep 0.1; done";
        let pod = node.create("p", script).await;
        node.running("p").await;
        let uid = pod.metadata.uid.unwrap();
        let folder = node.layout.pod_logs().join(format!("default_p_{uid}/c"));
        let files = || std::fs::read_dir(&folder).unwrap().count();
        let mut changes = Changes::of(&folder).unwrap();
        // The kubelet looks every ten seconds.
        let put_aside = async {
            while files() < 2 {
                changes.next().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, put_aside).await.expect("the log is put aside");
        let follow = LogParams { follow: true, ..LogParams::default() };
        let mut log = node.pods().log_stream("p", &follow).await.unwrap().lines();
        node.exec("p", &["touch", "/more"]).await;
        assert_eq!(log.try_next().await.unwrap().as_deref(), Some("more"));
    });
}

#[test]
fn an_image_behind_a_login_is_pulled_with_the_pods_secret() {
    on_a_node(async |node| {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::start_guarded(folder.path()).unwrap();
        registry
            .push("private/app", "1", Image::busybox("private/app:1", json!({"Cmd": ["sleep", "1000"]})))
            .await
            .unwrap();
        let pod = |secrets: Value| {
            let image = format!("{}/private/app:1", registry.address);
            json!({"containers": [{"name": "c", "image": image}], "imagePullSecrets": secrets})
        };
        node.create_with("stranger", pod(json!([]))).await;
        node.so("stranger", "refused", |pod| matches!(waiting_for(pod), Some("ErrImagePull" | "ImagePullBackOff")))
            .await;
        let logins = json!({"auths": {registry.address.to_string(): {"username": LOGIN.0, "password": LOGIN.1}}});
        let secret = json!({
            "metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": logins.to_string()},
        });
        node.make::<Secret>(secret).await;
        node.create_with("known", pod(json!([{"name": "login"}]))).await;
        node.running("known").await;
    });
}
