//! The rules that all objects share: names, labels, annotations, owners, finalizers, and what only the server sets.
//!
//! Upstream: apiserver/pkg/registry/rest (create.go, update.go, meta.go), apimachinery/pkg/api/validation/objectmeta.go
//! Left out: managed fields (server-side apply), which are dropped from what clients send.

use api::{
    field::{Field, FieldError},
    names,
    object::Object as _,
    status::Status,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    row::{Row, Scope, Subresource},
    strategy::{Generation, NameRule},
};

/// All annotations of an object together, keys and values.
const ANNOTATIONS_LIMIT_BYTES: usize = 256 << 10;

/// Fields of `metadata` that a client's value is never taken for.
const SERVER_OWNED: [&str; 5] =
    ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Makes the metadata of a new object: the namespace of the request, a generated name where one is wanted, and what
/// the server sets. `random` feeds the generated name.
///
/// # Errors
/// 400 when the object's namespace is not the request's, 409-like refusals as upstream's.
pub fn prepare_for_create(
    row: &Row,
    object: &mut Value,
    namespace: &str,
    uid: String,
    now: Timestamp,
    random: u64,
) -> Result<(), Status> {
    let elsewhere = "the namespace of the provided object does not match the namespace sent on the request";
    claim_namespace(row, object, namespace, || elsewhere.to_owned())?;
    if !object.resource_version().is_empty() {
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    let base = object.meta_str("generateName").to_owned();
    let metadata = object.metadata_mut();
    for field in SERVER_OWNED.iter().chain(&["selfLink", "managedFields"]) {
        // Where the kind does not count generations, a client may keep a number of its own there.
        if *field != "generation" || row.strategy.generation() != Generation::None {
            metadata.remove(*field);
        }
    }
    if metadata.get("name").and_then(Value::as_str).unwrap_or_default().is_empty() && !base.is_empty() {
        metadata.insert("name".into(), api::object::generate_name(&base, random).into());
    }
    if row.strategy.is_named_by_server() && base.is_empty() {
        let unnamed = metadata.get("name").and_then(Value::as_str).unwrap_or_default().is_empty();
        if unnamed {
            metadata.insert("name".into(), uid.as_str().into());
        }
    }
    metadata.insert("uid".into(), uid.into());
    metadata.insert("creationTimestamp".into(), api::time::to_seconds(now).into());
    if row.strategy.generation() != Generation::None {
        metadata.insert("generation".into(), 1.into());
    }
    drop_empty(object);
    Ok(())
}

/// Makes the metadata of a changed object: what only the server sets is taken from the current one.
///
/// # Errors
/// 400 and 409 for a name, namespace or uid that is not the object's.
pub fn prepare_for_update(
    row: &Row,
    object: &mut Value,
    current: &Value,
    name: &str,
    namespace: &str,
) -> Result<(), Status> {
    match object.name() {
        "" => {
            let message =
                format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
            return Err(Status::bad_request(message));
        }
        given if given != name => {
            let message = format!("the name of the object ({given}) does not match the name on the URL ({name})");
            return Err(Status::bad_request(message));
        }
        _ => {}
    }
    let given = object.namespace().to_owned();
    claim_namespace(row, object, namespace, || {
        format!("the namespace of the object ({given}) does not match the namespace on the request ({namespace})")
    })?;
    let uid = object.uid();
    if !uid.is_empty() && uid != current.uid() {
        return Err(other_uid(row, namespace, name, uid, current.uid()));
    }
    let metadata = object.metadata_mut();
    for field in SERVER_OWNED {
        match current.metadata().get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            // A client that asks for a deletion this way is told so by `validate_update`.
            None if field.starts_with("deletion") => None,
            None => metadata.remove(field),
        };
    }
    metadata.remove("selfLink");
    metadata.remove("managedFields");
    drop_empty(object);
    Ok(())
}

/// Takes out owners that are named twice, and says so.
pub fn drop_repeated_owners(object: &mut Value) -> Option<String> {
    let owners = object.get_mut("metadata")?.get_mut("ownerReferences")?.as_array_mut()?;
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    let mut repeated: Vec<String> = Vec::new();
    for owner in std::mem::take(owners) {
        if kept.contains(&owner) {
            let uid = owner["uid"].as_str().unwrap_or_default().to_owned();
            if !repeated.contains(&uid) {
                repeated.push(uid);
            }
        } else {
            kept.push(owner);
        }
    }
    *owners = kept;
    (!repeated.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may \
             reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            repeated.join(", ")
        )
    })
}

