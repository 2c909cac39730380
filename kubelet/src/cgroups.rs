//! The control groups of pods: `kubepods` by quality of service, one folder a pod, the runtime's containers in it.
//!
//! Upstream: pkg/kubelet/cm (pod_container_manager_linux.go, qos_container_manager_linux.go)
//! Left out: the systemd driver's own slices are made by the runtime; node allocatable is not enforced here.

use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::config::{CgroupDriver, Config};
use crate::pod_spec;
use crate::resources::{self, QosClass, Side};

/// The controllers that a pod's group exists in on cgroup v1.
const V1_CONTROLLERS: [&str; 8] = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];
const V1_OTHERS: [&str; 5] = ["systemd", "unified", "hugetlb", "net_cls", "perf_event"];

/// The `cgroup_parent` of a pod's sandbox: a path for cgroupfs, a slice name for systemd.
pub fn parent(pod: &Pod, node: &Config) -> String {
    let uid = pod_spec::uid(pod);
    match (node.cgroup_driver, resources::qos_class(pod)) {
        (CgroupDriver::Cgroupfs, QosClass::Guaranteed) => format!("{}/pod{uid}", root(node)),
        (CgroupDriver::Cgroupfs, class) => format!("{}/{}/pod{uid}", root(node), class.as_str().to_lowercase()),
        (CgroupDriver::Systemd, QosClass::Guaranteed) => format!("kubepods-pod{}.slice", uid.replace('-', "_")),
        (CgroupDriver::Systemd, class) => {
            format!("kubepods-{}-pod{}.slice", class.as_str().to_lowercase(), uid.replace('-', "_"))
        }
    }
}

/// `/kubepods` below the configured root.
fn root(node: &Config) -> String {
    format!("{}/kubepods", node.cgroup_root.trim_end_matches('/'))
}

/// Makes the group of a pod and gives it the sums of its containers' requests and limits.
///
/// With the systemd driver the runtime makes the slices.
pub fn create(pod: &Pod, node: &Config) -> io::Result<()> {
    if node.cgroup_driver == CgroupDriver::Systemd {
        return Ok(());
    }
    let relative = parent(pod, node);
    let limits = Limits::of(pod);
    if is_v2() {
        let group = below("/sys/fs/cgroup", &relative);
        delegate(&group)?;
        std::fs::create_dir_all(&group)?;
        limits.write_v2(&group)
    } else {
        for controller in V1_CONTROLLERS {
            let mount = Path::new("/sys/fs/cgroup").join(controller);
            if mount.is_dir() {
                let group = below(&mount, &relative);
                create_v1(&mount, &group, controller)?;
                limits.write_v1(&group, controller)?;
            }
        }
        Ok(())
    }
}

/// Removes the groups of a pod, the runtime's leftovers included. Fails while a process is still in one.
pub fn remove(pod: &Pod, node: &Config) -> io::Result<()> {
    if node.cgroup_driver == CgroupDriver::Systemd {
        return Ok(());
    }
    let relative = parent(pod, node);
    for mount in mounts() {
        remove_tree(&below(&mount, &relative))?;
    }
    Ok(())
}

/// Removes the folders above the pods, as far as they are empty: what a node that is taken down leaves behind.
pub fn remove_root(node: &Config) -> io::Result<()> {
    for mount in mounts() {
        remove_tree(&below(&mount, &root(node)))?;
        if !node.cgroup_root.trim_matches('/').is_empty() {
            remove_empty(&below(&mount, &node.cgroup_root))?;
        }
    }
    Ok(())
}

/// The configured root may be somebody else's too: it goes only when nobody has anything in it.
fn remove_empty(group: &Path) -> io::Result<()> {
    use io::ErrorKind::{DirectoryNotEmpty, NotFound, ResourceBusy};
    match std::fs::remove_dir(group) {
        Err(error) if !matches!(error.kind(), NotFound | DirectoryNotEmpty | ResourceBusy) => Err(error),
        _ => Ok(()),
    }
}

fn mounts() -> Vec<PathBuf> {
    if is_v2() {
        return vec!["/sys/fs/cgroup".into()];
    }
    let all = V1_CONTROLLERS.iter().chain(&V1_OTHERS).map(|controller| Path::new("/sys/fs/cgroup").join(controller));
    all.filter(|mount| mount.is_dir()).collect()
}

