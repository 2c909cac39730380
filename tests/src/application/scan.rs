//! Everything that a cluster may leave on its host: mounts, namespaces, links, cgroups, rules, files.
//!
//! Upstream: none
//! Left out: counters, and what is inside files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, bail};

/// Each kind of trace, and all of that kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan(BTreeMap<&'static str, BTreeSet<String>>);

/// Folders of a cluster that change while it runs, whatever it runs.
const BUSY: [&str; 5] = ["containerd", "etcd", "logs", "store", "data"];

impl Scan {
    /// Scans the host as the calling thread sees it: its network namespace, its mounts, the files of `cluster`.
    ///
    /// # Errors
    /// Something can't be read.
    pub fn take(cluster: &str) -> anyhow::Result<Scan> {
        let folder = format!("skiff-{cluster}");
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect();
        let mut files = BTreeSet::new();
        for root in ["/etc", "/run"] {
            let path = Path::new(root).join(&folder);
            if path.exists() {
                files.insert(path.display().to_string());
            }
        }
        let state = Path::new("/var/lib").join(&folder);
        list_files(&state, &state, &mut files)?;
        Ok(Scan(BTreeMap::from([
            ("mounts", mounts),
            ("network namespaces", names_in("/run/netns")?),
            ("links", lines("ip", &["-o", "link", "show"])?.iter().map(|line| link_name(line)).collect()),
            ("addresses", lines("ip", &["-o", "-4", "address", "show"])?),
            ("routes", lines("ip", &["-4", "route", "show", "table", "all"])?),
            ("cgroups", cgroups(&folder)?),
            ("iptables-save", rules()?),
            ("files", files),
        ])))
    }

    /// What is in one scan and not in the other, in words; none when they are equal.
    pub fn difference(&self, later: &Scan) -> Option<String> {
        let mut words = Vec::new();
        for (kind, before) in &self.0 {
            let after = &later.0[kind];
            words.extend(after.difference(before).map(|new| format!("{kind}: + {new}")));
            words.extend(before.difference(after).map(|gone| format!("{kind}: - {gone}")));
        }
        (!words.is_empty()).then(|| words.join("\n"))
    }
}

fn lines(program: &str, arguments: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect())
}

/// `3: eth0@if7: <...>` without its number: a link that is made again has another.
fn link_name(line: &str) -> String {
    line.split(": ").nth(1).unwrap_or(line).to_owned()
}

/// Every rule, every chain that somebody made, every policy that refuses, each with its table. The kernel's own chains
/// with nothing in them come into being when any rule of their table is first set, and do nothing.
fn rules() -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new("iptables-save").output().context("iptables-save")?;
    let mut table = String::new();
    let mut found = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // `:CHAIN POLICY [packets:bytes]`
        let line = line.split(" [").next().unwrap_or_default();
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_owned();
        } else if (line.starts_with(':') && !line.ends_with(" ACCEPT")) || line.starts_with('-') {
            found.insert(format!("{table} {line}"));
        }
    }
    Ok(found)
}

fn names_in(folder: &str) -> anyhow::Result<BTreeSet<String>> {
    if !Path::new(folder).exists() {
        return Ok(BTreeSet::new());
    }
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The cgroups of the cluster, in every hierarchy.
fn cgroups(folder: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut open = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(path) = open.pop() {
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for entry in entries {
            let Ok(entry) = entry else { continue };
            // A link to another hierarchy would be seen twice.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                if path.components().any(|part| part.as_os_str().to_string_lossy().contains(folder)) {
                    found.insert(path.display().to_string());
                }
                open.push(path);
            }
        }
    }
    Ok(found)
}

fn list_files(root: &Path, folder: &Path, files: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let busy = path.parent() == Some(root)
            && path.file_name().is_some_and(|name| BUSY.iter().any(|busy| name.to_string_lossy() == *busy));
        files.insert(path.display().to_string());
        if !busy && path.is_dir() && !path.is_symlink() {
            list_files(root, &path, files)?;
        }
    }
    Ok(())
}
