//! What selectors, indexes and authorizers ask of an object, kept beside its bytes so that nobody decodes those.
//!
//! Upstream: apiserver/pkg/storage/cacher/watch_cache.go (storeElement: labels and fields beside the object)
//! Left out: annotations; who wants those decodes the object.

mod shallow;

use serde_json::Value;

use crate::row::Row;

/// The texts of one object that are asked for often, and nothing else of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The uid, the values of the row's selectable fields, then the labels: keys, in order, each before its value.
    texts: Texts,
    fields: u32,
    pub generation: i64,
    pub deleting: bool,
}

impl Meta {
    /// Reads them off a decoded object.
    pub fn of(row: &Row, value: &Value) -> Meta {
        let metadata = &value["metadata"];
        let mut texts = TextsBuilder::default();
        texts.push(metadata["uid"].as_str().unwrap_or_default());
        for field in &row.selectable_fields {
            texts.push(&(field.read)(value));
        }
        for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
            texts.push(key);
            texts.push(value.as_str().unwrap_or_default());
        }
        Meta {
            texts: texts.finish(),
            fields: row.selectable_fields.len() as u32,
            generation: metadata["generation"].as_i64().unwrap_or_default(),
            deleting: metadata.get("deletionTimestamp").is_some(),
        }
    }

    /// Reads them off the bytes of an object, without decoding the rest of it.
    ///
    /// # Errors
    /// The bytes are no JSON, or no object.
    pub fn read(row: &Row, encoded: &[u8]) -> Result<Meta, serde_json::Error> {
        Ok(Meta::of(row, &shallow::read(encoded)?))
    }

    pub fn uid(&self) -> &str {
        self.texts.get(0).unwrap_or_default()
    }

    /// The value of the row's selectable field at this place.
    pub fn field(&self, at: usize) -> Option<&str> {
        if at < self.fields as usize { self.texts.get(1 + at) } else { None }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        let first = 1 + self.fields as usize;
        let count = self.texts.len().saturating_sub(first) / 2;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            match self.texts.get(first + 2 * middle)?.cmp(key) {
                std::cmp::Ordering::Equal => return self.texts.get(first + 2 * middle + 1),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// Several texts in one piece of memory: an object has a dozen of a few bytes each.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Texts {
    text: Box<str>,
    /// Where each ends.
    ends: Box<[u32]>,
}

impl Texts {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.text[start as usize..end as usize])
    }
}

#[derive(Default)]
struct TextsBuilder {
    text: String,
    ends: Vec<u32>,
}

impl TextsBuilder {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
    }

    fn finish(self) -> Texts {
        Texts { text: self.text.into(), ends: self.ends.into() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{object, rows};

    #[test]
    fn texts_are_found_by_place_and_labels_by_key() {
        let rows = rows::rows();
        let pods = rows.iter().find(|row| row.plural == "pods").unwrap();
        let pod = json!({
            "metadata": {"uid": "u", "generation": 3, "labels": {"b": "2", "a": "1", "c": ""}},
            "spec": {"nodeName": "n1"},
        });
        let meta = Meta::of(pods, &pod);
        assert_eq!((meta.uid(), meta.field(0), meta.generation), ("u", Some("n1"), 3));
        assert_eq!(["a", "b", "c", "d"].map(|key| meta.label(key)), [Some("1"), Some("2"), Some(""), None]);
        assert_eq!(meta.field(pods.selectable_fields.len()), None, "a label is no field");
        assert!(!meta.deleting);
        assert_eq!(Meta::default().label("a"), None);
    }

    /// An object with something at every place that a field selector of any row may look at.
    fn full() -> Value {
        let mut inner = serde_json::Map::new();
        for row in rows::rows() {
            for field in &row.selectable_fields {
                if let Some((_, name)) = field.label.split_once('.') {
                    inner.insert(name.to_owned(), format!("{}.{name}", row.plural).into());
                }
            }
        }
        let mut object = json!({"kind": "X", "apiVersion": "v1"});
        for row in rows::rows() {
            for field in &row.selectable_fields {
                match field.label.split_once('.') {
                    Some((outer, _)) => object[outer] = inner.clone().into(),
                    None => object[field.label] = field.label.into(),
                }
            }
        }
        object["metadata"] = json!({
            "name": "x", "uid": "u", "generation": 7, "deletionTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"a\u{e9}\n": "\"1\"", "b": "2"}, "annotations": {"long": {"deep": [1, 2]}},
        });
        object["spec"]["containers"] = json!([{"name": "c", "env": [{"name": "labels"}]}]);
        object["spec"]["hostNetwork"] = true.into();
        object["spec"]["unschedulable"] = true.into();
        object["status"]["replicas"] = 3.into();
        object
    }

    #[test]
    fn what_is_read_off_the_bytes_is_what_is_read_off_the_object() {
        let object = full();
        for row in rows::rows() {
            let meta = Meta::read(&row, &object::encode(&object)).unwrap();
            assert_eq!(meta, Meta::of(&row, &object), "{}", row.qualified());
            let absent = json!({"metadata": {"name": "x"}});
            assert_eq!(Meta::read(&row, &object::encode(&absent)).unwrap(), Meta::of(&row, &absent));
        }
        assert!(Meta::read(&rows::rows()[0], b"{\"metadata\":{}").is_err());
        assert!(Meta::read(&rows::rows()[0], b"[]").is_err());
    }
}
