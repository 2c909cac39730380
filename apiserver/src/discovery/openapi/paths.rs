//! The paths of a row, with the operations that each answers.
//!
//! Upstream: apiserver/pkg/endpoints/installer.go, apiserver/pkg/endpoints/openapi (operation ids and tags)
//! Left out: nothing.

use api::{object::api_version, schema::schema};

use super::{
    parameters::{self, Parameter},
    schemas::{Named, PATCH},
};
use crate::{
    answer,
    operations::patch,
    row::{DeleteAnswer, Row, Scope, Subresource, Verbs},
};

/// A path and what it answers.
pub(super) struct PathItem {
    pub(super) path: String,
    /// Those that all of its operations take, sorted.
    pub(super) parameters: Vec<Parameter>,
    pub(super) operations: Vec<Operation>,
}

/// A method of a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) description: String,
    /// Beside the path's, sorted.
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) answers: Vec<Answer>,
    pub(super) produces: &'static [&'static str],
    /// `x-kubernetes-action`, and group, version and kind; none for what is no resource.
    pub(super) action: Option<(&'static str, [String; 3])>,
}

pub(super) struct RequestBody {
    pub(super) content: Content,
    pub(super) consumes: &'static [&'static str],
    pub(super) required: bool,
}

/// An answer's code and what it holds.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) content: Content,
}

#[derive(Clone, Copy)]
pub(super) enum Content {
    Of(Named),
    /// Bytes that are the program's own.
    Text,
    /// An object that the schema table lacks.
    AnyObject,
}

const STREAMED: &[&str] = &[
    "application/json",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/yaml",
];
const LOG_TYPES: &[&str] =
    &["application/json", "application/vnd.kubernetes.protobuf", "application/yaml", "text/plain"];
const ANY: &[&str] = &["*/*"];

/// The methods that are passed on to what is proxied.
const PROXIED: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

/// What an operation does to the parameters, the body and the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    List,
    Create,
    DeleteCollection,
    Get,
    Update,
    Patch,
    Delete,
    Watch,
    WatchList,
}

/// A row in one of its versions, on its way to paths.
struct Resource<'a> {
    row: &'a Row,
    version: &'a str,
    /// `CoreV1`, `RbacAuthorizationV1`: part of every operation id.
    group_words: String,
    tag: String,
    /// What stands between `namespaced` and the rest of an id.
    namespaced: &'static str,
}

/// The path items of a row in one of its versions.
pub(super) fn of(row: &Row, version: &str) -> Vec<PathItem> {
    let resource = Resource {
        row,
        version,
        group_words: group_words(&row.group, version),
        tag: tag(&row.group, version),
        namespaced: if row.scope == Scope::Namespaced { "Namespaced" } else { "" },
    };
    resource.paths()
}

/// The path that lists a group-version's resources.
pub(super) fn of_group_version(group: &str, version: &str) -> PathItem {
    let id = format!("get{}APIResources", group_words(group, version));
    document(format!("{}/", root(group, version)), id, tag(group, version), "meta.v1.APIResourceList")
}

/// The path that tells a group's versions, or which groups there are.
pub(super) fn of_group(group: Option<&str>) -> PathItem {
    match group {
        None => document("/apis/".to_owned(), "getAPIVersions".to_owned(), "apis".to_owned(), "meta.v1.APIGroupList"),
        Some("") => {
            document("/api/".to_owned(), "getCoreAPIVersions".to_owned(), "core".to_owned(), "meta.v1.APIVersions")
        }
        Some(group) => {
            let id = format!("get{}APIGroup", group_words(group, ""));
            document(format!("/apis/{group}/"), id, tag(group, ""), "meta.v1.APIGroup")
        }
    }
}

/// The path that tells the server's version.
pub(super) fn of_version() -> PathItem {
    document("/version/".to_owned(), "getCodeVersion".to_owned(), "version".to_owned(), "version.Info")
}

