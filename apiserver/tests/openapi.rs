//! The documents of OpenAPI describe everything that is served, and kubectl explains from them.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::collections::{BTreeMap, BTreeSet};

use api::schema::{TypeId, schema};
use apiserver::service::Service;
use expect_test::expect;
use futures::StreamExt;
use http::HeaderMap;
use serde_json::{Value, json};

#[path = "openapi/gnostic.rs"]
mod gnostic;
#[path = "openapi/rig.rs"]
mod rig;

use rig::{Kubectl, ask, open};

async fn get(service: &Service, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    ask(service, "GET", path, headers, &Value::Null).await
}

async fn get_json(service: &Service, path: &str) -> Value {
    let (code, _, body) = get(service, path, &[]).await;
    assert_eq!(code, 200, "{path}");
    serde_json::from_slice(&body).unwrap()
}

/// Every document of version 3, by its path in the index.
async fn version_3(service: &Service) -> BTreeMap<String, Value> {
    let index = get_json(service, "/openapi/v3").await;
    let mut documents = BTreeMap::new();
    for (path, entry) in index["paths"].as_object().unwrap() {
        documents.insert(path.clone(), get_json(service, entry["serverRelativeURL"].as_str().unwrap()).await);
    }
    documents
}

/// Every kind that discovery lists, beside the group-version that it is listed in.
async fn served_kinds(service: &Service) -> BTreeSet<(String, [String; 3])> {
    let mut roots = vec!["api/v1".to_owned()];
    for group in get_json(service, "/apis").await["groups"].as_array().unwrap() {
        let versions = group["versions"].as_array().unwrap().iter();
        roots.extend(versions.map(|each| format!("apis/{}", each["groupVersion"].as_str().unwrap())));
    }
    let mut kinds = BTreeSet::new();
    for root in roots {
        let (group, version) = api::object::group_version(root.split_once('/').unwrap().1);
        for resource in get_json(service, &format!("/{root}")).await["resources"].as_array().unwrap() {
            let text = |name: &str, or: &str| resource[name].as_str().unwrap_or(or).to_owned();
            let kind = [text("group", group), text("version", version), text("kind", "")];
            kinds.insert((root.clone(), kind));
        }
    }
    kinds
}

/// Options of a connection: in paths, not in schemas.
fn is_connection(kind: &str) -> bool {
    kind.ends_with("Options")
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|each| references(each, found));
        }
        Value::Array(items) => items.iter().for_each(|each| references(each, found)),
        _ => {}
    }
}

fn schema_of<'a>(schemas: &'a Value, [group, version, kind]: &[String; 3]) -> Option<(&'a str, &'a Value)> {
    let wanted = json!({"group": group, "version": version, "kind": kind});
    let is_it =
        |one: &Value| one["x-kubernetes-group-version-kind"].as_array().is_some_and(|kinds| kinds.contains(&wanted));
    let mut found = schemas.as_object().unwrap().iter().filter(|(_, one)| is_it(one));
    found.next().map(|(name, one)| (name.as_str(), one))
}

#[tokio::test]
async fn every_served_kind_is_described_with_all_its_fields() {
    let service = open().await;
    let documents = version_3(&service).await;
    for (path, document) in &documents {
        let mut found = BTreeSet::new();
        references(document, &mut found);
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{path}: {name} is not described");
        }
    }
    for (root, kind) in served_kinds(&service).await.iter().filter(|(_, kind)| !is_connection(&kind[2])) {
        let schemas = &documents[root]["components"]["schemas"];
        let (name, _) = schema_of(schemas, kind).unwrap_or_else(|| panic!("{root} has no schema of {kind:?}"));
        let [group, version, kind] = kind;
        check_fields(schemas, name, schema().kind(group, version, kind).unwrap(), &mut BTreeSet::new());
    }
}

