//! Nothing that a client sends makes the API server fail: bodies, paths and queries that are wrong in every way get a
//! 4xx Status.
//!
//! Valid objects of many kinds are mutated at random (values replaced by others of any type, fields removed and
//! duplicated, text cut) and sent through the whole server in this process. The seed is fixed, so a failure repeats.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;

use apiserver::{
    attributes::UserInfo,
    authorization::Mode,
    server::{self, Config},
    service::Service,
};
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

async fn open() -> Service {
    let config = Config {
        authorization_modes: vec![Mode::AlwaysAllow],
        disabled_admission_plugins: vec!["ServiceAccount".to_owned()],
        ..Config::default()
    };
    let store = Arc::new(store::memory::Memory::new());
    let server = server::open(config, store, CancellationToken::new()).await.unwrap();
    server.service_as(UserInfo::new("admin", &["system:masters"]))
}

async fn send(service: &Service, method: &str, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let answer = service.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Where objects of a kind are made, and one that is valid.
fn seeds() -> Vec<(&'static str, Value)> {
    let container = json!({
        "name": "c", "image": "nginx", "ports": [{"containerPort": 80, "name": "http"}],
        "env": [{"name": "A", "value": "b"}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}}, "securityContext": {"runAsUser": 1},
    });
    let spec = json!({
        "containers": [container], "volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}],
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": "a", "labelSelector": {"matchLabels": {"a": "b"}}}]}},
    });
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
    let workload =
        json!({"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let operator: Value =
        serde_saphyr::from_str(include_str!("../src/strategy/validation/tests/operator.yaml")).unwrap();
    let ns = "/api/v1/namespaces/default";
    vec![
        ("/api/v1/namespaces/default/pods", json!({"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": spec})),
        ("/api/v1/namespaces/default/services",
         json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "selector": {"a": "b"}, "externalTrafficPolicy": "Local",
                "ports": [{"name": "h", "port": 80, "targetPort": "http", "nodePort": 30080}], "sessionAffinity": "ClientIP"}})),
        ("/apis/apps/v1/namespaces/default/deployments", workload.clone()),
        ("/apis/apps/v1/namespaces/default/statefulsets", workload),
        ("/api/v1/namespaces/default/persistentvolumeclaims",
         json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})),
        ("/api/v1/persistentvolumes",
         json!({"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}})),
        ("/api/v1/nodes", json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "a", "effect": "NoSchedule"}]},
                                 "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}})),
        ("/api/v1/namespaces", json!({"metadata": {"name": "other", "finalizers": ["a.example/b"]}, "spec": {"finalizers": ["kubernetes"]}})),
        ("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "m", "ownerReferences":
            [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]}, "data": {"a": "b"}, "binaryData": {"c": "eA=="}})),
        ("/api/v1/namespaces/default/secrets", json!({"metadata": {"name": "s"}, "type": "kubernetes.io/dockercfg", "data": {".dockercfg": "e30="}})),
        ("/api/v1/namespaces/default/limitranges", json!({"metadata": {"name": "l"}, "spec": {"limits":
            [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}}]}})),
        ("/api/v1/namespaces/default/resourcequotas", json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"},
            "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["a"]}]}}})),
        ("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", json!({"metadata": {"name": "n"}, "spec": {"podSelector": {},
            "ingress": [{"ports": [{"port": 80, "endPort": 90}], "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]}})),
        ("/apis/networking.k8s.io/v1/namespaces/default/ingresses", json!({"metadata": {"name": "i"}, "spec": {"rules": [{"host": "a.example",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}})),
        ("/apis/batch/v1/namespaces/default/cronjobs", json!({"metadata": {"name": "j"}, "spec": {"schedule": "*/5 0-6 * jan mon",
            "timeZone": "Europe/Berlin", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}})),
        ("/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", json!({"metadata": {"name": "h", "annotations":
            {"autoscaling.alpha.kubernetes.io/metrics": "[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"m\",\"targetAverageValue\":\"1\"}}]"}},
            "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 5, "scaleTargetRef": {"kind": "D", "name": "d"}}})),
        ("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", json!({"metadata": {"name": "w"}, "webhooks": [{"name": "a.b.c",
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/x"}},
            "matchConditions": [{"name": "a", "expression": "!('system:nodes' in request.userInfo.groups)"}],
            "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]}]})),
        ("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", json!({"metadata": {"name": "p"}, "spec": {"validations":
            [{"expression": "object.a.all(b, b > variables.v)", "message": "m", "messageExpression": "string(params.a)"}],
            "variables": [{"name": "v", "expression": "1"}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "auditAnnotations": [{"key": "k", "valueExpression": "request.name"}], "matchConstraints": {"resourceRules":
            [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}}})),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json!({"metadata": {"name": "foos.a.example"}, "spec": {"group": "a.example",
            "scope": "Cluster", "names": {"plural": "foos", "kind": "Foo", "shortNames": ["f"]}, "versions": [{"name": "v1", "served": true,
            "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", operator),
        ("/apis/apiregistration.k8s.io/v1/apiservices", json!({"metadata": {"name": "v1.a.example"}, "spec": {"group": "a.example", "version": "v1",
            "groupPriorityMinimum": 5, "versionPriority": 5, "insecureSkipTLSVerify": true, "service": {"name": "s", "namespace": "n"}}})),
        ("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", json!({"metadata": {"name": "f"}, "spec": {"priorityLevelConfiguration": {"name": "p"},
            "rules": [{"subjects": [{"kind": "User", "user": {"name": "u"}}], "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}]}})),
        ("/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations", json!({"metadata": {"name": "p"}, "spec": {"type": "Limited",
            "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 4, "handSize": 2, "queueLengthLimit": 5}}}}})),
        ("/apis/resource.k8s.io/v1/namespaces/default/resourceclaims", json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests":
            [{"name": "r", "exactly": {"deviceClassName": "c.example", "selectors": [{"cel": {"expression": "device.attributes['a'].b > 1"}}]}}]}}})),
        ("/apis/resource.k8s.io/v1/resourceslices", json!({"metadata": {"name": "s"}, "spec": {"driver": "d.example", "nodeName": "n",
            "pool": {"name": "n", "resourceSliceCount": 1}, "devices": [{"name": "a"}]}})),
        ("/apis/networking.k8s.io/v1/servicecidrs", json!({"metadata": {"name": "s"}, "spec": {"cidrs": ["10.9.0.0/16"]}})),
        ("/apis/networking.k8s.io/v1/ipaddresses", json!({"metadata": {"name": "10.9.0.1"}, "spec": {"parentRef": {"resource": "services", "name": "s"}}})),
        ("/apis/storage.k8s.io/v1/volumeattributesclasses", json!({"metadata": {"name": "v"}, "driverName": "d.example", "parameters": {"a": "b"}})),
        ("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", json!({"metadata": {"name": "b"},
            "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "default"}]})),
        ("/api/v1/namespaces/default/endpoints", json!({"metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]})),
        ("/apis/coordination.k8s.io/v1/namespaces/default/leases", json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "h",
            "leaseDurationSeconds": 5, "renewTime": "2025-01-01T00:00:00.000000Z"}})),
        ("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "metrics": [{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 50}}}]}})),
    ]
    .into_iter()
    .inspect(|(path, _)| assert!(path.starts_with(ns) || path.starts_with("/api")))
    .collect()
}

/// The values that take another's place: every type, and texts and numbers at the edges.
fn strange(random: &mut fastrand::Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("A_ b/../%\u{0}\u{7f}ä"),
        json!("a".repeat(300)),
        json!([]),
        json!([null]),
        json!({}),
        json!({"": {}}),
        json!("9999999999999999999999Ei"),
        json!("-1"),
        json!("::1"),
        json!("2025-13-45T99:99:99Z"),
        json!([[[[]]]]),
    ];
    values[random.usize(..values.len())].clone()
}

/// Changes one place of the object, somewhere.
fn mutate(value: &mut Value, random: &mut fastrand::Rng) {
    let deeper = random.u8(..10) < 8;
    match value {
        Value::Object(fields) if !fields.is_empty() && deeper => {
            let name = fields.keys().nth(random.usize(..fields.len())).cloned().unwrap();
            match random.u8(..12) {
                0 => drop(fields.remove(&name)),
                1 => {
                    let copy = fields[&name].clone();
                    fields.insert(format!("{name}X"), copy);
                }
                _ => mutate(&mut fields[&name], random),
            }
        }
        Value::Array(items) if !items.is_empty() && deeper => {
            let at = random.usize(..items.len());
            if random.u8(..10) == 0 {
                let copy = items[at].clone();
                items.push(copy);
            } else {
                mutate(&mut items[at], random);
            }
        }
        _ => *value = strange(random),
    }
}

/// A refusal is a Status of its code; nothing is ever the server's fault.
fn assert_fair(request: &str, status: StatusCode, answer: &Value) {
    // Upstream answers a resourceVersion that is no number, and one on a create, with 500: so do we.
    let told = answer["message"].as_str().unwrap_or_default();
    let imitated = told.contains("strconv.ParseUint") || told.contains("resourceVersion should not be set");
    assert!(status.as_u16() < 500 || imitated, "{request}\n{status} {answer}");
    if status.as_u16() >= 400 {
        assert_eq!((&answer["kind"], &answer["code"]), (&json!("Status"), &json!(status.as_u16())), "{request}");
    }
}

#[tokio::test]
async fn mutated_objects_are_stored_or_refused_but_never_break_the_server() {
    let service = open().await;
    let mut random = fastrand::Rng::with_seed(35);
    for round in 0..60 {
        for (path, seed) in seeds() {
            let mut object = seed.clone();
            for _ in 0..=round % 3 {
                mutate(&mut object, &mut random);
            }
            let mut body = object.to_string().into_bytes();
            if random.u8(..20) == 0 {
                body.truncate(random.usize(..body.len().max(1)));
            }
            let shown = format!("POST {path} {}", String::from_utf8_lossy(&body));
            let (status, answer) = send(&service, "POST", path, body.clone()).await;
            assert_fair(&shown, status, &answer);
            // Then as a change of the valid object.
            let name = seed["metadata"]["name"].as_str().unwrap();
            send(&service, "POST", path, seed.to_string().into_bytes()).await;
            let place = format!("{path}/{name}");
            let (status, answer) = send(&service, "PUT", &place, body).await;
            assert_fair(&format!("PUT of {shown}"), status, &answer);
            send(&service, "DELETE", &format!("{place}?gracePeriodSeconds=0"), Vec::new()).await;
        }
    }
}

#[tokio::test]
async fn odd_paths_and_queries_get_a_status() {
    let service = open().await;
    let pods = "/api/v1/namespaces/default/pods";
    let cases = [
        ("GET", "/api/v1/namespaces/../secrets", 404),
        ("GET", "/api/v1/namespaces/a%2fb/pods", 404),
        ("GET", "/api/v1/namespaces/default/pods/a/b/c", 404),
        ("GET", "/api/v1/namespaces/default/nothings", 404),
        ("GET", "/apis/apps/v9/deployments", 404),
        ("GET", &format!("{pods}?labelSelector=a%20in%20("), 400),
        ("GET", &format!("{pods}?fieldSelector=spec.foo%3Dx"), 400),
        ("GET", &format!("{pods}?limit=x"), 400),
        ("GET", &format!("{pods}?continue=%00"), 400),
        ("PATCH", &format!("{pods}/x"), 415),
        ("POST", &format!("{pods}?dryRun=Some"), 422),
        ("POST", &format!("{pods}?fieldValidation=Some"), 422),
        ("DELETE", &format!("{pods}/x?propagationPolicy=Some"), 422),
    ];
    for (method, path, code) in cases {
        let (status, answer) = send(&service, method, path, Vec::new()).await;
        assert_eq!((status.as_u16(), &answer["code"]), (code, &json!(code)), "{method} {path} {answer}");
    }
}

#[tokio::test]
async fn a_body_beyond_three_mebibytes_is_refused() {
    let service = open().await;
    let body = vec![b' '; (3 << 20) + 1];
    let (status, answer) = send(&service, "POST", "/api/v1/namespaces/default/pods", body).await;
    assert_eq!((status.as_u16(), &answer["reason"]), (413, &json!("RequestEntityTooLarge")));
}
