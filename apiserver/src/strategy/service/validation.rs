//! What a Service may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateService, ValidateServiceUpdate)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{
    field::{Field, FieldError},
    names,
    object::Object as _,
};
use serde_json::{Value, json};

use crate::{
    operations::metadata::validate_labels,
    strategy::validation::{
        Errors, addresses, looks_like, one_of, optional_like, port_number, port_or_name, required, required_one_of,
    },
};

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const ONLY_LOAD_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";

/// The mistakes of a new Service.
pub(super) fn create(service: &Field<'_>) -> Errors {
    self::service(service, &Value::Null)
}

/// The mistakes of a Service; `current` is what it was, if it was.
fn service(service: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = service.child("spec");
    let kind = spec.child("type");
    let ports = spec.child("ports");
    let headless = is_headless(spec.value);
    topology_annotations(service, &mut errors);
    if ports.is_empty() && !headless && kind.str() != "ExternalName" {
        errors.push(ports.required(""));
    }
    match kind.str() {
        "LoadBalancer" | "NodePort" if headless => {
            let list = spec.child("clusterIPs");
            let detail = format!("may not be set to 'None' for {} services", kind.str());
            errors.push(list.index(0).invalid(detail));
        }
        "ExternalName" => external_name(&spec, &mut errors),
        _ => {}
    }
    check_ports(&ports, &mut errors);
    validate_labels(&spec.child("selector"), &mut errors);
    session_affinity(&spec, &mut errors);
    errors.extend(cluster_ips(&spec));
    for ip in spec.child("externalIPs").items() {
        let before = errors.len();
        addresses::ip(&ip, &mut errors);
        if errors.len() == before {
            addresses::not_special(&ip, &mut errors);
        }
    }
    required_one_of(&kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], &mut errors);
    unique_ports(&ports, kind.str(), &mut errors);
    source_ranges(service, current, &mut errors);
    load_balancer(&spec, &mut errors);
    traffic_policies(&spec, &mut errors);
    errors
}

fn is_headless(spec: &Value) -> bool {
    spec["clusterIPs"] == json!(["None"])
}

fn topology_annotations(service: &Field<'_>, errors: &mut Errors) {
    const MODE: &str = "service.kubernetes.io/topology-mode";
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let metadata = service.child("metadata");
    let annotations = metadata.child("annotations");
    let (mode, hints) = (annotations.key(MODE), annotations.key(HINTS));
    if !mode.is_absent() && !hints.is_absent() && mode.value != hints.value {
        errors.push(mode.invalid(format!("must match annotations[{HINTS}] when both are specified")));
    }
}

fn external_name(spec: &Field<'_>, errors: &mut Errors) {
    for name in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let field = spec.child(name);
        if !field.is_empty() {
            errors.push(field.forbidden("may not be set for ExternalName services"));
        }
    }
    let name = spec.child("externalName");
    let without_dot = name.str().strip_suffix('.').unwrap_or(name.str());
    if without_dot.is_empty() {
        errors.push(name.required(""));
    } else {
        let mistakes = names::is_dns1123_subdomain(without_dot);
        errors.extend(mistakes.into_iter().map(|wrong| name.invalid_value(without_dot, wrong)));
    }
}

fn check_ports(ports: &Field<'_>, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for port in ports.items() {
        let name = port.child("name");
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(name.required(""));
            }
        } else {
            looks_like(&name, names::is_dns1123_label, errors);
            if !names.insert(name.str().to_owned()) {
                errors.push(name.duplicate());
            }
        }
        let number = port.child("port");
        port_number(&number, number.i64().unwrap_or_default(), errors);
        required_one_of(&port.child("protocol"), &["SCTP", "TCP", "UDP"], errors);
        port_or_name(&port.child("targetPort"), errors);
        let protocol = port.child("appProtocol");
        if !protocol.is_absent() {
            looks_like(&protocol, names::is_qualified_name, errors);
        }
    }
}

