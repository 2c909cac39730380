//! Nobody learns by a policy what he may not read: the check of every write of an admission policy with parameters, and
//! of a binding that names them.
//!
//! Upstream: pkg/registry/admissionregistration/validatingadmissionpolicy{,binding}/authz.go
//! Left out: whether it is this version of the parameters' kind that is served.

use api::{
    field::{Field, FieldError},
    status::Status,
};
use serde_json::Value;

use super::{Attributes, Authorizer};
use crate::{
    attributes::{RequestInfo, UserInfo},
    objects::Objects,
};

const GROUP: &str = "admissionregistration.k8s.io";
const POLICIES: &str = "validatingadmissionpolicies";

/// Checks a write of a policy or a binding that is valid otherwise; other objects pass. `old` is the object before the
/// write, if there was one.
///
/// # Errors
/// 422: upstream does this in validation.
pub fn check(
    authorizer: &Authorizer,
    objects: &dyn Objects,
    user: &UserInfo,
    info: &RequestInfo,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if info.group != GROUP || !info.subresource.is_empty() || user.in_group("system:masters") {
        return Ok(());
    }
    let asker = Asker { authorizer, objects, user };
    let root = Field::root(object);
    let spec = root.child("spec");
    let (kind, mistake) = match info.resource.as_str() {
        POLICIES => ("ValidatingAdmissionPolicy", asker.policy(&spec, old)),
        "validatingadmissionpolicybindings" => ("ValidatingAdmissionPolicyBinding", asker.binding(&spec)),
        _ => return Ok(()),
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    mistake.map_or(Ok(()), |mistake| Err(Status::invalid(GROUP, kind, name, &[mistake])))
}

struct Asker<'a> {
    authorizer: &'a Authorizer,
    objects: &'a dyn Objects,
    user: &'a UserInfo,
}

impl Asker<'_> {
    /// Who writes a policy may read every object of the kind of its parameters.
    fn policy(&self, spec: &Field<'_>, old: Option<&Value>) -> Option<FieldError> {
        let kind = spec.child("paramKind");
        if kind.is_absent() || old.is_some_and(|old| old["spec"]["paramKind"] == *kind.value) {
            return None;
        }
        let (api_version, name) = (text(kind.value, "apiVersion"), text(kind.value, "kind"));
        let parameters = self.parameters(api_version, name);
        let get = Attributes { verb: "get", name: "*", namespace: "*", ..parameters.asked() };
        let user = self.described();
        (!self.authorizer.allows(self.user, &get)).then(|| {
            kind.forbidden(format!(
                "user {user} must have \"get\" permission on all objects of the referenced paramKind (kind={name}, \
                 apiVersion={api_version})"
            ))
        })
    }

    /// Who writes a binding may read the parameters that it names or selects. As upstream, also if they stay: there, no
    /// two references are ever the same.
    fn binding(&self, spec: &Field<'_>) -> Option<FieldError> {
        let (reference, policy) = (spec.child("paramRef"), spec.child("policyName"));
        if reference.is_absent() {
            return None;
        }
        let stored = self.objects.get(GROUP, POLICIES, "", policy.str()).map(|policy| policy.value());
        let kind = stored.as_ref().map(|policy| &policy["spec"]["paramKind"]);
        let parameters = match kind.filter(|kind| !kind.is_null()) {
            Some(kind) => self.parameters(text(kind, "apiVersion"), text(kind, "kind")),
            None => Parameters { group: "*".to_owned(), resource: Some("*".to_owned()) },
        };
        let name = text(reference.value, "name");
        let verb = if name.is_empty() { "list" } else { "get" };
        let asked = Attributes { verb, name, namespace: text(reference.value, "namespace"), ..parameters.asked() };
        if self.authorizer.allows(self.user, &asked) {
            return None;
        }
        let user = self.described();
        let everything = |why: String| {
            format!(
                "unable to {why} to determine minimum required permissions and user {user} does not have \"{verb}\" \
                 permission for all groups, versions and resources"
            )
        };
        Some(reference.forbidden(match (kind, &parameters.resource) {
            (None, _) => everything(format!("get policy {}", policy.str())),
            (Some(kind), None) => {
                everything(format!("resolve paramKind &{{{} {}}}", text(kind, "apiVersion"), text(kind, "kind")))
            }
            _ => format!("user {user} does not have \"{verb}\" permission on the object referenced by paramRef"),
        }))
    }

    fn parameters(&self, api_version: &str, kind: &str) -> Parameters {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let resource = self.objects.resource_of(group, kind).map(|(resource, _)| resource);
        Parameters { group: group.to_owned(), resource }
    }

    /// The user as Go prints him.
    fn described(&self) -> String {
        let UserInfo { name, uid, groups, extra } = self.user;
        let extra: Vec<String> = extra.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" "))).collect();
        format!("&{{{name} {uid} [{}] map[{}]}}", groups.join(" "), extra.join(" "))
    }
}

