//! Kubeconfig files: one per identity, and reading them back.
//!
//! Upstream: client-go/tools/clientcmd, cmd/kubeadm/app/phases/kubeconfig
//! Left out: exec plugins and proxies; they are the user's files, and we never read those here.

use std::path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::pki::{Issued, PkiError, write_private};

/// How to reach one cluster as one user.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// The name of the cluster, the user and the context alike.
    pub name: String,
    /// For instance `https://127.0.0.1:6443`.
    pub server: String,
    pub authority_pem: String,
    pub client: Issued,
}

impl Kubeconfig {
    pub fn cluster(&self) -> Value {
        json!({"server": self.server, "certificate-authority-data": BASE64_STANDARD.encode(&self.authority_pem)})
    }

    pub fn user(&self) -> Value {
        json!({
            "client-certificate-data": BASE64_STANDARD.encode(&self.client.certificate_pem),
            "client-key-data": BASE64_STANDARD.encode(&self.client.key_pem),
        })
    }

    /// The whole file. It is JSON, which every reader of kubeconfigs takes, because JSON is YAML.
    pub fn to_text(&self) -> String {
        let name = &self.name;
        let file = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": self.cluster()}],
            "users": [{"name": name, "user": self.user()}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        });
        format!("{file:#}\n")
    }

    /// Writes the file for its owner alone.
    ///
    /// # Errors
    /// [`PkiError::File`].
    pub fn write(&self, path: &Path) -> Result<(), PkiError> {
        write_private(path, self.to_text().as_bytes())
    }
}

/// The PEM of the client certificate in a kubeconfig's only user, when the file is one that we wrote.
pub fn client_certificate_pem(text: &str) -> Option<String> {
    let file: Value = serde_saphyr::from_str(text).ok()?;
    let encoded = file.pointer("/users/0/user/client-certificate-data")?.as_str()?;
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_back() {
        let client = Issued { certificate_pem: "CERT".into(), key_pem: "KEY".into() };
        let config = Kubeconfig {
            name: "skiff".into(),
            server: "https://127.0.0.1:6443".into(),
            authority_pem: "CA".into(),
            client,
        };
        assert_eq!(client_certificate_pem(&config.to_text()).as_deref(), Some("CERT"));
    }
}
