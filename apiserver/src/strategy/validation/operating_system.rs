//! What a pod may say that is for one operating system only, and Windows' own options.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validateOS, validateLinux, validateWindows,
//!   validateWindowsSecurityContextOptions, validateWindowsHostProcessPod)
//! Left out: nothing.

use api::{
    field::{Field, FieldError},
    names,
};
use serde_json::Value;

use super::{Errors, looks_like};

/// The fields of a pod's and of a container's security context that mean nothing on Windows, in the order of errors.
/// Those of a pod with a dot before them stand in its spec itself.
const NOT_OF_WINDOWS_PODS: [&str; 15] = [
    "appArmorProfile",
    "seLinuxOptions",
    ".hostUsers",
    ".hostPID",
    ".hostIPC",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    ".shareProcessNamespace",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];
const NOT_OF_WINDOWS_CONTAINERS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];
const ON_WINDOWS: &str = "cannot be set for a windows pod";
const ON_LINUX: &str = "windows options cannot be set for a linux pod";

/// Checks the system that a pod's spec names, if it does, and that nothing in the spec is for the other one.
pub(crate) fn rules_of(spec: &Field<'_>, errors: &mut Errors) {
    let os = spec.child("os");
    if os.is_absent() {
        return;
    }
    let name = os.child("name");
    match name.str() {
        "" => errors.push(name.required("cannot be empty")),
        "linux" => on_linux(spec, errors),
        "windows" => on_windows(spec, errors),
        other => errors.push(FieldError { value: other.into(), ..os.not_supported(&["linux", "windows"]) }),
    }
}

fn on_linux(spec: &Field<'_>, errors: &mut Errors) {
    let context = spec.child("securityContext");
    let options = context.child("windowsOptions");
    if !options.is_absent() {
        errors.push(options.forbidden(ON_LINUX));
    }
    each_context(spec, |context| {
        let options = context.child("windowsOptions");
        if !options.is_absent() {
            errors.push(options.forbidden(ON_LINUX));
        }
    });
}

fn on_windows(spec: &Field<'_>, errors: &mut Errors) {
    let context = spec.child("securityContext");
    for name in NOT_OF_WINDOWS_PODS {
        let field = name.strip_prefix('.').map_or_else(|| context.child(name), |name| spec.child(name));
        let is_set = match name {
            ".hostPID" | ".hostIPC" => field.bool(),
            "sysctls" => !field.is_empty(),
            _ => !field.is_absent(),
        };
        if is_set {
            errors.push(field.forbidden(ON_WINDOWS));
        }
    }
    each_context(spec, |context| {
        for name in NOT_OF_WINDOWS_CONTAINERS {
            let field = context.child(name);
            if !field.is_absent() {
                errors.push(field.forbidden(ON_WINDOWS));
            }
        }
    });
}

/// The security context of every container, in upstream's order; an absent one is a cursor on nothing.
fn each_context(spec: &Field<'_>, mut look: impl FnMut(&Field<'_>)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.child(list).items() {
            look(&container.child("securityContext"));
        }
    }
}

/// Checks containers that are processes of a Windows host: all of a pod are, or none, and they have its network.
pub(crate) fn host_processes(spec: &Field<'_>, errors: &mut Errors) {
    let of_pod = spec.value["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let (mut containers, mut on_host) = (0, 0);
    each_context(spec, |context| {
        containers += 1;
        let options = context.child("windowsOptions");
        if options.is_absent() && of_pod.is_none() {
            return;
        }
        let own = options.child("hostProcess");
        if let (Some(of_pod), Some(of_container)) = (of_pod, own.value.as_bool())
            && of_pod != of_container
        {
            let detail = format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            errors.push(own.invalid(detail));
        }
        if own.value.as_bool().or(of_pod) == Some(true) {
            on_host += 1;
        }
    });
    if on_host == 0 {
        return;
    }
    if on_host != containers {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(spec.invalid_value("", detail));
    }
    let network = spec.child("hostNetwork");
    if !network.bool() {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(network.invalid_value(false, detail));
    }
}

/// Checks the options of a security context that only Windows knows.
pub(crate) fn windows_options(options: &Field<'_>, errors: &mut Errors) {
    const MAX_CREDENTIAL_SPEC_KIB: usize = 64;
    if options.is_absent() {
        return;
    }
    let spec_name = options.child("gmsaCredentialSpecName");
    if !spec_name.is_absent() {
        looks_like(&spec_name, names::is_dns1123_subdomain, errors);
    }
    let spec = options.child("gmsaCredentialSpec");
    if !spec.is_absent() {
        if spec.is_empty() {
            errors.push(spec.invalid("gmsaCredentialSpec cannot be an empty string"));
        } else if spec.str().len() > MAX_CREDENTIAL_SPEC_KIB * 1024 {
            let detail = format!("gmsaCredentialSpec size must be under {MAX_CREDENTIAL_SPEC_KIB} KiB");
            errors.push(spec.invalid(detail));
        }
    }
    let user = options.child("runAsUserName");
    if let Value::String(name) = user.value {
        errors.extend(user_name_mistakes(name).into_iter().map(|detail| user.invalid(detail)));
    }
}

/// What is wrong with `USER` or `DOMAIN\USER`.
fn user_name_mistakes(name: &str) -> Vec<String> {
    const DOMAIN_LENGTH: usize = 256;
    const USER_LENGTH: usize = 104;
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string".to_owned()];
    }
    if name.bytes().any(|byte| byte.is_ascii_control()) {
        return vec!["runAsUserName cannot contain control characters".to_owned()];
    }
    let (domain, user) = match name.split('\\').collect::<Vec<_>>()[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return vec!["runAsUserName cannot contain more than one backslash".to_owned()],
    };
    let mut mistakes = Vec::new();
    let mut note = |is_wrong: bool, mistake: &str| {
        if is_wrong {
            mistakes.push(format!("runAsUserName's {mistake}"));
        }
    };
    if let Some(domain) = domain {
        let too_long = format!("Domain length must be under {DOMAIN_LENGTH} characters");
        note(domain.len() >= DOMAIN_LENGTH, &too_long);
        note(!is_netbios(domain) && !is_dns(domain), "Domain doesn't match the NetBios nor the DNS format");
    }
    note(user.is_empty(), "User cannot be empty");
    let too_long = format!("User length must not be longer than {USER_LENGTH} characters");
    note(user.len() > USER_LENGTH, &too_long);
    let only_dots = !user.is_empty() && user.bytes().all(|byte| matches!(byte, b'.' | b' '));
    note(only_dots, "User cannot contain only periods or spaces");
    let bad = user.contains(|letter| "\"/\\:;|=,+*?<>@[]".contains(letter));
    note(bad, r#"User cannot contain the following characters: "/\:;|=,+*?<>@[]"#);
    mistakes
}

fn is_netbios(domain: &str) -> bool {
    const MAX_LENGTH: usize = 15;
    let bad = |letter: char| "\\/:*?\"<>|".contains(letter);
    (1..=MAX_LENGTH).contains(&domain.chars().count()) && !domain.contains(bad) && !domain.starts_with('.')
}

fn is_dns(domain: &str) -> bool {
    const MAX_LABEL: usize = 63;
    domain.split('.').all(|label| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}
