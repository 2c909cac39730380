//! The static token file: `token,user,uid,"group1,group2"`, one user a line.
//!
//! Upstream: apiserver/pkg/authentication/token/tokenfile/tokenfile.go
//! Left out: reading the file again when it changes; upstream doesn't either.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::attributes::UserInfo;

/// The users of a static token file. Tokens are kept as hashes only.
#[derive(Default)]
pub struct StaticTokens {
    users: Vec<([u8; 32], Arc<UserInfo>)>,
}

impl StaticTokens {
    /// Reads the text of a token file.
    ///
    /// # Errors
    /// The first line that is not of the form `token,user,uid[,"groups"]`, with its number.
    pub fn parse(text: &str) -> Result<StaticTokens, String> {
        let mut users: Vec<([u8; 32], Arc<UserInfo>)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            let fields = fields(line).ok_or_else(|| format!("line {number}: a quote is not closed"))?;
            let [token, name, uid, rest @ ..] = fields.as_slice() else {
                return Err(format!("line {number}: expected at least 3 fields: token, user name, user uid"));
            };
            if token.is_empty() {
                return Err(format!("line {number}: the token is empty"));
            }
            let groups = rest.first().map(String::as_str).unwrap_or_default();
            let mut groups: Vec<String> =
                groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
            groups.push("system:authenticated".to_owned());
            let user = UserInfo { name: name.clone(), uid: uid.clone(), groups, ..UserInfo::default() };
            let hash = hash(token);
            users.retain(|(known, _)| *known != hash); // as upstream: the last line for a token holds
            users.push((hash, Arc::new(user)));
        }
        Ok(StaticTokens { users })
    }

    /// The user of `token`. Takes the same time whichever line matches, and whether one does.
    pub(crate) fn user(&self, token: &str) -> Option<Arc<UserInfo>> {
        if self.users.is_empty() {
            return None;
        }
        let asked = hash(token);
        let mut found = None;
        for (known, user) in &self.users {
            if bool::from(known.ct_eq(&asked)) {
                found = Some(user);
            }
        }
        found.cloned()
    }
}

fn hash(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The fields of one line of CSV; none when a quote is left open. A quote in quotes is written twice.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is always a last field");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            // encoding/csv keeps spaces but trims leading ones in this file.
            ' ' if !quoted && field.is_empty() => {}
            character => field.push(character),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_user_with_its_groups() {
        let tokens =
            StaticTokens::parse("tok,admin,admin,system:masters\ntok3,viewer,viewer-uid,\"viewers,others\"\n").unwrap();
        let viewer = tokens.user("tok3").unwrap();
        assert_eq!((viewer.name.as_str(), viewer.uid.as_str()), ("viewer", "viewer-uid"));
        assert_eq!(viewer.groups, ["viewers", "others", "system:authenticated"]);
        assert!(tokens.user("tok").unwrap().in_group("system:masters"));
        for wrong in ["", "to", "tok4", "tok ", "TOK"] {
            assert_eq!(tokens.user(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_line_without_a_user_and_uid_is_refused_with_its_number() {
        let error = StaticTokens::parse("a,b,c\ntoken,user\n").err().unwrap();
        assert_eq!(error, "line 2: expected at least 3 fields: token, user name, user uid");
        assert_eq!(StaticTokens::parse(",user,uid").err().unwrap(), "line 1: the token is empty");
        assert!(StaticTokens::parse("a,b,c,\"open").is_err());
    }
}
