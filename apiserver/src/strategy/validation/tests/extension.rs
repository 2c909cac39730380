//! The kinds that extend or steer the API server, devices, and service addresses.

use serde_json::{Value, json};

use super::{check, check_update};

/// A smallest valid object of one of these kinds; of any other an empty one.
pub(super) fn valid(kind: &str) -> Value {
    let hook = json!({
        "name": "a.b.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:1/x"},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
    });
    let claim = json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c.example"}}]}});
    match kind {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => json!({"webhooks": [hook]}),
        "ValidatingAdmissionPolicy" => {
            let constraints = json!({"resourceRules": hook["rules"]});
            json!({"spec": {"matchConstraints": constraints, "validations": [{"expression": "true"}]}})
        }
        "ValidatingAdmissionPolicyBinding" => json!({"spec": {"policyName": "p", "validationActions": ["Deny"]}}),
        "CustomResourceDefinition" => json!({"metadata": {"name": "foos.a.example"}, "spec": {
            "group": "a.example", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": {"type": "object"}}}]}}),
        "APIService" => json!({"metadata": {"name": "v1.a.example"}, "spec": {
            "group": "a.example", "version": "v1", "groupPriorityMinimum": 10, "versionPriority": 10,
            "insecureSkipTLSVerify": true, "service": {"name": "s", "namespace": "n"}}}),
        "FlowSchema" => json!({"spec": {"priorityLevelConfiguration": {"name": "p"}}}),
        "PriorityLevelConfiguration" => {
            json!({"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}})
        }
        "ResourceClaim" => json!({"spec": claim}),
        "ResourceClaimTemplate" => json!({"spec": {"spec": claim}}),
        "ResourceSlice" => {
            json!({"spec": {"driver": "d.example", "nodeName": "n", "pool": {"name": "n", "resourceSliceCount": 1}}})
        }
        "ServiceCIDR" => json!({"spec": {"cidrs": ["10.0.0.0/16"]}}),
        "IPAddress" => json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": {
            "resource": "services", "namespace": "n", "name": "s"}}}),
        "VolumeAttributesClass" => json!({"driverName": "d.example", "parameters": {"a": "b"}}),
        "CSIStorageCapacity" => json!({"storageClassName": "fast", "capacity": "1Gi"}),
        _ => json!({}),
    }
}

/// The part of a webhook configuration that replaces one field of its only webhook.
fn hook(field: &str, value: Value) -> Value {
    let mut object = valid("ValidatingWebhookConfiguration");
    object["webhooks"][0][field] = value;
    object
}

#[test]
fn what_a_wildcard_says_of_resources_is_not_said_again() {
    let check = |resources: Value, causes: &[&str]| {
        let rule = json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources});
        check("ValidatingWebhookConfiguration", hook("rules", json!([rule])), causes);
    };
    check(json!(["pods", "pods/*", "*/scale", "deployments/status"]), &[]);
    check(json!(["*", "*/scale", "pods/log"]), &[]);
    // As upstream: what stands last counts.
    check(json!(["pods", "*"]), &[]);
    let resources = "webhooks[0].rules[0].resources";
    check(
        json!(["*", "pods"]),
        &[&format!(
            "{resources}: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without \
             subresources"
        )],
    );
    check(
        json!(["pods/*", "pods/log", "*/log", "nodes/log"]),
        &[
            &format!("{resources}[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log"),
            &format!("{resources}[3]: Invalid value: \"nodes/log\": if '*/log' is present, must not specify nodes/log"),
        ],
    );
    check(
        json!(["*/*", "", "*/scale"]),
        &[
            &format!("{resources}[1]: Required value"),
            &format!("{resources}[2]: Invalid value: \"*/scale\": if '*/*' is present, must not specify */scale"),
            &format!(
                "{resources}: Invalid value: [\"*/*\",\"\",\"*/scale\"]: if '*/*' is present, must not specify other \
                 resources"
            ),
        ],
    );
}

