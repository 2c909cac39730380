//! Collects what Kubernetes says about each type and field, for OpenAPI and `kubectl explain`, into one compressed file.
//!
//! Upstream: the doc comments of k8s.io/api and k8s.io/apimachinery, as the sources of the crate k8s-openapi carry them
//! Left out: what that crate does not carry: the kinds that are lists of others.
//!
//! The texts are not ours, so they are not in this repository: they are read from the crate's sources, which cargo has
//! fetched anyway. That takes a second; building the crate with its `schemars` feature takes half a minute. Each type
//! is a line, its fields are lines below it; texts are as in JSON, between the quotes:
//!
//! ```text
//! io.k8s.api.core.v1.Pod TEXT
//!  metadata TEXT
//! ```

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// The feature of k8s-openapi that the workspace uses, and the folder of its sources.
const LEVEL: &str = "v1_35";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let sources = k8s_openapi().join("src").join(LEVEL);
    println!("cargo::rerun-if-changed={}", sources.join("mod.rs").display());
    let mut types = BTreeMap::new();
    read_folder(&sources, &mut types);
    assert!(types.len() > 600, "only {} types in {}: has its form changed?", types.len(), sources.display());
    let text: String = types.into_iter().map(|(name, lines)| format!("{name} {lines}")).collect();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("descriptions.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).expect("memory takes all");
    let compressed = encoder.finish().expect("memory takes all");
    fs::write(&out, compressed).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

/// The folder of the crate k8s-openapi. All of the workspace's crates must be known for that: where only those of this
/// build were fetched, cargo fetches the others.
fn k8s_openapi() -> PathBuf {
    let offline = metadata(&["--offline"]);
    let found = offline.or_else(|_| metadata(&[])).unwrap_or_else(|error| panic!("cargo metadata: {error}"));
    // The manifest's path is the one text that has the crate's folder and this file name in it.
    let manifest = found
        .split("\"manifest_path\":\"")
        .filter_map(|after| after.split('"').next())
        .find(|path| Path::new(path).parent().and_then(Path::file_name).is_some_and(is_k8s_openapi));
    let manifest = PathBuf::from(manifest.expect("k8s-openapi is a dependency"));
    manifest.parent().expect("a manifest lies in a folder").to_owned()
}

fn is_k8s_openapi(folder: &std::ffi::OsStr) -> bool {
    let version = folder.to_str().and_then(|name| name.strip_prefix("k8s-openapi"));
    version.is_some_and(|version| version.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn metadata(arguments: &[&str]) -> Result<String, String> {
    let platform = env::var("TARGET").expect("cargo sets it");
    let mut command = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform]).args(arguments);
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn read_folder(folder: &Path, types: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_folder(&path, types);
        } else if let Ok(text) = fs::read_to_string(&path)
            && let Some((name, lines)) = read_type(&text)
        {
            types.insert(name, lines);
        }
    }
}

/// The name of the type that a source file describes, and its lines. The crate's sources are generated, so that the
/// indentation tells the texts of the type from those of its fields.
fn read_type(source: &str) -> Option<(String, String)> {
    let (_, schema) = source.split_once("impl crate::schemars::JsonSchema for ")?;
    let name = schema.lines().find_map(|line| line.strip_prefix("        \"io.k8s.")?.strip_suffix("\".into()"))?;
    let (mut own, mut fields, mut field) = ("", String::new(), "");
    for line in schema.lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim_start();
        match depth {
            12 => {
                own = line.strip_prefix("\"description\": \"").and_then(|rest| rest.strip_suffix("\",")).unwrap_or(own)
            }
            16 => field = line.strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap_or(field),
            20 => {
                if let Some(text) = text_of_field(line) {
                    check_escapes(text);
                    fields.push_str(&format!(" {field} {text}\n"));
                }
            }
            _ => {}
        }
    }
    check_escapes(own);
    Some((format!("io.k8s.{name}"), format!("{own}\n{fields}")))
}

fn text_of_field(line: &str) -> Option<&str> {
    let plain = line.strip_prefix("\"description\": \"").and_then(|rest| rest.strip_suffix("\","));
    let beside_a_reference = || {
        let rest = line.strip_prefix("schema_obj.ensure_object().insert(\"description\".into(), \"")?;
        rest.strip_suffix("\".into());")
    };
    plain.or_else(beside_a_reference)
}

/// Rust and JSON write a few characters alike; texts with others would need translation.
fn check_escapes(text: &str) {
    let mut escaped = text.split('\\').skip(1);
    while let Some(rest) = escaped.next() {
        match rest.chars().next() {
            Some('"' | 'n' | 't' | 'r') => {}
            None => drop(escaped.next()),
            Some(other) => panic!("\\{other} in {text:?}"),
        }
    }
}
