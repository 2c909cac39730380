//! Writes JSON from beginning to end, without building it first: a document of 2 MB costs its own bytes.
//!
//! Upstream: none
//! Left out: checks; the caller closes what it opens.

/// JSON that is being written.
#[derive(Default)]
pub(super) struct Json {
    text: String,
}

impl Json {
    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// An object with what `fill` writes between the braces.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut Json)) {
        self.between('{', '}', fill);
    }

    /// A list of what `fill` writes.
    pub(super) fn array(&mut self, fill: impl FnOnce(&mut Json)) {
        self.between('[', ']', fill);
    }

    fn between(&mut self, open: char, close: char, fill: impl FnOnce(&mut Json)) {
        self.separate();
        self.text.push(open);
        fill(self);
        self.text.push(close);
    }

    /// A name in an object; its value is written next.
    pub(super) fn key(&mut self, name: &str) -> &mut Json {
        self.separate();
        self.quoted(name);
        self.text.push(':');
        self
    }

    pub(super) fn string(&mut self, text: &str) {
        self.separate();
        self.quoted(text);
    }

    /// A string that is written between the quotes as it is.
    pub(super) fn escaped_string(&mut self, text: &str) {
        self.separate();
        self.text.push('"');
        self.text.push_str(text);
        self.text.push('"');
    }

    /// A value that is JSON already.
    pub(super) fn literal(&mut self, json: &str) {
        self.separate();
        self.text.push_str(json);
    }

    /// A list of strings.
    pub(super) fn strings(&mut self, items: &[&str]) {
        self.array(|json| items.iter().for_each(|item| json.string(item)));
    }

    fn quoted(&mut self, text: &str) {
        if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return self.text.push_str(&serde_json::Value::from(text).to_string());
        }
        self.text.push('"');
        self.text.push_str(text);
        self.text.push('"');
    }

    /// A comma, where something stands before.
    fn separate(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_and_strings_escaped() {
        let mut json = Json::default();
        json.object(|json| {
            json.key("a").string("x\"y\n{");
            json.key("b").array(|json| {
                json.literal("1");
                json.escaped_string("\\\"");
                json.object(|_| {});
            });
            json.key("c:").strings(&["[", ":"]);
        });
        let value: serde_json::Value = serde_json::from_str(&json.into_text()).unwrap();
        assert_eq!(value, serde_json::json!({"a": "x\"y\n{", "b": [1, "\"", {}], "c:": ["[", ":"]}));
    }
}
