//! What a person meets when a machine is not as a cluster needs it: one line with the cause and its fix, and nothing is
//! left behind or lost.
//!
//! Upstream: cmd/kubeadm/app/preflight
//! Left out: what `skiff doctor` only warns of.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use skiff::layout::Layout;
use skiff::settings::Shape;
use tests::application::cluster::Cluster;
use tests::application::machine;
use tests::rig::namespace::{NODE_ADDRESS, Namespace};
use tests::rig::program::program;

/// Runs `skiff --name NAME up`, as a person at a shell does.
fn up(name: &str, folder: &Path, path: &str) -> Output {
    let mut command = Command::new(program("skiff"));
    command.args(["--name", name, "up", "--node-name", "n1", "--node-ip", &NODE_ADDRESS.to_string()]);
    command.env("PATH", path).env("HOME", folder).env("KUBECONFIG", folder.join("kubeconfig"));
    command.output().expect("skiff was built")
}

/// The lines that a failed command has written for its user.
fn complaint(output: &Output) -> Vec<String> {
    assert!(!output.status.success(), "it should have failed: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

fn assert_nothing_is_there(name: &str) {
    let layout = Layout::of(name).expect("a name");
    for folder in [&layout.config, &layout.state, &layout.run] {
        assert!(!folder.exists(), "{} was left", folder.display());
    }
}

fn path() -> String {
    std::env::var("PATH").expect("a PATH")
}

#[test]
fn a_taken_port_is_named_and_nothing_begins() {
    Namespace::new().run(async |_| {
        let folder = tempfile::tempdir().expect("a folder");
        for (port, whose) in [
            (6443, "API server"),
            (10250, "kubelet"),
            (10256, "proxy health"),
            (10257, "controllers' health"),
            (10259, "scheduler's health"),
        ] {
            let _taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a port of this namespace");
            let complaint = complaint(&up("badport", folder.path(), &path()));
            assert_eq!(complaint.len(), 1, "{complaint:#?}");
            assert!(complaint[0].contains(&format!("port {port} ({whose}) is taken")), "{complaint:#?}");
            assert!(complaint[0].contains(&format!("ss -ltnp sport = :{port}")), "{complaint:#?}");
            assert_eq!(complaint[0].contains("--api-port"), port == 6443, "{complaint:#?}");
            assert_nothing_is_there("badport");
        }
    });
}

#[test]
fn a_missing_containerd_is_named_with_its_package() {
    Namespace::new().run(async |_| {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        // Everything of this machine but containerd: what PATH leads to, one by one.
        for place in std::env::split_paths(&path()) {
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                if !["containerd", "ctr"].contains(&&*entry.file_name().to_string_lossy()) {
                    let _ = std::os::unix::fs::symlink(entry.path(), bin.join(entry.file_name()));
                }
            }
        }
        let complaint = complaint(&up("nocontainerd", folder.path(), &bin.display().to_string()));
        let missing: Vec<&String> = complaint.iter().filter(|line| line.contains("containerd is missing")).collect();
        assert_eq!(missing.len(), 1, "{complaint:#?}");
        assert!(missing[0].contains("apt-get install containerd"), "{complaint:#?}");
        assert_nothing_is_there("nocontainerd");
    });
}

#[test]
fn a_wrong_flag_is_answered_with_the_nearest_one() {
    for (name, flag, nearest) in [
        ("skiff-apiserver", "--secure-prot=1", "--secure-port"),
        ("skiff-scheduler", "--kubeconfg=x", "--kubeconfig"),
        ("skiff-controller-manager", "--cluster-cdir=x", "--cluster-cidr"),
        ("skiff-kubelet", "--node-pi=x", "--node-ip"),
        ("skiff-proxy", "--kubeconfg=x", "--kubeconfig"),
    ] {
        let output = Command::new(program(name)).arg(flag).output().expect("it was built");
        assert_eq!(output.status.code(), Some(2), "{name}");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains(nearest), "{name} {flag}: {words}");
    }
}

/// A cluster whose disk is full refuses writes, in words, loses nothing that it acknowledged, and goes on by itself
/// when there is room again.
#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    if !machine::is_own("a_full_disk_refuses_writes_and_loses_nothing") {
        return;
    }
    Namespace::new().run(async |_| {
        let folder = tempfile::tempdir().expect("a folder");
        let cluster = Cluster::new("full", Shape::One, NODE_ADDRESS, folder.path());
        cluster.delete().expect("nothing is left of a run that was interrupted");
        let state = &cluster.layout.state;
        fs::create_dir_all(state).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=192m", "tmpfs"]).arg(state).status();
        assert!(mounted.expect("mount").success());
        let outcome = fill_and_go_on(&cluster, folder.path());
        cluster.down().expect("it stops");
        let unmounted = Command::new("umount").arg(state).status();
        cluster.delete().expect("it is deleted");
        outcome.expect("every step succeeds");
        assert!(unmounted.expect("umount").success());
    });
}

fn fill_and_go_on(cluster: &Cluster, folder: &Path) -> anyhow::Result<()> {
    cluster.up()?;
    let part = folder.join("part");
    fs::write(&part, "x".repeat(900_000))?;
    let from_file = format!("--from-file={}", part.display());
    let ballast = cluster.layout.state.join("ballast");
    while_there_is_room(&ballast)?;
    // The log has room of its own beyond what the disk has left.
    let mut kept = 0;
    let refused = loop {
        let output = cluster.try_kubectl(&["create", "configmap", &format!("big-{kept}"), &from_file])?;
        if !output.status.success() {
            break String::from_utf8_lossy(&output.stderr).into_owned();
        }
        kept += 1;
        anyhow::ensure!(kept < 300, "the disk is never full");
    };
    anyhow::ensure!(refused.contains("the disk is full; make room on it"), "{refused}");
    let nodes = cluster.kubectl(&["get", "nodes", "--no-headers"])?;
    anyhow::ensure!(nodes.contains(" Ready "), "{nodes}");

    fs::remove_file(&ballast)?;
    cluster.kubectl(&["create", "configmap", "after", "--from-literal=a=b"])?;
    cluster.down()?;
    cluster.up()?;
    let names = cluster.kubectl(&["get", "configmaps", "-o", "name"])?;
    let big = names.lines().filter(|name| name.starts_with("configmap/big-")).count();
    anyhow::ensure!(big == kept && names.contains("configmap/after"), "{kept} were kept, now there are\n{names}");
    Ok(())
}

/// Fills the disk that the file is on.
fn while_there_is_room(file: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = fs::File::create(file)?;
    for size in [1 << 20, 4096, 1] {
        let chunk = vec![0; size];
        while file.write_all(&chunk).is_ok() {}
    }
    Ok(())
}
