//! The keys of service account tokens: one to sign with, one or more to verify with.
//!
//! Upstream: client-go/util/keyutil, pkg/serviceaccount/jwt.go (key ids), pkg/serviceaccount/openidmetadata.go
//! Left out: P-384 and P-521 keys, external signers.

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, PublicKeyX509Der},
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::{Value, json};

/// A key that verifies tokens.
pub struct PublicKey {
    /// What a token's header names: the hash of the key itself.
    pub key_id: String,
    /// The one algorithm that tokens signed by this key may name.
    pub algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
    parameters: Parameters,
}

/// What a JSON Web Key says of a key.
enum Parameters {
    Ec { x: Vec<u8>, y: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// The key that signs tokens.
pub struct SigningKey {
    pub(crate) encoding: EncodingKey,
    pub public: PublicKey,
}

impl SigningKey {
    /// Reads the first private key of a PEM file: RSA or EC P-256, in any of the usual forms.
    ///
    /// # Errors
    /// What is wrong with the file, as a sentence.
    pub fn from_pem(pem: &[u8]) -> Result<SigningKey, String> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("no private key in it: {error}"))?;
        let bytes = der.secret_der();
        if let Ok(pair) = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes) {
            let pkcs8 = pair.to_pkcs8v1().map_err(|_| "the EC key can't be encoded".to_owned())?;
            let spki: PublicKeyX509Der<'_> =
                pair.public_key().as_der().map_err(|_| "the EC key can't be encoded".to_owned())?;
            return Ok(SigningKey {
                encoding: EncodingKey::from_ec_der(pkcs8.as_ref()),
                public: PublicKey::from_spki(spki.as_ref())?,
            });
        }
        let pair = rsa::KeyPair::from_pkcs8(bytes)
            .or_else(|_| rsa::KeyPair::from_der(bytes))
            .map_err(|_| "the private key is neither EC P-256 nor RSA".to_owned())?;
        let spki: PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| "the RSA key can't be encoded".to_owned())?;
        let encoding = EncodingKey::from_rsa_pem(pem).map_err(|error| format!("the RSA key: {error}"))?;
        Ok(SigningKey { encoding, public: PublicKey::from_spki(spki.as_ref())? })
    }
}

impl PublicKey {
    /// Reads every key of a PEM file; of a private key, its public half.
    ///
    /// # Errors
    /// What is wrong with the file, as a sentence.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<PublicKey>, String> {
        let mut keys = Vec::new();
        for spki in SubjectPublicKeyInfoDer::pem_slice_iter(pem) {
            let spki = spki.map_err(|error| format!("not PEM: {error}"))?;
            keys.push(PublicKey::from_spki(&spki)?);
        }
        if keys.is_empty() {
            keys.push(SigningKey::from_pem(pem)?.public);
        }
        Ok(keys)
    }

    fn from_spki(spki: &[u8]) -> Result<PublicKey, String> {
        use x509_parser::{prelude::FromDer, public_key, x509::SubjectPublicKeyInfo};
        let key_id = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, spki));
        let (_, info) = SubjectPublicKeyInfo::from_der(spki).map_err(|error| format!("not a public key: {error}"))?;
        let (algorithm, decoding, parameters) = match info.parsed() {
            // An uncompressed point: 4, then two coordinates of 32 bytes.
            Ok(public_key::PublicKey::EC(point)) if point.data().len() == 65 && point.data()[0] == 4 => {
                let (x, y) = point.data()[1..].split_at(32);
                let decoding = DecodingKey::from_ec_der(point.data());
                (Algorithm::ES256, decoding, Parameters::Ec { x: x.to_vec(), y: y.to_vec() })
            }
            Ok(public_key::PublicKey::RSA(key)) => {
                let strip = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
                let (n, e) = (strip(key.modulus), strip(key.exponent));
                (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e), Parameters::Rsa { n, e })
            }
            _ => return Err("the public key is neither EC P-256 nor RSA".to_owned()),
        };
        Ok(PublicKey { key_id, algorithm, decoding, parameters })
    }

    /// The key as an entry of a JSON Web Key Set.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match &self.parameters {
            Parameters::Ec { x, y } => json!({
                "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
                "x": text(x), "y": text(y),
            }),
            Parameters::Rsa { n, e } => json!({
                "use": "sig", "kty": "RSA", "kid": self.key_id, "alg": "RS256", "n": text(n), "e": text(e),
            }),
        }
    }
}
