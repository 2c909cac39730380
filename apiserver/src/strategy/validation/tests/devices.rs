//! Device classes, claims and slices.

use api::field::Field;
use serde_json::{Value, json};

use super::{check, check_update, made, row, texts, valid};
use crate::row::Subresource;

/// The complaint about what is no DNS label.
const NO_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                        start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                        validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
/// The complaint about what is no identifier.
const NO_IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                             alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used \
                             for validation is '[A-Za-z_][A-Za-z0-9_]*')";
/// The complaint about a reference to a request that there is not.
const NO_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

fn claim(devices: Value) -> Value {
    json!({"spec": {"devices": devices}})
}

fn slice(devices: Value) -> Value {
    json!({"spec": {"devices": devices}})
}

#[test]
fn a_driver_is_told_an_object_of_bounded_length() {
    let class = |opaque: Value| json!({"spec": {"config": [{"opaque": opaque}]}});
    let at = "spec.config[0].opaque";
    check("DeviceClass", class(json!({"driver": "d.example", "parameters": {"a": 1}})), &[]);
    check("DeviceClass", class(Value::Null), &["spec.config[0].opaque: Required value"]);
    check("DeviceClass", class(json!({"driver": "d.example"})), &[&format!("{at}.parameters: Required value")]);
    check(
        "DeviceClass",
        class(json!({"driver": "d.example", "parameters": [1]})),
        &[&format!("{at}.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object")],
    );
    let long = class(json!({"driver": "d.example", "parameters": {"a": "x".repeat(10 << 10)}}));
    let too_long = format!("{at}.parameters: Too long: may not be more than 10240 bytes");
    check("DeviceClass", long.clone(), &[&too_long]);
    check_update("DeviceClass", long.clone(), json!({"metadata": {"labels": {"a": "b"}}}), &[]);
    check_update("DeviceClass", class(json!({"driver": "d.example", "parameters": {}})), long, &[&too_long]);
    let many: Vec<Value> = (0..33).map(|_| json!({})).collect();
    check("DeviceClass", json!({"spec": {"config": many}}), &["spec.config: Too many: 33: must have at most 32 items"]);
    let cel = json!([{"cel": {"expression": "x".repeat((10 << 10) + 1)}}, {}]);
    check(
        "DeviceClass",
        json!({"spec": {"selectors": cel}}),
        &[
            "spec.selectors[0].cel.expression: Too long: may not be more than 10240 bytes",
            "spec.selectors[1].cel: Required value",
        ],
    );
}

#[test]
fn a_claim_names_its_requests_once_and_refers_to_those_it_has() {
    let of_class = json!({"deviceClassName": "c.example"});
    let first = json!([
        {"name": "small", "deviceClassName": "c.example"},
        {"name": "small", "deviceClassName": "C", "allocationMode": "All", "count": 2},
    ]);
    check(
        "ResourceClaim",
        claim(json!({"requests": [
            {"name": "R", "exactly": of_class}, {"name": "a", "firstAvailable": first},
            {"name": "a", "exactly": {"allocationMode": "Some"}, "firstAvailable": first},
            {"name": "b", "exactly": {"deviceClassName": "c.example", "count": -1}},
        ]})),
        &[
            &format!("spec.devices.requests[0].name: Invalid value: \"R\": {NO_LABEL}"),
            "spec.devices.requests[1].firstAvailable[1].deviceClassName: Invalid value: \"C\": a lowercase RFC 1123 \
             subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an \
             alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.devices.requests[1].firstAvailable[1].count: Invalid value: 2: must not be specified when \
             allocationMode is 'All'",
            "spec.devices.requests[1].firstAvailable[1]: Duplicate value: \"small\"",
            "spec.devices.requests[2]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, \
             but multiple fields are set",
            "spec.devices.requests[3].exactly.count: Invalid value: -1: must be greater than zero",
            "spec.devices.requests[2]: Duplicate value: \"a\"",
        ],
    );
    let requests = json!([{"name": "a", "firstAvailable": [{"name": "x", "deviceClassName": "c.example"}]}]);
    let constraint = json!({"requests": ["a", "a/x", "a/y", "a/x/z", "b", "a"], "matchAttribute": "d.example/model"});
    check(
        "ResourceClaim",
        claim(json!({"requests": requests, "constraints": [constraint]})),
        &[
            &format!("spec.devices.constraints[0].requests[2]: Invalid value: \"a/y\": {NO_REQUEST}"),
            &format!("spec.devices.constraints[0].requests[3]: Invalid value: \"a/x/z\": {NO_REQUEST}"),
            &format!("spec.devices.constraints[0].requests[4]: Invalid value: \"b\": {NO_REQUEST}"),
            "spec.devices.constraints[0].requests[5]: Duplicate value: \"a\"",
        ],
    );
    let attribute = |name: Value| claim(json!({"constraints": [{"matchAttribute": name}]}));
    check("ResourceClaim", attribute(Value::Null), &["spec.devices.constraints[0].matchAttribute: Required value"]);
    check(
        "ResourceClaim",
        attribute(json!("model")),
        &["spec.devices.constraints[0].matchAttribute: Invalid value: \"model\": a fully qualified name must be a \
           domain and a name separated by a slash"],
    );
    check(
        "ResourceClaim",
        claim(json!({"config": [{"requests": ["q"], "opaque": {"driver": "d.example", "parameters": {}}}]})),
        &[&format!("spec.devices.config[0].requests[0]: Invalid value: \"q\": {NO_REQUEST}")],
    );
    check(
        "ResourceClaimTemplate",
        json!({"spec": {"metadata": {"name": "n", "labels": {"a": "b"}}}}),
        &["spec.metadata.name: Forbidden: cannot be set"],
    );
}