/// Whether the machine has the unified hierarchy only.
pub fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn below(mount: impl AsRef<Path>, relative: &str) -> PathBuf {
    mount.as_ref().join(relative.trim_start_matches('/'))
}

/// The sums that bound a whole pod. Memory and quota bound it only when every container has a limit.
struct Limits {
    shares: i64,
    quota: Option<i64>,
    memory: Option<i64>,
}

impl Limits {
    fn of(pod: &Pod) -> Self {
        let bounded = |resource: &str| {
            let all = pod_spec::all_containers(pod)
                .all(|container| resources::amount(container, resource, Side::Limit).is_some_and(|limit| limit > 0));
            all.then(|| resources::pod_amount(pod, resource, Side::Limit))
        };
        Self {
            shares: resources::cpu_shares(resources::pod_amount(pod, "cpu", Side::Request)),
            quota: bounded("cpu").map(resources::cpu_quota),
            memory: bounded("memory"),
        }
    }

    fn write_v1(&self, group: &Path, controller: &str) -> io::Result<()> {
        match controller {
            "cpu" => {
                write(group, "cpu.shares", &self.shares.to_string())?;
                write(group, "cpu.cfs_period_us", &resources::cpu_period().to_string())?;
                write(group, "cpu.cfs_quota_us", &self.quota.unwrap_or(-1).to_string())
            }
            "memory" => match self.memory {
                Some(bytes) => write(group, "memory.limit_in_bytes", &bytes.to_string()),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn write_v2(&self, group: &Path) -> io::Result<()> {
        write(group, "cpu.weight", &resources::cpu_weight(self.shares).to_string())?;
        let quota = self.quota.map_or("max".into(), |quota| quota.to_string());
        write(group, "cpu.max", &format!("{quota} {}", resources::cpu_period()))?;
        let memory = self.memory.map_or("max".into(), |bytes| bytes.to_string());
        write(group, "memory.max", &memory)
    }
}

/// On v1, a new cpuset has neither CPUs nor memory nodes, and no process can enter it until it has.
fn create_v1(mount: &Path, group: &Path, controller: &str) -> io::Result<()> {
    if controller != "cpuset" {
        return std::fs::create_dir_all(group);
    }
    let mut path = mount.to_path_buf();
    let steps = group.strip_prefix(mount).unwrap_or(group).components();
    for step in steps {
        let above = path.clone();
        path.push(step);
        std::fs::create_dir_all(&path)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if std::fs::read_to_string(path.join(file))?.trim().is_empty() {
                write(&path, file, std::fs::read_to_string(above.join(file))?.trim())?;
            }
        }
    }
    Ok(())
}

/// On v2, a group's controllers are those that every folder above passes on.
fn delegate(group: &Path) -> io::Result<()> {
    let mount = Path::new("/sys/fs/cgroup");
    let mut path = mount.to_path_buf();
    for step in group.strip_prefix(mount).unwrap_or(group).components() {
        write(&path, "cgroup.subtree_control", "+cpu +cpuset +memory +pids +io")
            .or_else(|_| write(&path, "cgroup.subtree_control", "+cpu +memory +pids"))?;
        path.push(step);
        std::fs::create_dir_all(&path)?;
    }
    Ok(())
}

fn write(group: &Path, file: &str, value: &str) -> io::Result<()> {
    std::fs::write(group.join(file), value)
}

/// Deepest first: a group goes only when it has no children.
fn remove_tree(group: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(group) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match std::fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_folder_of_a_pod_says_its_quality_of_service() {
        let pod: Pod = serde_json::from_value(
            json!({ "metadata": { "uid": "a-b" }, "spec": { "containers": [{ "name": "x" }] } }),
        )
        .expect("a pod");
        let mut node = Config::new("n1");
        assert_eq!(parent(&pod, &node), "/kubepods/besteffort/poda-b");
        node.cgroup_root = "/skiff".into();
        assert_eq!(parent(&pod, &node), "/skiff/kubepods/besteffort/poda-b");
        node.cgroup_driver = CgroupDriver::Systemd;
        assert_eq!(parent(&pod, &node), "kubepods-besteffort-poda_b.slice");
    }
}
