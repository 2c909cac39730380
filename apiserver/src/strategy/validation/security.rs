//! Security contexts of pods and containers.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateSecurityContext, validatePodSpecSecurityContext)
//! Left out: nothing; privileged containers are allowed, as `--allow-privileged` allows them.

use std::collections::BTreeSet;

use api::field::Field;
use serde_json::Value;

use super::{Errors, key_to_path, one_of, operating_system, optional_one_of};

/// The largest user and group id.
const MAX_ID: i64 = i32::MAX as i64;
const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const SYSCTL: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const MAX_SYSCTL_LENGTH: usize = 253;

fn id(field: &Field<'_>, errors: &mut Errors) {
    super::in_range(field, 0, MAX_ID, errors);
}

/// Checks the context of a whole pod.
pub(crate) fn pod_context(context: &Field<'_>, spec: &Field<'_>, errors: &mut Errors) {
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&context.child(name), errors);
    }
    for group in context.child("supplementalGroups").items() {
        id(&group, errors);
    }
    let share = spec.child("shareProcessNamespace");
    if share.bool() && spec.child("hostPID").bool() {
        let at = context.alias("shareProcessNamespace", share.value);
        errors.push(at.invalid("ShareProcessNamespace and HostPID cannot both be enabled"));
    }
    sysctls(&context.child("sysctls"), spec, errors);
    optional_one_of(&context.child("fsGroupChangePolicy"), &["Always", "OnRootMismatch"], errors);
    seccomp_profile(&context.child("seccompProfile"), errors);
    operating_system::windows_options(&context.child("windowsOptions"), errors);
    app_armor_profile(&context.child("appArmorProfile"), errors);
    optional_one_of(&context.child("supplementalGroupsPolicy"), &["Merge", "Strict"], errors);
    optional_one_of(&context.child("seLinuxChangePolicy"), &["MountOption", "Recursive"], errors);
}

fn sysctls(sysctls: &Field<'_>, spec: &Field<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for sysctl in sysctls.items() {
        let name = sysctl.child("name");
        if name.is_empty() {
            errors.push(name.required(""));
        } else if !is_sysctl(name.str()) {
            errors.push(
                name.invalid(format!("must have at most {MAX_SYSCTL_LENGTH} characters and match regex {SYSCTL}")),
            );
        } else if seen.contains(name.str()) {
            errors.push(name.duplicate());
        }
        seen.insert(name.str().to_owned());
        let dotted = name.str().replace('/', ".");
        if spec.child("hostNetwork").bool() && dotted.starts_with("net.") {
            errors.push(name.invalid("may not be specified when 'hostNetwork' is true"));
        }
        let of_ipc =
            ["kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|each| dotted.starts_with(each));
        if spec.child("hostIPC").bool() && of_ipc {
            errors.push(name.invalid("may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let word = |word: &str| {
        let bytes = word.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(byte);
        outer(bytes.first()) && outer(bytes.last()) && bytes.iter().all(inner)
    };
    name.len() <= MAX_SYSCTL_LENGTH && name.split(['.', '/']).all(word)
}

fn seccomp_profile(profile: &Field<'_>, errors: &mut Errors) {
    if profile.is_absent() {
        return;
    }
    let (kind, local) = (profile.child("type"), profile.child("localhostProfile"));
    if kind.is_empty() {
        errors.push(kind.required("type is required when seccompProfile is set"));
    } else {
        one_of(&kind, &PROFILE_TYPES, errors);
    }
    match (kind.str(), local.is_absent()) {
        ("Localhost", true) => errors.push(local.required("must be set when seccomp type is Localhost")),
        ("Localhost", false) => key_to_path::descending(&local, errors),
        (_, false) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(local.invalid_value(profile.value.clone(), detail));
        }
        _ => {}
    }
}

fn app_armor_profile(profile: &Field<'_>, errors: &mut Errors) {
    const MAX_PROFILE_LENGTH: usize = 4095;
    if profile.is_absent() {
        return;
    }
    let (kind, local) = (profile.child("type"), profile.child("localhostProfile"));
    match kind.str() {
        "" => errors.push(kind.required("type is required when appArmorProfile is set")),
        "Localhost" if local.str().trim() != local.str() => {
            errors.push(local.invalid("must not be padded with whitespace"));
        }
        "Localhost" if local.is_empty() => errors.push(local.required("must be set when AppArmor type is Localhost")),
        "Localhost" if local.str().len() > MAX_PROFILE_LENGTH => errors.push(local.too_long(MAX_PROFILE_LENGTH)),
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" => {
            if !local.is_absent() {
                errors.push(local.invalid("can only be set when AppArmor type is Localhost"));
            }
        }
        _ => errors.push(kind.not_supported(&PROFILE_TYPES)),
    }
}

/// Checks the context of one container.
pub(crate) fn container_context(context: &Field<'_>, spec: &Value, errors: &mut Errors) {
    if context.is_absent() {
        return;
    }
    id(&context.child("runAsUser"), errors);
    id(&context.child("runAsGroup"), errors);
    let mount = context.child("procMount");
    if !mount.is_absent() {
        one_of(&mount, &["Default", "Unmasked"], errors);
        if mount.str() == "Unmasked" && spec["hostUsers"] != false {
            errors.push(mount.invalid("`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp_profile(&context.child("seccompProfile"), errors);
    if context.value["allowPrivilegeEscalation"] == false {
        if context.child("privileged").bool() {
            errors.push(context.invalid("cannot set `allowPrivilegeEscalation` to false and `privileged` to true"));
        }
        if context.child("capabilities").child("add").items().any(|each| each.str() == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(context.invalid(detail));
        }
    }
    operating_system::windows_options(&context.child("windowsOptions"), errors);
    app_armor_profile(&context.child("appArmorProfile"), errors);
}