#[test]
fn a_slice_tells_its_nodes_in_one_way_and_its_devices_by_name() {
    let selector = json!({"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "b", "operator": "Exists"}]}]});
    check(
        "ResourceSlice",
        json!({"spec": {"nodeName": "", "allNodes": false, "nodeSelector": selector}}),
        &[
            "spec.nodeName: Invalid value: \"\": must be either unset or set to a non-empty string",
            &format!(
                "spec.nodeSelector.nodeSelectorTerms: Invalid value: {}: must have exactly one node selector term",
                selector["nodeSelectorTerms"]
            ),
            "spec.allNodes: Invalid value: false: must be either unset or set to true",
        ],
    );
    check(
        "ResourceSlice",
        json!({"spec": {"allNodes": true}}),
        &["spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, \
           `perDeviceNodeSelection` is required, but multiple fields are set"],
    );
    check(
        "ResourceSlice",
        json!({"spec": {"pool": {"name": "a/", "resourceSliceCount": null, "generation": -1}}}),
        &[
            "spec.pool.name: Invalid value: \"\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
        ],
    );
    let pool = vec!["a".repeat(63); 3].join(".");
    check(
        "ResourceSlice",
        json!({"spec": {"pool": {"name": format!("{pool}/{}", "b".repeat(62))}}}),
        &["spec.pool.name: Too long: may not be more than 253 bytes"],
    );
    check(
        "ResourceSlice",
        slice(json!([{"name": "A"}, {"name": "b"}, {"name": "b"}])),
        &[
            &format!("spec.devices[0].name: Invalid value: \"A\": {NO_LABEL}"),
            "spec.devices[2]: Duplicate value: \"b\"",
        ],
    );
    let many: Vec<Value> = (0..129).map(|at| json!({"name": format!("d{at}")})).collect();
    check("ResourceSlice", slice(json!(many)), &["spec.devices: Too many: 129: must have at most 128 items"]);
    check_update(
        "ResourceSlice",
        json!({}),
        json!({"spec": {"driver": "e.example", "nodeName": "m", "pool": {"name": "m"}}}),
        &[
            "spec.pool.name: Invalid value: \"m\": field is immutable",
            "spec.driver: Invalid value: \"e.example\": field is immutable",
            "spec.nodeName: Invalid value: \"m\": field is immutable",
        ],
    );
}

#[test]
fn attributes_and_capacities_are_named_by_identifiers_and_attributes_have_one_value() {
    let device = |attributes: Value, capacity: Value| {
        slice(json!([{"name": "a", "attributes": attributes, "capacity": capacity}]))
    };
    let fine = json!({
        "model": {"string": "x"}, "d.example/cores": {"int": 4}, "on": {"bool": false}, "a/b/c": {"bool": true},
        "driver": {"version": "1.2.3-alpha.1.x-y+build.05"}});
    check("ResourceSlice", device(fine, json!({"memory": {"value": "1Gi"}})), &[]);
    let refused = |name: &str, value: Value, causes: &[&str]| {
        let causes: Vec<String> = causes.iter().map(|cause| format!("spec.devices[0].attributes{cause}")).collect();
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        check("ResourceSlice", device(json!({name: value}), json!({})), &causes);
    };
    let yes = json!({"bool": true});
    refused("a-b", yes.clone(), &[&format!("[a-b]: Invalid value: \"a-b\": {NO_IDENTIFIER}")]);
    refused("/a", yes.clone(), &["[/a]: Invalid value: \"\": the domain must not be empty"]);
    refused("d.example/", yes.clone(), &["[d.example/]: Invalid value: \"\": the name must not be empty"]);
    refused(
        &"a".repeat(100),
        yes.clone(),
        &[&format!("[{}...{}]: Too long: may not be more than 32 bytes", "a".repeat(47), "a".repeat(46))],
    );
    refused("a", json!({}), &["[a]: Invalid value: \"\": exactly one value must be specified"]);
    refused(
        "a",
        json!({"int": 1, "string": "x"}),
        &["[a]: Invalid value: {\"int\":1,\"string\":\"x\"}: exactly one value must be specified"],
    );
    refused("a", json!({"string": "x".repeat(65)}), &["[a].string: Too long: may not be more than 64 bytes"]);
    for wrong in ["1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3-a..b", "1.2.3+a+b", "1.2.3 "] {
        let cause =
            format!("[a].version: Invalid value: \"{wrong}\": must be a string compatible with semver.org spec 2.0.0");
        refused("a", json!({"version": wrong}), &[&cause]);
    }
    let names: serde_json::Map<String, Value> = (0..30).map(|at| (format!("a{at}"), yes.clone())).collect();
    check(
        "ResourceSlice",
        device(json!(names), json!({"x": {"value": "1"}, "y": {"value": "1"}, "z": {"value": "1"}})),
        &["spec.devices[0]: Invalid value: 33: the total number of attributes and capacities must not exceed 32"],
    );
    check(
        "ResourceSlice",
        device(json!({}), json!({"1": {"value": "1"}})),
        &[&format!("spec.devices[0].capacity[1]: Invalid value: \"1\": {NO_IDENTIFIER}")],
    );
}

#[test]
fn what_features_that_are_off_would_add_is_dropped() {
    let spec = |kind: &str, part: Value| made(&row(kind), &part)["spec"].clone();
    assert_eq!(spec("DeviceClass", json!({"spec": {"extendedResourceName": "a.example/b"}})), json!({}));
    let device = json!({
        "name": "a", "taints": [{}], "consumesCounters": [{}], "nodeName": "n", "nodeSelector": {}, "allNodes": true,
        "bindsToNode": true, "bindingConditions": ["a"], "bindingFailureConditions": ["b"],
        "allowMultipleAllocations": true, "capacity": {"m": {"value": "1", "requestPolicy": {}}}});
    let part = json!({"spec": {"devices": [device], "sharedCounters": [{}], "perDeviceNodeSelection": true}});
    let kept = spec("ResourceSlice", part);
    assert_eq!(kept["devices"], json!([{"name": "a", "capacity": {"m": {"value": "1"}}}]));
    assert!(kept.get("sharedCounters").is_none() && kept.get("perDeviceNodeSelection").is_none());
    let asked = json!({"deviceClassName": "c.example", "tolerations": [{"key": "a"}], "capacity": {}});
    let devices = json!({
        "requests": [{"name": "r", "exactly": asked}, {"name": "s", "firstAvailable": [asked]}],
        "constraints": [{"distinctAttribute": "a.example/b"}]});
    let exactly = json!({"deviceClassName": "c.example", "allocationMode": "ExactCount", "count": 1});
    let kept_devices = json!({
        "requests": [{"name": "r", "exactly": exactly}, {"name": "s", "firstAvailable": [exactly]}],
        "constraints": [{}]});
    assert_eq!(spec("ResourceClaim", claim(devices.clone()))["devices"], kept_devices);
    let template = spec("ResourceClaimTemplate", json!({"spec": {"spec": {"devices": devices}}}));
    assert_eq!(template["spec"]["devices"], kept_devices);
}

/// A claim with one request, and the status that a write has left it with.
fn stored_claim(status: Value) -> Value {
    let mut claim = made(&row("ResourceClaim"), &json!({}));
    claim["status"] = status;
    claim
}

/// The status as it is stored, and the mistakes, of writing `status` over `before`.
fn write_status(before: Value, status: Value) -> (Value, Vec<String>) {
    let row = row("ResourceClaim");
    let current = stored_claim(before);
    let mut object = stored_claim(status);
    row.strategy.prepare_for_subresource(Subresource::Status, &mut object, &current);
    let errors = row.strategy.validate_subresource(Subresource::Status, &Field::root(&object), &current);
    (object["status"].clone(), texts(errors))
}

fn result(device: &str) -> Value {
    json!({"request": "r", "driver": "d.example", "pool": "p", "device": device})
}

#[test]
fn a_claims_allocation_is_of_its_requests_and_stays() {
    let allocation = |result: Value| json!({"allocation": {"devices": {"results": [result]}}});
    assert_eq!(write_status(json!({}), allocation(result("a"))).1, Vec::<String>::new());
    let (_, refused) = write_status(
        json!({}),
        json!({"allocation": {"devices": {
            "results": [{"request": "q", "driver": "d.example", "pool": "", "device": "D"}],
            "config": [{"requests": ["r"]}, {"source": "Me", "opaque": {"driver": "d.example", "parameters": {}}}]}}}),
    );
    let at = "status.allocation.devices";
    let expected = [
        format!("{at}.results[0].request: Invalid value: \"q\": {NO_REQUEST}"),
        format!("{at}.results[0].pool: Required value"),
        format!("{at}.results[0].device: Invalid value: \"D\": {NO_LABEL}"),
        format!("{at}.config[0].source: Required value"),
        format!("{at}.config[0].opaque: Required value"),
        format!("{at}.config[1].source: Unsupported value: \"Me\": supported values: \"FromClaim\", \"FromClass\""),
    ];
    assert_eq!(refused, expected);
    let (_, refused) = write_status(allocation(result("a")), allocation(result("b")));
    let shown = allocation(result("b"))["allocation"].to_string();
    assert_eq!(refused, [format!("status.allocation: Invalid value: {shown}: field is immutable")]);
}

#[test]
fn a_claim_is_reserved_while_it_is_allocated_and_not_on_its_way_out() {
    let allocated = json!({"devices": {"results": [result("a")]}});
    let user = |uid: &str| json!({"resource": "pods", "name": uid, "uid": uid});
    let status = |users: &[Value]| json!({"allocation": allocated, "reservedFor": users});
    let (_, refused) = write_status(json!({}), json!({"reservedFor": [user("u"), user("u"), {}]}));
    let expected = [
        "status.reservedFor[2].resource: Required value",
        "status.reservedFor[2].name: Required value",
        "status.reservedFor[2].uid: Required value",
        "status.reservedFor[1]: Duplicate value: \"u\"",
        "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
    ];
    assert_eq!(refused, expected);
    let row = row("ResourceClaim");
    let leaving = |users: &[Value]| {
        let mut claim = stored_claim(status(users));
        claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        claim
    };
    let write = |users: &[Value]| {
        let (object, current) = (leaving(users), leaving(&[user("u"), user("v")]));
        texts(row.strategy.validate_subresource(Subresource::Status, &Field::root(&object), &current))
    };
    assert_eq!(write(&[user("v")]), Vec::<String>::new());
    let expected = "status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or \
                    `deletionTimestamp` are set";
    assert_eq!(write(&[user("u"), user("w")]), [expected]);
}

#[test]
fn what_drivers_tell_is_about_devices_of_the_claim_and_goes_with_them() {
    let device = |device: &str, more: Value| {
        let mut told = json!({"driver": "d.example", "pool": "p", "device": device});
        json_patch::merge(&mut told, &more);
        told
    };
    let status = |allocated: &[&str], devices: &[Value]| {
        let results: Vec<Value> = allocated.iter().map(|name| result(name)).collect();
        json!({"allocation": {"devices": {"results": results}}, "devices": devices})
    };
    let before = status(&["a"], &[device("a", json!({}))]);
    let (_, refused) = write_status(
        before.clone(),
        status(&["a"], &[device("a", json!({"data": 1})), device("a", json!({})), device("b", json!({}))]),
    );
    let expected = [
        "status.devices[0].data: Invalid value: \"<value omitted>\": must be a valid JSON object",
        "status.devices[2]: Invalid value: \"d.example/p/b\": must be an allocated device in the claim",
        "status.devices[1]: Duplicate value: \"d.example/p/a\"",
    ];
    assert_eq!(refused, expected);
    let network = json!({
        "interfaceName": "x".repeat(257), "hardwareAddress": "y".repeat(129),
        "ips": ["300.9.8.0/24", "010.009.008.000/24", "2001:0db8::1/64", "10.9.8.1", "::1/129", "10.9.8.7/24"]});
    let (_, refused) = write_status(before.clone(), status(&["a"], &[device("a", json!({"networkData": network}))]));
    let at = "status.devices[0].networkData";
    let no_address = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
    let expected = [
        format!("{at}.interfaceName: Too long: may not be more than 256 bytes"),
        format!("{at}.hardwareAddress: Too long: may not be more than 128 bytes"),
        format!("{at}.ips[0]: Invalid value: \"300.9.8.0/24\": {no_address}"),
        format!("{at}.ips[1]: Invalid value: \"010.009.008.000/24\": must be in canonical form (\"10.9.8.0/24\")"),
        format!("{at}.ips[2]: Invalid value: \"2001:0db8::1/64\": must be in canonical form (\"2001:db8::1/64\")"),
        format!("{at}.ips[3]: Invalid value: \"10.9.8.1\": {no_address}"),
        format!("{at}.ips[4]: Invalid value: \"::1/129\": {no_address}"),
    ];
    assert_eq!(refused, expected);
    let conditions = json!([
        {"type": "Ready", "status": "Maybe", "reason": "a b", "observedGeneration": -1},
        {"type": "Ready", "status": "True", "reason": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let (_, refused) = write_status(before.clone(), status(&["a"], &[device("a", json!({"conditions": conditions}))]));
    let at = "status.devices[0].conditions";
    let expected = [
        format!("{at}[0].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\""),
        format!("{at}[0].observedGeneration: Invalid value: -1: must be greater than or equal to zero"),
        format!("{at}[0].lastTransitionTime: Required value: must be set"),
        format!(
            "{at}[0].reason: Invalid value: \"a b\": a condition reason must start with alphabetic character, \
             optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric \
             character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or \
             'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
        ),
        format!("{at}[1].type: Duplicate value: \"Ready\""),
        format!("{at}[1].reason: Required value: must be set"),
    ];
    assert_eq!(refused, expected);
    let (kept, refused) = write_status(before.clone(), json!({"devices": before["devices"]}));
    assert_eq!((kept, refused), (json!({}), Vec::new()));
    let mut shared = before;
    shared["allocation"]["devices"]["results"][0]["shareID"] = "s".into();
    shared["devices"][0]["shareID"] = "s".into();
    let (kept, _) = write_status(json!({}), shared);
    assert_eq!(kept, status(&["a"], &[device("a", json!({}))]));
}

#[test]
fn a_driver_with_capitals_is_warned_about() {
    let mut slice = valid("ResourceSlice");
    slice["spec"]["driver"] = "D.example".into();
    let expected = "spec.driver: driver names should be lowercase; \"D.example\" contains uppercase characters";
    assert_eq!(row("ResourceSlice").strategy.warnings(&slice), [expected]);
    assert_eq!(row("ResourceSlice").strategy.warnings(&valid("ResourceSlice")), Vec::<String>::new());
}
