//! Decides under which rights a container runs.
//!
//! Upstream: pkg/kubelet/kuberuntime/security_context.go, pkg/securitycontext
//! Left out: SELinux, AppArmor profiles loaded by name, Windows.

use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile, SecurityContext};
use proto::cri::security_profile::ProfileType;
use proto::cri::{
    Capability, Int64Value, LinuxContainerSecurityContext, NamespaceOption, SecurityProfile, SupplementalGroupsPolicy,
};

/// What the image says about its user: a number, or a name that only the image's own files can resolve.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ImageUser {
    #[default]
    Root,
    Uid(i64),
    Name(String),
}

/// Paths hidden and write-protected in containers with the default view of /proc, as upstream's runtime defaults.
const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub fn is_privileged(container: &Container) -> bool {
    container.security_context.as_ref().and_then(|context| context.privileged) == Some(true)
}

/// The rights of a container: its own context first, then its pod's, then its image's.
///
/// # Errors
/// `runAsNonRoot` can't be kept; the text is the message of `CreateContainerConfigError`.
pub fn context(
    pod: &Pod,
    container: &Container,
    user: &ImageUser,
    namespaces: NamespaceOption,
) -> Result<LinuxContainerSecurityContext, String> {
    let own = container.security_context.clone().unwrap_or_default();
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let run_as_user = own.run_as_user.or(of_pod.run_as_user);
    let run_as_group = own.run_as_group.or(of_pod.run_as_group);
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        must_not_be_root(pod, container, run_as_user, user)?;
    }
    let image_uid = match user {
        ImageUser::Uid(uid) => Some(*uid),
        _ => None,
    };
    let image_name = match user {
        ImageUser::Name(name) if run_as_user.is_none() => name.clone(),
        _ => String::new(),
    };
    // A group needs a user beside it; without any the runtime takes the image's, which is root if it says nothing.
    let uid = run_as_user.or(image_uid).or((run_as_group.is_some() && image_name.is_empty()).then_some(0));
    let mut groups: Vec<i64> = of_pod.fs_group.into_iter().collect();
    groups.extend(of_pod.supplemental_groups.iter().flatten());
    let strict = of_pod.supplemental_groups_policy.as_deref() == Some("Strict");
    let privileged = own.privileged == Some(true);
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths =
        |paths: &[&str]| if unmasked { Vec::new() } else { paths.iter().map(|path| path.to_string()).collect() };
    Ok(LinuxContainerSecurityContext {
        capabilities: Some(capabilities(&own)),
        privileged,
        namespace_options: Some(namespaces),
        run_as_user: uid.map(|value| Int64Value { value }),
        run_as_group: run_as_group.map(|value| Int64Value { value }),
        run_as_username: if uid.is_some() { String::new() } else { image_name },
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups,
        supplemental_groups_policy: if strict {
            SupplementalGroupsPolicy::Strict
        } else {
            SupplementalGroupsPolicy::Merge
        } as i32,
        no_new_privs: no_new_privileges(&own),
        masked_paths: paths(&MASKED_PATHS),
        readonly_paths: paths(&READONLY_PATHS),
        seccomp: Some(seccomp(own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref()))),
        ..Default::default()
    })
}

fn must_not_be_root(pod: &Pod, container: &Container, asked: Option<i64>, user: &ImageUser) -> Result<(), String> {
    let subject = format!(
        "(pod: \"{}_{}({})\", container: {})",
        crate::pod_spec::name(pod),
        crate::pod_spec::namespace(pod),
        crate::pod_spec::uid(pod),
        container.name
    );
    match (asked, user) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy {subject}")),
        (Some(_), _) => Ok(()),
        (None, ImageUser::Uid(0) | ImageUser::Root) => {
            Err(format!("container has runAsNonRoot and image will run as root {subject}"))
        }
        (None, ImageUser::Uid(_)) => Ok(()),
        (None, ImageUser::Name(name)) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {subject}"
        )),
    }
}

fn capabilities(context: &SecurityContext) -> Capability {
    let asked = context.capabilities.clone().unwrap_or_default();
    Capability {
        add_capabilities: asked.add.unwrap_or_default(),
        drop_capabilities: asked.drop.unwrap_or_default(),
        ..Default::default()
    }
}

/// Set when escalation is forbidden; a privileged container can't forbid it.
fn no_new_privileges(context: &SecurityContext) -> bool {
    context.allow_privilege_escalation == Some(false) && context.privileged != Some(true)
}

fn seccomp(profile: Option<&SeccompProfile>) -> SecurityProfile {
    let kind = |kind: ProfileType| SecurityProfile { profile_type: kind as i32, localhost_ref: String::new() };
    match profile.map(|profile| (profile.type_.as_str(), profile.localhost_profile.clone())) {
        Some(("RuntimeDefault", _)) => kind(ProfileType::RuntimeDefault),
        Some(("Localhost", path)) => {
            SecurityProfile { profile_type: ProfileType::Localhost as i32, localhost_ref: path.unwrap_or_default() }
        }
        _ => kind(ProfileType::Unconfined),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(pod_context: Value, own: Value, user: ImageUser) -> Result<LinuxContainerSecurityContext, String> {
        let container = json!({ "name": "main", "securityContext": own });
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "uid": "u1" },
            "spec": { "containers": [container], "securityContext": pod_context },
        }))
        .expect("a pod");
        context(&pod, &crate::pod_spec::containers(&pod)[0], &user, NamespaceOption::default())
    }

    #[test]
    fn non_root_is_refused_for_an_image_of_root() {
        let refusal = check(json!({ "runAsNonRoot": true }), json!({}), ImageUser::Root).expect_err("root");
        assert!(refusal.starts_with("container has runAsNonRoot and image will run as root (pod: \"web_default(u1)\""));
    }

    #[test]
    fn the_containers_user_wins_over_the_pods() {
        let context = check(json!({ "runAsUser": 1 }), json!({ "runAsUser": 2 }), ImageUser::Root).expect("a context");
        assert_eq!(context.run_as_user, Some(Int64Value { value: 2 }));
    }

    #[test]
    fn forbidding_escalation_sets_no_new_privs() {
        assert!(
            check(json!({}), json!({ "allowPrivilegeEscalation": false }), ImageUser::Root).expect("ok").no_new_privs
        );
    }

    #[test]
    fn privileged_containers_see_everything_in_proc() {
        assert!(check(json!({}), json!({ "privileged": true }), ImageUser::Root).expect("ok").masked_paths.is_empty());
    }
}
