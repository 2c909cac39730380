//! Service account tokens: signing, and believing them only while what they are bound to is alive.
//!
//! Upstream: pkg/serviceaccount (claims.go, jwt.go), pkg/registry/core/serviceaccount/storage/token.go
//! Left out: legacy tokens from Secrets; the year of grace that upstream gives tokens of old clients.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use api::{field::Field, status::Status};
use jiff::Timestamp;
use jsonwebtoken::{Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    certificate::CREDENTIAL_ID,
    keys::{PublicKey, SigningKey},
};
use crate::{attributes::UserInfo, object::Object, objects::Objects};

/// How far the clocks of two servers may differ, and how long a token outlives the deletion that was asked of what it
/// is bound to. Upstream's number for both.
const LEEWAY_S: i64 = 60;
const MIN_EXPIRATION_S: i64 = 10 * 60;
const DEFAULT_EXPIRATION_S: i64 = 60 * 60;
const MAX_EXPIRATION_S: i64 = 1 << 32;

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
    nbf: i64,
    sub: String,
}

/// What a token is bound to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Bound {
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    serviceaccount: Reference,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Reference {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
}

/// Signs tokens.
pub struct TokenIssuer {
    pub key: SigningKey,
    /// The `iss` of every token: `https://kubernetes.default.svc.cluster.local`.
    pub issuer: String,
    /// The audiences of a token that asks for none: those of this API server.
    pub audiences: Vec<String>,
    /// Longer requests are cut to this; 0 does not cut. `--service-account-max-token-expiration`.
    pub max_expiration_s: i64,
}

/// What a TokenRequest is answered with.
#[derive(Debug, PartialEq)]
pub struct IssuedToken {
    /// The TokenRequest with its status.
    pub body: Value,
    /// For the `Warning` header.
    pub warnings: Vec<String>,
}

impl TokenIssuer {
    /// Answers a TokenRequest for `service_account`: POST .../serviceaccounts/NAME/token.
    ///
    /// # Errors
    /// 422 for a name that contradicts the path or an expiration out of bounds, 404 when what the token shall be bound
    /// to does not exist, 400 when it can't be bound to that, 409 when it is another object of that name.
    pub fn token_request(
        &self,
        request: &Value,
        service_account: &Object,
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<IssuedToken, Status> {
        let (namespace, name) = (&*service_account.key.namespace, &*service_account.key.name);
        let mut warnings = Vec::new();
        let mut expiration_s = requested_expiration(request, namespace, name)?;
        if self.max_expiration_s > 0 && expiration_s > self.max_expiration_s {
            let longest_s = self.max_expiration_s;
            warnings.push(format!("requested expiration of {expiration_s} seconds shortened to {longest_s} seconds"));
            expiration_s = longest_s;
        }
        let spec = &request["spec"];
        let mut audiences = strings(&spec["audiences"]);
        if audiences.is_empty() {
            audiences.clone_from(&self.audiences);
        }
        let account = Reference { name: name.to_owned(), uid: service_account.meta.uid().to_owned() };
        let mut bound = Bound { namespace: namespace.to_owned(), serviceaccount: account, ..Bound::default() };
        if !spec["boundObjectRef"].is_null() {
            bind(&mut bound, &spec["boundObjectRef"], objects)?;
        }

        let now_s = now.as_second();
        let claims = Claims {
            aud: audiences.clone(),
            exp: now_s + expiration_s,
            iat: now_s,
            iss: self.issuer.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            kubernetes: bound,
            nbf: now_s,
            sub: format!("system:serviceaccount:{namespace}:{name}"),
        };
        let header =
            Header { kid: Some(self.key.public.key_id.clone()), typ: None, ..Header::new(self.key.public.algorithm) };
        let token = jsonwebtoken::encode(&header, &claims, &self.key.encoding).map_err(Status::internal)?;
        let expires = Timestamp::from_second(claims.exp).map_err(Status::internal)?;
        let mut body = json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": seconds(now)},
            "spec": {"audiences": audiences, "expirationSeconds": expiration_s, "boundObjectRef": null},
            "status": {"token": token, "expirationTimestamp": expires.to_string()},
        });
        body["spec"]["boundObjectRef"] = spec["boundObjectRef"].clone();
        Ok(IssuedToken { body, warnings })
    }
}

