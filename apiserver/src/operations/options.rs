//! The options that requests carry in their query, or deletes in their body.
//!
//! Upstream: apimachinery/pkg/apis/meta/v1/types.go (ListOptions ... DeleteOptions), meta/v1/validation
//! Left out: `timeout` of mutating requests.

use api::{
    field::Field,
    status::{Cause, Details, Status},
};
use component::query::Query;
use serde_json::Value;
use store::Revision;

/// A resourceVersion parameter; "" is none.
///
/// # Errors
/// 500, as upstream answers, when it is not a number.
pub fn resource_version(text: Option<&str>) -> Result<Option<Revision>, Status> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(|number| Some(Revision(number))).map_err(|_| {
            let message = format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            );
            Status::new(500, "", message)
        }),
    }
}

/// An integer parameter.
///
/// # Errors
/// 400 when it is not one.
pub fn integer(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = |_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
    text.parse().map(Some).map_err(wrong)
}

/// What to do with fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The options of a create, update or patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_validation: FieldValidation,
}

impl WriteOptions {
    /// Reads and checks them. `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    ///
    /// # Errors
    /// 422 for values that are not allowed.
    pub fn of(query: &Query, kind: &str) -> Result<WriteOptions, Status> {
        let dry_run = dry_run(query, kind)?;
        let manager = query.get("fieldManager").unwrap_or_default();
        if manager.len() > 128 {
            let message = "Too long: may not be more than 128 bytes".to_owned();
            return Err(invalid(kind, "fieldManager", "FieldValueTooLong", message));
        }
        if let Some((at, character)) = manager.chars().enumerate().find(|(_, character)| character.is_control()) {
            let code = u32::from(character);
            let message = format!("Invalid value: {manager:?}: invalid character U+{code:04X} (at position {at})");
            return Err(invalid(kind, "fieldManager", "FieldValueInvalid", message));
        }
        let field_validation = match query.get("fieldValidation").unwrap_or_default() {
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = r#"supported values: "Ignore", "Strict", "Warn""#;
                let message = format!("Unsupported value: {other:?}: {supported}");
                return Err(invalid(kind, "fieldValidation", "FieldValueNotSupported", message));
            }
        };
        Ok(WriteOptions { dry_run, field_validation })
    }
}

fn dry_run(query: &Query, kind: &str) -> Result<bool, Status> {
    check_dry_run(query.all("dryRun").map(str::to_owned).collect(), kind)
}

fn check_dry_run(values: Vec<String>, kind: &str) -> Result<bool, Status> {
    if values.iter().all(|value| *value == "All") {
        return Ok(!values.is_empty());
    }
    let list: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    let message = format!("Unsupported value: [{}]: supported values: \"All\"", list.join(","));
    Err(invalid(kind, "dryRun", "FieldValueNotSupported", message))
}

/// 422 for an option that is not allowed.
pub fn invalid(kind: &str, field: &str, reason: &str, message: String) -> Status {
    let cause = Cause { reason: reason.into(), message: message.clone(), field: field.into() };
    let details = Details { group: "meta.k8s.io".into(), kind: kind.into(), causes: vec![cause], ..Details::default() };
    let message = format!("{kind}.meta.k8s.io \"\" is invalid: {field}: {message}");
    Status { details: Some(details), ..Status::new(422, "Invalid", message) }
}

/// What happens to the dependents of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// The options of a delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub dry_run: bool,
    pub grace_period_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// The old way to say so, `orphanDependents=false`, was used: who waits for the end is told that it is to come.
    pub refuses_orphans: bool,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads them from the body, where there is one, and from the query otherwise.
    ///
    /// # Errors
    /// 400 and 422 for what makes no sense.
    pub fn of(query: &Query, body: Option<&Value>) -> Result<DeleteOptions, Status> {
        let mut options = DeleteOptions {
            dry_run: dry_run(query, "DeleteOptions")?,
            grace_period_seconds: integer(query, "gracePeriodSeconds")?,
            ..DeleteOptions::default()
        };
        let mut policy = query.get("propagationPolicy").map(str::to_owned);
        let mut orphan = query.get("orphanDependents").map(|value| value == "true" || value == "1");
        if let Some(body) = body {
            let root = Field::root(body);
            options.grace_period_seconds = root.child("gracePeriodSeconds").i64().or(options.grace_period_seconds);
            let values = root.child("dryRun").items().map(|each| each.str().to_owned()).collect();
            options.dry_run |= check_dry_run(values, "DeleteOptions")?;
            let preconditions = root.child("preconditions");
            options.uid = preconditions.child("uid").value.as_str().map(str::to_owned);
            options.resource_version = preconditions.child("resourceVersion").value.as_str().map(str::to_owned);
            policy = root.child("propagationPolicy").value.as_str().map(str::to_owned).or(policy);
            orphan = root.child("orphanDependents").value.as_bool().or(orphan);
        }
        if policy.is_some() && orphan.is_some() {
            let policy = policy.unwrap_or_default();
            let message =
                format!("Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set");
            return Err(invalid("DeleteOptions", "propagationPolicy", "FieldValueInvalid", message));
        }
        options.refuses_orphans = orphan == Some(false);
        options.propagation = match policy.as_deref() {
            None | Some("") => orphan.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
            Some("Orphan") => Some(Propagation::Orphan),
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some(other) => {
                let supported = r#"supported values: "Foreground", "Background", "Orphan", "nil""#;
                let message = format!("Unsupported value: {other:?}: {supported}");
                return Err(invalid("DeleteOptions", "propagationPolicy", "FieldValueNotSupported", message));
            }
        };
        Ok(options)
    }
}
