//! The application's images, from Debian's packages and our own programs.
//!
//! Upstream: none; tests/app/README.md says what each holds
//! Left out: one layer for what they share.

use std::fs;

use serde_json::{Value, json};

use super::{part, workspace};
use crate::rig::Image;

/// The servers' own users; nginx looks for its by name.
const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/bin/false\n\
                     nobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUPS: &str = "root:x:0:\nadm:x:4:\nwww-data:x:33:\nnogroup:x:65534:\n";

/// Every image that the test pulls, by its place in the registry.
pub fn all() -> Vec<(&'static str, &'static str, Image)> {
    vec![
        ("library/mysql", "8.0", database()),
        ("library/myapp-backend", "latest", backend("1")),
        ("library/myapp-backend", "v2", backend("2")),
        ("library/myapp-frontend", "latest", frontend()),
        ("library/app-client", "latest", client()),
        ("library/nginx", "latest", web_server()),
    ]
}

fn database() -> Image {
    let mut image = from_root("mysql", json!({ "Entrypoint": ["/entrypoint"] }));
    image.file("entrypoint", &source("mysql/entrypoint"), 0o755);
    image
}

/// `version` is in every answer's first line.
fn backend(version: &str) -> Image {
    let environment = [format!("APP_VERSION={version}")];
    let mut image = from_root("base", json!({ "Entrypoint": ["/bin/app-backend"], "Env": environment }));
    image.file("bin/app-backend", &program("app-backend"), 0o755);
    image
}

fn frontend() -> Image {
    let mut image = from_root("nginx", json!({ "Entrypoint": ["/entrypoint"] }));
    image.file("entrypoint", &source("frontend/entrypoint"), 0o755);
    image.file("etc/nginx/frontend.conf", &source("frontend/nginx.conf"), 0o644);
    image
}

/// What the README's example runs.
fn web_server() -> Image {
    let config = "error_log /dev/stderr;\npid /run/nginx.pid;\nevents {}\n\
                  http {\n    server {\n        listen 80;\n        return 200 \"it works\\n\";\n    }\n}\n";
    let mut image = from_root("nginx", json!({ "Entrypoint": ["nginx", "-g", "daemon off;"] }));
    // Debian's link to its shell is made when a package is installed, and this one was only unpacked.
    let shell = fs::read(part("roots/nginx/bin/bash")).expect("a shell that deploy/test-parts unpacked");
    image.file("bin/sh", &shell, 0o755);
    image.file("etc/nginx/nginx.conf", config.as_bytes(), 0o644);
    image
}

fn client() -> Image {
    let mut image = from_root("base", json!({ "Entrypoint": ["/bin/app-client"], "Cmd": ["--idle"] }));
    image.file("bin/app-client", &program("app-client"), 0o755);
    image.file("bin/kubectl", &fs::read(part("kubectl-1.35")).expect("deploy/test-parts brought it"), 0o755);
    image
}

fn from_root(root: &str, config: Value) -> Image {
    let mut image = Image::new(root, config);
    image.tree(&part("roots").join(root));
    image.file("etc/passwd", USERS.as_bytes(), 0o644);
    image.file("etc/group", GROUPS.as_bytes(), 0o644);
    image
}

fn source(name: &str) -> Vec<u8> {
    fs::read(workspace().join("tests/app/images").join(name)).expect("a file of this repository")
}

fn program(name: &str) -> Vec<u8> {
    fs::read(part("bin").join(name)).expect("a program that deploy/test-parts built")
}
