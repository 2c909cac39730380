//! Finds the part of a volume that a `subPath` or `fileKeyRef` names, and pins it: whatever a container does to the volume
//! meanwhile, what is mounted or read lies inside of it.
//!
//! The kernel resolves the path and refuses to leave the volume; the descriptor it gives is bound to a place of the
//! kubelet's own, and the container gets that place. No path is looked up twice.
//!
//! Upstream: pkg/volume/util/subpath/subpath_linux.go
//! Left out: kernels before 5.6, which have no openat2.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

/// Opens `sub_path` below `volume`, making the folders that are missing. Nothing outside of the volume is touched.
///
/// # Errors
/// It leads out of the volume, or the disk refuses.
pub fn open(volume: &Path, sub_path: &Path) -> io::Result<OwnedFd> {
    if sub_path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "subPath must be a relative path without \"..\""));
    }
    let root = rustix::fs::open(volume, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mut reached = std::path::PathBuf::new();
    let mut place = resolve(&root, Path::new("."))?;
    for part in sub_path.components() {
        reached.push(part);
        place = match resolve(&root, &reached) {
            Err(Errno::NOENT) => {
                match mkdirat(&place, part.as_os_str(), Mode::from_raw_mode(0o750)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                resolve(&root, &reached)?
            }
            other => other?,
        };
    }
    Ok(place)
}

fn resolve(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how)
}

/// Reads a file of a volume. Links in it are followed as a container would that has the volume as its root.
///
/// # Errors
/// There is no such file, it is none of text, it is longer than `max_bytes`, or the disk refuses.
pub fn read(volume: &Path, path: &Path, max_bytes: u64) -> io::Result<String> {
    let root = rustix::fs::open(volume, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // A pipe without a writer would keep us waiting.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(openat2(&root, path, flags, Mode::empty(), how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    if file.take(max_bytes + 1).read_to_string(&mut text)? as u64 > max_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {max_bytes} bytes")));
    }
    Ok(text)
}

/// Binds what was opened to `target`, in place of what a former container had there.
///
/// # Errors
/// The disk or the kernel refuses.
pub fn bind(opened: &OwnedFd, target: &Path, read_only: bool) -> io::Result<()> {
    let _ = unmount(target, UnmountFlags::DETACH); // nothing is mounted there, the first time
    let is_folder = FileType::from_raw_mode(fstat(opened.as_fd())?.st_mode) == FileType::Directory;
    if is_folder {
        std::fs::create_dir_all(target)?;
    } else {
        std::fs::create_dir_all(target.parent().unwrap_or(target))?;
        std::fs::File::create(target)?;
    }
    mount_bind(format!("/proc/self/fd/{}", opened.as_raw_fd()), target)?;
    if read_only {
        mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn path_of(opened: &OwnedFd) -> std::path::PathBuf {
        std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).unwrap()
    }

    #[test]
    fn missing_folders_are_made_inside_of_the_volume() {
        let volume = tempfile::tempdir().unwrap();
        let opened = open(volume.path(), Path::new("a/b")).unwrap();
        assert_eq!(path_of(&opened), volume.path().join("a/b").canonicalize().unwrap());
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_inside() {
        let volume = tempfile::tempdir().unwrap();
        std::fs::write(volume.path().join("file"), "x").unwrap();
        symlink("file", volume.path().join("inside")).unwrap();
        assert!(path_of(&open(volume.path(), Path::new("inside")).unwrap()).ends_with("file"));
        for target in ["/etc", "../..", "/etc/passwd"] {
            let link = volume.path().join("outside");
            let _ = std::fs::remove_file(&link);
            symlink(target, &link).unwrap();
            assert!(open(volume.path(), Path::new("outside")).is_err(), "{target}");
            assert!(open(volume.path(), Path::new("outside/new")).is_err(), "{target}/new");
        }
    }

    #[test]
    fn paths_that_go_up_are_refused() {
        let volume = tempfile::tempdir().unwrap();
        for path in ["..", "a/../..", "/etc"] {
            assert!(open(volume.path(), Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn a_swap_of_the_link_while_it_is_opened_never_leads_out() {
        let volume = tempfile::tempdir().unwrap();
        std::fs::create_dir(volume.path().join("good")).unwrap();
        let link = volume.path().join("link");
        let fresh = volume.path().join("fresh");
        symlink("good", &link).unwrap();
        std::thread::scope(|scope| {
            let swapper = scope.spawn(|| {
                for turn in 0..2000 {
                    symlink(if turn % 2 == 0 { "/etc" } else { "good" }, &fresh).unwrap();
                    std::fs::rename(&fresh, &link).unwrap();
                }
            });
            let inside = volume.path().canonicalize().unwrap();
            while !swapper.is_finished() {
                if let Ok(opened) = open(volume.path(), Path::new("link")) {
                    assert!(path_of(&opened).starts_with(&inside));
                }
            }
        });
    }

    #[test]
    fn a_file_is_read_inside_the_volume_only() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        std::fs::create_dir_all(volume.join("etc")).unwrap();
        std::fs::write(folder.path().join("secret"), "outside").unwrap();
        std::fs::write(volume.join("secret"), "inside").unwrap();
        symlink("/../secret", volume.join("etc/link")).unwrap();
        symlink("/proc/self/environ", volume.join("magic")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, volume.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap();
        let text = |path: &str| read(&volume, Path::new(path), 6).map_err(|error| error.kind());
        assert_eq!(text("secret").as_deref(), Ok("inside"));
        assert_eq!(text("etc/link").as_deref(), Ok("inside"));
        assert_eq!(text("../secret").as_deref(), Ok("inside"));
        assert_eq!(text("magic"), Err(io::ErrorKind::NotFound));
        assert_eq!(text("pipe"), Err(io::ErrorKind::InvalidInput));
        assert_eq!(text("etc"), Err(io::ErrorKind::InvalidInput));
        std::fs::write(volume.join("secret"), "too long").unwrap();
        assert_eq!(text("secret"), Err(io::ErrorKind::FileTooLarge));
    }
}
