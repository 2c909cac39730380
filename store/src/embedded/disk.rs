//! The operations on files that durability hangs on, in one place so that tests can record, refuse or skip them.
//!
//! Upstream: etcd's client/pkg/fileutil and its gofail points
//! Left out: reads; they go to the files directly.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::Revision;

/// Something that is about to happen.
#[derive(Debug)]
pub enum Operation<'a> {
    Create {
        name: &'a str,
    },
    Write {
        name: &'a str,
        offset: u64,
        bytes: &'a [u8],
    },
    /// What was written to the file is made durable.
    Sync {
        name: &'a str,
    },
    Rename {
        from: &'a str,
        to: &'a str,
    },
    Remove {
        name: &'a str,
    },
    /// Created, renamed and removed names are made durable.
    SyncDirectory,
    /// Commits up to this revision, durable already, become visible.
    Publish {
        revision: Revision,
    },
    /// The writers of commits up to this revision are told.
    Answer {
        revision: Revision,
    },
}

/// What is to become of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// Not done, but reported as done: how a disk that lies behaves.
    Skip,
}

/// Sees every operation before it happens; an error of its own is taken for the operation's. For tests.
pub type Tap = Arc<dyn Fn(&Operation<'_>) -> io::Result<Verdict> + Send + Sync>;

/// One directory and what is done in it.
#[derive(Clone)]
pub(super) struct Disk {
    path: PathBuf,
    directory: Arc<File>,
    tap: Option<Tap>,
}

/// An open file and its name in the directory.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) name: String,
    pub(super) file: Arc<File>,
}

impl Disk {
    /// The directory `path`, made if it is missing, for its owner only.
    pub(super) fn open(path: &Path, tap: Option<Tap>) -> io::Result<Disk> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let path = path.canonicalize()?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(Disk { directory: Arc::new(File::open(&path)?), path, tap })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Calls the tap; whether the operation is to be carried out.
    pub(super) fn announce(&self, operation: &Operation<'_>) -> io::Result<bool> {
        match &self.tap {
            None => Ok(true),
            Some(tap) => Ok(tap(operation)? == Verdict::Go),
        }
    }

    /// All names in the directory.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    pub(super) fn open_file(&self, name: &str) -> io::Result<Handle> {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        Ok(Handle { name: name.to_owned(), file: Arc::new(file) })
    }

    /// A new, empty file; what had its name before is gone.
    pub(super) fn create(&self, name: &str) -> io::Result<Handle> {
        self.announce(&Operation::Create { name })?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Handle { name: name.to_owned(), file: Arc::new(file.open(self.path.join(name))?) })
    }

    pub(super) fn write(&self, handle: &Handle, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.announce(&Operation::Write { name: &handle.name, offset, bytes })? {
            handle.file.write_all_at(bytes, offset)?;
        }
        Ok(())
    }

    pub(super) fn sync(&self, handle: &Handle) -> io::Result<()> {
        if self.announce(&Operation::Sync { name: &handle.name })? {
            handle.file.sync_data()?;
        }
        Ok(())
    }

    pub(super) fn rename(&self, handle: &mut Handle, to: &str) -> io::Result<()> {
        self.announce(&Operation::Rename { from: &handle.name, to })?;
        std::fs::rename(self.path.join(&handle.name), self.path.join(to))?;
        to.clone_into(&mut handle.name);
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.announce(&Operation::Remove { name })?;
        std::fs::remove_file(self.path.join(name))
    }

    pub(super) fn sync_directory(&self) -> io::Result<()> {
        if self.announce(&Operation::SyncDirectory)? {
            self.directory.sync_all()?;
        }
        Ok(())
    }
}

/// Whether an error says that the disk, or this user's part of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
