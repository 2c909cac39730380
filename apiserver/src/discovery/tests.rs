//! All that discovery says, held against a file; and facts of upstream's own documents that are not made here.

use std::fmt::Write;

use expect_test::expect_file;

use super::{subresource, verbs};
use crate::{
    registry::Registry,
    row::{Row, Scope},
    rows::rows,
};

/// One line for each resource and subresource of each group-version, in the order in which clients try the groups.
fn described(registry: &Registry) -> String {
    let mut shown = String::new();
    for (group, version) in registry.group_versions() {
        let name = api::object::api_version(group, version);
        let (of_group, of_version) = crate::registry::priority(group, version).unwrap_or((20_000, 0));
        writeln!(shown, "{name} priority={of_group}/{of_version}").unwrap();
        let mut of_version: Vec<_> = registry.served_in(group, version).collect();
        of_version.sort_by(|one, other| one.plural.cmp(&other.plural));
        for row in of_version {
            describe(row, &mut shown);
        }
    }
    shown
}

fn describe(row: &Row, shown: &mut String) {
    let scope = if row.scope == Scope::Namespaced { "namespaced" } else { "cluster" };
    write!(shown, "  {} {} {} {scope} [{}]", row.plural, row.singular, row.kind, verbs(row.verbs).join(" ")).unwrap();
    for (label, list) in [("short", &row.short_names), ("categories", &row.categories)] {
        if !list.is_empty() {
            write!(shown, " {label}={}", list.join(",")).unwrap();
        }
    }
    if let Some(hash) = row.storage_version_hash() {
        write!(shown, " hash={hash}").unwrap();
    }
    shown.push('\n');
    let mut subresources = row.subresources.clone();
    subresources.sort_by_key(|each| each.name());
    for each in subresources {
        let (other, verbs) = subresource(row, each);
        let kind = other.map_or(row.kind.to_string(), |[group, version, kind]| {
            if group.is_empty() { kind.to_owned() } else { format!("{kind}.{version}.{group}") }
        });
        writeln!(shown, "    /{} {kind} [{}]", each.name(), verbs.join(" ")).unwrap();
    }
}

#[test]
fn discovery_says_what_stands_in_the_golden_file() {
    expect_file!["golden.txt"].assert_eq(&described(&Registry::new(rows())));
}

/// NAME, SHORTNAMES, APIVERSION, NAMESPACED and KIND of `kubectl api-resources` against upstream's 1.35.
const API_RESOURCES: &str = "
bindings - v1 true Binding
componentstatuses cs v1 false ComponentStatus
configmaps cm v1 true ConfigMap
endpoints ep v1 true Endpoints
events ev v1 true Event
limitranges limits v1 true LimitRange
namespaces ns v1 false Namespace
nodes no v1 false Node
persistentvolumeclaims pvc v1 true PersistentVolumeClaim
persistentvolumes pv v1 false PersistentVolume
pods po v1 true Pod
podtemplates - v1 true PodTemplate
replicationcontrollers rc v1 true ReplicationController
resourcequotas quota v1 true ResourceQuota
secrets - v1 true Secret
serviceaccounts sa v1 true ServiceAccount
services svc v1 true Service
mutatingwebhookconfigurations - admissionregistration.k8s.io/v1 false MutatingWebhookConfiguration
validatingadmissionpolicies - admissionregistration.k8s.io/v1 false ValidatingAdmissionPolicy
validatingadmissionpolicybindings - admissionregistration.k8s.io/v1 false ValidatingAdmissionPolicyBinding
validatingwebhookconfigurations - admissionregistration.k8s.io/v1 false ValidatingWebhookConfiguration
customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition
apiservices - apiregistration.k8s.io/v1 false APIService
controllerrevisions - apps/v1 true ControllerRevision
daemonsets ds apps/v1 true DaemonSet
deployments deploy apps/v1 true Deployment
replicasets rs apps/v1 true ReplicaSet
statefulsets sts apps/v1 true StatefulSet
selfsubjectreviews - authentication.k8s.io/v1 false SelfSubjectReview
tokenreviews - authentication.k8s.io/v1 false TokenReview
localsubjectaccessreviews - authorization.k8s.io/v1 true LocalSubjectAccessReview
selfsubjectaccessreviews - authorization.k8s.io/v1 false SelfSubjectAccessReview
selfsubjectrulesreviews - authorization.k8s.io/v1 false SelfSubjectRulesReview
subjectaccessreviews - authorization.k8s.io/v1 false SubjectAccessReview
horizontalpodautoscalers hpa autoscaling/v2 true HorizontalPodAutoscaler
cronjobs cj batch/v1 true CronJob
jobs - batch/v1 true Job
certificatesigningrequests csr certificates.k8s.io/v1 false CertificateSigningRequest
leases - coordination.k8s.io/v1 true Lease
endpointslices - discovery.k8s.io/v1 true EndpointSlice
events ev events.k8s.io/v1 true Event
flowschemas - flowcontrol.apiserver.k8s.io/v1 false FlowSchema
prioritylevelconfigurations - flowcontrol.apiserver.k8s.io/v1 false PriorityLevelConfiguration
ingressclasses - networking.k8s.io/v1 false IngressClass
ingresses ing networking.k8s.io/v1 true Ingress
ipaddresses ip networking.k8s.io/v1 false IPAddress
networkpolicies netpol networking.k8s.io/v1 true NetworkPolicy
servicecidrs - networking.k8s.io/v1 false ServiceCIDR
runtimeclasses - node.k8s.io/v1 false RuntimeClass
poddisruptionbudgets pdb policy/v1 true PodDisruptionBudget
clusterrolebindings - rbac.authorization.k8s.io/v1 false ClusterRoleBinding
clusterroles - rbac.authorization.k8s.io/v1 false ClusterRole
rolebindings - rbac.authorization.k8s.io/v1 true RoleBinding
roles - rbac.authorization.k8s.io/v1 true Role
deviceclasses - resource.k8s.io/v1 false DeviceClass
resourceclaims - resource.k8s.io/v1 true ResourceClaim
resourceclaimtemplates - resource.k8s.io/v1 true ResourceClaimTemplate
resourceslices - resource.k8s.io/v1 false ResourceSlice
priorityclasses pc scheduling.k8s.io/v1 false PriorityClass
csidrivers - storage.k8s.io/v1 false CSIDriver
csinodes - storage.k8s.io/v1 false CSINode
csistoragecapacities - storage.k8s.io/v1 true CSIStorageCapacity
storageclasses sc storage.k8s.io/v1 false StorageClass
volumeattachments - storage.k8s.io/v1 false VolumeAttachment
volumeattributesclasses vac storage.k8s.io/v1 false VolumeAttributesClass
";

