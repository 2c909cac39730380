//! The current revision for any number of waiting readers, with one request.
//!
//! Upstream: apiserver/pkg/storage/etcd3's GetCurrentResourceVersion, which asks per reader
//! Left out: nothing.
//!
//! A reader may only share a request that began after the reader came: so while one is under way, newcomers gather for
//! the next.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::Connection;
use crate::{Revision, StoreError};

type Round = Shared<BoxFuture<'static, Result<Revision, StoreError>>>;

pub(super) struct Rounds {
    connection: Connection,
    /// The round that has not begun.
    gathering: Arc<Mutex<Option<Round>>>,
    /// Held by the round that is under way.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Rounds {
    pub(super) fn new(connection: Connection) -> Rounds {
        Rounds { connection, gathering: Default::default(), turn: Default::default() }
    }

    /// The revision of a read that begins after this call.
    pub(super) async fn current(&self) -> Result<Revision, StoreError> {
        let round = {
            let mut gathering = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
            gathering.get_or_insert_with(|| self.round()).clone()
        };
        round.await
    }

    fn round(&self) -> Round {
        let (connection, gathering, turn) = (self.connection.clone(), self.gathering.clone(), self.turn.clone());
        async move {
            let _turn = turn.lock().await;
            gathering.lock().unwrap_or_else(PoisonError::into_inner).take();
            connection.current().await
        }
        .boxed()
        .shared()
    }
}
