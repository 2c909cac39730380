//! Collects what Kubernetes says about each type and field, for OpenAPI and `kubectl explain`, into one compressed file.
//!
//! Upstream: the doc comments of k8s.io/api and k8s.io/apimachinery, as the sources of the crate k8s-openapi carry
//!   them; those of lists, which it lacks, as the sources of k8s-pb do; kube-openapi/pkg/generators (how a comment
//!   becomes one text)
//! Left out: nothing.
//!
//! The texts are not ours, so they are not in this repository: they are read from the crates' sources, which cargo has
//! fetched anyway. That takes a second; building k8s-openapi with its `schemars` feature takes half a minute. Each type
//! is a line, its fields are lines below it; texts are as in JSON, between the quotes:
//!
//! ```text
//! io.k8s.api.core.v1.Pod TEXT
//!  metadata TEXT
//! ```

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// The feature of k8s-openapi that the workspace uses, and the folder of its sources.
const LEVEL: &str = "v1_35";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let crates = Crates::known_to_cargo();
    let sources = crates.folder("k8s-openapi").join("src").join(LEVEL);
    println!("cargo::rerun-if-changed={}", sources.join("mod.rs").display());
    let mut types = BTreeMap::new();
    for_each_file(&sources, &mut |_, source| types.extend(read_type(source)));
    assert!(types.len() > 600, "only {} types in {}: has its form changed?", types.len(), sources.display());
    let sources = crates.folder("k8s-pb").join("src");
    println!("cargo::rerun-if-changed={}", sources.join("lib.rs").display());
    let mut lists = BTreeMap::new();
    for_each_file(&sources, &mut |path, source| {
        let module = path.strip_prefix(&sources).ok().and_then(Path::parent).unwrap_or(Path::new(""));
        lists.extend(read_lists(module, source, &types));
    });
    assert!(lists.len() > 50, "only {} lists in {}: has its form changed?", lists.len(), sources.display());
    for (name, lines) in lists {
        types.entry(name).or_insert(lines);
    }
    let text: String = types.into_iter().map(|(name, lines)| format!("{name} {lines}")).collect();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("descriptions.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).expect("memory takes all");
    let compressed = encoder.finish().expect("memory takes all");
    fs::write(&out, compressed).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

/// What cargo says of the workspace's crates. All of them must be known for that: where only those of this build were
/// fetched, cargo fetches the others.
struct Crates {
    metadata: String,
}

impl Crates {
    fn known_to_cargo() -> Crates {
        let offline = metadata(&["--offline"]);
        let metadata = offline.or_else(|_| metadata(&[])).unwrap_or_else(|error| panic!("cargo metadata: {error}"));
        Crates { metadata }
    }

    /// The folder of a crate. The manifest's path is the one text that has that folder and this file name in it.
    fn folder(&self, name: &str) -> PathBuf {
        let of_crate = |folder: &OsStr| {
            let version = folder.to_str().and_then(|folder| folder.strip_prefix(name));
            version
                .is_some_and(|version| version.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.'))
        };
        let paths = self.metadata.split("\"manifest_path\":\"").filter_map(|after| after.split('"').next());
        let mut folders = paths.filter_map(|path| Path::new(path).parent());
        let found = folders.find(|folder| folder.file_name().is_some_and(of_crate));
        found.unwrap_or_else(|| panic!("{name} is a dependency of the workspace")).to_owned()
    }
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

/// Shows every source file below a folder, and its text.
fn for_each_file(folder: &Path, show: &mut impl FnMut(&Path, &str)) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            for_each_file(&path, show);
        } else if let Ok(text) = fs::read_to_string(&path) {
            show(&path, &text);
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

/// The lists among the messages of a module of k8s-pb, of the known types: their names and lines. Messages have no
/// apiVersion and no kind; those are described in all types alike.
fn read_lists(module: &Path, source: &str, types: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let module: Vec<String> = module.iter().filter_map(OsStr::to_str).map(|part| part.replace('_', "-")).collect();
    let (mut lists, mut list, mut comment) = (Vec::new(), None, Vec::new());
    for line in source.lines() {
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
        } else if let Some(name) = line.strip_prefix("pub struct ").filter(|name| name.ends_with("List {")) {
            let name = format!("io.k8s.{}.{}", module.join("."), name.split(' ').next().unwrap_or_default());
            let Some(of_type) = name.strip_suffix("List").and_then(|item| types.get(item)) else { continue };
            let own = one_text(&comment).unwrap_or_default();
            list = Some((name, format!("{own}\n{}", of_every_kind(of_type))));
            comment.clear();
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|line| line.split_once(':')) {
            if let Some((_, lines)) = &mut list {
                lines.extend(one_text(&comment).map(|text| format!(" {field} {text}\n")));
            }
            comment.clear();
        } else if !line.starts_with("#[") {
            comment.clear();
            lists.extend(list.take_if(|_| line == "}"));
        }
    }
    lists
}

/// The lines of apiVersion and kind among those of a type.
fn of_every_kind(lines: &str) -> String {
    let is_theirs = |line: &&str| line.starts_with(" apiVersion ") || line.starts_with(" kind ");
    lines.split_inclusive('\n').filter(is_theirs).collect()
}

/// A comment as the text that upstream makes of it, as in JSON: without marks for generators, and in one line but where
/// a line was empty. The crate's own generator put links in brackets.
fn one_text(comment: &[&str]) -> Option<String> {
    let lines = comment.iter().take_while(|line| !line.starts_with("---")).filter(|line| !line.starts_with('+'));
    let paragraphs = lines.map(|line| if line.is_empty() { "\\n\\n".to_owned() } else { format!("{line} ") });
    let text = paragraphs.collect::<String>().replace(" \\n", "\\n").replace('"', "\\\"");
    let text = text.trim_end_matches("\\n").trim_end();
    assert!(!text.contains("  "), "{text:?} is no plain text");
    let (before, link) = text.split_once("<http").unwrap_or((text, ""));
    let text = if link.is_empty() { before.to_owned() } else { format!("{before}http{}", link.replacen('>', "", 1)) };
    Some(text).filter(|text| !text.is_empty())
}
