//! Tokens as they are issued, and tokens as they are forged.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use expect_test::{Expect, expect};

use super::*;
use crate::objects::world::World;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn key() -> SigningKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = BASE64_STANDARD.encode(pair.to_pkcs8v1().unwrap());
    SigningKey::from_pem(format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n").as_bytes()).unwrap()
}

fn issuer(key: SigningKey) -> TokenIssuer {
    TokenIssuer { key, issuer: ISSUER.into(), audiences: vec!["api".into()], max_expiration_s: 86_400 }
}

fn verifier(key: SigningKey) -> TokenVerifier {
    TokenVerifier::new(vec![ISSUER.into()], vec![key.public])
}

/// Two halves of one key, for the issuer and the verifier.
fn keys() -> (SigningKey, SigningKey) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = BASE64_STANDARD.encode(pair.to_pkcs8v1().unwrap());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    (SigningKey::from_pem(pem.as_bytes()).unwrap(), SigningKey::from_pem(pem.as_bytes()).unwrap())
}

fn account(uid: &str) -> Value {
    json!({"kind": "ServiceAccount", "metadata": {"namespace": "ns", "name": "bot", "uid": uid}})
}

fn pod(uid: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"namespace": "ns", "name": "p", "uid": uid},
        "spec": {"serviceAccountName": "bot", "nodeName": "n1"}})
}

fn node() -> Value {
    json!({"kind": "Node", "metadata": {"name": "n1", "uid": "node-uid"}})
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn request(issuer: &TokenIssuer, world: &World, spec: Value) -> Result<IssuedToken, Status> {
    let account = world.get("", "serviceaccounts", "ns", "bot").unwrap();
    issuer.token_request(&json!({"spec": spec}), &account, world, now())
}

fn token(issuer: &TokenIssuer, world: &World, spec: Value) -> String {
    request(issuer, world, spec).unwrap().body["status"]["token"].as_str().unwrap().to_owned()
}

fn bound_to_pod() -> Value {
    json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "pod-uid"}})
}

fn verify(verifier: &TokenVerifier, world: &World, token: &str, now: Timestamp) -> Result<UserInfo, String> {
    verifier.verify(token, &["api".to_owned()], world, now).map(|(user, _)| (*user).clone())
}

#[test]
fn a_token_stands_for_its_account_and_says_where_it_is_used() {
    let (signing, verifying) = keys();
    let world = World::new([account("uid"), pod("pod-uid"), node()]);
    let token = token(&issuer(signing), &world, bound_to_pod());
    let user = verify(&verifier(verifying), &world, &token, now()).unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:ns:bot", "uid"));
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
    let extra = |key: &str| user.extra[&format!("authentication.kubernetes.io/{key}")].concat();
    assert_eq!(extra("pod-name") + " " + &extra("pod-uid"), "p pod-uid");
    assert_eq!(extra("node-name") + " " + &extra("node-uid"), "n1 node-uid");
    assert!(extra("credential-id").starts_with("JTI="));
}

#[test]
fn a_token_dies_with_what_it_is_bound_to() {
    let (signing, verifying) = keys();
    let alive = World::new([account("uid"), pod("pod-uid"), node()]);
    let verifier = verifier(verifying);
    let token = token(&issuer(signing), &alive, bound_to_pod());
    let mut dying = pod("pod-uid");
    dying["metadata"]["deletionTimestamp"] = now().to_string().into();
    for (world, at, good) in [
        (World::new([account("uid"), pod("pod-uid")]), 0, true),
        (World::new([account("uid")]), 1, false),
        (World::new([account("uid"), pod("other")]), 1, false),
        (World::new([account("recreated"), pod("pod-uid")]), 1, false),
        (World::new([pod("pod-uid")]), 1, false),
        (World::new([account("uid"), dying.clone()]), 30, true),
        (World::new([account("uid"), dying]), 61, false),
    ] {
        assert_eq!(verify(&verifier, &world, &token, later(at)).is_ok(), good, "at {at}");
    }
}

