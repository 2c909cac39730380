//! The cluster's own containerd: its configuration, and the image that holds a pod's namespaces.
//!
//! It shares nothing with a containerd or Docker that is there already but the program: own root, state and socket.
//!
//! Upstream: none
//! Left out: runtimes other than runc, NVIDIA and the like: `containerd.d/*.toml` in the configuration folder is
//! imported, for whoever needs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use serde_json::json;

use crate::{
    image::{self, Image},
    layout::Layout,
};

/// What the kubelet's pods are held by; `skiff up` imports it, nobody pulls it.
pub const PAUSE_IMAGE: &str = "skiff.dev/pause:1";

/// Where CNI plugins may be: Debian's package, upstream's releases.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Writes the configuration file and returns its path.
///
/// # Errors
/// The file can't be written; there are no CNI plugins.
pub fn configure(layout: &Layout) -> anyhow::Result<PathBuf> {
    let path = layout.config.join("containerd.toml");
    fs::create_dir_all(layout.config.join("containerd.d"))?;
    component::pki::write_public(&path, configuration(layout, cni_plugins()?, may_lower_oom_score()).as_bytes())?;
    Ok(path)
}

/// The folder with the CNI plugins.
///
/// # Errors
/// None of the known folders has them.
pub fn cni_plugins() -> anyhow::Result<&'static Path> {
    let found = CNI_FOLDERS.into_iter().map(Path::new).find(|folder| folder.join("ptp").exists());
    found.context("no CNI plugins in /usr/lib/cni or /opt/cni/bin: apt-get install containernetworking-plugins")
}

fn configuration(layout: &Layout, cni: &Path, may_lower_oom_score: bool) -> String {
    let (config, state, run) = (layout.config.display(), layout.state.display(), layout.run.display());
    let (cni, restrict) = (cni.display(), !may_lower_oom_score);
    format!(
        r#"# Written by `skiff up` at every start; your own settings go into {config}/containerd.d/*.toml.
version = 2
root = "{state}/containerd"
state = "{run}/containerd"
imports = ["{config}/containerd.d/*.toml"]
oom_score = 0

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {restrict}
  enable_selinux = false
  stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{cni}"
  conf_dir = "{state}/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{config}/certs.d"

[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
"#,
        socket = layout.containerd_socket().display(),
    )
}

/// Without CAP_SYS_RESOURCE nobody may lower a process's OOM score below its own, and runc fails when asked to.
fn may_lower_oom_score() -> bool {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    effective.is_none_or(|bits| bits >> CAP_SYS_RESOURCE & 1 == 1)
}

/// Imports the pause image. `program` is the static binary that it holds.
///
/// # Errors
/// The program is missing, or containerd refuses the image.
pub fn import_pause_image(layout: &Layout, program: &Path) -> anyhow::Result<()> {
    let binary = fs::read(program)
        .with_context(|| format!("{} is missing: run ./deploy/build, or install it beside skiff", program.display()))?;
    let mut layer = tar::Builder::new(Vec::new());
    image::add_file(&mut layer, "pause", &binary, 0o755);
    let image = Image::new(&json!({"Entrypoint": ["/pause"]}), layer.into_inner()?);
    import(layout, &image.into_archive(PAUSE_IMAGE)).context("the pause image")
}

/// Imports the archive of an image, for pods to run.
///
/// # Errors
/// containerd refuses it.
pub fn import(layout: &Layout, archive: &[u8]) -> anyhow::Result<()> {
    let file = layout.run.join("image.tar");
    fs::write(&file, archive)?;
    let imported = import_file(layout, &file);
    fs::remove_file(&file)?;
    imported.map(drop)
}

/// Imports an archive that lies on disk. Returns the names of the images in it.
///
/// # Errors
/// containerd refuses it.
pub fn import_file(layout: &Layout, file: &Path) -> anyhow::Result<Vec<String>> {
    let imported = ctr(layout)
        .args(["images", "import", "--all-platforms"])
        .arg(file)
        .output()
        .context("can't run ctr, which comes with containerd")?;
    let words = String::from_utf8_lossy(&imported.stderr);
    ensure!(imported.status.success(), "containerd refuses the image: {}", words.trim());
    // `unpacking NAME (DIGEST)...done`, a line for each.
    let told = String::from_utf8_lossy(&imported.stdout);
    let name = |line: &str| line.strip_prefix("unpacking ")?.split(' ').next().map(str::to_owned);
    Ok(told.lines().filter_map(name).collect())
}

/// containerd's own client, for the cluster's containerd and what the kubelet has there.
pub fn ctr(layout: &Layout) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(layout.containerd_socket()).args(["--namespace", "k8s.io"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_only_the_clusters_own_folders() {
        let layout = Layout::of("lab").unwrap();
        let text = configuration(&layout, Path::new("/opt/cni/bin"), false);
        assert!(text.contains("root = \"/var/lib/skiff-lab/containerd\""));
        assert!(text.contains("restrict_oom_score_adj = true"));
        assert!(text.contains("conf_dir = \"/var/lib/skiff-lab/cni/net.d\""));
        assert!(!text.contains("/var/lib/skiff/") && !text.contains("/run/skiff/"));
    }
}
