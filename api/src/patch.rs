//! Patches: an object and a description of a change make the changed object.
//!
//! Upstream: apimachinery/pkg/util/strategicpatch, apiserver/pkg/endpoints/handlers/patch.go, evanphx/json-patch
//! Left out: making patches out of two objects (clients do that), and server-side apply.

mod go;
mod json;
pub mod restore;
pub mod strategic;

pub use json::JsonPatch;
pub use strategic::strategic;

use crate::status::{Details, Status};

/// Why a patch can't be applied. Converts to the [`Status`] that upstream answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch breaks the rules of its format: 400.
    #[error("{0}")]
    Malformed(String),
    /// The patch is well-formed and does not fit the object: 422, and the answer does not say why.
    #[error("{0}")]
    Unprocessable(String),
    /// More than one patch may ask for: 413.
    #[error("{0}")]
    TooLarge(String),
    /// What upstream takes for its own fault: 500 without a reason.
    #[error("{0}")]
    Unmergeable(String),
}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Status {
        match error {
            PatchError::Malformed(message) => Status::bad_request(message),
            PatchError::Unprocessable(_) => {
                let message = "the server rejected our request due to an error in our request";
                Status { details: Some(Details::default()), ..Status::new(422, "Invalid", message) }
            }
            PatchError::TooLarge(message) => {
                Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: {message}"))
            }
            PatchError::Unmergeable(message) => Status::new(500, "", message),
        }
    }
}