/// Counts the generation up when something other than metadata and status differs.
pub fn bump_generation(row: &Row, subresource: Option<Subresource>, object: &mut Value, current: &Value) {
    // A binding goes around the pods' strategy upstream, so that a pod that waited is still of generation 1.
    if subresource == Some(Subresource::Binding) {
        return;
    }
    let annotations = match row.strategy.generation() {
        Generation::None | Generation::Once => return,
        Generation::OnSpecChange => false,
        Generation::OnSpecOrAnnotationChange => {
            subresource.is_none() && object.metadata().get("annotations") != current.metadata().get("annotations")
        }
    };
    let differs = |(name, value): (&String, &Value)| {
        !matches!(name.as_str(), "metadata" | "status") && current.get(name) != Some(value)
    };
    let empty = serde_json::Map::new();
    let now = object.as_object().unwrap_or(&empty);
    let removed = current
        .as_object()
        .unwrap_or(&empty)
        .keys()
        .any(|name| !matches!(name.as_str(), "metadata" | "status") && !now.contains_key(name));
    if annotations || removed || now.iter().any(differs) {
        let next = current.generation() + 1;
        object.metadata_mut().insert("generation".into(), next.into());
    }
}

/// 409: the uid that a client wants to change is not the object's (or nobody's: `actual` is ""). Upstream's words tell
/// how its storage names the object.
pub fn other_uid(row: &Row, namespace: &str, name: &str, wanted: &str, actual: &str) -> Status {
    let prefix = match row.plural.as_ref() {
        "nodes" => "minions",
        "ingresses" => "ingress",
        "services" => "services/specs",
        "endpoints" => "services/endpoints",
        "replicationcontrollers" => "controllers",
        plural => plural,
    };
    let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{prefix}/{place}{name}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
    );
    Status::conflict(&row.group, &row.plural, name, &why)
}

fn claim_namespace(
    row: &Row,
    object: &mut Value,
    namespace: &str,
    elsewhere: impl FnOnce() -> String,
) -> Result<(), Status> {
    if row.scope == Scope::Cluster {
        object.metadata_mut().remove("namespace");
        return Ok(());
    }
    let given = object.namespace();
    if !given.is_empty() && given != namespace {
        return Err(Status::bad_request(elsewhere()));
    }
    object.metadata_mut().insert("namespace".into(), namespace.into());
    Ok(())
}

/// Empty maps, lists and strings in metadata are the same as none.
fn drop_empty(object: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    object.metadata_mut().retain(|_, value| !is_empty(value));
}

/// The mistakes in an object's metadata.
pub fn validate(row: &Row, object: &Field<'_>) -> Vec<FieldError> {
    let metadata = object.child("metadata");
    let mut errors = Vec::new();
    let (name, base) = (metadata.child("name"), metadata.child("generateName"));
    if !base.str().is_empty() {
        errors.extend(name_mistakes(row, base.str().trim_end_matches('-'), true).map(|wrong| base.invalid(wrong)));
    }
    if name.str().is_empty() {
        errors.push(name.required("name or generateName is required"));
    } else {
        errors.extend(name_mistakes(row, name.str(), false).map(|wrong| name.invalid(wrong)));
    }
    if row.scope == Scope::Namespaced {
        let namespace = metadata.child("namespace");
        errors.extend(names::is_dns1123_label(namespace.str()).into_iter().map(|wrong| namespace.invalid(wrong)));
    }
    validate_beside_names(&metadata, &mut errors);
    errors
}

/// The mistakes in metadata, but in its names.
pub fn validate_beside_names(metadata: &Field<'_>, errors: &mut Vec<FieldError>) {
    validate_labels(&metadata.child("labels"), errors);
    validate_annotations(&metadata.child("annotations"), errors);
    validate_owners(&metadata.child("ownerReferences"), errors);
    validate_finalizers(&metadata.child("finalizers"), errors);
}

