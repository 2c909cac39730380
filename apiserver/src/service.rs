//! The one path that every request takes: who asks, what for, whether they may, which row, which operation.
//!
//! Upstream: apiserver/pkg/server/config.go (DefaultBuildHandlerChain), apiserver/pkg/endpoints/installer.go
//! Left out: priority and fairness, timeouts of mutating requests.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use api::status::Status;
use axum::body::Body;
use bytes::Bytes;
use component::query::Query;
use http::{Request, Response};
use http_body_util::BodyExt;
use rustls::pki_types::CertificateDer;

use crate::{
    answer::{self, Format},
    attributes::UserInfo,
    audit,
    authentication::{self, impersonation, review as token_review},
    authorization::{Authorized, review},
    body::{self, Warnings},
    core::Core,
    discovery,
    metrics::{InFlight, Labels},
    operations::{self, call::Call},
    request_info,
    row::{Row, Scope, Subresource, Verbs},
};

/// Who is on the other end of a request.
#[derive(Clone)]
enum Identity {
    /// Whoever the request's credentials say: the certificates of its connection, or its token.
    Asked(Arc<Vec<CertificateDer<'static>>>),
    /// A component in this process. Only [`ApiServer::service_as`] makes it: no connection can.
    Own(Arc<UserInfo>),
}

/// The API server. Cheap to clone.
#[derive(Clone)]
pub struct ApiServer {
    core: Arc<Core>,
}

/// The API server as a tower service, for one connection or one component in this process.
#[derive(Clone)]
pub struct Service {
    core: Arc<Core>,
    identity: Identity,
}

impl ApiServer {
    pub fn new(core: Arc<Core>) -> ApiServer {
        ApiServer { core }
    }

    /// The group-versions that are served.
    pub fn group_versions(&self) -> Vec<(String, String)> {
        let all = self.core.registry.group_versions().into_iter();
        all.map(|(group, version)| (group.to_owned(), version.to_owned())).collect()
    }

    /// The service as a component of this process sees it: authenticated as `user`, authorized and admitted like all.
    pub fn service_as(&self, user: UserInfo) -> Service {
        Service { core: self.core.clone(), identity: Identity::Own(Arc::new(user)) }
    }

    /// The service for a connection whose client showed (and proved) these certificates, leaf first.
    pub fn service_for(&self, certificates: Arc<Vec<CertificateDer<'static>>>) -> Service {
        Service { core: self.core.clone(), identity: Identity::Asked(certificates) }
    }
}

impl<B> tower::Service<Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Service { core, identity } = self.clone();
        Box::pin(async move { Ok(handle(&core, identity, request.map(Body::new)).await) })
    }
}

async fn handle(core: &Core, identity: Identity, request: Request<Body>) -> Response<Body> {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let id = audit::id_of(&parts.headers);
    let accept = parts.headers.get(http::header::ACCEPT).cloned();
    let mut seen = Seen {
        id: id.clone(),
        body: Some(body),
        labels: Default::default(),
        warnings: Default::default(),
        audited: None,
        flight: None,
    };
    let answered = serve(core, identity, parts, &mut seen).await;
    // A body that nobody wanted is read all the same, within a limit, or HTTP/1 would close the connection.
    if let Some(unread) = seen.body {
        let _ = http_body_util::Limited::new(unread, UNREAD_LIMIT_BYTES).collect().await;
    }
    let failure = answered.as_ref().err().cloned().filter(|_| seen.audited.is_some());
    let response = answered.unwrap_or_else(|status| answer::failure(&status, accept.as_ref()));
    let mut response = seen.warnings.put_on(response);
    response.headers_mut().insert(audit::HEADER, id);
    core.metrics.observe(seen.labels, response.status().as_u16(), begun.elapsed());
    match seen.audited {
        Some(event) => event.answered(response, failure.as_ref()).await,
        None => response,
    }
}

/// As much as Go's server reads of a body that its handler left.
const UNREAD_LIMIT_BYTES: usize = 256 << 10;