/// The time as the API writes it: whole seconds.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The lifetime that `request` asks for, once everything else about it makes sense.
fn requested_expiration(request: &Value, namespace: &str, name: &str) -> Result<i64, Status> {
    let root = Field::root(request);
    let (metadata, spec) = (root.child("metadata"), root.child("spec"));
    let invalid = |name: &str, error| Status::invalid("authentication.k8s.io", "TokenRequest", name, &[error]);
    let (given_name, given_namespace) = (metadata.child("name"), metadata.child("namespace"));
    if !given_name.is_empty() && given_name.str() != name {
        return Err(invalid(name, given_name.invalid("must match the service account name if specified")));
    }
    if !given_namespace.is_empty() && given_namespace.str() != namespace {
        return Err(invalid(name, given_namespace.invalid("must match the service account namespace if specified")));
    }
    let expiration = spec.child("expirationSeconds");
    let expiration_s = expiration.i64().unwrap_or(DEFAULT_EXPIRATION_S);
    if expiration_s < MIN_EXPIRATION_S {
        let error = expiration.invalid("may not specify a duration less than 10 minutes");
        return Err(invalid("", error));
    }
    if expiration_s > MAX_EXPIRATION_S {
        let error = expiration.invalid("may not specify a duration larger than 2^32 seconds");
        return Err(invalid("", error));
    }
    Ok(expiration_s)
}

/// Binds the claims to the pod, secret or node that `reference` names.
fn bind(bound: &mut Bound, reference: &Value, objects: &dyn Objects) -> Result<(), Status> {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let find = |resource: &str, namespace: &str| {
        objects.get("", resource, namespace, name).ok_or_else(|| Status::not_found("", resource, name))
    };
    let named = |object: &Object| Reference { name: name.to_owned(), uid: object.meta.uid().to_owned() };
    let object = match (text("apiVersion"), kind) {
        ("v1", "Pod") => {
            let pod = find("pods", &bound.namespace)?;
            let value = pod.value();
            let account = &bound.serviceaccount.name;
            if value["spec"]["serviceAccountName"].as_str() != Some(account) {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            if let Some(node_name) = value["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()) {
                let uid = objects.get("", "nodes", "", node_name).map(|node| node.meta.uid().to_owned());
                bound.node = Some(Reference { name: node_name.to_owned(), uid: uid.unwrap_or_default() });
            }
            bound.pod = Some(named(&pod));
            pod
        }
        ("v1", "Secret") => {
            let secret = find("secrets", &bound.namespace)?;
            bound.secret = Some(named(&secret));
            secret
        }
        ("v1", "Node") => {
            let node = find("nodes", "")?;
            bound.node = Some(named(&node));
            node
        }
        (version, kind) => {
            let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
            let message = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Status::bad_request(message));
        }
    };
    let uid = text("uid");
    if !uid.is_empty() && uid != object.meta.uid() {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", kind, name, &why));
    }
    Ok(())
}

/// Tokens verified lately: their signature is not checked again, everything else is.
const MAX_KNOWN: usize = 4096;
/// How long a verified token is remembered.
const KNOWN_FOR_S: i64 = 10;

/// Believes or refuses tokens.
#[derive(Default)]
pub struct TokenVerifier {
    /// The first one signs; the others are accepted too, so that issuers can change.
    issuers: Vec<String>,
    keys: Vec<PublicKey>,
    known: RwLock<HashMap<Box<str>, Known>>,
}

struct Known {
    claims: Arc<Claims>,
    user: Arc<UserInfo>,
    until_s: i64,
}

impl TokenVerifier {
    /// Accepts tokens of any of `issuers` that one of `keys` signed.
    pub fn new(issuers: Vec<String>, keys: Vec<PublicKey>) -> TokenVerifier {
        TokenVerifier { issuers, keys, known: RwLock::default() }
    }

    /// The JSON Web Key Set of GET /openid/v1/jwks.
    pub fn key_set(&self) -> Value {
        json!({"keys": self.keys.iter().map(PublicKey::jwk).collect::<Vec<_>>()})
    }

