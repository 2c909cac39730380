//! The layers of images that tests make on the spot, from files in memory and folders of this machine.
//!
//! Upstream: none; `skiff::image` makes images of them
//! Left out: more than one layer.

use std::path::Path;

use serde_json::Value;
use tar::{Builder, EntryType, Header};

/// Debian's busybox, linked statically.
const BUSYBOX: &str = "/bin/busybox";
const COMMANDS: [&str; 35] = [
    "awk", "cat", "chmod", "cp", "date", "df", "echo", "env", "false", "grep", "head", "hostname", "httpd", "id", "ip",
    "kill", "ln", "ls", "mkdir", "mount", "mv", "nc", "printf", "ps", "rm", "sh", "sleep", "stat", "touch", "true",
    "tail", "tar", "test", "wc", "wget",
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

    pub fn file(&mut self, path: &str, content: &[u8], mode: u32) {
        self.entry(path, EntryType::Regular, mode, content, None);
    }

    /// Adds everything below a folder of this machine, links as links.
    pub fn tree(&mut self, folder: &Path) {
        self.layer.follow_symlinks(false);
        self.layer.append_dir_all(".", folder).expect("the folder can be read");
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, content: &[u8], target: Option<&str>) {
        let mut header = header(kind, mode, content.len());
        let appended = match target {
            Some(target) => self.layer.append_link(&mut header, path, target),
            None => self.layer.append_data(&mut header, path, content),
        };
        appended.expect("memory takes everything");
    }

    /// What a registry takes.
    pub fn into_parts(self) -> skiff::image::Image {
        skiff::image::Image::new(&self.config, self.layer.into_inner().expect("memory takes everything"))
    }

    /// The archive of the image.
    pub fn into_archive(self) -> Vec<u8> {
        let name = self.name.clone();
        self.into_parts().into_archive(&name)
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
