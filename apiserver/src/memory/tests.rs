//! What a second load does, after the store's log broke off.

use std::sync::Mutex;

use serde_json::json;
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
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": value},
        "metadata": {"name": name, "namespace": "default", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}});
    let key = format!("{OBJECTS}core/configmaps/default/{name}").into();
    let op = Op::Put { key, value: object.to_string().into(), ttl: None };
    store.transact(Txn { compares: vec![], ops: vec![op] }).await.unwrap()
}

async fn delete(store: &store::Memory, name: &str) {
    let op = Op::Delete { key: format!("{OBJECTS}core/configmaps/default/{name}").into() };
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
