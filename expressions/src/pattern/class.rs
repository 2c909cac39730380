//! Classes of characters in Go's regular expressions: brackets, `\d` and its like, and single characters by escape.
//!
//! Upstream: Go's regexp/syntax (parse.go: parseClass, parseEscape, perl_groups.go)
//! Left out: nothing.

use super::{Mistake, literal};

const NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// A class in brackets: how long it is, and the class in the matcher's words.
pub(super) fn class(text: &str) -> Result<(usize, String), Mistake<'_>> {
    let mut out = "[".to_owned();
    let mut rest = &text[1..];
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let mut is_first = true;
    while is_first || !rest.starts_with(']') {
        if rest.is_empty() {
            return Err(("missing closing ]", text));
        }
        is_first = false;
        let known = match posix(rest)? {
            None if rest.starts_with('\\') => named(rest)?,
            known => known,
        };
        if let Some((length, known)) = known {
            out.push_str(&known);
            rest = &rest[length..];
            continue;
        }
        let (length, range) = range(rest, text)?;
        out.push_str(&range);
        rest = &rest[length..];
    }
    out.push(']');
    Ok((text.len() - rest.len() + 1, out))
}

/// One character, or all from one to another.
fn range<'p>(text: &'p str, class: &'p str) -> Result<(usize, String), Mistake<'p>> {
    let (length, first) = member(text, class)?;
    let after = &text[length..];
    if !after.starts_with('-') || after.starts_with("-]") || after.len() == 1 {
        return Ok((length, literal(first)));
    }
    let (more, last) = member(&after[1..], class)?;
    let length = length + 1 + more;
    if last < first {
        return Err(("invalid character class range", &text[..length]));
    }
    Ok((length, format!("{}-{}", literal(first), literal(last))))
}

fn member<'p>(text: &'p str, class: &'p str) -> Result<(usize, char), Mistake<'p>> {
    if text.starts_with('\\') {
        return character(text);
    }
    let first = text.chars().next().ok_or(("missing closing ]", class))?;
    Ok((first.len_utf8(), first))
}

/// `[:alpha:]` and its like.
fn posix(text: &str) -> Result<Option<(usize, String)>, Mistake<'_>> {
    let Some((name, _)) = text.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else { return Ok(None) };
    let whole = &text[..name.len() + 4];
    if NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        Ok(Some((whole.len(), whole.to_owned())))
    } else {
        Err(("invalid character class range", whole))
    }
}

/// `\d` and its like, and the classes of Unicode: how long the escape is, and what stands for it in a class.
pub(super) fn named(text: &str) -> Result<Option<(usize, String)>, Mistake<'_>> {
    let ascii = match text.as_bytes().get(1) {
        Some(b'd') => "0-9",
        Some(b'D') => "[^0-9]",
        Some(b's') => r"\t\n\x0C\r ",
        Some(b'S') => r"[^\t\n\x0C\r ]",
        Some(b'w') => "0-9A-Za-z_",
        Some(b'W') => "[^0-9A-Za-z_]",
        Some(b'p' | b'P') => return unicode(text).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((2, ascii.to_owned())))
}

/// `\pL` and `\p{Greek}`.
fn unicode(text: &str) -> Result<(usize, String), Mistake<'_>> {
    let Some(first) = text[2..].chars().next() else { return Err(("invalid character class range", text)) };
    let length = match text[2..].find('}') {
        _ if first != '{' => 2 + first.len_utf8(),
        Some(at) => 3 + at,
        None => return Err(("invalid character class range", text)),
    };
    let whole = &text[..length];
    // A class that the matcher does not know is not asked of it: Go's words name it.
    regex_syntax::parse(whole).map_err(|_| ("invalid character class range", whole))?;
    Ok((length, whole.to_owned()))
}

/// The character that an escape stands for, and how long the escape is.
pub(super) fn character(text: &str) -> Result<(usize, char), Mistake<'_>> {
    let Some(letter) = text[1..].chars().next() else {
        return Err(("trailing backslash at end of expression", ""));
    };
    let wrong = Err(("invalid escape sequence", &text[..1 + letter.len_utf8()]));
    let digits = |from: usize, most: usize| {
        let octal = text[from..].bytes().take(most).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        &text[from..from + octal]
    };
    let octal = |digits: &str| u32::from_str_radix(digits, 8).ok().and_then(char::from_u32);
    let simple = match letter {
        'a' => '\x07',
        'f' => '\x0C',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0B',
        'x' => return hexadecimal(text),
        // A single digit would refer back, which cannot be done.
        '1'..='7' if digits(1, 3).len() < 2 => return wrong,
        '0'..='7' => {
            let digits = digits(1, 3);
            return octal(digits).map_or(wrong, |c| Ok((1 + digits.len(), c)));
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
        _ => return wrong,
    };
    Ok((2, simple))
}

fn hexadecimal(text: &str) -> Result<(usize, char), Mistake<'_>> {
    let after = &text[2..];
    let (digits, length) = match after.strip_prefix('{') {
        Some(braced) => match braced.split_once('}') {
            Some((digits, _)) => (digits, digits.len() + 4),
            None => return Err(("invalid escape sequence", text)),
        },
        None => (after.get(..2).unwrap_or_default(), 4),
    };
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    let wrong = ("invalid escape sequence", text.get(..length).unwrap_or(text));
    number.and_then(char::from_u32).map(|c| (length, c)).ok_or(wrong)
}
