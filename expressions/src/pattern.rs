//! Regular expressions as Go reads them, made ready for a matcher that reads some of them differently.
//!
//! Upstream: Go's regexp/syntax (parse.go), which reads `pattern` of schemas and what `matches` is given
//! Left out: Go's limits of nesting and of memory; the matcher has its own.
//!
//! Both are of RE2's family and differ in little: in Go a brace that repeats nothing is a plain character, a bracket
//! or `&&` inside a class too, `\d`, `\s`, `\w` and `\b` know ASCII only, and a repetition is not repeated.

mod class;

use regex::{Regex, RegexBuilder};

/// More repetitions than this are refused, also if they are repetitions of repetitions.
const MAX_REPEAT: u32 = 1000;
/// All letters of Unicode, repeated as often, take less.
const MAX_BYTES: usize = 128 << 20;

/// Reads a pattern without compiling it: that may take a second, and a definition has many.
///
/// # Errors
/// Go's words for what is wrong.
pub fn read(pattern: &str) -> Result<(), String> {
    let translated = translated(pattern)?;
    regex_syntax::parse(&translated).map(|_| ()).map_err(|error| not_understood(&error.to_string()))
}

/// Compiles a pattern.
///
/// # Errors
/// Go's words for what is wrong.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translated(pattern)?;
    RegexBuilder::new(&translated).size_limit(MAX_BYTES).build().map_err(|error| match error {
        regex::Error::Syntax(text) => not_understood(&text),
        _ => "error parsing regexp: expression too large".to_owned(),
    })
}

fn translated(pattern: &str) -> Result<String, String> {
    translate(pattern).map_err(|(what, where_)| format!("error parsing regexp: {what}: `{where_}`"))
}

/// What the matcher says of a pattern: its last line tells why.
fn not_understood(text: &str) -> String {
    format!("error parsing regexp: {}", text.lines().last().unwrap_or_default().trim_start_matches("error: "))
}

/// What is wrong, and the part of the pattern that it is wrong with.
type Mistake<'p> = (&'static str, &'p str);

/// The pattern in the matcher's words.
fn translate(pattern: &str) -> Result<String, Mistake<'_>> {
    let mut reader = Reader { whole: pattern, rest: pattern, out: String::new(), open: Vec::new(), repeats: 1 };
    let mut last = Last::Nothing;
    while let Some(next) = reader.rest.chars().next() {
        let before = reader.rest;
        last = match next {
            '(' => reader.group()?,
            ')' => reader.close()?,
            '|' => reader.copy(1, Last::Nothing),
            '*' | '+' | '?' => reader.repeat(1, &last)?,
            '{' => match repetition(before) {
                Some((length, bounds)) if !bounds.is_small() => {
                    return Err(("invalid repeat count", &before[..length]));
                }
                Some((length, bounds)) => {
                    let last = reader.repeat(length, &last)?;
                    reader.repeats = reader.repeats.saturating_mul(bounds.most.unwrap_or(bounds.least).max(1));
                    if reader.repeats > MAX_REPEAT {
                        return Err(("invalid repeat count", &before[..length]));
                    }
                    last
                }
                None => reader.literal(),
            },
            '[' => {
                let (length, class) = class::class(before)?;
                reader.out.push_str(&class);
                reader.rest = &before[length..];
                Last::Piece
            }
            '\\' => {
                let written = reader.out.len();
                let piece = reader.escape()?;
                // An empty quotation is no piece; but what stands before it is not a repetition any more.
                let is_piece = reader.out.len() > written || !matches!(last, Last::Nothing);
                if is_piece { piece } else { Last::Nothing }
            }
            '.' | '^' | '$' => reader.copy(1, Last::Piece),
            _ => reader.literal(),
        };
        let is_new_piece = matches!(last, Last::Piece) && next != ')';
        if is_new_piece || matches!(last, Last::Nothing) {
            reader.repeats = 1;
        }
        if let Some(group) = reader.open.last_mut() {
            *group = reader.repeats.max(*group);
        }
    }
    if !reader.open.is_empty() { Err(("missing closing )", pattern)) } else { Ok(reader.out) }
}

/// What a repetition would repeat.
enum Last<'p> {
    Nothing,
    Piece,
    /// The text from where it begins.
    Repetition(&'p str),
}

struct Reader<'p> {
    whole: &'p str,
    rest: &'p str,
    out: String,
    /// The groups that are not closed, with how often something inside each is repeated at most.
    open: Vec<u32>,
    /// How often something inside the last piece is repeated.
    repeats: u32,
}

