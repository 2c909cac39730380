//! Reads a variable from a file of variables, which an init container has written: lines of `NAME='value'`, a form that
//! every shell reads in the same way.
//!
//! Upstream: pkg/kubelet/util/env/env_util.go
//! Left out: nothing.

/// The value of a variable; None if the file has none of that name, or an empty one. What stands behind it is not read.
///
/// # Errors
/// What is wrong with the file before the variable, and in which line.
pub fn value_of(text: &str, name: &str) -> Result<Option<String>, String> {
    let mut rest = text;
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let (first, following) = rest.split_once('\n').unwrap_or((rest, ""));
        let first = first.trim_start();
        if first.is_empty() || first.starts_with('#') {
            rest = following;
            continue;
        }
        let Some((key, _)) = first.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid environment variable format at line {line}"));
        };
        if key.ends_with([' ', '\t']) {
            return Err(format!(
                "invalid environment variable format at line {line}: whitespace before '=' is not allowed"
            ));
        }
        let value = &rest[rest.find('=').map_or(rest.len(), |at| at + 1)..];
        let Some(quoted) = value.strip_prefix('\'') else {
            let why = "value must be enclosed in single quotes";
            return Err(format!("invalid environment variable format at line {line}: {why}"));
        };
        // What is quoted may go on for several lines.
        let Some((value, behind)) = quoted.split_once('\'') else {
            return Err(format!("invalid environment variable format at line {line}: unclosed single quote"));
        };
        line += value.matches('\n').count();
        let (tail, following) = behind.split_once('\n').unwrap_or((behind, ""));
        let is_comment = tail.trim_start().starts_with('#') && tail.starts_with([' ', '\t']);
        if !tail.trim().is_empty() && !is_comment {
            let why = "unexpected content after closing quote";
            return Err(format!("invalid environment variable format at line {line}: {why}"));
        }
        if key == name {
            return Ok(Some(value.to_owned()).filter(|value| !value.is_empty()));
        }
        rest = following;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_in_single_quotes_as_it_is() {
        let text = "# comment\n\n  A='x'\n\tB='a=b # $HOME \"\\n' # note\nC='one\n\n  two '\nD=''\n";
        let value = |name: &str| value_of(text, name).unwrap();
        assert_eq!(value("A").as_deref(), Some("x"));
        assert_eq!(value("B").as_deref(), Some("a=b # $HOME \"\\n"));
        assert_eq!(value("C").as_deref(), Some("one\n\n  two "));
        assert_eq!(value("D"), None);
        assert_eq!(value("E"), None);
        assert_eq!(value_of("A='x'", "A").unwrap().as_deref(), Some("x"));
    }

    #[test]
    fn what_shells_read_differently_is_refused_with_its_line() {
        let refused = |text: &str, why: &str| {
            assert_eq!(value_of(text, "B"), Err(format!("invalid environment variable format at line {why}")));
        };
        refused("A='1'\nB = 'x'\n", "2: whitespace before '=' is not allowed");
        refused("A='1\n2'\nB= 'x'\n", "3: value must be enclosed in single quotes");
        refused("B=x\n", "1: value must be enclosed in single quotes");
        refused("B=\"x\"\n", "1: value must be enclosed in single quotes");
        refused("B='x''y'\n", "1: unexpected content after closing quote");
        refused("B='x'#y\n", "1: unexpected content after closing quote");
        refused("B='x\nC='y'\n", "2: unexpected content after closing quote");
        refused("B='x", "1: unclosed single quote");
        refused("A='1'\nnothing\nB='x'", "2");
        refused("='1'\nB='x'", "1");
        // What stands behind the variable is not read.
        assert_eq!(value_of("B='x'\nnothing", "B"), Ok(Some("x".to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read_or_refused(text in "[AB=' #\\n\u{e4}\u{a0}]{0,24}") {
            let _ = value_of(&text, "A");
        }
    }
}
