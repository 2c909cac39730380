//! What a second load does, after the store's log broke off; and what becomes of an object that was expected.

use std::sync::Mutex;

use serde_json::{Value, json};
use store::{Op, Txn};

use super::{table::Scope as Watched, *};
use crate::rows;

/// Writes down what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn observe(&self, _: &Row, before: Option<&Object>, after: Option<&Object>) {
        let name = |object: Option<&Object>| object.map_or("-".to_owned(), |object| object.key.name.to_string());
        self.0.lock().unwrap().push(format!("{} {}", name(before), name(after)));
    }
}

async fn put(store: &store::Memory, name: &str, value: &str) -> Revision {
    put_bytes(store, name, config_map(name, value).to_string().into()).await
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": value}, "metadata": {"name": name,
        "namespace": "default", "uid": name, "labels": {"l": value}, "creationTimestamp": "2026-01-01T00:00:00Z"}})
}

fn key(name: &str) -> store::Key {
    format!("{OBJECTS}core/configmaps/default/{name}").into()
}

async fn put_bytes(store: &store::Memory, name: &str, value: Bytes) -> Revision {
    let op = Op::Put { key: key(name), value, ttl: None };
    store.transact(Txn { compares: vec![], ops: vec![op] }).await.unwrap()
}

async fn delete(store: &store::Memory, name: &str) {
    let op = Op::Delete { key: key(name) };
    store.transact(Txn { compares: vec![], ops: vec![op] }).await.unwrap();
}

#[tokio::test]
async fn a_second_load_shows_one_state_and_tells_every_watcher_to_list_again() {
    let store = store::Memory::new();
    let told = Arc::new(Told::default());
    let memory = Memory::new(&Registry::new(rows::rows()), vec![told.clone()]);
    for name in ["changed", "gone", "same"] {
        put(&store, name, "1").await;
    }
    let first = memory.load(&store).await.unwrap();
    let table = memory.table("", "configmaps").unwrap().clone();
    let scopes =
        [Watched::All, Watched::Namespace("default".into()), Watched::Object(ObjectKey::new("default", "same"))];
    let mut cursors: Vec<_> = scopes.into_iter().map(|scope| table.subscribe(scope, None).unwrap().0).collect();
    assert!(cursors.iter_mut().all(|cursor| cursor.take(10).is_ok_and(|events| events.is_empty())));
    told.0.lock().unwrap().clear();
    // The log breaks off, and nobody sees this as events. The keys' order is not that of the revisions.
    drop(first);
    put(&store, "new", "1").await;
    put(&store, "changed", "2").await;
    delete(&store, "gone").await;
    let last = put(&store, "added", "1").await;
    let woken: Vec<_> = cursors.iter().map(table::Cursor::woken).collect();
    drop(memory.load(&store).await.unwrap());
    for (cursor, woken) in cursors.iter_mut().zip(woken) {
        woken.await;
        assert_eq!(cursor.take(10).unwrap_err().oldest, last);
    }
    let (snapshot, revision) = table.snapshot_at(None, Revision(0));
    let names: Vec<&str> = snapshot.in_namespace("").map(|object| &*object.key.name).collect();
    assert_eq!((names, revision), (vec!["added", "changed", "new", "same"], last));
    let mut told = told.0.lock().unwrap().clone();
    told.sort();
    assert_eq!(told, ["- added", "- new", "changed changed", "gone -"]);
    // From here on everything is as after the first load.
    assert!(table.subscribe(Watched::All, Some(last)).is_ok());
}

#[tokio::test]
async fn what_was_expected_counts_only_if_those_very_bytes_come() {
    let store = store::Memory::new();
    let memory = Arc::new(Memory::new(&Registry::new(rows::rows()), Vec::new()));
    let log = memory.load(&store).await.unwrap();
    tokio::spawn({
        let memory = memory.clone();
        async move { memory.follow(log).await }
    });
    let table = memory.table("", "configmaps").unwrap().clone();
    let draft = |name: &str, value: &str| Draft::of(&table.row, &config_map(name, value));
    let seen = async |name: &str, revision: Revision| {
        memory.wait_for(revision).await.unwrap();
        let object = table.get(&ObjectKey::new("default", name)).unwrap();
        assert_eq!(object.revision, revision);
        (object.value()["data"]["k"].as_str().unwrap().to_owned(), object.meta.label("l").unwrap().to_owned())
    };
    let is = |value: &str, label: &str| (value.to_owned(), label.to_owned());

    // Somebody else writes first: what is seen is theirs, all of it.
    let ours = memory.expect(key("a"), draft("a", "ours"));
    let revision = put(&store, "a", "theirs").await;
    assert_eq!(seen("a", revision).await, is("theirs", "theirs"));
    // Ours comes after all, and is not expected any more.
    let revision = put_bytes(&store, "a", draft("a", "ours").stored).await;
    assert_eq!(seen("a", revision).await, is("ours", "ours"));
    drop(ours);

    // The same bytes: nobody reads them again, what the draft says of them is taken as it is.
    let told = Draft { stored: draft("b", "1").stored, ..draft("b", "told") };
    let expected = memory.expect(key("b"), told);
    let revision = put_bytes(&store, "b", draft("b", "1").stored).await;
    assert_eq!(seen("b", revision).await, is("1", "told"));
    drop(expected);

    // Who has given up expects nothing.
    drop(memory.expect(key("c"), Draft { stored: draft("c", "1").stored, ..draft("c", "told") }));
    let revision = put_bytes(&store, "c", draft("c", "1").stored).await;
    assert_eq!(seen("c", revision).await, is("1", "1"));
    assert!(memory.expected().is_empty());
}
