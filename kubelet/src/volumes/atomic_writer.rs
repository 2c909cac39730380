//! Replaces all files of a folder in one step: readers see the old set or the new one, never a mixture.
//!
//! The files are in a folder named by time, `..data` is a link to it, and every file that users see is a link through
//! `..data`. Replacing that one link replaces everything.
//!
//! Upstream: pkg/volume/util/atomic_writer.go
//! Left out: nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use jiff::Timestamp;

const DATA: &str = "..data";

#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// Makes `folder` hold exactly these files, by relative path. Nothing is touched when it already does.
pub fn write(folder: &Path, files: &BTreeMap<String, File>) -> io::Result<()> {
    let data = folder.join(DATA);
    let before = std::fs::read_link(&data).ok();
    if before.is_some() && is_same(&data, files)? {
        return Ok(());
    }
    let name = format!("..{}", Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    let fresh = folder.join(&name);
    std::fs::create_dir(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        let path = fresh.join(path);
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above)?;
        }
        std::fs::write(&path, &file.bytes)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(file.mode))?;
    }
    let link = folder.join("..data_tmp");
    let _ = std::fs::remove_file(&link); // left by a kubelet that died here
    symlink(&name, &link)?;
    std::fs::rename(&link, &data)?;
    show(folder, files)?;
    match before {
        Some(old) => std::fs::remove_dir_all(folder.join(old)),
        None => Ok(()),
    }
}

/// Links the first part of each path through `..data`, and removes the links of files that are gone.
fn show(folder: &Path, files: &BTreeMap<String, File>) -> io::Result<()> {
    let wanted: BTreeSet<_> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(name.as_ref()) {
            std::fs::remove_file(folder.join(name.as_ref()))?;
        }
    }
    for name in wanted {
        let link = folder.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    Ok(())
}

fn is_same(data: &Path, files: &BTreeMap<String, File>) -> io::Result<bool> {
    for (path, file) in files {
        match std::fs::read(data.join(path)) {
            Ok(bytes) if bytes == file.bytes => {}
            _ => return Ok(false),
        }
    }
    Ok(count(data)? == files.len())
}

fn count(folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, File> {
        let file = |text: &str| File { bytes: text.as_bytes().to_vec(), mode: 0o644 };
        pairs.iter().map(|(path, text)| (path.to_string(), file(text))).collect()
    }

    #[test]
    fn a_second_set_replaces_the_first() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files(&[("a", "1"), ("sub/b", "2")])).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("sub/b")).unwrap(), "2");
        write(folder.path(), &files(&[("a", "3"), ("c", "4")])).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("a")).unwrap(), "3");
        assert!(!folder.path().join("sub").exists());
        let hidden = std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".."));
        assert_eq!(hidden.count(), 2, "one folder and one link to it");
    }

    #[test]
    fn the_same_set_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files(&[("a", "1")])).unwrap();
        let before = std::fs::read_link(folder.path().join("..data")).unwrap();
        write(folder.path(), &files(&[("a", "1")])).unwrap();
        assert_eq!(std::fs::read_link(folder.path().join("..data")).unwrap(), before);
    }
}
