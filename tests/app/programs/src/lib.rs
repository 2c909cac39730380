//! The programs of the user's application that are ours to write: the backend, and a client that counts.
//!
//! Upstream: none
//! Left out: everything that the application doesn't show.

pub mod mysql;
mod sha1;
