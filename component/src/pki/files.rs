//! Key and certificate files: keys readable by their owner only, whole or not there at all.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::PkiError;

/// Makes a file with mode 0600 that must not exist yet.
///
/// # Errors
/// [`PkiError::File`], with `AlreadyExists` when it is there.
pub fn create_private(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    create(path, contents, 0o600).map_err(|source| file_error(path, source))
}

/// Replaces a file at once with one of mode 0600: a reader sees the old contents or the new.
///
/// # Errors
/// [`PkiError::File`].
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    replace(path, contents, 0o600).map_err(|source| file_error(path, source))
}

/// Replaces a file at once with one that everybody may read.
///
/// # Errors
/// [`PkiError::File`].
pub fn write_public(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    replace(path, contents, 0o644).map_err(|source| file_error(path, source))
}

/// Every certificate of a PEM file, in its order.
///
/// # Errors
/// [`PkiError::File`], or [`PkiError::Malformed`] when there is none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(malformed(path, "no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(malformed(path, error)),
    }
}

/// The authorities of a PEM file, to verify others against.
///
/// # Errors
/// [`PkiError::File`], or [`PkiError::Malformed`] when one of them is no authority.
pub fn read_roots(path: &Path) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| malformed(path, error))?;
    }
    Ok(roots)
}

/// The private key of a PEM file.
///
/// # Errors
/// [`PkiError::File`] or [`PkiError::Malformed`].
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_slice(read(path)?.as_bytes()).map_err(|error| malformed(path, error))
}

pub(super) fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| file_error(path, source))
}

pub(super) fn make_directory(path: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| file_error(path, source))
}

pub(super) fn malformed(path: &Path, reason: impl ToString) -> PkiError {
    PkiError::Malformed { path: path.to_owned(), reason: reason.to_string() }
}

pub(super) fn file_error(path: &Path, source: io::Error) -> PkiError {
    PkiError::File { path: path.to_owned(), source }
}

fn create(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Writes beside the target and renames. What an interrupted run left beside it is removed first, so that the new
/// file is always one that this process made.
fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(&beside, contents, mode)?;
    fs::rename(&beside, path)
}