fn document(path: String, id: String, tag: String, type_name: &str) -> PathItem {
    let content = schema().named(type_name).map_or(Content::AnyObject, |one| Content::Of(Named::Type(one)));
    let operation = Operation {
        method: "get",
        id,
        tag,
        description: "Tells what there is to ask for.".to_owned(),
        parameters: Vec::new(),
        body: None,
        answers: vec![Answer { code: 200, content }],
        produces: &["application/json"],
        action: None,
    };
    PathItem { path, parameters: Vec::new(), operations: vec![operation] }
}

fn root(group: &str, version: &str) -> String {
    let root = if group.is_empty() { "/api" } else { "/apis" };
    format!("{root}/{}", api_version(group, version))
}

/// `rbac.authorization.k8s.io` and `v1` as ids have them: `RbacAuthorizationV1`.
fn group_words(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    group.split('.').chain([version]).map(capitalized).collect()
}

/// ... and as tags have them: `rbacAuthorization_v1`.
fn tag(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    let mut words = group.split('.');
    let first = words.next().unwrap_or_default().to_owned();
    let name = words.map(capitalized).fold(first, |name, word| name + &word);
    if version.is_empty() { name } else { format!("{name}_{version}") }
}

fn capitalized(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

fn content(group: &str, version: &str, kind: &str) -> Content {
    schema().kind(group, version, kind).map_or(Content::AnyObject, |one| Content::Of(Named::Type(one)))
}

/// Takes out of the operations what all of them say, for the path to say it once.
fn item(path: String, of_path: &[Parameter], mut operations: Vec<Operation>) -> PathItem {
    let mut shared = of_path.to_vec();
    let of_all = operations.first().map(|first| first.parameters.clone()).unwrap_or_default();
    shared.extend(of_all.into_iter().filter(|each| operations.iter().all(|other| other.parameters.contains(each))));
    shared.sort();
    for operation in &mut operations {
        operation.parameters.retain(|each| !shared.contains(each));
        operation.parameters.sort();
    }
    PathItem { path, parameters: shared, operations }
}

impl Resource<'_> {
    fn paths(&self) -> Vec<PathItem> {
        let (row, base) = (self.row, root(&self.row.group, self.version));
        let below = if row.scope == Scope::Namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{below}/{}", row.plural);
        let one = format!("{collection}/{{name}}");
        let of_all: &[Action] = match row.verbs {
            Verbs::CreateOnly => &[Action::Create],
            Verbs::ReadOnly => &[Action::List],
            Verbs::NoDeleteCollection => &[Action::List, Action::Create],
            Verbs::All => &[Action::DeleteCollection, Action::List, Action::Create],
        };
        let mut paths = vec![item(format!("{base}{collection}"), &self.place(false), self.main(of_all))];
        if row.verbs == Verbs::CreateOnly {
            return paths;
        }
        let of_one: &[Action] = match row.verbs {
            Verbs::ReadOnly => &[Action::Get],
            _ => &[Action::Delete, Action::Get, Action::Patch, Action::Update],
        };
        paths.push(item(format!("{base}{one}"), &self.place(true), self.main(of_one)));
        if row.verbs == Verbs::ReadOnly {
            return paths;
        }
        for subresource in &row.subresources {
            paths.extend(self.subresource(*subresource, &format!("{base}{one}/{}", subresource.name())));
        }
        if row.scope == Scope::Namespaced {
            paths.push(item(format!("{base}/{}", row.plural), &[], vec![self.everywhere(Action::List)]));
            let watch = vec![self.everywhere(Action::WatchList)];
            paths.push(item(format!("{base}/watch/{}", row.plural), &[], watch));
        }
        let watch = |path: &str| format!("{base}/watch{path}");
        paths.push(item(watch(&collection), &self.place(false), self.main(&[Action::WatchList])));
        paths.push(item(watch(&one), &self.place(true), self.main(&[Action::Watch])));
        paths
    }

    /// The parameters of the path itself.
    fn place(&self, named: bool) -> Vec<Parameter> {
        let name = named.then_some(parameters::NAME);
        let namespace = (self.row.scope == Scope::Namespaced).then_some(parameters::NAMESPACE);
        name.into_iter().chain(namespace).collect()
    }

    fn main(&self, actions: &[Action]) -> Vec<Operation> {
        let kind = [&*self.row.group, self.version, &*self.row.kind];
        actions.iter().map(|action| self.operation(*action, kind, "")).collect()
    }

    /// A list or watch over all namespaces.
    fn everywhere(&self, action: Action) -> Operation {
        let kind = [&*self.row.group, self.version, &*self.row.kind];
        let mut operation = self.operation(action, kind, "");
        let list = if action == Action::WatchList { "List" } else { "" };
        let (verb, group, kind) = (action.verb(), &self.group_words, &self.row.kind);
        operation.id = format!("{verb}{group}{kind}{list}ForAllNamespaces");
        operation
    }

    fn operation(&self, action: Action, kind: [&str; 3], subresource: &str) -> Operation {
        let [group, version, name] = kind;
        let id = format!("{}{}{}", self.namespaced, self.row.kind, capitalized(subresource));
        let id = match action {
            Action::DeleteCollection => format!("Collection{id}"),
            Action::WatchList => format!("{id}List"),
            _ => id,
        };
        let own = content(group, version, name);
        let status = content("", "v1", "Status");
        let answer = match action {
            Action::List => content(group, version, &format!("{name}List")),
            Action::Watch | Action::WatchList => content("", "v1", "WatchEvent"),
            Action::DeleteCollection => status,
            Action::Delete if self.row.delete_answer == DeleteAnswer::Status => status,
            _ => own,
        };
        Operation {
            method: action.method(),
            id: format!("{}{}{id}", action.verb(), self.group_words),
            tag: self.tag.clone(),
            description: action.description(&self.row.kind, subresource),
            parameters: action.parameters(),
            body: action.body(own),
            answers: action.codes().iter().map(|code| Answer { code: *code, content: answer }).collect(),
            produces: action.produces(),
            action: Some((action.word(), kind.map(str::to_owned))),
        }
    }

    fn subresource(&self, subresource: Subresource, path: &str) -> Vec<PathItem> {
        let (other, _) = super::super::subresource(self.row, subresource);
        let kind = other.unwrap_or([&*self.row.group, self.version, &*self.row.kind]);
        let actions: &[Action] = match subresource {
            Subresource::Binding | Subresource::Eviction | Subresource::Token => &[Action::Create],
            Subresource::Finalize => &[Action::Update],
            Subresource::Status
            | Subresource::Scale
            | Subresource::EphemeralContainers
            | Subresource::Resize
            | Subresource::Approval => &[Action::Get, Action::Patch, Action::Update],
            Subresource::Log => return vec![self.log(kind, path)],
            Subresource::Exec | Subresource::Attach | Subresource::PortForward => {
                let methods = ["get", "post"].map(|method| self.connect(method, subresource, kind, ""));
                return vec![item(path.to_owned(), &self.place(true), methods.into())];
            }
            Subresource::Proxy => return self.proxy(kind, path),
        };
        let name = subresource.name();
        let operations = actions.iter().map(|action| self.operation(*action, kind, name)).collect();
        vec![item(path.to_owned(), &self.place(true), operations)]
    }

    fn log(&self, kind: [&str; 3], path: &str) -> PathItem {
        let operation = Operation {
            parameters: parameters::LOG.to_vec(),
            answers: vec![Answer { code: 200, content: Content::Text }],
            produces: LOG_TYPES,
            ..self.operation(Action::Get, kind, "log")
        };
        item(path.to_owned(), &self.place(true), vec![operation])
    }

    /// With and without a path of its own behind `proxy`.
    fn proxy(&self, kind: [&str; 3], path: &str) -> Vec<PathItem> {
        let methods = |with_path| PROXIED.map(|method| self.connect(method, Subresource::Proxy, kind, with_path));
        let mut deeper = self.place(true);
        deeper.push(parameters::PROXIED_PATH);
        vec![
            item(path.to_owned(), &self.place(true), methods("").into()),
            item(format!("{path}/{{path}}"), &deeper, methods("WithPath").into()),
        ]
    }

    fn connect(&self, method: &'static str, subresource: Subresource, kind: [&str; 3], with_path: &str) -> Operation {
        let mut parameters = match subresource {
            Subresource::Exec | Subresource::Attach => parameters::ATTACH.to_vec(),
            Subresource::PortForward => vec![parameters::PORTS],
            _ => vec![parameters::PATH],
        };
        if subresource == Subresource::Exec {
            parameters.push(parameters::COMMAND);
        }
        let name = capitalized(subresource.name());
        let (group, namespaced, of) = (&self.group_words, self.namespaced, &self.row.kind);
        Operation {
            method,
            id: format!("connect{group}{}{namespaced}{of}{name}{with_path}", capitalized(method)),
            tag: self.tag.clone(),
            description: format!("Connects to {} of a {of}.", subresource.name()),
            parameters,
            body: None,
            answers: vec![Answer { code: 200, content: Content::Text }],
            produces: ANY,
            action: Some(("connect", kind.map(str::to_owned))),
        }
    }
}