/// The parameters of a policy; without a resource if their kind is none that is served.
struct Parameters {
    group: String,
    resource: Option<String>,
}

impl Parameters {
    fn asked(&self) -> Attributes<'_> {
        let resource = self.resource.as_deref().unwrap_or("*");
        Attributes { is_resource: true, group: &self.group, resource, ..Attributes::default() }
    }
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::world::World;

    fn world() -> World {
        let role =
            |name: &str, rule: Value| json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]});
        let binding = |name: &str, kind: &str, namespace: &str| {
            json!({"kind": kind, "metadata": {"name": name, "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "User", "name": name}]})
        };
        let policy = |name: &str, kind: Value| json!({"kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {"paramKind": kind}});
        World::new([
            role("all", json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]})),
            binding("all", "ClusterRoleBinding", ""),
            role("some", json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})),
            binding("some", "RoleBinding", "ns"),
            policy("limits", json!({"apiVersion": "v1", "kind": "ConfigMap"})),
            policy("foreign", json!({"apiVersion": "a.example/v1", "kind": "Foo"})),
            policy("none", Value::Null),
        ])
    }

    /// What a user is told of an object that he creates in place of `old`.
    fn told(user: &str, resource: &str, spec: Value, old: Option<Value>) -> String {
        let (world, groups) = (world(), [if user == "root" { "system:masters" } else { "people" }]);
        let user = UserInfo { uid: "u1".to_owned(), ..UserInfo::new(user, &groups) };
        let info = RequestInfo { group: GROUP.to_owned(), resource: resource.to_owned(), ..RequestInfo::default() };
        let object = json!({"metadata": {"name": "x"}, "spec": spec});
        let old = old.map(|spec| json!({"metadata": {"name": "x"}, "spec": spec}));
        match check(&world.authorizer(), &world, &user, &info, &object, old.as_ref()) {
            Ok(()) => String::new(),
            Err(status) => format!("{} {}", status.code, status.message),
        }
    }

    #[test]
    fn who_writes_a_policy_may_read_all_its_parameters() {
        let told = |user: &str, kind: &Value, old: Option<Value>| {
            told(user, POLICIES, json!({"paramKind": kind}), old.map(|kind| json!({"paramKind": kind})))
        };
        let maps = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        for user in ["all", "root"] {
            assert_eq!(told(user, &maps, None), "");
        }
        let refused = "422 ValidatingAdmissionPolicy.admissionregistration.k8s.io \"x\" is invalid: spec.paramKind: \
                       Forbidden: user &{some u1 [people system:authenticated] map[]} must have \"get\" permission on \
                       all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)";
        assert_eq!(told("some", &maps, None), refused);
        assert_eq!(told("some", &maps, Some(Value::Null)), refused);
        assert_eq!(told("some", &maps, Some(maps.clone())), "", "it stays");
        assert_eq!(told("some", &Value::Null, Some(maps.clone())), "");
        // Of a kind that is not served, everything in its group must be readable.
        assert!(told("all", &json!({"apiVersion": "a.example/v1", "kind": "Foo"}), None).starts_with("422 "));
    }

    #[test]
    fn who_binds_a_policy_to_parameters_may_read_those() {
        let told = |user: &str, policy: &str, reference: Value| {
            told(user, "validatingadmissionpolicybindings", json!({"policyName": policy, "paramRef": reference}), None)
        };
        let named = |namespace: &str| json!({"name": "n", "namespace": namespace});
        assert_eq!(told("some", "limits", named("ns")), "");
        assert_eq!(told("all", "limits", named("other")), "");
        assert_eq!(told("all", "limits", json!({"selector": {}})), "");
        assert_eq!(told("nobody", "limits", Value::Null), "");
        assert_eq!(told("root", "gone", named("ns")), "");
        let refused = |user: &str, why: &str| {
            let user = format!("user &{{{user} u1 [people system:authenticated] map[]}}");
            format!(
                "422 ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io \"x\" is invalid: spec.paramRef: \
                 Forbidden: {}",
                why.replace("USER", &user)
            )
        };
        assert_eq!(
            told("some", "limits", named("other")),
            refused("some", "USER does not have \"get\" permission on the object referenced by paramRef")
        );
        assert_eq!(
            told("some", "limits", json!({"selector": {}, "namespace": "ns"})),
            refused("some", "USER does not have \"list\" permission on the object referenced by paramRef")
        );
        assert_eq!(
            told("all", "none", named("ns")),
            refused("all", "USER does not have \"get\" permission on the object referenced by paramRef")
        );
        let everything = "to determine minimum required permissions and USER does not have \"get\" permission for all \
                          groups, versions and resources";
        assert_eq!(
            told("all", "gone", named("ns")),
            refused("all", &format!("unable to get policy gone {everything}"))
        );
        assert_eq!(
            told("all", "foreign", named("ns")),
            refused("all", &format!("unable to resolve paramKind &{{a.example/v1 Foo}} {everything}"))
        );
    }
}