#[test]
fn the_resources_are_those_that_kubectl_lists_against_upstream() {
    let mut ours: Vec<String> = Vec::new();
    for row in rows().iter().filter(|row| row.api_version() != "autoscaling/v1") {
        let short = if row.short_names.is_empty() { "-".to_owned() } else { row.short_names.join(",") };
        let namespaced = row.scope == Scope::Namespaced;
        ours.push(format!("{} {short} {} {namespaced} {}", row.plural, row.api_version(), row.kind));
    }
    let mut theirs: Vec<&str> = API_RESOURCES.trim().lines().collect();
    ours.sort();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

#[test]
fn the_hashes_of_stored_versions_are_upstreams() {
    let known = [
        ("v1", "configmaps", "qFsyl6wFWjQ="),
        ("v1", "endpoints", "fWeeMqaN/OA="),
        ("v1", "events", "r2yiGXH7wu8="),
        ("events.k8s.io/v1", "events", "r2yiGXH7wu8="),
        ("v1", "namespaces", "Q3oi5N2YM8M="),
        ("v1", "pods", "xPOwRZ+Yhw8="),
        ("v1", "services", "0/CO1lhkEBI="),
        ("autoscaling/v1", "horizontalpodautoscalers", "qwQve8ut294="),
        ("autoscaling/v2", "horizontalpodautoscalers", "qwQve8ut294="),
        ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "Sqi0GUgDaX0="),
        ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "6OxvlMmQ6is="),
        ("networking.k8s.io/v1", "ingresses", "39NQlfNR+bo="),
        ("storage.k8s.io/v1", "csidrivers", "hL6j/rwBV5w="),
        ("storage.k8s.io/v1", "storageclasses", "K+m6uJwbjGY="),
    ];
    let rows = rows();
    for (api_version, plural, hash) in known {
        let row = rows.iter().find(|row| row.api_version() == api_version && row.plural == plural).unwrap();
        assert_eq!(row.storage_version_hash().as_deref(), Some(hash), "{plural}");
    }
}

#[test]
fn the_kinds_that_nothing_acts_on_yet_are_these() {
    let rows = rows();
    let mut idle: Vec<String> = rows.iter().filter(|row| row.lies_idle).map(Row::qualified).collect();
    idle.sort();
    idle.dedup();
    expect_test::expect![[r#"
        apiservices.apiregistration.k8s.io
        certificatesigningrequests.certificates.k8s.io
        cronjobs.batch
        csidrivers.storage.k8s.io
        csinodes.storage.k8s.io
        csistoragecapacities.storage.k8s.io
        customresourcedefinitions.apiextensions.k8s.io
        daemonsets.apps
        deviceclasses.resource.k8s.io
        flowschemas.flowcontrol.apiserver.k8s.io
        horizontalpodautoscalers.autoscaling
        jobs.batch
        mutatingwebhookconfigurations.admissionregistration.k8s.io
        networkpolicies.networking.k8s.io
        poddisruptionbudgets.policy
        prioritylevelconfigurations.flowcontrol.apiserver.k8s.io
        replicationcontrollers
        resourceclaims.resource.k8s.io
        resourceclaimtemplates.resource.k8s.io
        resourceslices.resource.k8s.io
        servicecidrs.networking.k8s.io
        statefulsets.apps
        validatingadmissionpolicies.admissionregistration.k8s.io
        validatingadmissionpolicybindings.admissionregistration.k8s.io
        validatingwebhookconfigurations.admissionregistration.k8s.io
        volumeattachments.storage.k8s.io
        volumeattributesclasses.storage.k8s.io
    "#]]
    .assert_eq(&(idle.join("\n") + "\n"));
}
