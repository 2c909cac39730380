//! The cluster in the calling user's own kubeconfig: merged in with care, and taken out again without a trace.
//!
//! What is not ours stays as it is. Ours is marked by an extension, so that `delete` knows it; the context that was
//! current before is kept in the mark, and given back.
//!
//! Upstream: client-go/tools/clientcmd/{config,loader}.go
//! Left out: comments in the user's file: as with kubectl, writing it loses them.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::layout::Layout;

/// The name of the extension that marks what is ours.
const MARK: &str = "skiff.dev";

/// Merges the cluster's admin kubeconfig into the user's. Returns the line to print.
///
/// # Errors
/// The user's file is damaged, locked, or can't be written.
pub fn merge(layout: &Layout) -> anyhow::Result<String> {
    let admin = layout.kubeconfig("admin");
    let text = fs::read_to_string(&admin).with_context(|| format!("can't read {}", admin.display()))?;
    let ours: Value = serde_json::from_str(&text).with_context(|| format!("{} is damaged", admin.display()))?;
    let user = User::calling();
    let file = user.kubeconfig();
    let name = layout.context();
    let mut selected = false;
    edit(&file, &user, |config| {
        selected = merge_into(config, &ours, &name);
    })?;
    Ok(if selected {
        format!("kubectl is set up: context {name} in {}", file.display())
    } else {
        format!("context {name} is in {}; `kubectl config use-context {name}` selects it", file.display())
    })
}

/// Takes the cluster out of the user's kubeconfig. Returns the line to print, if it was there.
///
/// # Errors
/// As [`merge`].
pub fn remove(layout: &Layout) -> anyhow::Result<Option<String>> {
    let user = User::calling();
    let file = user.kubeconfig();
    if !file.exists() {
        return Ok(None);
    }
    let name = layout.context();
    let mut removed = false;
    edit(&file, &user, |config| removed = remove_from(config, &name))?;
    Ok(removed.then(|| format!("context {name} is gone from {}", file.display())))
}

/// Who called: under sudo, the user behind it.
struct User {
    home: PathBuf,
    /// User and group that own the file, when they aren't ours.
    owner: Option<(u32, u32)>,
}

impl User {
    fn calling() -> User {
        let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
        let home = PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into()));
        match (rustix::process::geteuid().is_root(), number("SUDO_UID"), number("SUDO_GID")) {
            (true, Some(uid), Some(gid)) if uid != 0 => {
                let home = home_of(uid).unwrap_or(home);
                User { home, owner: Some((uid, gid)) }
            }
            _ => User { home, owner: None },
        }
    }

    /// The first file of KUBECONFIG that is there, else the first one, else ~/.kube/config.
    fn kubeconfig(&self) -> PathBuf {
        choose_file(env::var_os("KUBECONFIG").as_deref()).unwrap_or_else(|| self.home.join(".kube/config"))
    }
}

fn choose_file(variable: Option<&OsStr>) -> Option<PathBuf> {
    let files: Vec<PathBuf> = env::split_paths(variable?).filter(|path| !path.as_os_str().is_empty()).collect();
    files.iter().find(|path| path.exists()).or(files.first()).cloned()
}

fn home_of(uid: u32) -> Option<PathBuf> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mine = fields.into_iter().find(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(uid)))?;
    mine.get(5).map(PathBuf::from)
}

/// Changes the file under kubectl's lock, and replaces it at once.
fn edit(path: &Path, user: &User, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
    let folder = path.parent().context("a kubeconfig lies in a folder")?;
    if !folder.exists() {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        give(folder, user.owner)?;
    }
    // What kubectl would replace, too, when the user keeps a link to the real file.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let _lock = Lock::take(&path)?;
    let (mut config, owner) = match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => (empty(), user.owner),
        Ok(text) => {
            let config: Value =
                serde_saphyr::from_str(&text).with_context(|| format!("{} is no kubeconfig", path.display()))?;
            let metadata = fs::metadata(&path)?;
            (config, Some((metadata.uid(), metadata.gid())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (empty(), user.owner),
        Err(error) => return Err(error).with_context(|| format!("can't read {}", path.display())),
    };
    if !config.is_object() {
        bail!("{} is no kubeconfig", path.display());
    }
    let before = config.clone();
    change(&mut config);
    if config == before {
        return Ok(());
    }
    let text = serde_saphyr::to_string(&config)?;
    component::pki::write_private(&path, text.as_bytes())?;
    give(&path, owner)
}

fn give(path: &Path, owner: Option<(u32, u32)>) -> anyhow::Result<()> {
    match owner {
        Some((uid, gid)) => {
            chown(path, Some(uid), Some(gid)).with_context(|| format!("can't chown {}", path.display()))
        }
        None => Ok(()),
    }
}

/// kubectl's lock: a file beside the kubeconfig that only one can create.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> anyhow::Result<Lock> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let created = File::options().write(true).create_new(true).mode(0o600).open(&lock);
        match created {
            Ok(_) => Ok(Lock(lock)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
                "{} is there: another program changes the kubeconfig; remove it if none does, and run this again",
                lock.display()
            ),
            Err(error) => Err(error).with_context(|| format!("can't create {}", lock.display())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn empty() -> Value {
    json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": "",
           "preferences": {}})
}

/// Puts our cluster, user and context in place of those of the same name. Returns whether our context is current now:
/// that is so only when none was, or the current one was ours already.
fn merge_into(config: &mut Value, ours: &Value, name: &str) -> bool {
    let current = config["current-context"].as_str().unwrap_or_default().to_owned();
    let select = current.is_empty() || is_ours(config, &current);
    let mark = |before: &str| json!([{"name": MARK, "extension": {"cluster": name, "previousContext": before}}]);
    let before =
        previous_context(config, name).unwrap_or_else(|| if current == name { String::new() } else { current });
    for (list, inner) in [("clusters", "cluster"), ("users", "user"), ("contexts", "context")] {
        let mut entry = ours[list][0].clone();
        // The user's part has no place for extensions that kubectl would keep.
        if inner != "user" {
            entry[inner]["extensions"] = mark(&before);
        }
        put_named(config, list, name, entry);
    }
    if select {
        config["current-context"] = name.into();
    }
    select
}

/// Takes out what [`merge_into`] put in. Returns whether it was there.
fn remove_from(config: &mut Value, name: &str) -> bool {
    if !is_ours(config, name) {
        return false;
    }
    let before = previous_context(config, name).unwrap_or_default();
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = config[list].as_array_mut() {
            entries.retain(|entry| entry["name"] != name);
        }
    }
    if config["current-context"] == name {
        let known = entries(config, "contexts").any(|entry| entry["name"] == before.as_str());
        config["current-context"] = if known { before.into() } else { "".into() };
    }
    true
}

fn entries<'a>(config: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    config[list].as_array().into_iter().flatten()
}

