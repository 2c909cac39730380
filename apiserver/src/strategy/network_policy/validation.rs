//! What a NetworkPolicy may be.
//!
//! Upstream: pkg/apis/networking/validation/validation.go (ValidateNetworkPolicy)
//! Left out: nothing.

use api::field::Field;

use crate::strategy::validation::{
    Errors, addresses::cidr_mistake, one_of, optional_one_of, port_or_name, selectors::label_selector,
};

/// The mistakes of a NetworkPolicy.
pub(super) fn policy(policy: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = policy.child("spec");
    label_selector(&spec.child("podSelector"), &mut errors);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.child(rules).items() {
            for port in rule.child("ports").items() {
                check_port(&port, &mut errors);
            }
            for peer in rule.child(peers).items() {
                check_peer(&peer, &mut errors);
            }
        }
    }
    let types = spec.child("policyTypes");
    if types.len() > 2 {
        errors.push(types.invalid("may not specify more than two policyTypes"));
        return errors;
    }
    for each in types.items() {
        one_of(&each, &["Egress", "Ingress"], &mut errors);
    }
    errors
}

fn check_port(port: &Field<'_>, errors: &mut Errors) {
    optional_one_of(&port.child("protocol"), &["SCTP", "TCP", "UDP"], errors);
    let (number, end) = (port.child("port"), port.child("endPort"));
    if number.is_absent() {
        if !end.is_absent() {
            errors.push(number.required("must be specified when `endPort` is specified"));
        }
        return;
    }
    port_or_name(&number, errors);
    if end.is_absent() {
        return;
    }
    match number.i64() {
        None => errors.push(end.invalid("must not be specified when `port` is non-numeric")),
        Some(first) if end.i64().unwrap_or_default() < first => {
            errors.push(end.invalid("must be greater than or equal to `port`"));
        }
        Some(_) => errors.extend(
            api::names::is_port_number(end.i64().unwrap_or_default()).into_iter().map(|wrong| end.invalid(wrong)),
        ),
    }
}

fn check_peer(peer: &Field<'_>, errors: &mut Errors) {
    let (pods, namespaces, block) = (peer.child("podSelector"), peer.child("namespaceSelector"), peer.child("ipBlock"));
    label_selector(&pods, errors);
    label_selector(&namespaces, errors);
    if !block.is_absent() {
        check_block(&block, errors);
    }
    let selects = !pods.is_absent() || !namespaces.is_absent();
    if !selects && block.is_absent() {
        errors.push(peer.required("must specify a peer"));
    } else if selects && !block.is_absent() {
        errors.push(peer.forbidden("may not specify both ipBlock and another peer"));
    }
}

fn check_block(block: &Field<'_>, errors: &mut Errors) {
    let cidr = block.child("cidr");
    if cidr.is_empty() {
        errors.push(cidr.required(""));
        return;
    }
    errors.extend(cidr_mistake(&cidr, cidr.str()));
    let Ok(whole) = cidr.str().parse::<ipnet::IpNet>() else { return };
    for except in block.child("except").items() {
        match except.str().parse::<ipnet::IpNet>() {
            Err(_) => errors.extend(cidr_mistake(&except, except.str())),
            Ok(part) if part.prefix_len() <= whole.prefix_len() || !whole.contains(&part.network()) => {
                errors.push(except.invalid("must be a strict subset of `cidr`"));
            }
            Ok(_) => {}
        }
    }
}
