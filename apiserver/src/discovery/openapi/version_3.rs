//! Documents of OpenAPI 3: one for each group-version, small ones for groups and /version.
//!
//! Upstream: kube-openapi/pkg/builder3, kube-openapi/pkg/spec3
//! Left out: nothing.

mod protobuf;

use super::{
    descriptions::Descriptions,
    json::Json,
    parameters::{Parameter, Place},
    paths::{Content, Operation, PathItem},
    schemas::{Dialect, Used, group_version_kind},
};

/// The document with these paths and the schemas that they refer to.
pub(super) fn document(mut items: Vec<PathItem>, descriptions: &Descriptions) -> String {
    items.sort_by(|one, other| one.path.cmp(&other.path));
    let mut used = Used::new(Dialect::V3, descriptions);
    let mut json = Json::default();
    json.object(|json| {
        json.key("openapi").string("3.0.0");
        json.key("info").literal(&super::info());
        json.key("paths").object(|json| {
            for item in &items {
                json.key(&item.path).object(|json| path_item(json, item, &mut used, descriptions));
            }
        });
        json.key("components").object(|json| {
            json.key("schemas").object(|json| {
                for (name, schema) in used.into_schemas() {
                    json.key(&name).literal(&schema);
                }
            });
            json.key("securitySchemes").object(|json| json.key("BearerToken").literal(super::BEARER_TOKEN));
        });
    });
    json.into_text()
}

/// The same document in protobuf.
pub(super) fn to_protobuf(document: &[u8]) -> Vec<u8> {
    let document = serde_json::from_slice(document).expect("the JSON is our own");
    protobuf::document(&document).into_bytes()
}

fn path_item(json: &mut Json, item: &PathItem, used: &mut Used<'_>, descriptions: &Descriptions) {
    for operation in &item.operations {
        json.key(operation.method).object(|json| write(json, operation, used, descriptions));
    }
    parameters(json, &item.parameters, descriptions);
}

fn write(json: &mut Json, operation: &Operation, used: &mut Used<'_>, descriptions: &Descriptions) {
    json.key("description").string(&operation.description);
    json.key("operationId").string(&operation.id);
    parameters(json, &operation.parameters, descriptions);
    if let Some(body) = &operation.body {
        json.key("requestBody").object(|json| {
            content(json, body.consumes, body.content, used);
            if body.required {
                json.key("required").literal("true");
            }
        });
    }
    json.key("responses").object(|json| {
        for answer in &operation.answers {
            json.key(&answer.code.to_string()).object(|json| {
                content(json, operation.produces, answer.content, used);
                json.key("description").string(super::reason(answer.code));
            });
        }
        json.key("401").literal(r#"{"description":"Unauthorized"}"#);
    });
    json.key("tags").strings(&[&operation.tag]);
    if let Some((action, kind)) = &operation.action {
        json.key("x-kubernetes-action").string(action);
        group_version_kind(json.key("x-kubernetes-group-version-kind"), kind.each_ref().map(String::as_str));
    }
}

fn parameters(json: &mut Json, parameters: &[Parameter], descriptions: &Descriptions) {
    if parameters.is_empty() {
        return;
    }
    json.key("parameters").array(|json| {
        for parameter in parameters {
            json.object(|json| {
                json.key("description").escaped_string(parameter.description(descriptions));
                json.key("in").string(if parameter.place == Place::Path { "path" } else { "query" });
                json.key("name").string(parameter.name);
                if parameter.place == Place::Path {
                    json.key("required").literal("true");
                }
                json.key("schema").object(|json| {
                    json.key("type").string(parameter.kind);
                    json.key("uniqueItems").literal("true");
                });
            });
        }
    });
}

fn content(json: &mut Json, media_types: &[&str], content: Content, used: &mut Used<'_>) {
    json.key("content").object(|json| {
        for media_type in media_types {
            json.key(media_type).object(|json| super::content(json.key("schema"), content, used));
        }
    });
}
