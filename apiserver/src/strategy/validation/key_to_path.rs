//! Paths below a directory that Kubernetes fills: the items of Secret, ConfigMap, downward API and projected volumes.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validateKeyToPath, validateLocalDescendingPath,
//!   ValidateLocalNonReservedPath)
//! Left out: nothing.

use api::field::Field;

use super::{Errors, required};

pub(crate) const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// The mode of a file, if there is one.
pub(crate) fn file_mode(mode: &Field<'_>, errors: &mut Errors) {
    if mode.i64().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        errors.push(mode.invalid(FILE_MODE));
    }
}

/// One key and the file that it becomes.
pub(crate) fn key_to_path(item: &Field<'_>, errors: &mut Errors) {
    required(&item.child("key"), errors);
    let path = item.child("path");
    required(&path, errors);
    non_reserved(&path, errors);
    file_mode(&item.child("mode"), errors);
}

/// A relative path that stays below its directory.
pub(crate) fn descending(path: &Field<'_>, errors: &mut Errors) {
    if path.str().starts_with('/') {
        errors.push(path.invalid("must be a relative path"));
    }
    no_backsteps(path, errors);
}

/// A path without `..` in it.
pub(crate) fn no_backsteps(path: &Field<'_>, errors: &mut Errors) {
    if path.str().split('/').any(|step| step == "..") {
        errors.push(path.invalid("must not contain '..'"));
    }
}

/// As [`descending`], and not one of the names that begin with two dots, which the kubelet uses itself.
pub(crate) fn non_reserved(path: &Field<'_>, errors: &mut Errors) {
    descending(path, errors);
    if path.str().starts_with("..") && !path.str().starts_with("../") {
        errors.push(path.invalid("must not start with '..'"));
    }
}
