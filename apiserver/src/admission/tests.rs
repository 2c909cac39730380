//! The plugins, one table each; NodeRestriction has a file of its own.

use serde_json::json;

use super::*;
use crate::{
    objects::world::World,
    strategy::{Strategy as _, pod::Pods},
};

/// Sends one write through the whole chain and gives back the object, or the refusal's message.
pub(super) fn send(
    world: &World,
    user: &UserInfo,
    operation: Operation,
    path: &str,
    object: Option<Value>,
    old: Option<&Value>,
) -> Result<Value, String> {
    send_with(&[], world, user, operation, path, object, old)
}

/// As [`send`], with plugins that are off by default.
pub(super) fn send_with(
    enabled: &[&str],
    world: &World,
    user: &UserInfo,
    operation: Operation,
    path: &str,
    object: Option<Value>,
    old: Option<&Value>,
) -> Result<Value, String> {
    let parts: Vec<&str> = path.split('/').collect();
    let [group, resource, namespace, name, subresource] = parts.as_slice() else { panic!("five parts: {path}") };
    let info = RequestInfo {
        is_resource: true,
        group: (*group).into(),
        resource: (*resource).into(),
        namespace: (*namespace).into(),
        name: (*name).into(),
        subresource: (*subresource).into(),
        ..RequestInfo::default()
    };
    let authorizer = world.authorizer();
    let enabled: Vec<String> = enabled.iter().map(|name| (*name).to_owned()).collect();
    let chain = Chain::new(&enabled, &[]).unwrap();
    let mut request =
        Request { info: &info, user, operation, object, old, dry_run: false, objects: world, authorizer: &authorizer };
    chain.admit(&mut request).and_then(|()| chain.validate(&request)).map_err(|status| status.message)?;
    Ok(request.object.unwrap_or_default())
}

pub(super) fn admin() -> UserInfo {
    UserInfo::new("admin", &["system:masters"])
}

fn namespace(name: &str) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": name}})
}

fn account(value: Value) -> Value {
    let mut account = json!({"kind": "ServiceAccount", "metadata": {"namespace": "ns", "name": "default"}});
    account.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    account
}

fn create_pod(world: &World, spec: Value) -> Result<Value, String> {
    let pod = json!({"metadata": {"name": "x", "namespace": "ns"}, "spec": spec});
    send(world, &admin(), Operation::Create, "/pods/ns//", Some(pod), None)
}

fn containers() -> Value {
    json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]})
}

#[test]
fn objects_are_created_only_in_namespaces_that_stay() {
    let mut going = namespace("going");
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let world = World::new([namespace("ns"), going]);
    let create = |path: &str| {
        let object = json!({"metadata": {"name": "a"}});
        send(&world, &admin(), Operation::Create, path, Some(object), None).map(|_| ())
    };
    assert_eq!(create("/configmaps/ns//"), Ok(()));
    assert_eq!(create("/nodes///"), Ok(()));
    assert_eq!(create("/configmaps/none//"), Err("namespaces \"none\" not found".to_owned()));
    assert_eq!(
        create("/configmaps/going//"),
        Err("configmaps \"a\" is forbidden: unable to create new content in namespace going because it is being terminated".to_owned())
    );
    assert_eq!(create("authorization.k8s.io/localsubjectaccessreviews/none//"), Ok(()));
    let object = json!({"metadata": {"name": "a"}});
    let update = send(&world, &admin(), Operation::Update, "/configmaps/going/a/", Some(object.clone()), Some(&object));
    assert!(update.is_ok());
    for (name, dies) in [("default", false), ("kube-system", false), ("kube-public", false), ("kube-node-lease", true)]
    {
        let path = format!("/namespaces/{name}/{name}/");
        let deleted = send(&world, &admin(), Operation::Delete, &path, None, None);
        assert_eq!(deleted.is_ok(), dies, "{name}");
    }
}

#[test]
fn a_pod_without_init_containers_has_none_afterwards_either() {
    let world = World::new([namespace("ns"), account(json!({}))]);
    let pod = create_pod(&world, json!({"containers": [{"name": "c"}]})).unwrap();
    assert_eq!(pod["spec"].get("initContainers"), None);
}