/// What is noted of a request on its way.
struct Seen {
    /// Its name in the audit log.
    id: http::HeaderValue,
    /// Until somebody has read it.
    body: Option<Body>,
    /// What it was about, and whether it was a dry run.
    labels: (Labels, bool),
    /// What its client is told whatever the answer is.
    warnings: Warnings,
    audited: Option<audit::Event>,
    /// Counts it among the requests under way.
    flight: Option<InFlight>,
}

async fn serve(
    core: &Core,
    identity: Identity,
    mut parts: http::request::Parts,
    seen: &mut Seen,
) -> Result<Response<Body>, Status> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let info = request_info::parse(&parts.method, parts.uri.path(), &query);
    let info = Arc::new(info.ok_or_else(Status::no_such_path)?);
    seen.flight = core.metrics.takes_off(&info);
    let user = match identity {
        Identity::Own(user) => user,
        Identity::Asked(certificates) => {
            let authorization = parts.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let known = core.authenticator.authenticate(&certificates, authorization, jiff::Timestamp::now());
            let known = known
                .and_then(|known| known.or_else(|| authentication::anonymous(&info)).ok_or_else(Status::unauthorized));
            if let (Err(_), Some(audit)) = (&known, &core.audit) {
                let (nobody, now) = (UserInfo::default(), jiff::Timestamp::now());
                seen.audited = audit.begin(&seen.id, &parts, &info, &nobody, None, now).await;
            }
            known?
        }
    };
    let received = jiff::Timestamp::now();
    let own = user.clone();
    let user = impersonation::effective_user(&core.authorizer, user, &mut parts.headers)?;
    if let Some(audit) = &core.audit {
        let claimed = (!Arc::ptr_eq(&own, &user)).then_some(&*user);
        seen.audited = audit.begin(&seen.id, &parts, &info, &own, claimed, received).await;
    }
    let permitted = core.authorizer.permit(&user, &info);
    if let Some(event) = &mut seen.audited {
        event.decided(permitted.as_ref().map(|_| ()));
    }
    let authorized = permitted?;
    if !info.is_resource {
        return discovery::answer(core, &info, &query, &parts.headers).await;
    }
    let row = core.registry.served(&info.group, &info.version, &info.resource).ok_or_else(Status::no_such_path)?;
    seen.labels = (Labels::of(&info, row), query.get("dryRun").is_some());
    seen.warnings.extend(row.deprecation().into_iter().collect());
    operate(core, row, &authorized, &query, &parts, &mut seen.body).await
}