/// The mistakes in how metadata changes.
pub fn validate_update(row: &Row, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
    let mut errors = validate(row, object);
    let metadata = object.child("metadata");
    for name in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        let field = metadata.child(name);
        if !field.is_absent() && current.metadata().get(name) != Some(field.value) {
            errors.push(field.invalid("field is immutable"));
        }
    }
    if current.is_terminating() {
        let finalizers = metadata.child("finalizers");
        let had = current.finalizers();
        let new: Vec<&str> = finalizers
            .items()
            .map(|each| each.value.as_str().unwrap_or_default())
            .filter(|each| !had.contains(each))
            .collect();
        if !new.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                new.iter().map(|each| format!("{each:?}")).collect::<Vec<_>>().join(", ")
            );
            errors.push(finalizers.forbidden(detail));
        }
    }
    errors
}

fn name_mistakes(row: &Row, name: &str, prefix: bool) -> impl Iterator<Item = String> {
    match row.strategy.name_rule() {
        NameRule::DnsSubdomain => names::is_dns1123_subdomain(name),
        NameRule::DnsLabel => names::is_dns1123_label(name),
        NameRule::Dns1035Label => names::is_dns1035_label(name),
        NameRule::PathSegment if prefix => names::is_path_segment_prefix(name),
        NameRule::PathSegment => names::is_path_segment_name(name),
    }
    .into_iter()
}

/// Checks label keys and values.
pub fn validate_labels(labels: &Field<'_>, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.entries() {
        errors.extend(names::is_qualified_name(key).into_iter().map(|wrong| labels.invalid_value(key, wrong)));
        errors.extend(
            names::is_label_value(value.str()).into_iter().map(|wrong| labels.invalid_value(value.str(), wrong)),
        );
    }
}

/// Checks annotation keys and how large all annotations are together.
pub fn validate_annotations(annotations: &Field<'_>, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        size += key.len() + value.str().len();
        let lower = key.to_ascii_lowercase();
        errors.extend(names::is_qualified_name(&lower).into_iter().map(|wrong| annotations.invalid_value(key, wrong)));
    }
    if size > ANNOTATIONS_LIMIT_BYTES {
        errors.push(annotations.too_long(ANNOTATIONS_LIMIT_BYTES));
    }
}

fn validate_owners(owners: &Field<'_>, errors: &mut Vec<FieldError>) {
    let mut first: Option<String> = None;
    for owner in owners.items() {
        for name in ["apiVersion", "kind", "name", "uid"] {
            let field = owner.child(name);
            if field.str().is_empty() {
                let detail = if name == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(field.invalid_value("", detail));
            }
        }
        let (version, kind) = (owner.child("apiVersion"), owner.child("kind"));
        if version.str().split('/').count() > 2 {
            errors.push(version.invalid("version must not be empty"));
        } else if version.str() == "v1" && kind.str() == "Event" {
            errors.push(owner.invalid("/v1, Kind=Event is disallowed from being an owner"));
        }
        if !owner.child("controller").bool() {
            continue;
        }
        let name = format!("{}/{}", kind.str(), owner.child("name").str());
        match &first {
            None => first = Some(name),
            Some(first) => errors.push(owners.invalid(format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
            ))),
        }
    }
}

fn validate_finalizers(finalizers: &Field<'_>, errors: &mut Vec<FieldError>) {
    let mut propagation = Vec::new();
    for finalizer in finalizers.items() {
        let name = finalizer.str();
        errors.extend(names::is_qualified_name(name).into_iter().map(|wrong| finalizers.invalid_value(name, wrong)));
        validate_kube_finalizer(&finalizer, name, errors);
        if matches!(name, "orphan" | "foregroundDeletion") {
            propagation.push(name);
        }
    }
    if propagation.len() > 1 {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(finalizers.invalid(detail));
    }
}

/// Checks the name of one finalizer and reports what is wrong at `at`.
pub fn validate_finalizer(at: &Field<'_>, name: &str, errors: &mut Vec<FieldError>) {
    errors.extend(names::is_qualified_name(name).into_iter().map(|wrong| at.invalid_value(name, wrong)));
    validate_kube_finalizer(at, name, errors);
}

fn validate_kube_finalizer(at: &Field<'_>, name: &str, errors: &mut Vec<FieldError>) {
    let standard = matches!(name, "kubernetes" | "orphan" | "foregroundDeletion");
    if !name.contains('/') && !standard {
        errors.push(at.invalid_value(name, "name is neither a standard finalizer name nor is it fully qualified"));
    }
}