impl<'p> Reader<'p> {
    fn copy(&mut self, length: usize, last: Last<'p>) -> Last<'p> {
        let (piece, rest) = self.rest.split_at(length);
        self.out.push_str(piece);
        self.rest = rest;
        last
    }

    fn literal(&mut self) -> Last<'p> {
        let mut characters = self.rest.chars();
        self.out.extend(characters.next().map(literal));
        self.rest = characters.as_str();
        Last::Piece
    }

    fn close(&mut self) -> Result<Last<'p>, Mistake<'p>> {
        self.repeats = self.open.pop().ok_or(("unexpected )", self.whole))?;
        Ok(self.copy(1, Last::Piece))
    }

    /// The sign of a repetition, and the `?` that makes it lazy.
    fn repeat(&mut self, length: usize, last: &Last<'p>) -> Result<Last<'p>, Mistake<'p>> {
        let before = self.rest;
        let length = if before[length..].starts_with('?') { length + 1 } else { length };
        match last {
            Last::Nothing => Err(("missing argument to repetition operator", &before[..length])),
            Last::Piece => Ok(self.copy(length, Last::Repetition(before))),
            Last::Repetition(from) => {
                Err(("invalid nested repetition operator", &from[..from.len() - before.len() + length]))
            }
        }
    }

    /// The beginning of a group, or flags for what follows.
    fn group(&mut self) -> Result<Last<'p>, Mistake<'p>> {
        let before = self.rest;
        let Some(flags) = before.strip_prefix("(?") else {
            self.open.push(1);
            return Ok(self.copy(1, Last::Nothing));
        };
        if let Some(named) = flags.strip_prefix("P<").or_else(|| flags.strip_prefix('<')) {
            let Some((name, rest)) = named.split_once('>') else {
                return Err(("invalid named capture", before));
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(("invalid named capture", &before[..before.len() - rest.len()]));
            }
            // Nobody asks for what a group has matched.
            self.out.push('(');
            self.rest = rest;
            self.open.push(1);
            return Ok(Last::Nothing);
        }
        let end = flags.find(|c| !"imsU-".contains(c)).map(|at| at + 2);
        let wrong = |end: Option<usize>| {
            let end = end.map_or(before.len(), |at| before[at..].chars().next().map_or(at, |c| at + c.len_utf8()));
            ("invalid or unsupported Perl syntax", &before[..end])
        };
        let Some(at) = end else { return Err(wrong(end)) };
        let set = &before[2..at];
        let is_well_formed = set.matches('-').count() <= 1 && !set.ends_with('-');
        match before.as_bytes()[at] {
            b':' if is_well_formed => self.open.push(1),
            b')' if is_well_formed && !set.is_empty() => {}
            _ => return Err(wrong(end)),
        }
        Ok(self.copy(at + 1, Last::Nothing))
    }

    fn escape(&mut self) -> Result<Last<'p>, Mistake<'p>> {
        let before = self.rest;
        let Some(letter) = before[1..].chars().next() else {
            return Err(("trailing backslash at end of expression", ""));
        };
        let plain = |text: &str| Some((2, text.to_owned()));
        let written = match letter {
            'A' | 'z' => plain(&before[..2]),
            'b' | 'B' => plain(&format!("(?-u:\\{letter})")),
            'Q' => {
                let text = before[2..].split_once("\\E").map_or(&before[2..], |(text, _)| text);
                let closed = before[2 + text.len()..].starts_with("\\E");
                Some((2 + text.len() + if closed { 2 } else { 0 }, text.chars().map(literal).collect()))
            }
            _ => None,
        };
        let (length, text) = match written {
            Some(written) => written,
            None => match class::named(before)? {
                Some((length, class)) => (length, format!("[{class}]")),
                None => class::character(before).map(|(length, c)| (length, literal(c)))?,
            },
        };
        self.out.push_str(&text);
        self.rest = &before[length..];
        Ok(Last::Piece)
    }
}

/// A character that stands for itself.
fn literal(c: char) -> String {
    regex::escape(c.encode_utf8(&mut [0; 4]))
}

struct Bounds {
    least: u32,
    most: Option<u32>,
}

impl Bounds {
    fn is_small(&self) -> bool {
        let most = self.most.unwrap_or(self.least);
        self.least <= most && most <= MAX_REPEAT
    }
}