fn unique_ports(ports: &Field<'_>, kind: &str, errors: &mut Errors) {
    let (mut node_ports, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for port in ports.items() {
        let node_port = port.child("nodePort");
        let Some(number) = node_port.i64().filter(|number| *number != 0) else { continue };
        if kind == "ClusterIP" {
            errors.push(node_port.forbidden("may not be used when `type` is 'ClusterIP'"));
        }
        if !node_ports.insert((port.child("protocol").str().to_owned(), number)) {
            errors.push(node_port.duplicate());
        }
    }
    for port in ports.items() {
        let key = (port.child("protocol").str().to_owned(), port.child("port").i64().unwrap_or_default());
        if !numbers.insert(key.clone()) {
            // Upstream shows the port as its internal struct, with only what made it a duplicate.
            let shown = json!({"Name": "", "Protocol": key.0, "AppProtocol": null, "Port": key.1, "TargetPort": 0, "NodePort": 0});
            errors.push(port.duplicate_value(shown));
        }
    }
}

fn session_affinity(spec: &Field<'_>, errors: &mut Errors) {
    const LONGEST_SECONDS: i64 = 86_400;
    let (affinity, config) = (spec.child("sessionAffinity"), spec.child("sessionAffinityConfig"));
    required_one_of(&affinity, &["ClientIP", "None"], errors);
    if affinity.str() == "None" && !config.is_absent() {
        errors.push(config.forbidden("must not be set when session affinity is None"));
    }
    if affinity.str() != "ClientIP" {
        return;
    }
    let client = config.child("clientIP");
    let timeout = client.child("timeoutSeconds");
    for field in [&config, &client, &timeout] {
        if field.is_absent() {
            errors.push(field.required("when session affinity type is ClientIP"));
            return;
        }
    }
    if timeout.i64().is_some_and(|seconds| !(1..=LONGEST_SECONDS).contains(&seconds)) {
        errors.push(timeout.invalid(format!("must be greater than 0 and less than {LONGEST_SECONDS}")));
    }
}

/// The mistakes in cluster IPs and families. Upstream looks at these before it allocates anything, so they are
/// reported alone.
pub(crate) fn cluster_ips(spec: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    if spec.child("type").str() == "ExternalName" {
        return errors;
    }
    let (first, list) = (spec.child("clusterIP"), spec.child("clusterIPs"));
    if first.is_empty() {
        if !list.is_empty() {
            errors.push(list.invalid("must be empty when `clusterIP` is not specified"));
        }
    } else if list.is_empty() {
        errors.push(list.required(""));
    } else if list.index(0).str() != first.str() {
        errors.push(list.invalid("first value must match `clusterIP`"));
    }
    let families = spec.child("ipFamilies");
    let mut seen = BTreeSet::new();
    for family in families.items() {
        one_of(&family, &FAMILIES, &mut errors);
        if !seen.insert(family.str().to_owned()) {
            errors.push(family.duplicate());
        }
    }
    let policy = spec.child("ipFamilyPolicy");
    if !policy.is_absent() {
        one_of(&policy, &["PreferDualStack", "RequireDualStack", "SingleStack"], &mut errors);
    }
    let before = errors.len();
    for (index, ip) in list.items().enumerate() {
        if index == 0 && ip.str() == "None" {
            if list.len() > 1 {
                errors.push(list.invalid("'None' must be the first and only value"));
            }
        } else {
            addresses::ip(&ip, &mut errors);
        }
    }
    let unreadable = errors.len() > before;
    if list.len() > 2 {
        errors.push(list.invalid("may only hold up to 2 values"));
    }
    if unreadable {
        return errors;
    }
    let texts: Vec<&str> = list.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    errors.extend(addresses::one_of_each_family(&list, &texts));
    for (index, ip) in list.items().enumerate() {
        let family = families.index(index);
        let Some(address) = addresses::parse_ip(ip.str()) else { continue };
        let expected = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        if FAMILIES.contains(&family.str()) && family.str() != expected {
            let detail = format!("expected an {} value as indicated by `ipFamilies[{index}]`", family.str());
            errors.push(ip.invalid(detail));
        }
    }
    errors
}

/// Whom a load balancer serves, said in the field or, as before there was one, in an annotation; blanks do not count.
fn source_ranges(service: &Field<'_>, current: &Value, errors: &mut Errors) {
    const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let is_load_balancer = service.value["spec"]["type"] == "LoadBalancer";
    let (spec, metadata) = (service.child("spec"), service.child("metadata"));
    let ranges = spec.alias("LoadBalancerSourceRanges", &service.value["spec"]["loadBalancerSourceRanges"]);
    let annotations = metadata.child("annotations");
    let annotation = annotations.key(ANNOTATION);
    let given = if ranges.is_empty() { &annotation } else { &ranges };
    if !given.is_absent() && !is_load_balancer {
        errors.push(given.forbidden(ONLY_LOAD_BALANCERS));
    }
    if !ranges.is_empty() {
        ranges.items().for_each(|range| addresses::cidr(&range, errors));
    } else if annotation.value.as_str() != current.annotation(ANNOTATION) && !annotation.str().trim().is_empty() {
        let texts = annotation.str().trim().split(',').map(str::trim);
        errors.extend(texts.filter_map(|text| addresses::cidr_mistake(&annotation, text)));
    }
}

fn load_balancer(spec: &Field<'_>, errors: &mut Errors) {
    let is_one = spec.child("type").str() == "LoadBalancer";
    let allocate = spec.child("allocateLoadBalancerNodePorts");
    if !is_one && !allocate.is_absent() {
        errors.push(allocate.forbidden(ONLY_LOAD_BALANCERS));
    }
    let class = spec.child("loadBalancerClass");
    if is_one {
        optional_like(&class, names::is_qualified_name, errors);
    } else if !class.is_absent() {
        errors.push(class.forbidden(ONLY_LOAD_BALANCERS));
    }
}

fn is_externally_accessible(spec: &Field<'_>) -> bool {
    match spec.child("type").str() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec.child("externalIPs").is_empty(),
        _ => false,
    }
}

