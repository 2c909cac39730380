//! The query of a request's address, as servers read it.
//!
//! Upstream: net/url (Values), and the conversions of apimachinery/pkg/runtime from its strings
//! Left out: writing one; `form_urlencoded` does.

/// A query string, decoded: names with their values, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses a query string; what can't be decoded is kept as it is.
    pub fn parse(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// A boolean as upstream reads it: given and neither `false` nor `0`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_keep_their_order() {
        let query = Query::parse("command=sh&command=-c&command=echo+%22a%26b%22+100%25&tty=0&half=%4&&stdin=TRUE");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["sh", "-c", "echo \"a&b\" 100%"]);
        assert_eq!((query.get("half"), query.get("absent")), (Some("%4"), None));
        assert_eq!((query.flag("tty"), query.flag("stdin"), query.flag("absent")), (false, true, false));
    }
}
