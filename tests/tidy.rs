//! The order that docs and reviews rely on, kept by looking at the sources themselves.
//!
//! Upstream: hack/verify-*.sh
//! Left out: formatting and lints, which rustfmt and clippy keep.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What each crate of ours may stand on. `skiff`, `tests` and `bench` may use anything.
const ARROWS: [(&str, &[&str]); 11] = [
    ("api", &[]),
    ("proto", &[]),
    ("expressions", &[]),
    ("component", &[]),
    ("store", &[]),
    ("client", &["api", "component"]),
    ("apiserver", &["api", "store", "component", "client", "expressions"]),
    ("scheduler", &["api", "client", "component"]),
    ("controller-manager", &["api", "client", "component"]),
    ("proxy", &["api", "client", "component"]),
    ("kubelet", &["api", "client", "component", "proto"]),
];

/// Files and folders that only decide: the same input gives the same answer.
const DECISIONS: [&str; 12] = [
    "kubelet/src/plan.rs",
    "kubelet/src/status.rs",
    "proxy/src/categories.rs",
    "proxy/src/dns/answer.rs",
    "proxy/src/restore.rs",
    "proxy/src/ruleset.rs",
    "proxy/src/ruleset",
    "scheduler/src/plugins",
    "scheduler/src/schedule.rs",
    "apiserver/src/strategy",
    "controller-manager/src/replica_set/rank.rs",
    "controller-manager/src/volume_binder/matching.rs",
];

/// What a decision has no use for.
const IMPURE: [&str; 8] =
    ["async ", "::now()", "fastrand", "kube::Client", "tokio::", "std::fs", "std::net::TcpStream", "thread::sleep"];

/// Names that say nothing about what is inside.
const EMPTY_WORDS: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "processor"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// The files that git knows, or would add, by their path from the root.
fn files(pattern: &str) -> Vec<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root()).args(["ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]);
    let output = command.output().expect("git");
    assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("paths are text");
    let listed: BTreeSet<&str> = listed.lines().filter(|path| root().join(path).is_file()).collect();
    assert!(!listed.is_empty(), "no file is {pattern}");
    listed.into_iter().map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a source file is written by a program.
fn is_generated(path: &str) -> bool {
    path.contains("/generated/")
}

/// Whether it holds nothing but tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The part of a source before its own tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn every_source_opens_with_what_it_is_and_where_upstream_does_it() {
    let mut wrong = Vec::new();
    for path in files("*.rs").iter().filter(|path| !is_generated(path) && !path.ends_with("/tests.rs")) {
        let text = read(path);
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let says_where = is_test(path) || header.iter().any(|line| line.starts_with("//! Upstream: "));
        if header.is_empty() || !says_where {
            wrong.push(path.clone());
        }
    }
    none("no `//!` header with an `Upstream:` line", wrong);
}

#[test]
fn every_source_is_reached_by_a_mod_line() {
    let sources: BTreeSet<String> = files("*.rs").into_iter().collect();
    let mut reached: BTreeSet<String> = sources.iter().filter(|path| is_entry(path)).cloned().collect();
    let mut open: Vec<String> = reached.iter().cloned().collect();
    while let Some(path) = open.pop() {
        for module in modules(&read(&path)) {
            let file = format!("{}/{module}.rs", module_folder(&path));
            if sources.contains(&file) && reached.insert(file.clone()) {
                open.push(file);
            }
        }
    }
    // Generated sources are included by the file that names their packages.
    let lost = sources.difference(&reached).filter(|path| !is_generated(path));
    none("no `mod` line leads to", lost.cloned().collect());
}

/// Whether cargo itself looks for this file.
fn is_entry(path: &str) -> bool {
    let within = path.rsplit_once("/src/").map(|(_, within)| within);
    matches!(within, Some("lib.rs" | "main.rs"))
        || within.is_some_and(|within| within.starts_with("bin/") && within.matches('/').count() == 1)
        || path.rsplit('/').nth(1) == Some("tests") && !path.contains("/src/")
        || ["build.rs", "tidy.rs"].iter().any(|name| path.ends_with(name))
}

/// Where the modules that a file declares lie.
fn module_folder(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    let own = is_entry(path) && !path.contains("/src/bin/");
    let folder = stem.rsplit_once('/').map_or("", |(folder, _)| folder);
    // An integration test `a.rs` has its modules in the folder `a`, by a `#[path]` or beside it as cargo finds them.
    if own && path.contains("/src/") { folder.to_owned() } else { stem.to_owned() }
}

fn modules(text: &str) -> Vec<String> {
    let declared = text.lines().filter_map(|line| {
        let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        line.trim_start().strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(str::to_owned).collect()
}

#[test]
fn crates_stand_only_on_what_the_picture_says() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).chain(["skiff", "tests", "bench"]).collect();
    let mut wrong = Vec::new();
    for (name, allowed) in ARROWS {
        let manifest = read(&format!("{name}/Cargo.toml"));
        assert!(manifest.contains(&format!("name = \"{name}\"")), "the folder {name} holds another crate");
        for line in manifest.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if ours.contains(dependency) && !allowed.contains(&dependency) && dependency != name {
                wrong.push(format!("{name} -> {dependency}"));
            }
        }
    }
    none("arrows that are not in the picture", wrong);
}

