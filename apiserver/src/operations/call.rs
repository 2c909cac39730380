//! One authorized request on one row: what every operation is given.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/rest.go (RequestScope)
//! Left out: nothing.

use std::{str::FromStr, sync::Arc};

use api::status::Status;
use component::query::Query;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    admission::{Operation, Request},
    answer::Format,
    attributes::{RequestInfo, UserInfo},
    authorization::Authorized,
    core::Core,
    memory::table::Table,
    object::{Object, ObjectKey},
    row::{Row, Scope, Subresource},
};

/// An authorized request. The key of the object it touches is made from what was authorized, and from nothing else.
pub struct Call<'a> {
    pub server: &'a Core,
    pub row: &'a Row,
    /// Where the row's objects are: its own table, or the one of the row that it shows in another form.
    pub table: &'a Arc<Table>,
    pub authorized: &'a Authorized,
    pub subresource: Option<Subresource>,
    pub query: &'a Query,
    pub headers: &'a HeaderMap,
    pub format: Format,
}

impl Call<'_> {
    pub fn info(&self) -> &RequestInfo {
        self.authorized.info()
    }

    pub fn user(&self) -> &Arc<UserInfo> {
        self.authorized.user()
    }

    /// The key of the object `name` in the namespace that was authorized.
    pub fn key(&self, name: &str) -> ObjectKey {
        match self.row.scope {
            Scope::Cluster => ObjectKey::new("", name),
            Scope::Namespaced => ObjectKey::new(&self.info().namespace, name),
        }
    }

    /// The object that the request names, as memory has it.
    pub fn current(&self) -> Option<Arc<Object>> {
        self.table.get(&self.key(&self.info().name))
    }

    /// The row whose objects these are: it may be another one that this row shows in another form.
    pub fn stored_row(&self) -> &Row {
        &self.table.row
    }

    /// Turns a stored object into this row's form.
    pub fn shown(&self, object: &mut Value) {
        if let Some(other) = &self.row.stored_as {
            (other.from_stored)(object);
        }
    }

    /// 404 for the object that the request names.
    pub fn not_found(&self) -> Status {
        Status::not_found(&self.row.group, &self.row.plural, &self.info().name)
    }

    /// The apiVersion of this request's objects.
    pub fn api_version(&self) -> String {
        api::object::api_version(&self.row.group, &self.info().version)
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The revision that caused this request: our own components name what woke them. Nobody else is believed.
    pub fn cause(&self) -> Option<u64> {
        let own = ["system:", "skiff:"].iter().any(|prefix| self.user().name.starts_with(prefix));
        let header = self.headers.get("x-skiff-cause").filter(|_| own)?;
        u64::from_str(header.to_str().ok()?).ok()
    }

    /// The client's User-Agent.
    pub fn user_agent(&self) -> &str {
        self.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Runs mutating admission on a write and returns the object as it comes out.
    ///
    /// # Errors
    /// The first refusal.
    pub fn admit(
        &self,
        operation: Operation,
        object: Option<Value>,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<Option<Value>, Status> {
        let mut request = self.admission_request(operation, object, old, dry_run);
        self.server.admission.admit(&mut request)?;
        Ok(request.object)
    }

    /// Runs validating admission on a write, and gives the object back as it was.
    ///
    /// # Errors
    /// The first refusal.
    pub fn check_admitted(
        &self,
        operation: Operation,
        object: Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<Value, Status> {
        let request = self.admission_request(operation, Some(object), old, dry_run);
        self.server.admission.validate(&request)?;
        Ok(request.object.unwrap_or_default())
    }

    /// Runs both halves of admission for a delete: nothing is stored, but each may refuse.
    ///
    /// # Errors
    /// The first refusal.
    pub fn admit_delete(&self, stored: &Value, dry_run: bool) -> Result<(), Status> {
        let mut request = self.admission_request(Operation::Delete, None, Some(stored), dry_run);
        self.server.admission.admit(&mut request)?;
        self.server.admission.validate(&request)
    }

    fn admission_request<'b>(
        &'b self,
        operation: Operation,
        object: Option<Value>,
        old: Option<&'b Value>,
        dry_run: bool,
    ) -> Request<'b> {
        let (info, user) = (self.info(), self.user());
        let (objects, authorizer) = (&*self.server.memory, &self.server.authorizer);
        Request { info, user, operation, object, old, dry_run, objects, authorizer }
    }
}
