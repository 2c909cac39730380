//! Writes `proto/src/generated/` from `proto/protos/`. Run it after a change there: `cargo run` in this folder.
//!
//! Upstream: hack/update-codegen.sh does the same for Go.
//! Left out: servers; the kubelet is only ever a client of these services.

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// The protobuf package, and the name of our module for it.
const MODULES: [(&str, &str); 2] = [("runtime.v1", "cri"), ("containerd.services.events.v1", "containerd")];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the generator lives in proto/")?;
    let descriptors = protox::compile(["cri.proto", "containerd.proto"], [proto.join("protos")])?;
    let out = proto.join("src/generated");
    std::fs::create_dir_all(&out)?;
    tonic_prost_build::configure().build_server(false).out_dir(&out).compile_fds(descriptors)?;
    for (package, module) in MODULES {
        let file = out.join(format!("{module}.rs"));
        std::fs::rename(out.join(format!("{package}.rs")), &file)?;
        let config = proto.join("../rustfmt.toml");
        let formatted =
            Command::new("rustfmt").args(["--edition", "2024", "--config-path"]).arg(config).arg(&file).status()?;
        if !formatted.success() {
            return Err(format!("rustfmt refused {}", file.display()).into());
        }
    }
    Ok(())
}