    /// The user of a token, and those of `audiences` that it is meant for.
    ///
    /// Whether the account and what the token is bound to are alive is asked every time: deleting a pod revokes its
    /// token at once.
    pub(crate) fn verify(
        &self,
        token: &str,
        audiences: &[String],
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<(Arc<UserInfo>, Vec<String>), String> {
        let now_s = now.as_second();
        let (claims, user) = self.signed_claims(token, now_s)?;
        if now_s > claims.exp + LEEWAY_S {
            return Err("[invalid bearer token, service account token has expired]".to_owned());
        }
        if now_s + LEEWAY_S < claims.nbf {
            return Err("[invalid bearer token, service account token is not valid yet]".to_owned());
        }
        let meant: Vec<String> = audiences.iter().filter(|each| claims.aud.contains(each)).cloned().collect();
        if meant.is_empty() {
            return Err(format!(
                "[invalid bearer token, token audiences {:?} is invalid for the target audiences {audiences:?}]",
                claims.aud
            ));
        }
        check_alive(&claims.kubernetes, objects, now).map_err(|why| format!("[invalid bearer token, {why}]"))?;
        Ok((user, meant))
    }

    /// The claims of a token that we signed, and the user they stand for.
    fn signed_claims(&self, token: &str, now_s: i64) -> Result<(Arc<Claims>, Arc<UserInfo>), String> {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(token)
            && now_s < known.until_s
        {
            return Ok((known.claims.clone(), known.user.clone()));
        }
        let claims = Arc::new(self.check_signature(token).ok_or("invalid bearer token")?);
        let user = Arc::new(user(&claims));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.retain(|_, entry| now_s < entry.until_s);
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
        }
        let entry = Known { claims: claims.clone(), user: user.clone(), until_s: now_s + KNOWN_FOR_S };
        known.insert(token.into(), entry);
        Ok((claims, user))
    }

    /// The claims, if the token's header names one of our keys with that key's own algorithm, the signature is right,
    /// and the issuer and subject are as we write them.
    fn check_signature(&self, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let fits = |key: &&PublicKey| header.kid.as_ref().is_none_or(|key_id| *key_id == key.key_id);
        let claims = self.keys.iter().filter(fits).find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            // Times and audiences are checked by `verify`, against the clock and the audiences of the request.
            validation.validate_exp = false;
            validation.validate_aud = false;
            validation.set_required_spec_claims(&["exp", "iss", "sub", "aud", "nbf"]);
            validation.set_issuer(&self.issuers);
            Some(jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).ok()?.claims)
        })?;
        let bound = &claims.kubernetes;
        let subject = format!("system:serviceaccount:{}:{}", bound.namespace, bound.serviceaccount.name);
        let complete = !bound.namespace.is_empty()
            && !bound.serviceaccount.name.is_empty()
            && !bound.serviceaccount.uid.is_empty();
        (complete && claims.sub == subject).then_some(claims)
    }
}

/// The user that believed claims stand for.
fn user(claims: &Claims) -> UserInfo {
    let bound = &claims.kubernetes;
    let mut user = UserInfo::service_account(&bound.namespace, &bound.serviceaccount.name);
    user.uid.clone_from(&bound.serviceaccount.uid);
    let mut extra = |key: &str, value: &str| {
        if !value.is_empty() {
            user.extra.insert(key.to_owned(), vec![value.to_owned()]);
        }
    };
    extra(CREDENTIAL_ID, &format!("JTI={}", claims.jti));
    if let Some(pod) = &bound.pod {
        extra("authentication.kubernetes.io/pod-name", &pod.name);
        extra("authentication.kubernetes.io/pod-uid", &pod.uid);
    }
    if let Some(node) = &bound.node {
        extra("authentication.kubernetes.io/node-name", &node.name);
        extra("authentication.kubernetes.io/node-uid", &node.uid);
    }
    user
}

/// Whether the account, and the one object that the token is bound to, are those that the token was issued for and
/// have not been deleted.
fn check_alive(bound: &Bound, objects: &dyn Objects, now: Timestamp) -> Result<(), String> {
    let alive = |resource: &str, namespace: &str, reference: &Reference| {
        let object = objects.get("", resource, namespace, &reference.name)?;
        (object.meta.uid() == reference.uid && !is_deleted(&object, now)).then_some(())
    };
    alive("serviceaccounts", &bound.namespace, &bound.serviceaccount)
        .ok_or("service account has been deleted or replaced")?;
    if let Some(secret) = &bound.secret {
        alive("secrets", &bound.namespace, secret).ok_or("service account token has been invalidated")?;
    }
    match (&bound.pod, &bound.node) {
        (Some(pod), _) => alive("pods", &bound.namespace, pod).ok_or("service account token has been invalidated")?,
        // With a pod, the node says only where the pod was.
        (None, Some(node)) => alive("nodes", "", node).ok_or("service account token has been invalidated")?,
        (None, None) => {}
    }
    Ok(())
}

/// Whether the object's deletion was due more than the leeway ago; only a finalizer still holds it then.
fn is_deleted(object: &Object, now: Timestamp) -> bool {
    if !object.meta.deleting {
        return false;
    }
    let value = object.value();
    let deletion = value["metadata"]["deletionTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    deletion.is_none_or(|deletion| deletion.as_second() + LEEWAY_S < now.as_second())
}

#[cfg(test)]
mod tests;
