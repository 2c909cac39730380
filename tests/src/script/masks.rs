//! What may vary in the outputs of clients, and what stands for it in the scripts.
//!
//! A file of rules, one a line: a regular expression, ` => `, and what stands for it. Where a rule matched, columns
//! may be wider or narrower than elsewhere, so that in such an output two spaces stand for more of them; with ` == ` what
//! stands for it is as wide, and for a line that ends in ` ==` nothing stands.
//!
//! Upstream: none

use std::borrow::Cow;

use regex::Regex;

pub struct Masks {
    rules: Vec<Rule>,
    columns: Regex,
}

struct Rule {
    pattern: Regex,
    mask: String,
    keeps_width: bool,
}

impl Rule {
    fn parse(line: &str) -> Rule {
        let halves = (line.strip_suffix(" =="), line.split_once(" == "), line.split_once(" => "));
        let (pattern, mask, keeps_width) = match halves {
            (Some(pattern), ..) => (pattern, "", true),
            (None, Some((pattern, mask)), _) => (pattern, mask, true),
            (None, None, Some((pattern, mask))) => (pattern, mask, false),
            (None, None, None) => panic!("no rule: {line}"),
        };
        let pattern = Regex::new(&format!("(?m){}", pattern.trim_end())).unwrap_or_else(|error| panic!("{error}"));
        Rule { pattern, mask: mask.trim().to_owned(), keeps_width }
    }
}

impl Masks {
    /// Reads rules; lines that begin with `#` say why.
    ///
    /// # Panics
    /// A line is no rule.
    pub fn parse(text: &str) -> Masks {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Masks {
            rules: lines.map(Rule::parse).collect(),
            columns: Regex::new(r"(\S) {2,}").expect("a valid expression"),
        }
    }

    /// The output as it stands in scripts: without what varies and without spaces at the ends of lines.
    pub fn apply(&self, output: &str) -> String {
        let mut masked = output.to_owned();
        let mut is_wider = false;
        for rule in &self.rules {
            if let Cow::Owned(replaced) = rule.pattern.replace_all(&masked, &rule.mask) {
                masked = replaced;
                is_wider |= !rule.keeps_width;
            }
        }
        if is_wider {
            masked = self.columns.replace_all(&masked, "$1  ").into_owned();
        }
        let lines = masked.lines().map(|line| line.trim_end().to_owned() + "\n");
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_varies_is_masked() {
        let masks = Masks::parse("# Ages.\n\\b\\d+[smh]$ => AGE\n^(uid): .* => $1: UID\n");
        assert_eq!(masks.apply("NAME       AGE \nweb        12s\n"), "NAME  AGE\nweb  AGE\n");
        assert_eq!(masks.apply("uid: 7\n"), "uid: UID\n");
        assert_eq!(masks.apply("NAME    READY\nweb     1/1\n"), "NAME    READY\nweb     1/1\n");
    }

    #[test]
    fn what_keeps_its_width_keeps_the_columns() {
        let masks = Masks::parse("-\\d\\d\\b == -NN\n");
        assert_eq!(masks.apply("NAME     READY\nweb-35   1/1\n"), "NAME     READY\nweb-NN   1/1\n");
    }

    #[test]
    fn what_comes_and_goes_is_left_out() {
        let masks = Masks::parse("^I\\d+ .*\\n ==\n");
        assert_eq!(masks.apply("I7 canceled\nNAME     READY\nI am\n"), "NAME     READY\nI am\n");
    }
}
