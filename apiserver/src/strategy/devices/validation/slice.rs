//! What devices a driver may offer.
//!
//! Upstream: pkg/apis/resource/validation/validation.go (ValidateResourceSlice and its update)
//! Left out: nothing.

use api::{field::Field, names};
use serde_json::Value;

use super::{device_name, pool_name, qualified_name, set};
use crate::strategy::validation::{
    Errors, affinity::node_selector, immutable, looks_like, volume_sources::csi_driver_name,
};

const MAX_DEVICES: usize = 128;
const MAX_ATTRIBUTES_AND_CAPACITIES: usize = 32;
const MAX_ATTRIBUTE_BYTES: usize = 64;
/// The longest domain, a slash, and the longest identifier.
const MAX_NAME_SHOWN: usize = 63 + 1 + 32;

/// The mistakes of a new ResourceSlice.
pub(crate) fn slice(slice: &Field<'_>) -> Errors {
    check(&slice.child("spec"), None)
}

/// The mistakes in a change of a ResourceSlice: whose it is stays.
pub(crate) fn update(slice: &Field<'_>, current: &Value) -> Errors {
    check(&slice.child("spec"), Some(&current["spec"]))
}

fn check(spec: &Field<'_>, before: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    csi_driver_name(&spec.child("driver"), &mut errors);
    let pool = spec.child("pool");
    pool_name(&pool.child("name"), &mut errors);
    let (count, generation) = (pool.child("resourceSliceCount"), pool.child("generation"));
    let slices = count.i64().unwrap_or_default();
    if slices <= 0 {
        errors.push(count.invalid_value(slices, "must be greater than zero"));
    }
    if generation.i64().is_some_and(|generation| generation < 0) {
        errors.push(generation.invalid("must be greater than or equal to zero"));
    }
    if let Some(before) = before {
        immutable(&pool.child("name"), &before["pool"]["name"], &mut errors);
        for name in ["driver", "nodeName"] {
            immutable(&spec.child(name), &before[name], &mut errors);
        }
    }
    where_it_is(spec, &mut errors);
    set(&spec.child("devices"), MAX_DEVICES, |each| each.child("name").str().to_owned(), &mut errors, device);
    errors
}

/// Which nodes have the devices is said in exactly one way.
fn where_it_is(spec: &Field<'_>, errors: &mut Errors) {
    let mut said = Vec::new();
    let (node, selector, all) = (spec.child("nodeName"), spec.child("nodeSelector"), spec.child("allNodes"));
    if !node.is_empty() {
        said.push("`nodeName`");
        looks_like(&node, names::is_dns1123_subdomain, errors);
    } else if !node.is_absent() {
        errors.push(node.invalid("must be either unset or set to a non-empty string"));
    }
    if !selector.is_absent() {
        said.push("`nodeSelector`");
        node_selector(&selector, errors);
        let terms = selector.child("nodeSelectorTerms");
        if terms.len() != 1 {
            errors.push(terms.invalid("must have exactly one node selector term"));
        }
    }
    if all.bool() {
        said.push("`allNodes`");
    } else if !all.is_absent() {
        errors.push(all.invalid("must be either unset or set to true"));
    }
    let rule = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match said.as_slice() {
        [] => errors.push(spec.required(rule)),
        [_] => {}
        _ => {
            let said = format!("{{{}}}", said.join(", "));
            errors.push(spec.invalid_value(said, format!("{rule}, but multiple fields are set")));
        }
    }
}

fn device(device: &Field<'_>, errors: &mut Errors) {
    device_name(&device.child("name"), errors);
    let (attributes, capacities) = (device.child("attributes"), device.child("capacity"));
    let both = attributes.len() + capacities.len();
    if both > MAX_ATTRIBUTES_AND_CAPACITIES {
        let detail =
            format!("the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES_AND_CAPACITIES}");
        errors.push(device.invalid_value(both, detail));
    }
    for (name, value) in attributes.entries() {
        let shown = shortened(name);
        let at = attributes.alias_key(&shown, value.value);
        qualified_name(&at, name, errors);
        attribute(&at, errors);
    }
    for (name, value) in capacities.entries() {
        let shown = shortened(name);
        qualified_name(&capacities.alias_key(&shown, value.value), name, errors);
    }
}

/// A name as mistakes in it are reported: of one that is too long its middle is left out.
fn shortened(name: &str) -> String {
    const GAP: &str = "...";
    if name.len() <= MAX_NAME_SHOWN {
        return name.to_owned();
    }
    let shown = MAX_NAME_SHOWN - GAP.len();
    let (start, end) = (shown.div_ceil(2), name.len() - shown / 2);
    let start = String::from_utf8_lossy(&name.as_bytes()[..start]);
    format!("{start}{GAP}{}", String::from_utf8_lossy(&name.as_bytes()[end..]))
}

/// An attribute has one value, of one of four types.
fn attribute(attribute: &Field<'_>, errors: &mut Errors) {
    let (text, version) = (attribute.child("string"), attribute.child("version"));
    if !version.is_absent() && !is_semantic_version(version.str()) {
        errors.push(version.invalid("must be a string compatible with semver.org spec 2.0.0"));
    }
    for field in [&text, &version] {
        if field.str().len() > MAX_ATTRIBUTE_BYTES {
            errors.push(field.too_long(MAX_ATTRIBUTE_BYTES));
        }
    }
    let given = ["bool", "int", "string", "version"].iter().filter(|name| !attribute.child(name).is_absent()).count();
    match given {
        0 => errors.push(attribute.invalid_value("", "exactly one value must be specified")),
        1 => {}
        _ => errors.push(attribute.invalid("exactly one value must be specified")),
    }
}

/// Whether the text is a version as semver.org has them: `1.2.3-alpha.1+build.5`.
fn is_semantic_version(text: &str) -> bool {
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    let is_pre_release = |part: &str| is_word(part) && (is_number(part) || !part.bytes().all(|b| b.is_ascii_digit()));
    let (version, build) = text.split_once('+').map_or((text, None), |(version, build)| (version, Some(build)));
    let (core, pre) = version.split_once('-').map_or((version, None), |(core, pre)| (core, Some(pre)));
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(is_pre_release))
        && build.is_none_or(|build| build.split('.').all(is_word))
}