#[test]
fn decisions_read_no_clock_and_do_nothing() {
    let mut wrong = Vec::new();
    for decision in DECISIONS {
        let within =
            files("*.rs").into_iter().filter(|path| path == decision || path.starts_with(&format!("{decision}/")));
        let within: Vec<String> = within.filter(|path| !is_test(path)).collect();
        assert!(!within.is_empty(), "{decision} is gone");
        for path in within {
            for (number, line) in without_tests(&read(&path)).lines().enumerate() {
                let found = IMPURE.iter().find(|word| line.contains(**word) && !line.trim_start().starts_with("//"));
                wrong.extend(found.map(|word| format!("{path}:{}: {word}", number + 1)));
            }
        }
    }
    none("decisions that touch the world", wrong);
}

#[test]
fn every_controller_is_shown_to_come_to_rest() {
    let mut wrong = Vec::new();
    for path in files("controller-manager/src/*.rs") {
        if !read(&path).contains("impl Controller for") {
            continue;
        }
        // `noun.rs`, or `noun/controller.rs` beside `noun/tests.rs`.
        let noun = path.trim_end_matches("/controller.rs").trim_end_matches(".rs");
        let tests = [format!("{noun}.rs"), format!("{noun}/tests.rs")];
        if !tests.iter().any(|tests| root().join(tests).exists() && read(tests).contains("settle(")) {
            wrong.push(path);
        }
    }
    none("no test applies the plan and plans again (`settle` of test_world.rs)", wrong);
}

#[test]
fn every_path_that_the_docs_name_exists() {
    let documents = ["README.md", "ARCHITECTURE.md"].map(str::to_owned).into_iter().chain(files("docs/*.md"));
    let mut wrong = Vec::new();
    for document in documents {
        for word in paths_in(&read(&document)) {
            let beside = root().join(&document).with_file_name(&word);
            if !root().join(&word).exists() && !beside.exists() {
                wrong.push(format!("{document}: {word}"));
            }
        }
    }
    for source in files("*.rs").iter().filter(|path| !is_generated(path)) {
        let text = read(source);
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n");
        let header: String = header.lines().filter(|line| !line.starts_with("//! Upstream:")).collect();
        for word in paths_in(&header).into_iter().filter(|word| is_ours(word)) {
            if !root().join(&word).exists() {
                wrong.push(format!("{source}: {word}"));
            }
        }
    }
    none("paths that don't exist", wrong);
}

/// Everything in a text that looks like a path of this repository.
fn paths_in(text: &str) -> BTreeSet<String> {
    let separators = |letter: char| !(letter.is_ascii_alphanumeric() || "./_-".contains(letter));
    let words = text.split(separators).map(|word| word.trim_start_matches("./").trim_end_matches('.'));
    let endings = [".rs", ".md", ".toml", ".yaml"];
    let known = |word: &&str| word.contains('/') && (endings.iter().any(|end| word.ends_with(end)) || is_script(word));
    words.filter(known).map(str::to_owned).collect()
}

fn is_script(word: &str) -> bool {
    word.starts_with("deploy/")
}

fn is_ours(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    ARROWS.iter().any(|(name, _)| *name == first) || ["skiff", "tests", "bench", "docs", "deploy"].contains(&first)
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty = |path: &&String| {
        let stem = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        stem.split('_').any(|word| EMPTY_WORDS.contains(&word))
    };
    none("names that say nothing", files("*.rs").iter().filter(empty).cloned().collect());
}

#[test]
fn no_test_is_ignored_and_every_crate_keeps_the_lints() {
    let mut wrong = Vec::new();
    let ignored = concat!("#[", "ignore");
    wrong.extend(files("*.rs").into_iter().filter(|path| read(path).contains(ignored)));
    for manifest in files("*Cargo.toml").iter().filter(|path| *path != "Cargo.toml") {
        let text = read(manifest);
        let is_apart = text.contains("[workspace]");
        if !is_apart && !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{manifest}: no workspace lints"));
        }
        if text.contains("test = false") {
            wrong.push(format!("{manifest}: tests are switched off"));
        }
    }
    none("tests or lints that are switched off", wrong);
}

#[test]
fn no_file_has_grown_past_what_one_noun_needs() {
    let mut wrong = BTreeMap::new();
    for path in files("*.rs").into_iter().filter(|path| !is_generated(path) && !is_test(path)) {
        let lines = without_tests(&read(&path)).lines().count();
        if lines > 600 {
            wrong.insert(path, lines);
        }
    }
    none("files of more than 600 lines", wrong.iter().map(|(path, lines)| format!("{path}: {lines}")).collect());
}
