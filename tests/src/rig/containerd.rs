//! A containerd of a test's own: own configuration, root, state and socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ::kubelet::cri::Runtime;
use proto::cri::PodSandboxFilter;

use super::images::Image;

/// The image of sandboxes; every rig has it.
pub const PAUSE_IMAGE: &str = "skiff.dev/pause:1";
/// The image with a shell; every rig has it.
pub const BUSYBOX_IMAGE: &str = "skiff.dev/busybox:1";

pub struct Containerd {
    pub folder: PathBuf,
    process: Child,
    /// A registry mirror file below this folder counts: `certs.d/docker.io/hosts.toml`.
    pub registry_folder: PathBuf,
}

impl Containerd {
    /// Starts one below `folder` and gives it the images that every rig has.
    pub async fn start(folder: &Path) -> Self {
        let registry_folder = folder.join("certs.d");
        for below in ["cni", "certs.d"] {
            std::fs::create_dir_all(folder.join(below)).expect("a folder in a temporary folder");
        }
        std::fs::write(folder.join("containerd.toml"), configuration(folder)).expect("a file in a temporary folder");
        let containerd = Self { folder: folder.into(), process: spawn(folder), registry_folder };
        containerd.answers().await;
        containerd.import(Image::pause(PAUSE_IMAGE)).await;
        containerd.import(Image::busybox(BUSYBOX_IMAGE, serde_json::json!({ "Cmd": ["/bin/sh"] }))).await;
        containerd
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    pub fn cni_folder(&self) -> PathBuf {
        self.folder.join("cni")
    }

    pub fn runtime(&self) -> Runtime {
        Runtime::new(&self.socket().display().to_string())
    }

    /// Imports an image; it can be run once this returns.
    pub async fn import(&self, image: Image) {
        let name = image.name.clone();
        let file = self.folder.join("image.tar");
        std::fs::write(&file, image.into_archive()).expect("a file in a temporary folder");
        self.ctr(&["images", "import", "--all-platforms", &file.display().to_string()]);
        let runtime = self.runtime();
        // The CRI plugin learns of an image a moment after it is there, and tells nobody.
        let known = async { while !matches!(runtime.image(&name).await, Ok(Some(_))) {} };
        tokio::time::timeout(Duration::from_secs(20), known).await.expect("an imported image is known");
    }

    /// Runs `ctr` in CRI's namespace.
    pub fn ctr(&self, arguments: &[&str]) -> String {
        let socket = self.socket();
        let mut command = Command::new("ctr");
        command.arg("--address").arg(socket).args(["--namespace", "k8s.io"]).args(arguments);
        let output = command.output().expect("ctr comes with containerd");
        assert!(output.status.success(), "ctr {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// kill -9. Its containers run on.
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child can be killed");
        self.process.wait().expect("a killed child ends");
    }

    /// Starts it again after a kill.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.folder);
        self.answers().await;
    }

    async fn answers(&self) {
        let runtime = self.runtime();
        let up = async {
            while runtime.conditions().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await; // a socket doesn't announce its listener
            }
        };
        tokio::time::timeout(Duration::from_secs(30), up).await.expect("containerd starts; see containerd.log");
    }
}

fn spawn(folder: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("containerd.log"));
    let log = log.expect("a file in a temporary folder");
    let mut command = Command::new("containerd");
    command.arg("--config").arg(folder.join("containerd.toml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("containerd is installed")
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    // Without CAP_SYS_RESOURCE the score can't be lowered, and every sandbox would fail.
    format!(
        r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/certs.d"
"#
    )
}

impl Drop for Containerd {
    /// Takes every sandbox down, then containerd, then what is still mounted.
    fn drop(&mut self) {
        let runtime_socket = self.socket().display().to_string();
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let cri = Runtime::new(&runtime_socket);
                for sandbox in cri.sandboxes(PodSandboxFilter::default()).await.unwrap_or_default() {
                    let _ = cri.stop_sandbox(&sandbox.id).await;
                    let _ = cri.remove_sandbox(&sandbox.id).await;
                }
            });
        });
        let _ = cleaner.join();
        let _ = self.process.kill();
        let _ = self.process.wait();
        unmount_below(&self.folder);
    }
}

/// Unmounts everything below a folder, the deepest first.
pub fn unmount_below(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(target).starts_with(folder) {
            let _ = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
        }
    }
}
