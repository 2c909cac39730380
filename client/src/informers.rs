//! All informers of a process: one list+watch per kind and selector, whoever asks for it.
//!
//! Upstream: client-go/informers/factory.go, client-go/metadata/metadatainformer
//! Left out: starting and stopping by hand: a cache starts when it is first asked for and ends with its last handle.

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource};
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;

use crate::cache::{AbortOnDrop, Cache, Shared};
use crate::gate::Observed;
use crate::list_watch;

/// An object of which only the metadata is known; what the garbage collector and the namespace controller need.
pub type Metadata = PartialObjectMeta<DynamicObject>;

/// Which objects of a kind: selectors as the API takes them. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    pub labels: Option<String>,
    pub fields: Option<String>,
}

impl Selector {
    /// Objects with these fields: `spec.nodeName=n1`.
    pub fn fields(fields: impl Into<String>) -> Selector {
        Selector { labels: None, fields: Some(fields.into()) }
    }

    /// Objects with these labels: `app=web,tier!=db`.
    pub fn labels(labels: impl Into<String>) -> Selector {
        Selector { labels: Some(labels.into()), fields: None }
    }
}

/// How much of an object a cache keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Typed,
    Dynamic,
    Metadata,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct InformerKey {
    form: Form,
    api_version: String,
    plural: String,
    selector: Selector,
}

/// A cache that may be gone, and what the gate can ask of it without knowing its type.
struct Informer {
    /// A `Weak<Shared<K>>`, whose `K` the form and the resource of the key determine.
    cache: Box<dyn Any + Send>,
    observed: Weak<dyn Observed>,
}

/// The informers of one process under one identity. Cheap to clone.
#[derive(Clone)]
pub struct Informers {
    client: Client,
    informers: Arc<Mutex<FxHashMap<InformerKey, Informer>>>,
}

impl Informers {
    /// Informers that read with `client`'s identity. Must be used within a tokio runtime.
    pub fn new(client: Client) -> Informers {
        Informers { client, informers: Arc::default() }
    }

    /// The client that the informers read with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// All objects of a built-in kind.
    pub fn of<K>(&self) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        self.selected(Selector::default())
    }

    /// The objects of a built-in kind that match.
    pub fn selected<K>(&self, selector: Selector) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let api = Api::all(self.client.clone());
        self.informer(Form::Typed, &ApiResource::erase::<K>(&()), api, selector)
    }

    /// The metadata of all objects of a kind that is known only at run time.
    pub fn metadata(&self, resource: &ApiResource) -> Cache<Metadata> {
        let api = Api::all_with(self.client.clone(), resource);
        self.informer(Form::Metadata, resource, api, Selector::default())
    }

    /// The objects of a kind that is known only at run time.
    pub fn dynamic(&self, resource: &ApiResource, selector: Selector) -> Cache<DynamicObject> {
        let api = Api::all_with(self.client.clone(), resource);
        self.informer(Form::Dynamic, resource, api, selector)
    }

    /// The caches of a resource that hold all of its objects, so that they see every write of it.
    pub(crate) fn observing(&self, group: &str, plural: &str) -> Vec<Arc<dyn Observed>> {
        let informers = self.informers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_resource = informers.iter().filter(|(key, _)| {
            key.plural == plural && group_of(&key.api_version) == group && key.selector == Selector::default()
        });
        of_resource.filter_map(|(_, informer)| informer.observed.upgrade()).collect()
    }

    fn informer<K>(&self, form: Form, resource: &ApiResource, api: Api<K>, selector: Selector) -> Cache<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let key = InformerKey {
            form,
            api_version: resource.api_version.clone(),
            plural: resource.plural.clone(),
            selector: selector.clone(),
        };
        let mut informers = self.informers.lock().unwrap_or_else(PoisonError::into_inner);
        let running = informers.get(&key).and_then(|informer| informer.cache.downcast_ref::<Weak<Shared<K>>>());
        if let Some(shared) = running.and_then(Weak::upgrade) {
            return Cache { shared };
        }
        let cache = Cache::empty();
        let weak = Arc::downgrade(&cache.shared);
        let task = tokio::spawn(list_watch::keep(api, selector, weak.clone()));
        let _ = cache.shared.keeper.set(AbortOnDrop(task.abort_handle()));
        let observed: Weak<dyn Observed> = weak.clone();
        informers.insert(key, Informer { cache: Box::new(weak), observed });
        cache
    }
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
