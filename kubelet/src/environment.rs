//! Decides a container's environment variables.
//!
//! Upstream: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/kubelet/envvars
//! Left out: nothing.

mod env_file;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVarSource, FileKeySelector, Pod, Secret, Service,
};

use crate::expansion::expand;
use crate::field_path::{self, NodeAmounts};
use crate::pod_spec;

/// What a container's variables may refer to.
pub struct Sources<'a> {
    pub config_maps: &'a BTreeMap<String, Option<ConfigMap>>,
    pub secrets: &'a BTreeMap<String, Option<Secret>>,
    /// Services of the pod's namespace, and `kubernetes`.
    pub services: &'a [Service],
    pub pod_ips: &'a [String],
    pub host_ips: &'a [String],
    pub node: &'a NodeAmounts,
    /// The files that `fileKeyRef`s name, by volume and path: their texts, or why they can't be read.
    pub files: &'a BTreeMap<(String, String), EnvFile>,
}

/// A file of variables in a volume of the pod.
pub enum EnvFile {
    NoVolume,
    Unreadable(String),
    Text(String),
}

/// The variables in order of definition: services, then `envFrom`, then `env`, a later one of a name replacing an earlier.
///
/// # Errors
/// A reference that is not optional leads nowhere, or one to a file that can't be read; the text is the message of
/// `CreateContainerConfigError`.
pub fn variables(pod: &Pod, container: &Container, sources: &Sources) -> Result<Vec<(String, String)>, String> {
    let namespace = pod_spec::namespace(pod);
    let mut variables = BTreeMap::new();
    let linked = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    for service in sources.services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let in_namespace = service.metadata.namespace.as_deref() == Some(namespace);
        let is_master = service.metadata.namespace.as_deref() == Some("default") && name == "kubernetes";
        if is_master || (linked && in_namespace) {
            variables.extend(of_service(service));
        }
    }
    for from in container.env_from.iter().flatten() {
        variables.extend(all_of(from, namespace, sources)?);
    }
    for env in container.env.iter().flatten() {
        let value = match (&env.value, &env.value_from) {
            (_, Some(from)) => match resolve(pod, container, from, sources)? {
                Some(value) => value,
                None => continue,
            },
            (value, None) => expand(value.as_deref().unwrap_or_default(), &variables),
        };
        variables.insert(env.name.clone(), value);
    }
    Ok(variables.into_iter().collect())
}

fn resolve(pod: &Pod, container: &Container, from: &EnvVarSource, sources: &Sources) -> Result<Option<String>, String> {
    let namespace = pod_spec::namespace(pod);
    if let Some(field) = &from.field_ref {
        return field_path::of_pod(pod, &field.field_path, sources.pod_ips, sources.host_ips, &sources.node.name)
            .map(Some);
    }
    if let Some(resource) = &from.resource_field_ref {
        return field_path::of_resource(pod, container, resource, sources.node).map(Some);
    }
    if let Some(key) = &from.config_map_key_ref {
        let optional = key.optional == Some(true);
        return match sources.config_maps.get(&key.name).and_then(Option::as_ref) {
            None if optional => Ok(None),
            None => Err(format!("configmap \"{}\" not found", key.name)),
            Some(map) => match text_of(map, &key.key) {
                None if !optional => {
                    Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", key.key, key.name))
                }
                value => Ok(value),
            },
        };
    }
    if let Some(key) = &from.secret_key_ref {
        let optional = key.optional == Some(true);
        return match sources.secrets.get(&key.name).and_then(Option::as_ref) {
            None if optional => Ok(None),
            None => Err(format!("secret \"{}\" not found", key.name)),
            Some(secret) => match secret.data.as_ref().and_then(|data| data.get(&key.key)) {
                None if !optional => Err(format!("couldn't find key {} in Secret {namespace}/{}", key.key, key.name)),
                value => Ok(value.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned())),
            },
        };
    }
    if let Some(key) = &from.file_key_ref {
        return of_file(key, sources);
    }
    Ok(None)
}

/// A variable of a file. One that is optional may be missing in the file, but the file may not.
fn of_file(key: &FileKeySelector, sources: &Sources) -> Result<Option<String>, String> {
    let value = match sources.files.get(&(key.volume_name.clone(), key.path.clone())) {
        None | Some(EnvFile::NoVolume) => {
            return Err(format!("cannot find the volume {:?} referenced by FileKeyRef", key.volume_name));
        }
        Some(EnvFile::Unreadable(why)) => Err(why.clone()),
        Some(EnvFile::Text(text)) => env_file::value_of(text, &key.key),
    };
    let value = value.map_err(|why| format!("couldn't parse env file: {why}"))?;
    if value.is_none() && key.optional != Some(true) {
        return Err(format!("environment variable key {:?} not found in file {:?}", key.key, key.path));
    }
    Ok(value)
}

fn text_of(map: &ConfigMap, key: &str) -> Option<String> {
    map.data.as_ref().and_then(|data| data.get(key)).cloned()
}

fn all_of(from: &EnvFromSource, namespace: &str, sources: &Sources) -> Result<Vec<(String, String)>, String> {
    let prefix = from.prefix.as_deref().unwrap_or_default();
    let named = |pairs: Vec<(String, String)>| {
        pairs.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)).collect()
    };
    if let Some(source) = &from.config_map_ref {
        return match sources.config_maps.get(&source.name).and_then(Option::as_ref) {
            None if source.optional == Some(true) => Ok(Vec::new()),
            None => Err(format!("configmap \"{}\" not found", source.name)),
            Some(map) => Ok(named(map.data.clone().unwrap_or_default().into_iter().collect())),
        };
    }
    if let Some(source) = &from.secret_ref {
        return match sources.secrets.get(&source.name).and_then(Option::as_ref) {
            None if source.optional == Some(true) => Ok(Vec::new()),
            None => Err(format!("secret \"{}\" not found in namespace {namespace}", source.name)),
            Some(secret) => {
                let data = secret.data.clone().unwrap_or_default().into_iter();
                Ok(named(data.map(|(key, bytes)| (key, String::from_utf8_lossy(&bytes.0).into_owned())).collect()))
            }
        };
    }
    Ok(Vec::new())
}

/// `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT` and the variables of Docker's old links, for a service with a cluster IP.
fn of_service(service: &Service) -> Vec<(String, String)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or(&[]);
    if ip.is_empty() || ip == "None" || ports.is_empty() {
        return Vec::new();
    }
    let prefix = variable_name(service.metadata.name.as_deref().unwrap_or_default());
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_string() };
    let mut variables = vec![(format!("{prefix}_SERVICE_HOST"), ip.to_string())];
    variables.push((format!("{prefix}_SERVICE_PORT"), ports[0].port.to_string()));
    for port in ports {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            variables.push((format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), port.port.to_string()));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let address = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        if index == 0 {
            variables.push((format!("{prefix}_PORT"), address.clone()));
        }
        let one = format!("{prefix}_PORT_{}_{protocol}", port.port);
        variables.push((one.clone(), address));
        variables.push((format!("{one}_PROTO"), protocol.to_lowercase()));
        variables.push((format!("{one}_PORT"), port.port.to_string()));
        variables.push((format!("{one}_ADDR"), ip.to_string()));
    }
    variables
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests;