#[test]
fn a_webhook_says_whom_to_call_and_about_what() {
    let check = |field: &str, value: Value, causes: &[&str]| {
        check("ValidatingWebhookConfiguration", hook(field, value), causes);
    };
    check(
        "name",
        json!("a.b"),
        &[
            "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
        ],
    );
    check(
        "sideEffects",
        Value::Null,
        &["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"],
    );
    check(
        "admissionReviewVersions",
        json!([]),
        &["webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
    );
    check(
        "admissionReviewVersions",
        json!(["v9", "v9"]),
        &[
            "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v9\": duplicate version",
            "webhooks[0].admissionReviewVersions: Invalid value: [\"v9\",\"v9\"]: must include at least one of v1, v1beta1",
        ],
    );
    check(
        "timeoutSeconds",
        json!(31),
        &["webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"],
    );
    check(
        "clientConfig",
        json!({}),
        &["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
    );
    check(
        "clientConfig",
        json!({"service": {"port": 0, "path": "x//y"}}),
        &[
            "webhooks[0].clientConfig.service.name: Required value: service name is required",
            "webhooks[0].clientConfig.service.namespace: Required value: service namespace is required",
            "webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, \
             inclusive",
            "webhooks[0].clientConfig.service.path: Invalid value: \"x//y\": must start with a '/'",
            "webhooks[0].clientConfig.service.path: Invalid value: \"x//y\": segment[0] may not be empty",
            "webhooks[0].clientConfig.service.path: Invalid value: \"x//y\": segment[1] may not be empty",
        ],
    );
    check(
        "clientConfig",
        json!({"url": "http://u@h/x?q"}),
        &[
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired \
             format: https://host[/path]",
            "webhooks[0].clientConfig.url: Invalid value: \"u\": user information is not permitted in the URL",
            "webhooks[0].clientConfig.url: Invalid value: \"q\": query parameters are not permitted in the URL",
        ],
    );
    check(
        "rules",
        json!([{}]),
        &[
            "webhooks[0].rules[0].operations: Required value",
            "webhooks[0].rules[0].apiGroups: Required value",
            "webhooks[0].rules[0].apiVersions: Required value",
            "webhooks[0].rules[0].resources: Required value",
        ],
    );
}

#[test]
fn a_definition_names_its_resource_and_has_one_storage_version() {
    check(
        "CustomResourceDefinition",
        json!({"metadata": {"name": "x"}}),
        &["metadata.name: Invalid value: \"x\": must be spec.names.plural+\".\"+spec.group"],
    );
    check(
        "CustomResourceDefinition",
        json!({"spec": {"versions": [{"name": "v1", "served": true, "storage": false}]}}),
        &[
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
            "spec.versions: Invalid value: [{\"name\":\"v1\",\"served\":true,\"storage\":false}]: must have exactly one \
             version marked as storage version",
            "status.storedVersions: Invalid value: null: must have at least one stored version",
        ],
    );
    check_update(
        "CustomResourceDefinition",
        json!({}),
        json!({"spec": {"names": {"plural": "bars"}}}),
        &[
            "metadata.name: Invalid value: \"foos.a.example\": must be spec.names.plural+\".\"+spec.group",
            "spec.names.plural: Invalid value: \"bars\": field is immutable",
        ],
    );
}

#[test]
fn an_api_service_is_named_by_its_version_and_group() {
    check(
        "APIService",
        json!({"spec": {"group": "b.example", "groupPriorityMinimum": 0, "versionPriority": 0}}),
        &[
            "metadata.name: Invalid value: \"v1.a.example\": must be `spec.version+\".\"+spec.group`: \"v1.b.example\"",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
        ],
    );
    check(
        "APIService",
        json!({"spec": {"service": null}}),
        &["spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify"],
    );
}

#[test]
fn flow_control_is_refused_where_upstream_refuses_it() {
    check(
        "FlowSchema",
        json!({"spec": {"rules": [{"subjects": []}, {"subjects": [{"kind": "X"}], "resourceRules": [{}]}]}}),
        &[
            "spec.rules[0].subjects: Required value: subjects must contain at least one value",
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            "spec.rules[1].subjects[0].kind: Unsupported value: \"X\": supported values: \"Group\", \"ServiceAccount\", \
             \"User\"",
            "spec.rules[1].resourceRules[0].verbs: Required value: verbs must contain at least one value",
            "spec.rules[1].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "spec.rules[1].resourceRules[0].resources: Required value: resource rules must supply at least one resource",
            "spec.rules[1].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must \
             supply at least one namespace",
        ],
    );
    check(
        "FlowSchema",
        json!({"spec": {"matchingPrecedence": -1}}),
        &["spec.matchingPrecedence: Invalid value: -1: must be a positive value"],
    );
    check(
        "PriorityLevelConfiguration",
        json!({"spec": {"limited": {"nominalConcurrencyShares": -1, "limitResponse": null}}}),
        &[
            "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
            "spec.limited.limitResponse.type: Unsupported value: \"\": supported values: \"Queue\", \"Reject\"",
        ],
    );
}

#[test]
fn a_flow_schema_names_requests_by_whom_and_for_what() {
    let rule = |subject: Value, more: Value| {
        let mut rule = json!({"subjects": [subject]});
        json_patch::merge(&mut rule, &more);
        json!({"spec": {"rules": [rule]}})
    };
    let (user, paths) = (
        json!({"kind": "User", "user": {"name": "u"}}),
        |paths: Value| json!({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": paths}]}),
    );
    let at = "spec.rules[0]";
    check("FlowSchema", rule(user.clone(), paths(json!(["/", "/healthz", "/apis/*"]))), &[]);
    check("FlowSchema", rule(user.clone(), paths(json!(["*"]))), &[]);
    let urls = format!("{at}.nonResourceRules[0].nonResourceURLs");
    check(
        "FlowSchema",
        rule(user.clone(), paths(json!(["*", "/a"]))),
        &[&format!(
            "{urls}: Invalid value: [\"*\",\"/a\"]: if '*' is present, must not specify other non-resource URLs"
        )],
    );
    check(
        "FlowSchema",
        rule(user.clone(), paths(json!(["", "a", "/a b", "/a//b", "/a*", "/*/*"]))),
        &[
            &format!("{urls}[0]: Invalid value: \"\": must not be empty"),
            &format!("{urls}[1]: Invalid value: \"a\": must start with slash"),
            &format!("{urls}[2]: Invalid value: \"/a b\": must not contain white-space"),
            &format!("{urls}[3]: Invalid value: \"/a//b\": must not contain double slash"),
            &format!("{urls}[4]: Invalid value: \"/a*\": wildcard can only do suffix matching"),
            &format!("{urls}[5]: Invalid value: \"/*/*\": wildcard can only do suffix matching"),
        ],
    );
    let resources = json!({"resourceRules": [
        {"verbs": ["get", "post"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["A"]}]});
    check(
        "FlowSchema",
        rule(user, resources),
        &[
            &format!(
                "{at}.resourceRules[0].verbs: Unsupported value: [\"get\",\"post\"]: supported values: \"create\", \
                 \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\""
            ),
            &format!(
                "{at}.resourceRules[0].namespaces[0]: Invalid value: \"A\": each member of this list must be '*' or a \
                 DNS-1123 label; a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                 and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                 validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ),
        ],
    );
    let account = |account: Value| json!({"kind": "ServiceAccount", "serviceAccount": account});
    let at = "spec.rules[0].subjects[0]";
    check("FlowSchema", rule(account(json!({"name": "*", "namespace": "n"})), paths(json!(["/"]))), &[]);
    let mut both = account(json!({}));
    both["user"] = json!({"name": "u"});
    check(
        "FlowSchema",
        rule(both, paths(json!(["/"]))),
        &[
            &format!("{at}.serviceAccount.name: Required value"),
            &format!("{at}.serviceAccount.namespace: Required value: must specify namespace for service account"),
            &format!("{at}.user: Forbidden: user is forbidden when subject kind is not 'User'"),
        ],
    );
    check(
        "FlowSchema",
        rule(json!({"kind": "Group"}), paths(json!(["/"]))),
        &[&format!("{at}.group: Required value: group is required when subject kind is 'Group'")],
    );
}

#[test]
fn conditions_of_flow_control_have_types_of_their_own() {
    let object = json!({"status": {"conditions": [{"type": "A"}, {"type": "A"}, {}]}});
    for kind in ["FlowSchema", "PriorityLevelConfiguration"] {
        let root = api::field::Field::root(&object);
        let errors =
            super::row(kind).strategy.validate_subresource(crate::row::Subresource::Status, &root, &Value::Null);
        let expected = [
            "status.conditions[1].type: Duplicate value: \"A\"",
            "status.conditions[2].type: Required value: must not be empty",
        ];
        assert_eq!(super::texts(errors), expected, "{kind}");
    }
}

#[test]
fn a_hand_of_queues_is_drawn_from_a_hash_of_sixty_bits() {
    let queues = |queues: i64, hand: i64| {
        let queuing = json!({"queues": queues, "handSize": hand, "queueLengthLimit": 50});
        json!({"spec": {"limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}}})
    };
    let at = "spec.limited.limitResponse.queuing";
    check("PriorityLevelConfiguration", queues(1024, 6), &[]);
    check("PriorityLevelConfiguration", queues(1, 1), &[]);
    for (deck, hand) in [(512, 8), (1025, 6), (128, 10)] {
        let cause = format!(
            "{at}.handSize: Invalid value: {hand}: required entropy bits of deckSize {deck} and handSize {hand} should \
             not be greater than 60"
        );
        check("PriorityLevelConfiguration", queues(deck, hand), &[&cause]);
    }
    check(
        "PriorityLevelConfiguration",
        queues(10_000_001, 3),
        &[
            &format!("{at}.queues: Invalid value: 10000001: must not be greater than 10000000"),
            &format!(
                "{at}.handSize: Invalid value: 3: required entropy bits of deckSize 10000001 and handSize 3 should not \
                 be greater than 60"
            ),
        ],
    );
    check(
        "PriorityLevelConfiguration",
        queues(2, 3),
        &[&format!("{at}.handSize: Invalid value: 3: should not be greater than queues (2)")],
    );
}

#[test]
fn what_a_claim_asks_for_stays() {
    check(
        "ResourceClaim",
        json!({"spec": {"devices": {"requests": [{"name": "r"}]}}}),
        &["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"],
    );
    let changed = json!({"spec": {"devices": {"requests": []}}});
    check_update(
        "ResourceClaim",
        json!({}),
        changed,
        &["spec: Invalid value: {\"devices\":{\"requests\":[]}}: field is immutable"],
    );
    check(
        "ResourceSlice",
        json!({"spec": {"nodeName": null}}),
        &[
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
        ],
    );
}

#[test]
fn addresses_and_ranges_of_services_are_canonical() {
    check("ServiceCIDR", json!({"spec": {"cidrs": []}}), &["spec.cidrs: Required value: at least one CIDR required"]);
    check_update(
        "ServiceCIDR",
        json!({}),
        json!({"spec": {"cidrs": ["10.1.0.0/16"]}}),
        &["spec.cidrs: Invalid value: [\"10.1.0.0/16\"]: field is immutable"],
    );
    check(
        "IPAddress",
        json!({"metadata": {"name": "fd00:0::1"}}),
        &["metadata.name: Invalid value: \"fd00:0::1\": must be in canonical form (\"fd00::1\")"],
    );
}

#[test]
fn a_volume_attributes_class_stays_what_it_is() {
    check_update(
        "VolumeAttributesClass",
        json!({}),
        json!({"driverName": "e.example", "parameters": {"a": "c"}}),
        &[
            "driverName: Forbidden: updates to driverName are forbidden.",
            "parameters: Forbidden: updates to parameters are forbidden.",
        ],
    );
}

#[test]
fn a_volume_attributes_class_has_a_driver_and_parameters() {
    check(
        "VolumeAttributesClass",
        json!({"driverName": null, "parameters": null}),
        &["driverName: Required value", "parameters: Required value: must contain at least one key/value pair"],
    );
    let many: serde_json::Map<String, Value> = (0..513).map(|at| (at.to_string(), json!("x"))).collect();
    check(
        "VolumeAttributesClass",
        json!({"parameters": many}),
        &["parameters: Too long: may not be more than 512 bytes"],
    );
}

#[test]
fn what_a_driver_of_volumes_is_given_has_bounds() {
    let driver = |spec: Value| json!({"metadata": {"name": "d.example"}, "spec": spec});
    let at = "spec.tokenRequests";
    check(
        "CSIDriver",
        driver(json!({"nodeAllocatableUpdatePeriodSeconds": 9, "volumeLifecycleModes": ["Short"], "tokenRequests": [
            {"audience": "a", "expirationSeconds": 599}, {"audience": "a", "expirationSeconds": 1},
            {"audience": "b", "expirationSeconds": 4_294_967_297_i64}]})),
        &[
            &format!("{at}[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"),
            &format!("{at}[1].audience: Duplicate value: \"a\""),
            &format!(
                "{at}[2].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"
            ),
            "spec.volumeLifecycleModes: Unsupported value: \"Short\": supported values: \"Ephemeral\", \"Persistent\"",
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
        ],
    );
    check_update(
        "CSIDriver",
        driver(json!({})),
        json!({"spec": {"attachRequired": false}}),
        &["spec.attachedRequired: Invalid value: false: field is immutable"],
    );
}

#[test]
fn a_driver_of_a_node_knows_it_by_an_id_and_places_by_keys() {
    let driver = |driver: Value| json!({"spec": {"drivers": [driver]}});
    let id = "i".repeat(257);
    check(
        "CSINode",
        driver(json!({"name": "d.example", "nodeID": id, "topologyKeys": ["a.example/zone", "a.example/zone"]})),
        &[
            &format!("spec.drivers[0].nodeID: Invalid value: \"{id}\": must be 256 characters or less"),
            "spec.drivers[0]: Duplicate value: \"a.example/zone\"",
        ],
    );
    let before = driver(json!({"name": "d.example", "nodeID": "a", "allocatable": {"count": 1}}));
    let more = driver(json!({"name": "d.example", "nodeID": "a", "allocatable": {"count": 2}}));
    check_update("CSINode", before.clone(), more, &[]);
    check_update(
        "CSINode",
        before,
        driver(json!({"name": "d.example", "nodeID": "b"})),
        &[
            "spec.drivers: Invalid value: {\"name\":\"d.example\",\"nodeID\":\"b\",\"topologyKeys\":null}: field is immutable",
        ],
    );
}

#[test]
fn a_capacity_of_storage_is_of_a_class_and_not_negative() {
    check(
        "CSIStorageCapacity",
        json!({"storageClassName": "Fast", "capacity": "-1", "maximumVolumeSize": "-1"}),
        &[
            "storageClassName: Invalid value: \"Fast\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "capacity: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
    check_update(
        "CSIStorageCapacity",
        json!({}),
        json!({"storageClassName": "slow"}),
        &["storageClassName: Invalid value: \"slow\": field is immutable"],
    );
}

#[test]
fn a_load_balancer_of_an_ingress_has_an_address_or_a_name() {
    let row = super::row("Ingress");
    let object = json!({"status": {"loadBalancer": {"ingress": [{"ip": "x", "hostname": "1.1.1.1"}]}}});
    let root = api::field::Field::root(&object);
    let errors = row.strategy.validate_subresource(crate::row::Subresource::Status, &root, &Value::Null);
    let fields: Vec<String> = errors.into_iter().map(|error| error.field).collect();
    assert_eq!(fields, ["status.loadBalancer.ingress[0].ip", "status.loadBalancer.ingress[0].hostname"]);
}