/// The length and the bounds of a repetition in braces; None if the brace is a plain character.
fn repetition(text: &str) -> Option<(usize, Bounds)> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let number = |digits: &str| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty();
        let is_plain = is_number && (digits == "0" || !digits.starts_with('0'));
        is_plain.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let bounds = match inside.split_once(',') {
        None => Bounds { least: number(inside)?, most: Some(number(inside)?) },
        Some((least, "")) => Bounds { least: number(least)?, most: None },
        Some((least, most)) => Bounds { least: number(least)?, most: Some(number(most)?) },
    };
    Some((inside.len() + 2, bounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pattern matches all of the first texts and none of the second.
    fn check(pattern: &str, matched: &[&str], others: &[&str]) {
        let regex = compile(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
        for text in matched {
            assert!(regex.is_match(text), "{pattern} should match {text:?}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{pattern} should not match {text:?}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_to_go() {
        check("", &["", "x"], &[]);
        check(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", &["a", "a-b"], &["", "-a", "A"]);
        check(r"^\d+\.\d+$", &["1.2"], &["1x2", "\u{661}.\u{661}"]);
        check(r"^\w\W\s\S$", &["a- b"], &["\u{e4}- b", "a-\u{a0}b"]);
        check(r"^[\d\s]+$", &["1 2"], &["a"]);
        check(r"^[^\d]$", &["a"], &["1"]);
        check(r"^{{.*}}$", &["{{x}}"], &["x"]);
        check(r"^a{2}b{1,}c{0,2}{x}$", &["aabbc{x}"], &["ab{x}"]);
        check(r"^[[]a[&&b]+$", &["[a&b"], &["a"]);
        check(r"^[]a-]+$", &["]-a"], &["b"]);
        check(r"^[[:alpha:]_]+$", &["a_"], &["1"]);
        check(r"^(?i)[a-c](?P<x>b)(?:c)$", &["ABC"], &["abd"]);
        check(r"^\Qa.b\E+\/\-$", &["a.bbb/-"], &["axb/-"]);
        check(r"^\x41\x{42}\103\t$", &["ABC\t"], &[]);
        check(r"^\p{Lu}\pL\P{L}[\p{Greek}]$", &["\u{c4}a1\u{3b1}"], &["aa1\u{3b1}"]);
        check(r"\bend\b", &["the end"], &["ended"]);
        check(r"^a*?b+?c??$", &["aab"], &["c"]);
        check(r"^(a{50}(b{20}){20}c){2}(d{500}e{500}){2}f{1000}$", &[], &["a"]);
        check(r"^a{50}{{30}$", &[], &["a"]);
        check(r"^\pL{1,1000}$", &["\u{e4}"], &["1"]);
    }

    /// What patterns are made of.
    const PIECES: [&str; 40] = [
        "a",
        "Z",
        "0",
        "4",
        "-",
        "_",
        " ",
        "\u{e4}",
        "&&",
        "~~",
        "--",
        "\\",
        "\\d",
        "\\W",
        "\\b",
        "\\Q",
        "\\E",
        "\\x",
        "\\p",
        "L",
        "{Greek}",
        "{",
        "}",
        "{2}",
        "{1,}",
        ",",
        "[",
        "[^",
        "]",
        "[:alpha:]",
        "(",
        "(?i)",
        "(?:",
        "(?P<n>",
        ")",
        "*",
        "?",
        "|",
        "^",
        ".",
    ];

    proptest::proptest! {
        #[test]
        fn what_is_translated_is_understood(at in proptest::collection::vec(0..PIECES.len(), 0..8)) {
            let pattern: String = at.into_iter().map(|at| PIECES[at]).collect();
            if let Ok(translated) = translate(&pattern) {
                proptest::prop_assert!(Regex::new(&translated).is_ok(), "{} becomes {}", pattern, translated);
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_in_the_words_of_go() {
        for (pattern, why) in [
            ("[a", "missing closing ]: `[a`"),
            ("x[", "missing closing ]: `[`"),
            ("(a", "missing closing ): `(a`"),
            ("a)", "unexpected ): `a)`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("(+?a)", "missing argument to repetition operator: `+?`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{3,2}", "invalid repeat count: `{3,2}`"),
            ("((a{2}b{50}c)+d){21}", "invalid repeat count: `{21}`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            (r"\y", r"invalid escape sequence: `\y`"),
            (r"\1", r"invalid escape sequence: `\1`"),
            (r"[\b]", r"invalid escape sequence: `\b`"),
            (r"a\", "trailing backslash at end of expression: ``"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?<!a)", "invalid named capture: `(?<!a)`"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ] {
            assert_eq!(read(pattern).unwrap_err(), format!("error parsing regexp: {why}"), "{pattern}");
            assert_eq!(read(pattern), compile(pattern).map(|_| ()), "{pattern}");
        }
    }

    #[test]
    fn very_many_patterns_are_read_that_would_take_long_to_compile() {
        for repetitions in 1..=1000 {
            assert_eq!(read(&format!(r"^\pL{{{repetitions}}}\p{{Greek}}+$")), Ok(()));
        }
    }
}
