//! What objects are: paths, errors, selectors, quantities, names, and the schema of every built-in type.
//!
//! Upstream: apimachinery, api
//! Left out: typed structs (k8s-openapi has them) and conversions between versions of a kind.

pub mod decode;
pub mod field;
pub mod local_path;
pub mod names;
pub mod object;
pub mod owner;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod quota;
pub mod resources;
pub mod schema;
pub mod selector;
pub mod status;
pub mod time;