/// Walks along the schema table and the document at once.
fn check_fields(schemas: &Value, name: &str, type_id: TypeId, seen: &mut BTreeSet<TypeId>) {
    if !seen.insert(type_id) {
        return;
    }
    let one = schema().get(type_id);
    let described = &schemas[name];
    let count = described["properties"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(count, one.fields.len(), "{name}");
    for field in &one.fields {
        let property = &described["properties"][field.name];
        assert!(property.is_object(), "{name}.{}", field.name);
        use api::schema::{Shape, Value as Kind};
        let (value, kind) = match field.shape {
            Shape::One(kind) => (property, kind),
            Shape::List(kind) => (&property["items"], kind),
            Shape::Map(kind) => (&property["additionalProperties"], kind),
            Shape::MapOfLists => continue,
        };
        let Kind::Object(inner) = kind else { continue };
        let reference = value["$ref"].as_str().or(value["allOf"][0]["$ref"].as_str()).unwrap();
        check_fields(schemas, reference.strip_prefix("#/components/schemas/").unwrap(), inner, seen);
    }
}

#[tokio::test]
async fn what_has_no_description_is_known_by_name() {
    let service = open().await;
    let mut missing = BTreeSet::new();
    for document in version_3(&service).await.values() {
        for (name, one) in document["components"]["schemas"].as_object().unwrap() {
            let short = name.rsplit('.').next().unwrap();
            if one.get("description").is_none() {
                missing.insert(short.to_owned());
            }
            for (field, property) in one["properties"].as_object().into_iter().flatten() {
                if property.get("description").is_none() {
                    missing.insert(format!("{short}.{field}"));
                }
            }
        }
    }
    // Kubernetes says nothing about these either.
    missing.retain(|name| !name.starts_with("JSONSchemaProps.") && !name.starts_with("ExternalDocumentation."));
    let missing: Vec<String> = missing.into_iter().collect();
    expect![[r#"
        CertificateSigningRequest.metadata
        CertificateSigningRequestList.metadata
        Info.buildDate
        Info.compiler
        Info.gitCommit
        Info.gitTreeState
        Info.gitVersion
        Info.goVersion
        Info.platform
        IngressRule.http
        WatchEvent
        WatchEvent.object
        WatchEvent.type"#]]
    .assert_eq(&missing.join("\n"));
}

#[tokio::test]
async fn every_path_of_pods_is_there() {
    let service = open().await;
    let document = get_json(&service, "/openapi/v3/api/v1").await;
    let mut lines = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.contains("/pods")) {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(_, each)| each.is_object()) {
            let of_path = item["parameters"].as_array().into_iter().flatten();
            let all = of_path.chain(operation["parameters"].as_array().into_iter().flatten());
            let names: Vec<&str> = all.map(|each| each["name"].as_str().unwrap()).collect();
            let (id, kind) = (&operation["operationId"], &operation["x-kubernetes-group-version-kind"]["kind"]);
            let (id, kind) = (id.as_str().unwrap(), kind.as_str().unwrap());
            lines.push(format!("{method} {path} {id} {kind} {}", names.len()));
        }
    }
    expect![[r#"
        delete /api/v1/namespaces/{namespace}/pods deleteCoreV1CollectionNamespacedPod Pod 15
        get /api/v1/namespaces/{namespace}/pods listCoreV1NamespacedPod Pod 12
        post /api/v1/namespaces/{namespace}/pods createCoreV1NamespacedPod Pod 5
        delete /api/v1/namespaces/{namespace}/pods/{name} deleteCoreV1NamespacedPod Pod 8
        get /api/v1/namespaces/{namespace}/pods/{name} readCoreV1NamespacedPod Pod 3
        patch /api/v1/namespaces/{namespace}/pods/{name} patchCoreV1NamespacedPod Pod 7
        put /api/v1/namespaces/{namespace}/pods/{name} replaceCoreV1NamespacedPod Pod 6
        get /api/v1/namespaces/{namespace}/pods/{name}/attach connectCoreV1GetNamespacedPodAttach PodAttachOptions 7
        post /api/v1/namespaces/{namespace}/pods/{name}/attach connectCoreV1PostNamespacedPodAttach PodAttachOptions 7
        post /api/v1/namespaces/{namespace}/pods/{name}/binding createCoreV1NamespacedPodBinding Binding 6
        get /api/v1/namespaces/{namespace}/pods/{name}/ephemeralcontainers readCoreV1NamespacedPodEphemeralcontainers Pod 3
        patch /api/v1/namespaces/{namespace}/pods/{name}/ephemeralcontainers patchCoreV1NamespacedPodEphemeralcontainers Pod 7
        put /api/v1/namespaces/{namespace}/pods/{name}/ephemeralcontainers replaceCoreV1NamespacedPodEphemeralcontainers Pod 6
        post /api/v1/namespaces/{namespace}/pods/{name}/eviction createCoreV1NamespacedPodEviction Eviction 6
        get /api/v1/namespaces/{namespace}/pods/{name}/exec connectCoreV1GetNamespacedPodExec PodExecOptions 8
        post /api/v1/namespaces/{namespace}/pods/{name}/exec connectCoreV1PostNamespacedPodExec PodExecOptions 8
        get /api/v1/namespaces/{namespace}/pods/{name}/log readCoreV1NamespacedPodLog Pod 12
        get /api/v1/namespaces/{namespace}/pods/{name}/portforward connectCoreV1GetNamespacedPodPortforward PodPortForwardOptions 3
        post /api/v1/namespaces/{namespace}/pods/{name}/portforward connectCoreV1PostNamespacedPodPortforward PodPortForwardOptions 3
        delete /api/v1/namespaces/{namespace}/pods/{name}/proxy connectCoreV1DeleteNamespacedPodProxy PodProxyOptions 3
        get /api/v1/namespaces/{namespace}/pods/{name}/proxy connectCoreV1GetNamespacedPodProxy PodProxyOptions 3
        head /api/v1/namespaces/{namespace}/pods/{name}/proxy connectCoreV1HeadNamespacedPodProxy PodProxyOptions 3
        options /api/v1/namespaces/{namespace}/pods/{name}/proxy connectCoreV1OptionsNamespacedPodProxy PodProxyOptions 3
        patch /api/v1/namespaces/{namespace}/pods/{name}/proxy connectCoreV1PatchNamespacedPodProxy PodProxyOptions 3
        post /api/v1/namespaces/{namespace}/pods/{name}/proxy connectCoreV1PostNamespacedPodProxy PodProxyOptions 3
        put /api/v1/namespaces/{namespace}/pods/{name}/proxy connectCoreV1PutNamespacedPodProxy PodProxyOptions 3
        delete /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1DeleteNamespacedPodProxyWithPath PodProxyOptions 4
        get /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1GetNamespacedPodProxyWithPath PodProxyOptions 4
        head /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1HeadNamespacedPodProxyWithPath PodProxyOptions 4
        options /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1OptionsNamespacedPodProxyWithPath PodProxyOptions 4
        patch /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1PatchNamespacedPodProxyWithPath PodProxyOptions 4
        post /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1PostNamespacedPodProxyWithPath PodProxyOptions 4
        put /api/v1/namespaces/{namespace}/pods/{name}/proxy/{path} connectCoreV1PutNamespacedPodProxyWithPath PodProxyOptions 4
        get /api/v1/namespaces/{namespace}/pods/{name}/resize readCoreV1NamespacedPodResize Pod 3
        patch /api/v1/namespaces/{namespace}/pods/{name}/resize patchCoreV1NamespacedPodResize Pod 7
        put /api/v1/namespaces/{namespace}/pods/{name}/resize replaceCoreV1NamespacedPodResize Pod 6
        get /api/v1/namespaces/{namespace}/pods/{name}/status readCoreV1NamespacedPodStatus Pod 3
        patch /api/v1/namespaces/{namespace}/pods/{name}/status patchCoreV1NamespacedPodStatus Pod 7
        put /api/v1/namespaces/{namespace}/pods/{name}/status replaceCoreV1NamespacedPodStatus Pod 6
        get /api/v1/pods listCoreV1PodForAllNamespaces Pod 11
        get /api/v1/watch/namespaces/{namespace}/pods watchCoreV1NamespacedPodList Pod 12
        get /api/v1/watch/namespaces/{namespace}/pods/{name} watchCoreV1NamespacedPod Pod 13
        get /api/v1/watch/pods watchCoreV1PodListForAllNamespaces Pod 11"#]].assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn the_documents_of_version_2_are_whole() {
    let service = open().await;
    let document = get_json(&service, "/openapi/v2").await;
    let definitions = document["definitions"].as_object().unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        let name = reference.strip_prefix("#/definitions/").unwrap();
        assert!(definitions.contains_key(name), "{name} is not defined");
    }
    let mut kinds = BTreeSet::new();
    for (name, one) in definitions {
        for kind in one["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            assert!(kinds.insert(kind.to_string()), "{name} is a second {kind}");
        }
    }
    for (_, [group, version, kind]) in served_kinds(&service).await.iter().filter(|each| !is_connection(&each.1[2])) {
        let kind = json!({"group": group, "version": version, "kind": kind});
        assert!(kinds.contains(&kind.to_string()), "{kind} is not defined");
    }
    let mut patched = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(patch) = item.get("patch").filter(|patch| patch["x-kubernetes-action"] == "patch") else { continue };
        let has_dry_run = patch["parameters"].as_array().unwrap().iter().any(|each| each["name"] == "dryRun");
        assert!(has_dry_run && patch["x-kubernetes-group-version-kind"].is_object(), "{path}");
        patched += 1;
    }
    assert!(patched > 50, "{patched}");
    let accept =
        [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"), ("accept-encoding", "gzip")];
    let (code, headers, body) = get(&service, "/openapi/v2", &accept).await;
    assert_eq!((code, &headers["content-encoding"], &body[..2]), (200, &"gzip".parse().unwrap(), &[0x1f, 0x8b][..]));
    let (code, again, body) =
        get(&service, "/openapi/v2", &[accept[0], ("if-none-match", headers["etag"].to_str().unwrap())]).await;
    assert_eq!((code, &again["etag"], body.len()), (304, &headers["etag"], 0));
}

const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";

#[tokio::test]
async fn every_document_of_version_3_says_the_same_in_protobuf() {
    let service = open().await;
    let documents = version_3(&service).await;
    assert!(documents.len() > 40, "{}", documents.len());
    for (path, document) in &documents {
        let (_, of_json, _) = get(&service, &format!("/openapi/v3/{path}"), &[]).await;
        let (code, headers, body) = get(&service, &format!("/openapi/v3/{path}"), &[("accept", V3_PROTOBUF)]).await;
        assert_eq!((code, &headers["content-type"]), (200, &V3_PROTOBUF.parse().unwrap()), "{path}");
        assert_eq!(headers["etag"], of_json["etag"], "{path}");
        let read = gnostic::read(&body);
        assert!(read == *document, "{path}: {read:#}");
    }
}

#[tokio::test]
async fn the_form_of_a_document_of_version_3_is_the_one_liked_best() {
    let service = open().await;
    let asked_with_at = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    for (accept, form) in [
        ("", Some("application/json")),
        ("*/*", Some("application/json")),
        ("text/html, */*;q=0.8", Some("application/json")),
        (V3_PROTOBUF, Some(V3_PROTOBUF)),
        (asked_with_at, Some(V3_PROTOBUF)),
        (&format!("application/json;q=0.5, {asked_with_at}"), Some(V3_PROTOBUF)),
        (&format!("application/json, {asked_with_at}"), Some("application/json")),
        ("application/yaml", None),
    ] {
        let (code, headers, body) = get(&service, "/openapi/v3/version", &[("accept", accept)]).await;
        match form {
            Some(form) => assert_eq!((code, &headers["content-type"]), (200, &form.parse().unwrap()), "{accept}"),
            None => assert_eq!((code, body.len()), (406, 0), "{accept}"),
        }
    }
    let accept = [("accept", V3_PROTOBUF)];
    let (_, headers, _) = get(&service, "/openapi/v3/apis/apps/v1", &accept).await;
    let tag = headers["etag"].to_str().unwrap();
    let at_hash = format!("/openapi/v3/apis/apps/v1?hash={}", tag.trim_matches('"'));
    let (code, headers, _) = get(&service, &at_hash, &accept).await;
    assert_eq!((code, &headers["cache-control"]), (200, &"public, immutable".parse().unwrap()));
    let (code, headers, _) = get(&service, "/openapi/v3/apis/apps/v1?hash=old", &accept).await;
    assert_eq!((code, headers["location"].to_str().unwrap()), (301, at_hash.as_str()));
    let (code, ..) = get(&service, "/openapi/v3/apis/apps/v1", &[accept[0], ("if-none-match", tag)]).await;
    assert_eq!(code, 304);
    let (_, _, compressed) = get(&service, &at_hash, &[accept[0], ("accept-encoding", "gzip")]).await;
    let (_, _, plain) = get(&service, &at_hash, &accept).await;
    assert!(compressed.len() * 5 < plain.len(), "{} of {}", compressed.len(), plain.len());
    assert_eq!(gnostic::read(&plain), get_json(&service, "/openapi/v3/apis/apps/v1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_kinds_and_fields() {
    let kubectl = Kubectl::against(open().await).await;
    let explain = async |arguments: &[&str]| kubectl.run(&[&["explain"], arguments].concat()).await;
    let pods = explain(&["pods"]).await;
    assert!(pods.starts_with("KIND:       Pod\nVERSION:    v1\n\nDESCRIPTION:\n    Pod is a collection"), "{pods}");
    assert!(pods.contains("  spec\t<PodSpec>\n    Specification of the desired behavior"), "{pods}");
    let image = explain(&["deployments.spec.template.spec.containers.image"]).await;
    assert!(image.contains("GROUP:      apps\n") && image.contains("FIELD: image <string>\n"), "{image}");
    assert!(image.contains("\n    Container image name."), "{image}");
    let port = explain(&["services.spec.ports.targetPort"]).await;
    assert!(port.contains("FIELD: targetPort <IntOrString>\n"), "{port}");
    let recursive = explain(&["jobs", "--recursive"]).await;
    assert!(recursive.contains("\n  spec\t<JobSpec>\n    activeDeadlineSeconds\t<integer>\n"), "{recursive}");
    assert!(recursive.contains("\t<[]Container> -required-\n"), "{recursive}");
    let old = explain(&["deployments.spec.strategy", "--output", "plaintext-openapiv2"]).await;
    assert!(old.contains("RESOURCE: strategy <Object>\n") && old.contains("rollingUpdate\t<Object>"), "{old}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_every_kind() {
    let kubectl = &Kubectl::against(open().await).await;
    let resources = kubectl.run(&["api-resources", "--no-headers"]).await;
    // A line's last words are the group-version, whether it is namespaced, and the kind.
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, .., api_version, _, kind] = words.as_slice() else { panic!("{line}") };
        [*name, *api_version, *kind].map(str::to_owned)
    };
    let resources: Vec<[String; 3]> = resources.lines().map(of_line).collect();
    assert!(resources.len() > 50, "{resources:?}");
    let explained = futures::stream::iter(resources).map(async |[name, api_version, kind]| {
        let text = kubectl.run(&["explain", &name, "--api-version", &api_version]).await;
        (kind, text)
    });
    let explained: Vec<(String, String)> = explained.buffer_unordered(4).collect().await;
    for (kind, text) in explained {
        assert!(text.contains(&format!("KIND:       {kind}\n")), "{text}");
        let (_, said) = text.split_once("DESCRIPTION:\n").unwrap();
        assert!(said.starts_with("    ") && !said.starts_with("    <empty>"), "{text}");
        assert!(said.contains("\n  apiVersion\t<string>\n    APIVersion defines"), "{text}");
    }
}
