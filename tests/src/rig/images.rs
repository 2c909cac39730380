//! Images made on the spot: an OCI archive from files in memory, in the form that `ctr images import` takes.
//!
//! Upstream: opencontainers/image-spec
//! Left out: compression, several layers or platforms.

use std::fmt::Write;

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// Debian's busybox, linked statically.
const BUSYBOX: &str = "/bin/busybox";
const COMMANDS: [&str; 33] = [
    "awk", "cat", "chmod", "cp", "date", "df", "echo", "env", "false", "grep", "head", "hostname", "httpd", "id", "ip",
    "kill", "ln", "ls", "mkdir", "mount", "mv", "nc", "printf", "ps", "rm", "sh", "sleep", "stat", "touch", "true",
    "tail", "wc", "wget",
];

/// One layer, and what the image says about how it is run.
pub struct Image {
    pub name: String,
    /// The `config` of the image: Entrypoint, Cmd, Env, User, WorkingDir ...
    pub config: Value,
    layer: Builder<Vec<u8>>,
}

impl Image {
    pub fn new(name: &str, config: Value) -> Self {
        let mut image = Self { name: name.into(), config, layer: Builder::new(Vec::new()) };
        for folder in ["bin/", "etc/", "tmp/", "var/"] {
            image.entry(folder, EntryType::Directory, if folder == "tmp/" { 0o1777 } else { 0o755 }, &[], None);
        }
        image
    }

    /// An image with a shell and the usual commands.
    pub fn busybox(name: &str, config: Value) -> Self {
        let program = std::fs::read(BUSYBOX).expect("the package busybox-static is installed");
        let mut image = Self::new(name, config);
        image.entry("bin/busybox", EntryType::Regular, 0o755, &program, None);
        for command in COMMANDS {
            image.entry(&format!("bin/{command}"), EntryType::Symlink, 0o777, &[], Some("busybox"));
        }
        image.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\nalice:x:1001:1001::/:/bin/sh\n", 0o644);
        image.file("etc/group", b"root:x:0:\nalice:x:1001:\n", 0o644);
        image
    }

    /// The image that holds a pod's namespaces.
    pub fn pause(name: &str) -> Self {
        Self::busybox(name, json!({ "Entrypoint": ["/bin/sleep", "1000000000"] }))
    }

    pub fn file(&mut self, path: &str, content: &[u8], mode: u32) {
        self.entry(path, EntryType::Regular, mode, content, None);
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, content: &[u8], target: Option<&str>) {
        let mut header = header(kind, mode, content.len());
        let appended = match target {
            Some(target) => self.layer.append_link(&mut header, path, target),
            None => self.layer.append_data(&mut header, path, content),
        };
        appended.expect("memory takes everything");
    }

    /// The archive of the image.
    pub fn into_archive(self) -> Vec<u8> {
        let layer = self.layer.into_inner().expect("memory takes everything");
        let config = json!({
            "architecture": component::version::architecture(), "os": "linux", "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["annotations"] = json!({ "io.containerd.image.name": self.name });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes();
        let blob = |content: &[u8]| format!("blobs/sha256/{}", digest(content).trim_start_matches("sha256:"));
        let mut archive = Builder::new(Vec::new());
        let files = [
            ("oci-layout".to_string(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_string(), index),
            (blob(&manifest), manifest),
            (blob(&config), config),
            (blob(&layer), layer),
        ];
        for (path, content) in files {
            let mut header = header(EntryType::Regular, 0o644, content.len());
            archive.append_data(&mut header, path, content.as_slice()).expect("memory takes everything");
        }
        archive.into_inner().expect("memory takes everything")
    }
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size as u64);
    header
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
}

fn digest(content: &[u8]) -> String {
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    let mut text = "sha256:".to_string();
    for byte in sum.as_ref() {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}