/// Finds the operation: the verb, on the main resource or one of the row's subresources.
async fn operate(
    core: &Core,
    row: &Arc<Row>,
    authorized: &Authorized,
    query: &Query,
    parts: &http::request::Parts,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Status> {
    let info = authorized.info();
    let subresource = match info.subresource.as_str() {
        "" => None,
        name => {
            Some(row.subresources.iter().copied().find(|each| each.name() == name).ok_or_else(Status::no_such_path)?)
        }
    };
    check_scope(row, authorized)?;
    // What others answer has a form of its own, whatever the client says it accepts.
    let has_own_form = subresource.is_some_and(Subresource::is_answered_elsewhere);
    let format = if has_own_form { Format::JSON } else { Format::negotiate(&parts.headers, query)? };
    let format = format.for_kind(&api::object::api_version(&row.group, &info.version), &row.kind);
    let stored = row.stored_as.as_ref().map_or((&*row.group, &*row.plural), |other| (other.group, other.plural));
    let table = core.memory.table(stored.0, stored.1).ok_or_else(Status::no_such_path)?;
    let call = Call { server: core, row, table, authorized, subresource, query, headers: &parts.headers, format };
    if row.verbs == Verbs::ReadOnly {
        return operations::component_status::answer(&call).await;
    }
    if subresource == Some(Subresource::Proxy) {
        return operations::proxy::answer(&call, parts, body.take().unwrap_or_default()).await;
    }
    let mut body = || body::Request::read(&parts.headers, body.take().unwrap_or_default());
    if row.verbs == Verbs::CreateOnly && row.group.is_empty() && row.plural == "bindings" {
        return operations::subresource::bind_named(&call, body().await?).await;
    }
    if row.verbs == Verbs::CreateOnly {
        return review(&call, body().await?);
    }
    // Only an object can be replaced or patched, not the collection.
    if info.name.is_empty() && matches!(info.verb, "update" | "patch") {
        return Err(Status::method_not_allowed());
    }
    match (info.verb, subresource) {
        (_, Some(subresource)) if subresource.is_answered_by_kubelet() => {
            operations::connect::answer(&call, subresource, parts).await
        }
        ("get", Some(Subresource::Scale)) => operations::subresource::scale(&call, None).await,
        ("update" | "patch", Some(Subresource::Scale)) => {
            operations::subresource::scale(&call, Some(body().await?)).await
        }
        ("create", Some(Subresource::Binding)) => operations::subresource::bind(&call, body().await?).await,
        ("create", Some(Subresource::Eviction)) => operations::eviction::evict(&call, body().await?).await,
        ("create", Some(Subresource::Token)) => operations::subresource::token(&call, body().await?).await,
        (verb, subresource) if operations::update::takes_whole_object(subresource) => match verb {
            "get" if parts.method == http::Method::GET => operations::get::get(&call).await,
            "update" => operations::update::update(&call, body().await?).await,
            "patch" => operations::patch::patch(&call, body().await?).await,
            _ if subresource.is_some() => Err(Status::method_not_allowed()),
            "list" if parts.method == http::Method::GET => operations::list::list(&call).await,
            "watch" => operations::watch::watch(&call).await,
            "create" if info.name.is_empty() => operations::create::create(&call, body().await?).await,
            "delete" => operations::delete::delete(&call, body().await?).await,
            "deletecollection" if row.verbs == Verbs::All => {
                operations::delete::delete_collection(&call, body().await?).await
            }
            _ => Err(Status::method_not_allowed()),
        },
        _ => Err(Status::method_not_allowed()),
    }
}

/// A namespaced object is named within a namespace, one of the cluster is not.
fn check_scope(row: &Row, authorized: &Authorized) -> Result<(), Status> {
    let info = authorized.info();
    match row.scope {
        Scope::Cluster if !info.namespace.is_empty() && row.kind != "Namespace" => Err(Status::no_such_path()),
        Scope::Namespaced if info.namespace.is_empty() => match info.verb {
            "list" | "watch" => Ok(()),
            "create" | "deletecollection" => Err(Status::method_not_allowed()),
            _ => Err(Status::no_such_path()),
        },
        _ => Ok(()),
    }
}

/// The resources that are only asked, never stored.
fn review(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    if call.info().verb != "create" {
        return Err(Status::method_not_allowed());
    }
    call.format.is_of_objects()?;
    let mut warnings = Warnings::default();
    let sent = body::object(call, &body, operations::options::FieldValidation::Warn, &mut warnings)?;
    let (core, user) = (call.server, call.user());
    let answered = match call.row.plural.as_ref() {
        "subjectaccessreviews" => review::subject_access_review(&core.authorizer, &sent)?,
        "selfsubjectaccessreviews" => review::self_subject_access_review(&core.authorizer, user, &sent)?,
        "localsubjectaccessreviews" => {
            review::local_subject_access_review(&core.authorizer, &call.info().namespace, &sent)?
        }
        "selfsubjectrulesreviews" => review::self_subject_rules_review(&core.authorizer, user, &sent)?,
        "tokenreviews" => token_review::token_review(&core.authenticator, &sent, call.now())?,
        "selfsubjectreviews" => token_review::self_subject_review(user, &sent),
        _ => return Err(Status::no_such_path()),
    };
    Ok(warnings.put_on(answer::value(201, call.format, &answered)))
}
