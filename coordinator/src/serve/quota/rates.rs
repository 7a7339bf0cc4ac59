//! What each shop uses: connections, requests, bytes. Whoever is over a rate waits, or is asked to dial later.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::ids::ShopName;
use souk_common::limits::MAX_PROCESSES;
use souk_common::transport::{Bucket, Rate};

use crate::limits::Limits;

/// One for each shop that has shown a certificate: no more than the federation has issued.
pub(crate) struct Meters {
    connections: Rate,
    requests: Rate,
    bytes: Rate,
    shops: Mutex<HashMap<ShopName, Meter>>,
}

#[derive(Default)]
struct Meter {
    connections: Bucket,
    requests: Bucket,
    bytes: Bucket,
    processes: BTreeSet<u32>,
}

impl Meters {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections: Rate::per_sec(limits.connections_per_sec_per_shop),
            requests: Rate::per_sec(limits.requests_per_sec_per_shop),
            bytes: Rate::per_sec(limits.bytes_per_sec_per_shop),
            shops: Mutex::default(),
        }
    }

    /// Whether the shop may have one more connection now.
    pub(crate) fn connection(&self, now: Timestamp, shop: &ShopName) -> bool {
        self.of(shop, |meter| meter.connections.take(self.connections, now, 1))
    }

    /// Counts a request; how long it has to wait.
    pub(crate) fn request(&self, now: Timestamp, shop: &ShopName) -> Duration {
        self.of(shop, |meter| meter.requests.pay(self.requests, now, 1))
    }

    /// Counts bytes, either way; how long the next have to wait.
    pub(crate) fn bytes(&self, now: Timestamp, shop: &ShopName, bytes: usize) -> Duration {
        self.of(shop, |meter| meter.bytes.pay(self.bytes, now, bytes as u64))
    }

    /// The process id under which the shop's traffic is kept: as it says, or 0 if it has said too many.
    pub(crate) fn process(&self, shop: &ShopName, said: u32) -> u32 {
        self.of(shop, |meter| {
            if meter.processes.len() < MAX_PROCESSES {
                meter.processes.insert(said);
            }
            if meter.processes.contains(&said) { said } else { 0 }
        })
    }

    fn of<T>(&self, shop: &ShopName, act: impl FnOnce(&mut Meter) -> T) -> T {
        let mut shops = self.shops.lock().unwrap_or_else(PoisonError::into_inner);
        if !shops.contains_key(shop) {
            shops.insert(shop.clone(), Meter::default());
        }
        // Unwrap safety: it was inserted just above, under the same lock.
        act(shops.get_mut(shop).expect("it is there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shop_uses_up_its_own_and_nobody_elses() {
        let meters = Meters::new(&Limits::default());
        let (one, other): (ShopName, ShopName) = ("one".parse().unwrap(), "other".parse().unwrap());
        let now = Timestamp::from_secs(1000);
        let granted = (0..100).filter(|_| meters.connection(now, &one)).count();
        assert_eq!(granted, 20);
        assert!(meters.connection(now, &other));
        assert!((0..500).all(|_| meters.request(now, &one).is_zero()));
        assert_eq!(meters.request(now, &one), Duration::from_millis(20));
        assert!(meters.request(now, &other).is_zero());
        assert!(meters.bytes(now, &one, 640 << 20).is_zero());
        assert_eq!(meters.bytes(now, &one, 64 << 20), Duration::from_secs(1));
        let kept: BTreeSet<u32> = (1..1000).map(|said| meters.process(&one, said)).collect();
        assert_eq!(kept.len(), MAX_PROCESSES + 1);
        assert_eq!(meters.process(&one, 1), 1);
    }
}
