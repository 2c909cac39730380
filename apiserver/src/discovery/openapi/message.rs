//! Writes messages of protobuf as gnostic, in which OpenAPI documents are sent, has them.
//!
//! Upstream: github.com/google/gnostic-models
//! Left out: checks; which number is what, the callers know.

use serde_json::Value;

/// A message that is being written.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn bytes(&mut self, number: u8, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn message(&mut self, number: u8, message: Message) {
        self.bytes(number, &message.0);
    }

    /// A field of text, if the JSON has it.
    pub(super) fn text(&mut self, number: u8, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    pub(super) fn texts(&mut self, number: u8, value: &Value) {
        value.as_array().into_iter().flatten().for_each(|item| self.text(number, item));
    }

    pub(super) fn flag(&mut self, number: u8, value: &Value) {
        if value.as_bool() == Some(true) {
            self.boolean(number, true);
        }
    }

    /// Written whatever it is: one of several that may stand there.
    pub(super) fn boolean(&mut self, number: u8, value: bool) {
        self.varint(u64::from(number) << 3);
        self.0.push(u8::from(value));
    }

    /// Written whatever it is, as [`Message::boolean`].
    pub(super) fn double(&mut self, number: u8, value: f64) {
        self.varint(u64::from(number) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn wrapped(self, number: u8) -> Message {
        let mut outer = Message::default();
        outer.message(number, self);
        outer
    }

    /// A list entry of a name and what stands under it.
    pub(super) fn named(&mut self, number: u8, name: &str, value: Message) {
        let mut entry = Message::default();
        entry.bytes(1, name.as_bytes());
        entry.message(2, value);
        self.message(number, entry);
    }

    /// A message of such entries, one for each entry of the JSON.
    pub(super) fn of_entries(number: u8, value: &Value, turn: impl Fn(&Value) -> Message) -> Message {
        let mut all = Message::default();
        for (name, value) in value.as_object().into_iter().flatten() {
            all.named(number, name, turn(value));
        }
        all
    }

    /// The `x-` entries. JSON is YAML too.
    pub(super) fn extensions(&mut self, number: u8, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
            self.named(number, name, any(value));
        }
    }
}

fn any(value: &Value) -> Message {
    let mut any = Message::default();
    any.bytes(2, value.to_string().as_bytes());
    any
}
