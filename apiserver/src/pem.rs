//! PEM as a client sends it: which blocks there are in it, and what a block says it is.
//!
//! Upstream: Go's encoding/pem (1.25.2 and later), pkg/apis/certificates/v1/helpers.go (ParseCSR)
//! Left out: the values of a block's headers; whether there are any is all that is asked.
//!
//! Other readers take a block whose END names something else than its BEGIN; here, as in Go, it is no block.

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

/// Go minds no bits that are left over in the last character.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub label: String,
    pub has_headers: bool,
    pub contents: Vec<u8>,
}

/// The DER of a certificate request that a client sent as PEM in base64.
///
/// # Errors
/// The words in which it is refused.
pub(crate) fn certificate_request(encoded: &str) -> Result<Vec<u8>, String> {
    let first = blocks_in_base64(encoded)?.into_iter().next().filter(|block| block.label == "CERTIFICATE REQUEST");
    first.map(|block| block.contents).ok_or_else(|| "PEM block type must be CERTIFICATE REQUEST".to_owned())
}

/// The blocks of what a client sent as PEM in base64.
///
/// # Errors
/// Says why it is not base64.
pub(crate) fn blocks_in_base64(encoded: &str) -> Result<Vec<Block>, String> {
    let pem = STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    Ok(blocks(&String::from_utf8_lossy(&pem)))
}

/// The blocks in `pem`, in their order; what is none is passed over. An END line ends the last BEGIN before it.
fn blocks(pem: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut body: Vec<&str> = Vec::new();
    let mut label = None;
    for line in pem.split('\n') {
        if let Some(begun) = line.strip_prefix(BEGIN) {
            label = begun.trim_end().strip_suffix(DASHES);
            body.clear();
        } else if let Some(ended) = line.strip_prefix(END) {
            let ended = ended.trim_end().strip_suffix(DASHES);
            found.extend(label.take().filter(|label| ended == Some(label)).and_then(|label| block(label, &body)));
        } else {
            body.push(line);
        }
    }
    found
}

fn block(label: &str, body: &[&str]) -> Option<Block> {
    let headers = body.iter().take_while(|line| line.contains(':')).count();
    let text: String = body[headers..].iter().flat_map(|line| line.chars()).filter(|c| !" \t\r".contains(*c)).collect();
    let contents = BASE64.decode(text).ok()?;
    Some(Block { label: label.to_owned(), has_headers: headers > 0, contents })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pem: &str, expected: &[(&str, bool, &str)]) {
        let found = blocks(pem);
        let found: Vec<_> = found
            .iter()
            .map(|block| (&*block.label, block.has_headers, std::str::from_utf8(&block.contents).unwrap()))
            .collect();
        assert_eq!(found, expected, "{pem}");
    }

    #[test]
    fn a_block_ends_as_it_begins() {
        check("x\n-----BEGIN A B-----\neHl6\n-----END A B-----\n", &[("A B", false, "xyz")]);
        check("-----BEGIN A-----  \r\neH\r\n l6\r\n-----END A-----\r\n", &[("A", false, "xyz")]);
        check("-----BEGIN A-----\neHl6\n-----END B-----\n", &[]);
        check("-----BEGIN A-----\neHl6\n-----END A----\n", &[]);
        check("-----BEGIN A-----\neHl6\n-----END A----- x\n", &[]);
        check("-----BEGIN A-----\neHl6\n", &[]);
        check("-----BEGIN A-----\neHl\n-----END A-----\n", &[]);
        check(" -----BEGIN A-----\neHl6\n-----END A-----\n", &[]);
        check("-----BEGIN A-----\n-----END A-----", &[("A", false, "")]);
    }

    #[test]
    fn what_is_no_block_hides_none_that_follows() {
        check(
            "-----BEGIN A-----\neHl6\n-----END B-----\n-----BEGIN C-----\neHl6\n-----END C-----",
            &[("C", false, "xyz")],
        );
        check("-----BEGIN A-----\n-----BEGIN C-----\neHl6\n-----END C-----", &[("C", false, "xyz")]);
    }

    #[test]
    fn lines_with_a_colon_before_the_contents_are_headers() {
        check("-----BEGIN A-----\nk: v\n\neHl6\n-----END A-----\n", &[("A", true, "xyz")]);
    }
}
