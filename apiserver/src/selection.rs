//! Which objects of a row a list, watch or deletecollection is about.
//!
//! Upstream: apiserver/pkg/storage/selection_predicate.go
//! Left out: nothing.

use api::{
    selector::{FieldSelector, Selector},
    status::Status,
};

use crate::{attributes::RequestInfo, memory::table::Scope, object::Object, object::ObjectKey, row::Row};

/// Label and field selector of a request, checked against the row; fields are named as the stored row names them.
pub struct Selection {
    labels: Selector,
    fields: FieldSelector,
    namespace: String,
}

impl Selection {
    /// Reads the selectors of a request.
    ///
    /// # Errors
    /// 400 for what can't be parsed and for fields that the row does not offer.
    pub fn of(info: &RequestInfo, row: &Row) -> Result<Selection, Status> {
        let labels = Selector::parse(&info.label_selector).map_err(Status::bad_request)?;
        let fields = FieldSelector::parse(&info.field_selector).map_err(Status::bad_request)?;
        for wanted in fields.requirements() {
            let known = matches!(wanted.field.as_str(), "metadata.name" | "metadata.namespace")
                || row.selectable_fields.iter().any(|field| field.label == wanted.field);
            if !known {
                return Err(unknown_field(row, &wanted.field));
            }
        }
        let fields = match &row.stored_as {
            None => fields,
            Some(other) => fields.renamed(|field| (other.stored_label)(field).unwrap_or(field)),
        };
        // The path may name the object too: /api/v1/watch/namespaces/default.
        let fields = if info.name.is_empty() { fields } else { fields.and("metadata.name", &info.name) };
        let namespace = match row.scope {
            crate::row::Scope::Cluster => String::new(),
            crate::row::Scope::Namespaced => info.namespace.clone(),
        };
        Ok(Selection { labels, fields, namespace })
    }

    /// Whether the object, one of the stored `row`, is selected.
    pub fn matches(&self, row: &Row, object: &Object) -> bool {
        (self.namespace.is_empty() || *object.key.namespace == *self.namespace)
            && (self.labels.is_everything() || self.labels.matches(|key| object.meta.label(key)))
            && (self.fields.is_everything() || self.fields.matches(|field| value_of(row, object, field)))
    }

    /// The narrowest ring of events that holds every selected object.
    pub fn scope(&self, row: &Row, indexed_field: Option<&str>) -> Scope {
        if let Some(name) = self.fields.required("metadata.name") {
            let cluster_scoped = row.scope == crate::row::Scope::Cluster;
            let namespace = self.fields.required("metadata.namespace").unwrap_or(&self.namespace);
            if cluster_scoped || !namespace.is_empty() {
                return Scope::Object(ObjectKey::new(if cluster_scoped { "" } else { namespace }, name));
            }
        }
        if let Some(value) = self.required_index_value(indexed_field) {
            return Scope::Indexed(value.into());
        }
        if self.namespace.is_empty() { Scope::All } else { Scope::Namespace(self.namespace.as_str().into()) }
    }

    /// The value that every selected object has in the row's indexed field.
    pub fn required_index_value(&self, indexed_field: Option<&str>) -> Option<&str> {
        indexed_field.and_then(|field| self.fields.required(field))
    }

    /// Whether all objects of the namespace are selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }
}

fn value_of<'a>(row: &Row, object: &'a Object, field: &str) -> Option<&'a str> {
    match field {
        "metadata.name" => Some(&object.key.name),
        "metadata.namespace" => Some(&object.key.namespace),
        _ => row.field(object, field),
    }
}

/// Rows with fields of their own answer in other words than those without.
fn unknown_field(row: &Row, field: &str) -> Status {
    if row.selectable_fields.is_empty() {
        let known = r#"only "metadata.name", "metadata.namespace""#;
        Status::bad_request(format!("{field:?} is not a known field selector: {known}"))
    } else {
        Status::bad_request(format!("field label not supported: {field}"))
    }
}
