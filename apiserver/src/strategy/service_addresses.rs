//! ServiceCIDRs and IPAddresses: the ranges of cluster IPs, and who has which.
//!
//! Upstream: pkg/registry/networking/{servicecidr,ipaddress}/strategy.go,
//!   pkg/apis/networking/validation/validation.go
//! Left out: ranges beside the one of the command line; our allocator keeps its addresses in keys of its own.

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{NameRule, Strategy, keep_status, validation::immutable};

pub(crate) struct ServiceCidrs;

impl Strategy for ServiceCidrs {
    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spec = object.child("spec");
        let ranges = spec.child("cidrs");
        if ranges.is_empty() {
            errors.push(ranges.required("at least one CIDR required"));
        } else if ranges.len() > 2 {
            errors.push(ranges.invalid("may only hold up to 2 values"));
        }
        let mut families = Vec::new();
        for range in ranges.items() {
            match range.str().parse::<ipnet::IpNet>() {
                Err(_) => errors.push(range.invalid("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")),
                Ok(net) if net.trunc() != net => {
                    let detail = format!("must be a valid CIDR value, (e.g. {})", net.trunc());
                    errors.push(range.invalid(detail));
                }
                Ok(net) => families.push(net.addr().is_ipv4()),
            }
        }
        if families.len() == 2 && families[0] == families[1] {
            let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            errors.push(ranges.invalid(detail));
        }
        errors
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        immutable(&object.child("spec").child("cidrs"), &current["spec"]["cidrs"], &mut errors);
        errors
    }
}

pub(crate) struct IpAddresses;

impl Strategy for IpAddresses {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let metadata = object.child("metadata");
        let name = metadata.child("name");
        match name.str().parse::<std::net::IpAddr>() {
            Err(_) => {
                errors.push(name.invalid("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
            }
            Ok(ip) if ip.to_string() != name.str() => {
                errors.push(name.invalid(format!("must be in canonical form (\"{ip}\")")));
            }
            Ok(_) => {}
        }
        let spec = object.child("spec");
        let parent = spec.child("parentRef");
        if parent.is_absent() {
            errors.push(parent.required(""));
            return errors;
        }
        for field in ["resource", "name"] {
            let field = parent.child(field);
            if field.is_empty() {
                errors.push(field.required(""));
            }
        }
        errors
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        let mut errors = self.validate(object);
        immutable(&object.child("spec").child("parentRef"), &current["spec"]["parentRef"], &mut errors);
        errors
    }
}
