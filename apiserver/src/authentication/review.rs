//! "Who is this?", asked over the API: TokenReview and SelfSubjectReview.
//!
//! Upstream: pkg/registry/authentication/{tokenreview,selfsubjectreview}
//! Left out: nothing.

use api::status::Status;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Authenticator;
use crate::attributes::UserInfo;

/// Whose token is this? Create of a TokenReview; a token that nobody knows is an answer, not an error.
///
/// # Errors
/// 400 when there is no token in it.
pub fn token_review(authenticator: &Authenticator, review: &Value, now: Timestamp) -> Result<Value, Status> {
    let spec = &review["spec"];
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let given = spec["audiences"].as_array().filter(|audiences| !audiences.is_empty());
    let audiences: Vec<String> = match given {
        Some(audiences) => audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => authenticator.audiences.clone(),
    };
    let status = match authenticator.token_user(token, &audiences, now) {
        Ok((user, meant)) => json!({"authenticated": true, "user": user_json(&user), "audiences": meant}),
        Err(error) => json!({"user": {}, "error": error}),
    };
    let mut answered = review.clone();
    answered["kind"] = "TokenReview".into();
    answered["apiVersion"] = "authentication.k8s.io/v1".into();
    answered["status"] = status;
    Ok(answered)
}

/// Who am I? Create of a SelfSubjectReview.
pub fn self_subject_review(user: &UserInfo, review: &Value) -> Value {
    let mut answered = review.clone();
    answered["kind"] = "SelfSubjectReview".into();
    answered["apiVersion"] = "authentication.k8s.io/v1".into();
    answered["status"] = json!({"userInfo": user_json(user)});
    answered
}

/// The user as the API shows it.
pub(crate) fn user_json(user: &UserInfo) -> Value {
    let mut shown = json!({});
    if !user.name.is_empty() {
        shown["username"] = user.name.as_str().into();
    }
    if !user.uid.is_empty() {
        shown["uid"] = user.uid.as_str().into();
    }
    if !user.groups.is_empty() {
        shown["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        shown["extra"] = json!(user.extra);
    }
    shown
}