#[test]
fn a_pod_gets_its_account_a_token_and_pull_secrets() {
    let world = World::new([namespace("ns"), account(json!({"imagePullSecrets": [{"name": "pull"}]}))]);
    let pod = create_pod(&world, containers()).unwrap();
    let spec = &pod["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "pull"}]));
    let volume = &spec["volumes"][0];
    let name = volume["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    for list in ["containers", "initContainers"] {
        let mount =
            json!({"name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
        assert_eq!(spec[list][0]["volumeMounts"], json!([mount]));
    }
    assert_eq!(
        volume["projected"],
        json!({"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]})
    );
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(0), &json!("PreemptLowerPriority")));
}

#[test]
fn what_is_added_to_a_new_pod_needs_no_defaults() {
    let class = json!({"kind": "RuntimeClass", "metadata": {"name": "small"}, "handler": "h",
        "overhead": {"podFixed": {"cpu": "250m"}}, "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}]}});
    let range = json!({"kind": "LimitRange", "metadata": {"namespace": "ns", "name": "r"}, "spec": {"limits": [
        {"type": "Container", "default": {"memory": "128Mi"}, "defaultRequest": {"cpu": "100m", "memory": "64Mi"}}]}});
    let priority = json!({"kind": "PriorityClass", "metadata": {"name": "p"}, "value": 7, "globalDefault": true});
    let account = account(json!({"imagePullSecrets": [{"name": "pull"}]}));
    let world = World::new([namespace("ns"), account, class, range, priority]);
    let mut spec = json!({"runtimeClassName": "small", "schedulingGates": [{"name": "g"}]});
    spec.as_object_mut().unwrap().extend(containers().as_object().unwrap().clone());
    spec["containers"][0]["resources"]["limits"] = json!({"example.com/card": "1"});
    let mut pod = json!({"metadata": {"name": "x", "namespace": "ns"}, "spec": spec});
    Pods.defaults(&mut pod);
    let before = pod.clone();
    let enabled = ["AlwaysPullImages", "ExtendedResourceToleration"];
    let mut pod = send_with(&enabled, &world, &admin(), Operation::Create, "/pods/ns//", Some(pod), None).unwrap();
    Pods.prepare_for_create(&mut pod);
    for field in ["volumes", "tolerations", "overhead", "nodeSelector", "imagePullSecrets", "priority", "containers"] {
        assert_ne!(pod["spec"][field], before["spec"][field], "{field}");
    }
    let mut complete = pod.clone();
    Pods.defaults(&mut complete);
    assert_eq!(pod, complete);
}

#[test]
fn the_pods_word_on_tokens_counts_before_the_accounts() {
    for (of_account, of_pod, mounted) in [
        (None, None, true),
        (None, Some(false), false),
        (Some(false), None, false),
        (Some(false), Some(true), true),
        (Some(true), Some(false), false),
        (Some(true), None, true),
    ] {
        let said = |word: Option<bool>| word.map_or(json!({}), |word| json!({"automountServiceAccountToken": word}));
        let world = World::new([namespace("ns"), account(said(of_account))]);
        let mut spec = containers();
        spec.as_object_mut().unwrap().extend(said(of_pod).as_object().unwrap().clone());
        let pod = create_pod(&world, spec).unwrap();
        assert_eq!(pod["spec"]["volumes"].is_array(), mounted, "{of_account:?} {of_pod:?}");
    }
}

#[test]
fn a_pod_without_an_account_is_refused() {
    let world = World::new([namespace("ns")]);
    assert_eq!(
        create_pod(&world, containers()).unwrap_err(),
        "pods \"x\" is forbidden: error looking up service account ns/default: serviceaccount \"default\" not found"
    );
}

#[test]
fn a_pods_priority_is_that_of_its_class() {
    let class =
        json!({"kind": "PriorityClass", "metadata": {"name": "high"}, "value": 77, "preemptionPolicy": "Never"});
    let world = World::new([namespace("ns"), account(json!({})), class]);
    let check = |fields: Value, expected: Result<i64, &str>| {
        let mut spec = containers();
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let got = create_pod(&world, spec).map(|pod| pod["spec"]["priority"].as_i64().unwrap());
        assert_eq!(got, expected.map_err(|why| format!("pods \"x\" is forbidden: {why}")));
    };
    check(json!({"priorityClassName": "high"}), Ok(77));
    check(json!({"priorityClassName": "high", "priority": 77}), Ok(77));
    check(json!({"priorityClassName": "system-node-critical"}), Ok(2_000_001_000));
    check(json!({"priority": 0}), Ok(0));
    check(json!({"priorityClassName": "none"}), Err("no PriorityClass with name none was found"));
    check(
        json!({"priority": 5}),
        Err(
            "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
        ),
    );
    check(
        json!({"priorityClassName": "high", "preemptionPolicy": "PreemptLowerPriority"}),
        Err(
            "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name",
        ),
    );
}

#[test]
fn a_claim_gets_the_newest_default_class_and_a_finalizer() {
    let class = |name: &str, created: &str, default: &str| {
        json!({"kind": "StorageClass", "metadata": {"name": name, "creationTimestamp": created,
            "annotations": {"storageclass.kubernetes.io/is-default-class": default}}})
    };
    let world = World::new([
        namespace("ns"),
        class("old", "2026-01-01T00:00:00Z", "true"),
        class("new", "2026-02-01T00:00:00Z", "true"),
        class("newest", "2026-03-01T00:00:00Z", "false"),
    ]);
    let create = |spec: Value| {
        let claim = json!({"metadata": {"name": "c"}, "spec": spec});
        send(&world, &admin(), Operation::Create, "/persistentvolumeclaims/ns//", Some(claim), None).unwrap()
    };
    let claim = create(json!({}));
    assert_eq!(claim["spec"]["storageClassName"], "new");
    assert_eq!(claim["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    assert_eq!(create(json!({"storageClassName": ""}))["spec"]["storageClassName"], "");
}

#[test]
fn rights_that_the_writer_lacks_are_not_given_away() {
    let role = |name: &str, rules: Value| json!({"kind": "Role", "metadata": {"namespace": "ns", "name": name}, "rules": rules});
    let held = json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["bind"], "resourceNames": ["may"]},
    ]);
    let powerful = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let world = World::new([
        namespace("ns"),
        role("held", held),
        role("may", powerful.clone()),
        role("mayn't", powerful.clone()),
        json!({"kind": "RoleBinding", "metadata": {"namespace": "ns", "name": "b"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "held"},
            "subjects": [{"kind": "User", "name": "nobody"}]}),
    ]);
    let nobody = UserInfo::new("nobody", &[]);
    let write_role = |rules: Value| {
        let path = "rbac.authorization.k8s.io/roles/ns//";
        send(&world, &nobody, Operation::Create, path, Some(role("e", rules)), None).map(|_| ())
    };
    let bind = |name: &str| {
        let binding = json!({"metadata": {"name": "x"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}});
        send(&world, &nobody, Operation::Create, "rbac.authorization.k8s.io/rolebindings/ns//", Some(binding), None)
            .map(|_| ())
    };
    assert_eq!(write_role(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])), Ok(()));
    assert_eq!(
        write_role(powerful),
        Err("roles.rbac.authorization.k8s.io \"e\" is forbidden: user \"nobody\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}".to_owned())
    );
    assert_eq!(bind("held").map_err(|_| ()), Ok(()));
    assert_eq!(bind("may"), Ok(()));
    assert!(bind("mayn't").is_err());
    assert_eq!(bind("missing"), Err("roles.rbac.authorization.k8s.io \"missing\" not found".to_owned()));
}

#[test]
fn who_makes_an_object_block_its_owner_must_be_able_to_finalize_that() {
    let world = World::new([namespace("ns")]);
    let owned = |block: bool| {
        json!({"metadata": {"name": "a", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "1", "blockOwnerDeletion": block}]}})
    };
    let user = UserInfo::new("u", &[]);
    let create =
        |block| send(&world, &user, Operation::Create, "/configmaps/ns//", Some(owned(block)), None).map(|_| ());
    assert_eq!(create(false), Ok(()));
    assert_eq!(
        create(true),
        Err("configmaps \"a\" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>".to_owned())
    );
    let plain = json!({"metadata": {"name": "a"}});
    let update = send(&world, &user, Operation::Update, "/configmaps/ns/a/", Some(owned(false)), Some(&plain));
    assert_eq!(
        update.unwrap_err(),
        "configmaps \"a\" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>"
    );
}

#[test]
fn plugins_are_chosen_by_upstreams_names() {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = Chain::new(&[], &[]).unwrap().plugins.len();
    assert_eq!(Chain::new(&[], &names(&["ServiceAccount", "AlwaysAdmit"])).unwrap().plugins.len(), all - 1);
    assert_eq!(Chain::new(&names(&["PodNodeSelector"]), &[]).unwrap().warnings.len(), 1);
    assert!(Chain::new(&names(&["Nonsense"]), &[]).is_err());
    assert!(Chain::new(&names(&["Priority"]), &names(&["Priority"])).is_err());
}

#[test]
fn whoever_writes_a_policy_is_asked_for_his_right_to_its_parameters() {
    let policy = json!({"metadata": {"name": "p"}, "spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}});
    let create = |user: &UserInfo| {
        let path = "admissionregistration.k8s.io/validatingadmissionpolicies///";
        send(&World::new([]), user, Operation::Create, path, Some(policy.clone()), None)
    };
    assert!(create(&admin()).is_ok());
    let refused = create(&UserInfo::new("u", &[])).unwrap_err();
    assert!(
        refused.contains("spec.paramKind: Forbidden: user &{u  [system:authenticated] map[]} must have"),
        "{refused}"
    );
}
