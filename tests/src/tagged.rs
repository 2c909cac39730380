//! Values of any length that carry their tag, and that show whether they came back whole.
//!
//! Upstream: etcd's tests/robustness/identity, whose values are numbers
//! Left out: nothing.

use crate::history::Item;

/// The value of `tag`, with `length` bytes of padding. A tag has no spaces.
pub fn value(tag: &str, length: usize) -> String {
    format!("{tag} {length} {}", "x".repeat(length))
}

/// The tag of a value.
///
/// # Errors
/// The value is not one that [`value`] made.
pub fn tag(bytes: &[u8]) -> anyhow::Result<String> {
    let text = str::from_utf8(bytes)?;
    let mut parts = text.splitn(3, ' ');
    let (Some(tag), Some(length), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        anyhow::bail!("{text:?} carries no tag");
    };
    anyhow::ensure!(text == value(tag, length.parse()?), "the value of {tag} came back as {text:?}");
    Ok(tag.to_owned())
}

/// What a snapshot of tagged values shows.
///
/// # Errors
/// As [`tag`].
pub fn items(snapshot: &store::Snapshot) -> anyhow::Result<Vec<Item>> {
    let item = |item: &store::KeyValue| {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        Ok(Item { key, revision: item.modified.0, tag: tag(&item.value)? })
    };
    snapshot.items.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_gives_its_tag_back_and_a_broken_one_is_found() {
        assert_eq!(tag(value("c1-2", 3).as_bytes()).unwrap(), "c1-2");
        assert_eq!(tag(value("c1-2", 0).as_bytes()).unwrap(), "c1-2");
        for broken in ["", "c1-2", "c1-2 3 xx", "c1-2 3 xyx", "c1-2 3 xxxx", "c1-2 -1 "] {
            assert!(tag(broken.as_bytes()).is_err(), "{broken:?}");
        }
    }
}