fn needs_health_check(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn traffic_policies(spec: &Field<'_>, errors: &mut Errors) {
    let external = spec.child("externalTrafficPolicy");
    if is_externally_accessible(spec) {
        required_one_of(&external, &["Cluster", "Local"], errors);
    } else if !external.is_empty() {
        errors.push(external.invalid("may only be set for externally-accessible services"));
    }
    let port = spec.child("healthCheckNodePort");
    let number = port.i64().unwrap_or_default();
    if needs_health_check(spec.value) {
        if number == 0 {
            errors.push(port.required(""));
        } else {
            port_number(&port, number, errors);
        }
    } else if number != 0 {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(port.invalid(detail));
    }
    let internal = spec.child("internalTrafficPolicy");
    if !internal.is_absent() {
        one_of(&internal, &["Cluster", "Local"], errors);
    } else if matches!(spec.child("type").str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        required(&internal, errors);
    }
    let distribution = spec.child("trafficDistribution");
    if !distribution.is_absent() {
        one_of(&distribution, &["PreferClose", "PreferSameNode", "PreferSameZone"], errors);
    }
}

/// The mistakes in a change of a Service.
pub(super) fn update(service: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, before) = (service.child("spec"), &current["spec"]);
    cluster_ips_update(&spec, before, &mut errors);
    families_update(&spec, before, &mut errors);
    let class = spec.child("loadBalancerClass");
    let both = |kind: &str| spec.value["type"] == kind && before["type"] == kind;
    if both("LoadBalancer") && class.value != &before["loadBalancerClass"] {
        errors.push(class.invalid("may not change once set"));
    }
    let port = spec.child("healthCheckNodePort");
    if needs_health_check(spec.value) && needs_health_check(before) && port.value != &before["healthCheckNodePort"] {
        errors.push(port.forbidden("field is immutable"));
    }
    errors.extend(self::service(service, current));
    errors
}

fn cluster_ips_update(spec: &Field<'_>, before: &Value, errors: &mut Errors) {
    if spec.value["type"] == "ExternalName" || before["type"] == "ExternalName" {
        return;
    }
    if is_headless(spec.value) && is_headless(before) {
        return;
    }
    let list = spec.child("clusterIPs");
    let had = before["clusterIPs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown =
        |index: usize, detail: &str| FieldError { value: list.value.clone(), ..list.index(index).invalid(detail) };
    let changed = |index: usize| list.value.get(index).is_some_and(|ip| Some(ip) != had.get(index));
    if had.len() == list.len() {
        errors.extend(
            (0..had.len()).filter(|index| changed(*index)).map(|index| shown(index, "may not change once set")),
        );
        return;
    }
    if had.len() > list.len() && list.is_empty() {
        errors.push(shown(0, "primary clusterIP can not be unset"));
    }
    if !had.is_empty() && changed(0) {
        errors.push(shown(0, "may not change once set"));
    }
    if had.len() > list.len() && list.len() == 1 {
        released(spec, "clusterIP", errors);
    }
}

fn released(spec: &Field<'_>, what: &str, errors: &mut Errors) {
    let policy = spec.child("ipFamilyPolicy");
    if policy.str() != "SingleStack" {
        errors.push(policy.invalid(format!("must be set to 'SingleStack' when releasing the secondary {what}")));
    }
}

fn families_update(spec: &Field<'_>, before: &Value, errors: &mut Errors) {
    let external = spec.value["type"] == "ExternalName" || before["type"] == "ExternalName";
    if external || is_headless(spec.value) || is_headless(before) {
        return;
    }
    let list = spec.child("ipFamilies");
    let had = before["ipFamilies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let at_first = |detail: &str| FieldError { value: list.value.clone(), ..list.index(0).invalid(detail) };
    let same_length = had.len() == list.len();
    let compared = if same_length { had.len() } else { had.len().min(list.len()).min(1) };
    for (index, family) in had.iter().enumerate().take(compared) {
        if list.index(index).value != family {
            errors.push(at_first("may not change once set"));
        }
    }
    if had.len() > list.len() && list.len() == 1 {
        released(spec, "ipFamily", errors);
    }
}

/// The mistakes in a change of a Service's status.
pub(super) fn status(service: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = service.child("status");
    let balancer = status.child("loadBalancer");
    let ingresses = balancer.child("ingress");
    if service.value["spec"]["type"] != "LoadBalancer" && !ingresses.is_empty() {
        return vec![ingresses.forbidden("may only be used when `spec.type` is 'LoadBalancer'")];
    }
    for ingress in ingresses.items() {
        let (ip, mode, name) = (ingress.child("ip"), ingress.child("ipMode"), ingress.child("hostname"));
        if !ip.is_empty() {
            addresses::ip(&ip, &mut errors);
        }
        match (ip.is_empty(), mode.is_absent()) {
            (false, true) => errors.push(mode.required("must be specified when `ip` is set")),
            (true, false) => errors.push(mode.forbidden("may not be specified when `ip` is not set")),
            (false, false) => one_of(&mode, &["Proxy", "VIP"], &mut errors),
            (true, true) => {}
        }
        if !name.is_empty() {
            looks_like(&name, names::is_dns1123_subdomain, &mut errors);
            if addresses::parse_ip(name.str()).is_some() {
                errors.push(name.invalid("must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}
