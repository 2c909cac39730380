//! Writes the pod network's CNI configuration, unless there is one already.
//!
//! Every pod has a point-to-point link to the host and is routed from there: no bridge, no hairpin mode. The proxy owns
//! masquerading.
//!
//! Upstream: none; clusters bring a network plugin of their own
//! Left out: IPv6 ranges beside IPv4 ones.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

const FILE: &str = "10-skiff.conflist";

/// Makes sure that there is a network configuration for pods with addresses from `pod_cidr`.
///
/// A foreign configuration wins; our own is rewritten when the range has changed. Returns whether it was written.
pub fn ensure(folder: &Path, state: &Path, pod_cidr: &str) -> io::Result<bool> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let is_network = [".conf", ".conflist", ".json"].iter().any(|ending| name.ends_with(ending));
        if is_network && name != FILE {
            return Ok(false);
        }
    }
    let text = format!("{:#}\n", config(state, pod_cidr));
    let file = folder.join(FILE);
    if std::fs::read_to_string(&file).is_ok_and(|current| current == text) {
        return Ok(false);
    }
    let fresh = folder.join(".10-skiff.new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(fresh, file)?;
    Ok(true)
}

fn config(state: &Path, pod_cidr: &str) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "skiff",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": state.join("cni").display().to_string(),
                    "ranges": [[{ "subnet": pod_cidr }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_configuration_names_the_nodes_range() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ensure(folder.path(), Path::new("/state"), "10.244.3.0/24").unwrap());
        assert!(!ensure(folder.path(), Path::new("/state"), "10.244.3.0/24").unwrap(), "it is written once");
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.contains("\"subnet\": \"10.244.3.0/24\""));
    }

    #[test]
    fn a_foreign_configuration_wins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("05-other.conflist"), "{}").unwrap();
        assert!(!ensure(folder.path(), Path::new("/state"), "10.244.3.0/24").unwrap());
        assert!(!folder.path().join(FILE).exists());
    }
}
