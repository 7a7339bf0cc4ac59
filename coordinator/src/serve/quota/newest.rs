//! One upload, and one download, of a shop at a time: the newest. Of a connection that was cut without a word nobody else
//! knows, and a shop that asks many times gets no more than one place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use souk_common::ids::ShopName;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// Turns of one kind. One entry for each shop that has shown a certificate.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<ShopName, Newest>>);

/// The newest of a shop.
#[derive(Default)]
struct Newest {
    over: CancellationToken,
    alone: Arc<tokio::sync::Mutex<()>>,
}

/// While it is held, no other of the shop goes on.
pub(crate) struct Turn {
    /// Cancelled when a newer one of the shop waits.
    pub(crate) over: CancellationToken,
    _alone: OwnedMutexGuard<()>,
}

impl Turns {
    /// Asks an older one of the shop to end, and waits until it has.
    pub(crate) async fn turn(&self, shop: &ShopName) -> Turn {
        let over = CancellationToken::new();
        let alone = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = turns.entry(shop.clone()).or_default();
            std::mem::replace(&mut newest.over, over.clone()).cancel();
            Arc::clone(&newest.alone)
        };
        let _alone = alone.lock_owned().await;
        Turn { over, _alone }
    }
}
