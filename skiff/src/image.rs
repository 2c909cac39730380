//! Images made on the spot: one layer, in the forms that a registry and `ctr images import` take.
//!
//! Upstream: opencontainers/image-spec
//! Left out: compression, several layers, other architectures than this machine's.

use std::fmt::Write;

use serde_json::{Value, json};

pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image as a registry keeps it.
pub struct Image {
    pub manifest: Vec<u8>,
    /// The configuration and the layer, by their digests.
    pub blobs: Vec<(String, Vec<u8>)>,
}

impl Image {
    /// The image whose one layer is a tar file. `config` says how it is run: Entrypoint, Cmd, Env, User, WorkingDir ...
    pub fn new(config: &Value, layer: Vec<u8>) -> Image {
        let config = json!({
            "architecture": component::version::architecture(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let blobs = [config, layer].map(|blob| (digest(&blob), blob)).into();
        Image { manifest: manifest.to_string().into_bytes(), blobs }
    }

    /// A tar file that containerd imports as `name`.
    pub fn into_archive(self, name: &str) -> Vec<u8> {
        let mut entry = descriptor(MANIFEST_TYPE, &self.manifest);
        entry["annotations"] = json!({"io.containerd.image.name": name});
        let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string().into_bytes();
        let manifest = (digest(&self.manifest), self.manifest);
        let blobs = self.blobs.into_iter().chain([manifest]);
        let blobs = blobs.map(|(digest, blob)| (format!("blobs/sha256/{}", &digest["sha256:".len()..]), blob));
        let head = [
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index),
        ];
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in head.into_iter().chain(blobs) {
            add_file(&mut archive, &path, &content, 0o644);
        }
        archive.into_inner().expect("memory takes everything")
    }
}

/// Adds a file, owned by root, to a tar file in memory.
pub fn add_file(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, path, content).expect("memory takes everything");
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn digest(content: &[u8]) -> String {
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    sum.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
        text
    })
}