#[test]
fn a_token_is_good_from_its_beginning_to_its_end() {
    let (signing, verifying) = keys();
    let world = World::new([account("uid")]);
    let verifier = verifier(verifying);
    let token = token(&issuer(signing), &world, json!({"expirationSeconds": 600}));
    for (at, good) in [(-61, false), (-60, true), (0, true), (600, true), (660, true), (661, false)] {
        assert_eq!(verify(&verifier, &world, &token, later(at)).is_ok(), good, "at {at}");
    }
}

#[test]
fn forged_tokens_are_refused() {
    let (signing, verifying) = keys();
    let world = World::new([account("uid")]);
    let ours = issuer(signing);
    let verifier = verifier(verifying);
    let good = token(&ours, &world, json!({}));
    assert!(verify(&verifier, &world, &good, now()).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("a token has three parts") };
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let changed = |field: &str, value: Value| {
        let mut claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims[field] = value;
        encode(claims)
    };
    let key_id = &ours.key.public.key_id;
    let none = encode(json!({"alg": "none", "kid": key_id}));
    // The public key used as the secret of an HMAC: the classic confusion of algorithms.
    let confused = jsonwebtoken::encode(
        &Header { kid: Some(key_id.clone()), ..Header::new(jsonwebtoken::Algorithm::HS256) },
        &serde_json::from_slice::<Value>(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap(),
        &jsonwebtoken::EncodingKey::from_secret(key_id.as_bytes()),
    )
    .unwrap();
    let stranger = issuer(key());
    let mut other_issuer = issuer(keys().0);
    other_issuer.issuer = "https://elsewhere".into();
    for (what, forged) in [
        ("no signature", format!("{none}.{claims}.")),
        ("alg none", format!("{none}.{claims}.{signature}")),
        ("other subject", format!("{header}.{}.{signature}", changed("sub", "system:serviceaccount:ns:admin".into()))),
        ("later end", format!("{header}.{}.{signature}", changed("exp", 4_000_000_000_i64.into()))),
        ("HMAC with the public key", confused),
        ("another key", token(&stranger, &world, json!({}))),
        ("another issuer", token(&other_issuer, &world, json!({}))),
        ("cut", good[..good.len() - 4].to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("nothing", String::new()),
    ] {
        assert_eq!(verify(&verifier, &world, &forged, now()), Err("invalid bearer token".to_owned()), "{what}");
    }
    // Signed by us, but for somebody else.
    let elsewhere = token(&ours, &world, json!({"audiences": ["vault"]}));
    assert_eq!(
        verify(&verifier, &world, &elsewhere, now()),
        Err(r#"[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["api"]]"#
            .to_owned())
    );
}

#[test]
fn a_request_is_defaulted_and_bounded() {
    let world = World::new([account("uid"), pod("pod-uid"), node()]);
    let issuer = issuer(key());
    let issued = request(&issuer, &world, json!({})).unwrap();
    assert_eq!(issued.body["spec"]["expirationSeconds"], 3600);
    assert_eq!(issued.body["spec"]["audiences"], json!(["api"]));
    assert_eq!(issued.body["metadata"]["name"], "bot");
    let long = request(&issuer, &world, json!({"expirationSeconds": 90_000})).unwrap();
    assert_eq!(long.body["spec"]["expirationSeconds"], 86_400);
    assert_eq!(long.warnings, ["requested expiration of 90000 seconds shortened to 86400 seconds"]);
    let check = |spec: Value, expected: Expect| {
        let error = request(&issuer, &world, spec).unwrap_err();
        expected.assert_eq(&format!("{} {}", error.code, error.message));
    };
    check(
        json!({"expirationSeconds": 599}),
        expect![[
            r#"422 TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"#
        ]],
    );
    check(
        json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "q"}}),
        expect![[r#"404 pods "q" not found"#]],
    );
    check(
        json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "old"}}),
        expect![[
            r#"409 Operation cannot be fulfilled on Pod "p": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated"#
        ]],
    );
    check(
        json!({"boundObjectRef": {"kind": "Deployment", "apiVersion": "apps/v1", "name": "p"}}),
        expect!["400 cannot bind token to object of type apps/v1, Kind=Deployment"],
    );
}
