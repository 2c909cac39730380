//! Names of images: what is one, and the full name that a short one stands for.
//!
//! `[DOMAIN/]PATH[:TAG][@DIGEST]`. The first part is a domain when it could be no path: it has a dot, a port or a
//! capital letter, or is `localhost`; else the domain is Docker Hub's, and a path of one part is below `library/`.
//!
//! Upstream: distribution/reference (normalize.go, regexp.go), pkg/util/parsers
//! Left out: digests in other encodings than hexadecimal.

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const LONGEST_PATH: usize = 255;
const LONGEST_TAG: usize = 128;
const SHORTEST_DIGEST: usize = 32;
const BAD: &str = "invalid reference format";

/// The full name of an image: domain, path, and tag or digest. The tag is `latest` when neither is given.
///
/// # Errors
/// Why it is no name of an image.
pub fn normalized(image: &str) -> Result<String, String> {
    if image.len() == 64 && image.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("invalid repository name ({image}), cannot specify 64-byte hexadecimal strings"));
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (domain, rest) = domain(name);
    let (path, tag) = rest.split_once(':').map_or((rest, None), |(path, tag)| (path, Some(tag)));
    if path.chars().any(char::is_uppercase) {
        return Err(format!("{BAD}: repository name ({path}) must be lowercase"));
    }
    let valid = is_domain(domain)
        && path.split('/').all(is_path_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    if !valid {
        return Err(BAD.to_owned());
    }
    let library = if domain == DEFAULT_DOMAIN && !path.contains('/') { "library/" } else { "" };
    if library.len() + path.len() > LONGEST_PATH {
        return Err(format!("repository name must not be more than {LONGEST_PATH} characters"));
    }
    let mut full = format!("{domain}/{library}{path}");
    if let Some(tag) = tag.or(if digest.is_none() { Some("latest") } else { None }) {
        full += &format!(":{tag}");
    }
    if let Some(digest) = digest {
        full += &format!("@{digest}");
    }
    Ok(full)
}

/// The domain, and what is behind it.
fn domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase) =>
        {
            (if first == LEGACY_DEFAULT_DOMAIN { DEFAULT_DOMAIN } else { first }, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(address) => {
            let Some((address, port)) = address.split_once(']') else { return false };
            if !address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') || address.is_empty() {
                return false;
            }
            ("host", port.strip_prefix(':').or(if port.is_empty() { None } else { Some("") }))
        }
        None => domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port))),
    };
    let component = |part: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        ends(part.bytes().next())
            && ends(part.bytes().last())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(component)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Lower case letters and digits, in words that `.`, `_`, `__` or any number of `-` part.
fn is_path_component(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separators = part.split(|letter: char| letter.is_ascii() && is_word(letter as u8));
    // Before the first letter and after the last there is nothing; in between a separator, or nothing.
    let (first, last) = (separators.next(), part.bytes().last());
    let allowed = |between: &str| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-');
    first == Some("") && last.is_some_and(is_word) && separators.all(allowed)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let part = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    algorithm.split(['+', '.', '-', '_']).all(part)
        && hex.len() >= SHORTEST_DIGEST
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e6693c20186f837fc393390135d8a598a96a833917917789d63766cab6c59582";

    #[test]
    fn short_names_are_completed() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("me/app:1", "docker.io/me/app:1"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx:1.27", "docker.io/library/nginx:1.27"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("UPPER/app", "UPPER/app:latest"),
            ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app:latest"),
            ("quay.io/a/b__c/d-.e", ""),
            ("quay.io/a/b__c/d--e.f:v1_0.x-y", "quay.io/a/b__c/d--e.f:v1_0.x-y"),
        ] {
            assert_eq!(normalized(short).unwrap_or_default(), full, "{short}");
        }
        assert_eq!(normalized(&format!("app@{DIGEST}")), Ok(format!("docker.io/library/app@{DIGEST}")));
        assert_eq!(normalized(&format!("app:1@{DIGEST}")), Ok(format!("docker.io/library/app:1@{DIGEST}")));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long = format!("a.b/{}", "c".repeat(256));
        let hex = "a".repeat(64);
        for (wrong, why) in [
            ("", BAD),
            ("a b", BAD),
            ("a\nb", BAD),
            ("nginx:", BAD),
            (":1", BAD),
            ("a/", BAD),
            ("-a.b/c", BAD),
            ("a.b:x/c", BAD),
            ("a..b", BAD),
            ("a___b", BAD),
            ("nginx@sha256:12", BAD),
            ("nginx:ä", BAD),
            ("ä/b", BAD),
            ("https://a.b/c", BAD),
            ("Nginx", "invalid reference format: repository name (Nginx) must be lowercase"),
            ("example.com/UPPER", "invalid reference format: repository name (UPPER) must be lowercase"),
            (&long, "repository name must not be more than 255 characters"),
        ] {
            assert_eq!(normalized(wrong), Err(why.to_owned()), "{wrong}");
        }
        assert!(normalized(&hex).unwrap_err().starts_with("invalid repository name"));
        assert!(normalized(&format!("a:{}", "b".repeat(129))).is_err());
    }
}
