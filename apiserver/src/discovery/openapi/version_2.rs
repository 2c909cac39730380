//! The document of OpenAPI 2: one for everything, in pieces that JSON and protobuf are put together from.
//!
//! Upstream: kube-openapi/pkg/builder, apiserver/pkg/server/routes/openapi.go
//! Left out: shared parameters (`#/parameters/...`): kubectl before 1.28 does not follow those references.

mod protobuf;

use component::version::GIT_VERSION;

use super::{
    TITLE,
    descriptions::Descriptions,
    json::Json,
    parameters::{Parameter, Place},
    paths::{Operation, PathItem},
    schemas::{Dialect, Used, group_version_kind},
};

/// The two large parts of the document: paths and definitions, each by name and as JSON of its own.
pub(super) struct Parts {
    pub(super) paths: Vec<(String, String)>,
    pub(super) definitions: Vec<(String, String)>,
}

/// The document's parts with these paths and the definitions that they refer to.
pub(super) fn parts(mut items: Vec<PathItem>, descriptions: &Descriptions) -> Parts {
    items.sort_by(|one, other| one.path.cmp(&other.path));
    let mut used = Used::new(Dialect::V2, descriptions);
    let paths = items.iter().map(|item| (item.path.clone(), path_item(item, &mut used, descriptions))).collect();
    Parts { paths, definitions: used.into_schemas() }
}

impl Parts {
    pub(super) fn into_protobuf(self) -> Vec<u8> {
        protobuf::document(self, TITLE, GIT_VERSION)
    }

    pub(super) fn into_json(self) -> String {
        let mut json = Json::default();
        json.object(|json| {
            json.key("swagger").string("2.0");
            json.key("info").literal(&super::info());
            for (name, entries) in [("paths", self.paths), ("definitions", self.definitions)] {
                json.key(name).object(|json| entries.iter().for_each(|(name, entry)| json.key(name).literal(entry)));
            }
            json.key("securityDefinitions").object(|json| json.key("BearerToken").literal(super::BEARER_TOKEN));
            json.key("security").literal(r#"[{"BearerToken":[]}]"#);
        });
        json.into_text()
    }
}

fn path_item(item: &PathItem, used: &mut Used<'_>, descriptions: &Descriptions) -> String {
    let mut json = Json::default();
    json.object(|json| {
        for operation in &item.operations {
            json.key(operation.method).object(|json| write(json, operation, used, descriptions));
        }
        if !item.parameters.is_empty() {
            json.key("parameters").array(|json| parameters(json, &item.parameters, descriptions));
        }
    });
    json.into_text()
}

fn write(json: &mut Json, operation: &Operation, used: &mut Used<'_>, descriptions: &Descriptions) {
    json.key("consumes").strings(operation.body.as_ref().map_or(&["*/*"], |body| body.consumes));
    json.key("description").string(&operation.description);
    json.key("operationId").string(&operation.id);
    if operation.body.is_some() || !operation.parameters.is_empty() {
        json.key("parameters").array(|json| {
            if let Some(body) = &operation.body {
                json.object(|json| {
                    json.key("in").string("body");
                    json.key("name").string("body");
                    if body.required {
                        json.key("required").literal("true");
                    }
                    super::content(json.key("schema"), body.content, used);
                });
            }
            parameters(json, &operation.parameters, descriptions);
        });
    }
    json.key("produces").strings(operation.produces);
    json.key("responses").object(|json| {
        for answer in &operation.answers {
            json.key(&answer.code.to_string()).object(|json| {
                json.key("description").string(super::reason(answer.code));
                super::content(json.key("schema"), answer.content, used);
            });
        }
        json.key("401").literal(r#"{"description":"Unauthorized"}"#);
    });
    json.key("schemes").strings(&["https"]);
    json.key("tags").strings(&[&operation.tag]);
    if let Some((action, kind)) = &operation.action {
        json.key("x-kubernetes-action").string(action);
        group_version_kind(json.key("x-kubernetes-group-version-kind"), kind.each_ref().map(String::as_str));
    }
}

fn parameters(json: &mut Json, parameters: &[Parameter], descriptions: &Descriptions) {
    for parameter in parameters {
        json.object(|json| {
            json.key("description").escaped_string(parameter.description(descriptions));
            json.key("in").string(if parameter.place == Place::Path { "path" } else { "query" });
            json.key("name").string(parameter.name);
            if parameter.place == Place::Path {
                json.key("required").literal("true");
            }
            json.key("type").string(parameter.kind);
            json.key("uniqueItems").literal("true");
        });
    }
}