impl Action {
    fn method(self) -> &'static str {
        match self {
            Action::List | Action::Get | Action::Watch | Action::WatchList => "get",
            Action::Create => "post",
            Action::Update => "put",
            Action::Patch => "patch",
            Action::Delete | Action::DeleteCollection => "delete",
        }
    }

    /// As `x-kubernetes-action` says it.
    fn word(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::DeleteCollection => "deletecollection",
            Action::Watch => "watch",
            Action::WatchList => "watchlist",
            other => other.method(),
        }
    }

    /// As operation ids say it.
    fn verb(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Get => "read",
            Action::Watch | Action::WatchList => "watch",
            Action::Create => "create",
            Action::Update => "replace",
            Action::Patch => "patch",
            Action::Delete | Action::DeleteCollection => "delete",
        }
    }

    fn description(self, kind: &str, subresource: &str) -> String {
        let what = if subresource.is_empty() { format!("a {kind}") } else { format!("{subresource} of a {kind}") };
        match self {
            Action::List => format!("Lists objects of kind {kind}, or watches them."),
            Action::Get => format!("Reads {what}."),
            Action::Watch | Action::WatchList => {
                format!("Watches objects of kind {kind}. Deprecated: a list with the parameter watch does the same.")
            }
            Action::Create => format!("Creates {what}."),
            Action::Update => format!("Replaces {what}."),
            Action::Patch => format!("Changes parts of {what}."),
            Action::Delete => format!("Deletes {what}."),
            Action::DeleteCollection => format!("Deletes all objects of kind {kind} that are selected."),
        }
    }

    fn parameters(self) -> Vec<Parameter> {
        match self {
            Action::List | Action::Watch | Action::WatchList => parameters::LIST.to_vec(),
            Action::Get => vec![parameters::PRETTY],
            Action::Create | Action::Update => parameters::WRITE.to_vec(),
            Action::Patch => [&parameters::WRITE[..], &[parameters::FORCE]].concat(),
            Action::Delete => parameters::DELETE.to_vec(),
            Action::DeleteCollection => [&parameters::DELETE[..], &parameters::DELETE_COLLECTION].concat(),
        }
    }

    fn body(self, own: Content) -> Option<RequestBody> {
        let body = |content, consumes, required| Some(RequestBody { content, consumes, required });
        match self {
            Action::Create | Action::Update => body(own, ANY, true),
            Action::Patch => body(Content::Of(Named::Scalar(&PATCH)), &patch::MEDIA_TYPES, true),
            Action::Delete | Action::DeleteCollection => body(content("", "v1", "DeleteOptions"), ANY, false),
            Action::List | Action::Get | Action::Watch | Action::WatchList => None,
        }
    }

    fn codes(self) -> &'static [u16] {
        match self {
            Action::Create => &[200, 201, 202],
            Action::Update | Action::Patch => &[200, 201],
            Action::Delete => &[200, 202],
            _ => &[200],
        }
    }

    fn produces(self) -> &'static [&'static str] {
        match self {
            Action::List | Action::Watch | Action::WatchList => STREAMED,
            _ => &answer::MEDIA_TYPES,
        }
    }
}