fn our_mark<'a>(config: &'a Value, context: &str) -> Option<&'a Map<String, Value>> {
    let entry = entries(config, "contexts").find(|entry| entry["name"] == context)?;
    let marks = entry["context"]["extensions"].as_array()?;
    marks.iter().find(|mark| mark["name"] == MARK)?["extension"].as_object()
}

fn is_ours(config: &Value, context: &str) -> bool {
    our_mark(config, context).is_some()
}

fn previous_context(config: &Value, context: &str) -> Option<String> {
    our_mark(config, context)?.get("previousContext")?.as_str().map(str::to_owned)
}

fn put_named(config: &mut Value, list: &str, name: &str, entry: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let entries = config[list].as_array_mut().expect("made an array above");
    match entries.iter_mut().find(|entry| entry["name"] == name) {
        Some(place) => *place = entry,
        None => entries.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Value {
        json!({"clusters": [{"name": "skiff", "cluster": {"server": "https://127.0.0.1:6443"}}],
               "users": [{"name": "skiff", "user": {"client-key-data": "a"}}],
               "contexts": [{"name": "skiff", "context": {"cluster": "skiff", "user": "skiff"}}]})
    }

    fn theirs() -> Value {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "work", "preferences": {"colors": true},
               "clusters": [{"name": "work", "cluster": {"server": "https://work", "odd": 1}}],
               "users": [{"name": "work", "user": {"exec": {"command": "login"}}}],
               "contexts": [{"name": "work", "context": {"cluster": "work", "user": "work"}}]})
    }

    #[test]
    fn an_empty_file_makes_our_context_current() {
        let mut config = empty();
        assert!(merge_into(&mut config, &ours(), "skiff"));
        assert_eq!(config["current-context"], "skiff");
    }

    #[test]
    fn a_context_of_the_users_stays_current_and_everything_of_theirs_stays() {
        let mut config = theirs();
        assert!(!merge_into(&mut config, &ours(), "skiff"));
        assert_eq!(config["current-context"], "work");
        assert_eq!(config["clusters"][0], theirs()["clusters"][0]);
        assert_eq!(config["preferences"], theirs()["preferences"]);
    }

    #[test]
    fn removing_gives_the_file_back_as_it_was() {
        let mut config = theirs();
        merge_into(&mut config, &ours(), "skiff");
        assert!(remove_from(&mut config, "skiff"));
        assert_eq!(config, theirs());
    }

    #[test]
    fn the_context_before_ours_is_current_again_even_after_a_second_up() {
        let mut config = theirs();
        merge_into(&mut config, &ours(), "skiff");
        config["current-context"] = "skiff".into();
        assert!(merge_into(&mut config, &ours(), "skiff"));
        remove_from(&mut config, "skiff");
        assert_eq!(config, theirs());
    }

    #[test]
    fn a_context_that_only_has_our_name_is_not_removed() {
        let mut config = theirs();
        config["contexts"][0]["name"] = "skiff".into();
        let before = config.clone();
        assert!(!remove_from(&mut config, "skiff"));
        assert_eq!(config, before);
    }

    #[test]
    fn the_file_is_private_and_a_lock_is_respected() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kube/config");
        let user = User { home: folder.path().into(), owner: None };
        edit(&path, &user, |config| {
            merge_into(config, &ours(), "skiff");
        })
        .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("current-context: skiff"), "{text}");
        let _other = Lock::take(&path).unwrap();
        assert!(
            edit(&path, &user, |config| {
                remove_from(config, "skiff");
            })
            .is_err()
        );
    }

    #[test]
    fn the_first_existing_file_of_kubeconfig_is_the_one() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, there) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&there, "").unwrap();
        let both = env::join_paths([&missing, &there]).unwrap();
        assert_eq!(choose_file(Some(&both)), Some(there));
        assert_eq!(choose_file(Some(missing.as_os_str())), Some(missing));
        assert_eq!(choose_file(None), None);
    }
}
