//! IP addresses and CIDRs.
//!
//! Upstream: apimachinery/pkg/util/validation/ip.go, pkg/apis/core/validation/validation.go (ValidateNonSpecialIP)
//! Left out: IPv4 octets with leading zeros, which upstream tolerates in fields older than 1.22, but for addresses of
//!   interfaces.

use std::net::IpAddr;

use api::field::{Field, FieldError};

use super::Errors;

const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NOT_A_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// The string must be an IP address.
pub(crate) fn ip(field: &Field<'_>, errors: &mut Errors) {
    if parse_ip(field.str()).is_none() {
        errors.push(field.invalid_value(field.str(), NOT_AN_IP));
    }
}

/// The string, whatever stands around it, must be a CIDR.
pub(crate) fn cidr(field: &Field<'_>, errors: &mut Errors) {
    errors.extend(cidr_mistake(field, field.str().trim()));
}

/// What is wrong with `text` as a CIDR, reported at `field`.
pub(crate) fn cidr_mistake(field: &Field<'_>, text: &str) -> Option<FieldError> {
    text.parse::<ipnet::IpNet>().is_err().then(|| field.invalid_value(text, NOT_A_CIDR))
}

/// What is wrong with the string as an address of an interface: an address and the length of its network, written as
/// they usually are.
pub(crate) fn interface_address(field: &Field<'_>, errors: &mut Errors) {
    match canonical_interface_address(field.str()) {
        None => {
            let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
            errors.push(field.invalid_value(field.str(), detail));
        }
        Some(canonical) if canonical != field.str() => {
            errors.push(field.invalid_value(field.str(), format!("must be in canonical form ({canonical:?})")));
        }
        Some(_) => {}
    }
}

/// How an address with the length of its network is usually written, if the text is one. Leading zeros are read.
fn canonical_interface_address(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let mut length: u32 = length.parse().ok().filter(|_| is_number)?;
    let octet = |octet: &str| match octet.trim_start_matches('0') {
        "" if !octet.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    let address = if address.contains(':') {
        parse_ip(address)?
    } else {
        parse_ip(&address.split('.').map(octet).collect::<Vec<_>>().join("."))?
    };
    if length > if address.is_ipv4() { 32 } else { 128 } {
        return None;
    }
    let address = address.to_canonical();
    if address.is_ipv4() && length > 32 {
        length -= 96;
    }
    Some(format!("{address}/{length}"))
}

pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// The address must be one that traffic can be sent to from elsewhere.
pub(crate) fn not_special(field: &Field<'_>, errors: &mut Errors) {
    let Some(address) = parse_ip(field.str()) else {
        errors.push(field.invalid_value(field.str(), "must be a valid IP address"));
        return;
    };
    if address.is_unspecified() {
        errors.push(field.invalid(format!("may not be unspecified ({})", field.str())));
    }
    if address.is_loopback() {
        errors.push(field.invalid("may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    let (link_local, multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    if link_local {
        errors.push(field.invalid("may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
    }
    if multicast {
        errors.push(field.invalid("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"));
    }
}

/// The addresses must be at most one of each family.
pub(crate) fn one_of_each_family(field: &Field<'_>, addresses: &[&str]) -> Option<FieldError> {
    if addresses.len() < 2 {
        return None;
    }
    let families: Vec<bool> = addresses.iter().filter_map(|each| parse_ip(each)).map(|each| each.is_ipv4()).collect();
    let both = families.contains(&true) && families.contains(&false) && addresses.len() == 2;
    (!both).then(|| field.invalid("may specify no more than one IP for each IP family"))
}
