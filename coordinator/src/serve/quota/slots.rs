//! Places for what is on its way: few, given in the order in which they are asked for, and taken back from whoever is too
//! slow while others wait. One slow link takes its time, not that of others: who had to go has half the time to be slow
//! when it is its turn again, until something of its own arrives whole.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use souk_common::ids::ShopName;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Places of one kind.
pub(crate) struct Places {
    free: Semaphore,
    waiting: watch::Sender<usize>,
    pace: Pace,
    /// Shops that had to go, and how long each may be slow next time.
    known: Mutex<HashMap<ShopName, Duration>>,
}

/// How slow a holder may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Least bytes in a second; 0: none.
    pub(crate) least_bytes_per_sec: u64,
    /// How long it may be slower.
    pub(crate) grace: Duration,
    /// How long nothing at all may move.
    pub(crate) patience: Duration,
}

/// A place; it is given back on drop.
pub(crate) struct Place<'a> {
    _permit: SemaphorePermit<'a>,
    places: &'a Places,
    shop: ShopName,
    /// How much longer the holder may be too slow.
    slack: Duration,
}

/// Why a holder has to go.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Lost {
    /// Nothing moved for too long.
    Silent,
    /// Others wait, and it is too slow.
    Slow,
}

/// One that waits; it is counted until drop.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Places {
    pub(crate) fn new(count: usize, pace: Pace) -> Self {
        Self {
            free: Semaphore::new(count.max(1)),
            waiting: watch::Sender::new(0),
            pace,
            known: Mutex::default(),
        }
    }

    /// Waits for a place; first come, first served.
    pub(crate) async fn take(&self, shop: &ShopName) -> Option<Place<'_>> {
        self.waiting.send_modify(|count| *count += 1);
        let _waiting = Waiting(&self.waiting);
        let permit = self.free.acquire().await.ok()?;
        Some(Place {
            _permit: permit,
            places: self,
            shop: shop.clone(),
            slack: self.grace_of(shop),
        })
    }

    fn grace_of(&self, shop: &ShopName) -> Duration {
        self.known().get(shop).copied().unwrap_or(self.pace.grace)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ShopName, Duration>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Waits for `step`, which moves some bytes, unless it takes too long.
    pub(crate) async fn wait<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Lost> {
        let (began, pace) = (tokio::time::Instant::now(), self.places.pace);
        let slack = self.slack;
        let others = self.places.waiting.subscribe();
        let slow = async move {
            if pace.least_bytes_per_sec == 0 {
                return std::future::pending().await;
            }
            tokio::time::sleep(slack).await;
            let mut others = others;
            // The sender is the places' own.
            let _ = others.wait_for(|count| *count > 0).await;
        };
        let done = tokio::select! {
            biased;
            done = step => Ok(done),
            () = slow => Err(Lost::Slow),
            () = tokio::time::sleep(pace.patience) => Err(Lost::Silent),
        };
        self.slack = self.slack.saturating_sub(began.elapsed());
        if done.is_err() {
            let next = (self.places.grace_of(&self.shop) / 2).max(pace.grace / MOST_HALVINGS);
            self.places.known().insert(self.shop.clone(), next);
        }
        done
    }

    /// Says that all has moved: the shop may be slow again.
    pub(crate) fn done(self) {
        self.places.known().remove(&self.shop);
    }

    /// Says that so many bytes moved.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let pace = self.places.pace;
        let gained = bytes as u64 * 1000 / pace.least_bytes_per_sec.max(1);
        self.slack = (self.slack + Duration::from_millis(gained)).min(pace.grace);
    }
}

/// The least time to be slow is so small a part of the most.
const MOST_HALVINGS: u32 = 16;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn shop() -> ShopName {
        "north".parse().unwrap()
    }

    const PACE: Pace = Pace {
        least_bytes_per_sec: 1000,
        grace: Duration::from_millis(200),
        patience: Duration::from_secs(2),
    };

    /// Moves so many bytes every 50 ms, at most for a second; how it ended.
    async fn hold(place: &mut Place<'_>, bytes: usize) -> Option<Lost> {
        for _ in 0..20 {
            let step = tokio::time::sleep(Duration::from_millis(50));
            if let Err(lost) = place.wait(step).await {
                return Some(lost);
            }
            place.moved(bytes);
        }
        None
    }

    #[tokio::test]
    async fn a_slow_holder_makes_way_for_who_waits_and_keeps_its_place_while_nobody_does() {
        let places = Arc::new(Places::new(1, PACE));
        let mut place = places.take(&shop()).await.unwrap();
        assert_eq!(hold(&mut place, 1).await, None, "nobody waits");
        let waits = {
            let places = Arc::clone(&places);
            tokio::spawn(async move { places.take(&shop()).await.is_some() })
        };
        assert_eq!(hold(&mut place, 1).await, Some(Lost::Slow));
        drop(place);
        assert!(waits.await.unwrap());
        assert_eq!(*places.waiting.borrow(), 0);
    }

    #[tokio::test]
    async fn a_holder_that_is_fast_enough_keeps_its_place_though_others_wait() {
        let places = Arc::new(Places::new(1, PACE));
        let mut place = places.take(&shop()).await.unwrap();
        let waits = {
            let places = Arc::clone(&places);
            tokio::spawn(async move { places.take(&shop()).await.is_some() })
        };
        assert_eq!(
            hold(&mut place, 200).await,
            None,
            "four times as fast as it must be"
        );
        drop(place);
        assert!(waits.await.unwrap());
    }

    #[tokio::test]
    async fn places_are_given_in_the_order_of_asking_and_who_gives_up_is_forgotten() {
        let places = Arc::new(Places::new(1, PACE));
        let place = places.take(&shop()).await.unwrap();
        let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        for number in 0..5 {
            let (places, order) = (Arc::clone(&places), order.clone());
            waiting.push(tokio::spawn(async move {
                let place = places.take(&shop()).await;
                order.send(number).unwrap();
                drop(place);
            }));
            tokio::task::yield_now().await;
        }
        waiting[1].abort();
        tokio::task::yield_now().await;
        assert_eq!(*places.waiting.borrow(), 4);
        drop((place, order));
        let mut seen = Vec::new();
        while let Some(number) = served.recv().await {
            seen.push(number);
        }
        assert_eq!(seen, [0, 2, 3, 4]);
    }

    #[tokio::test]
    async fn who_had_to_go_has_less_time_until_something_arrives_whole() {
        let places = Places::new(1, PACE);
        for expected in [200, 100, 50, 25, 12, 12] {
            let mut place = places.take(&shop()).await.unwrap();
            assert_eq!(place.slack.as_millis(), expected);
            let _waits = Waiting(&places.waiting);
            places.waiting.send_modify(|count| *count += 1);
            assert_eq!(place.wait(std::future::pending::<()>()).await, Err(Lost::Slow));
        }
        assert_eq!(
            places.grace_of(&"south".parse().unwrap()),
            PACE.grace,
            "another shop"
        );
        places.take(&shop()).await.unwrap().done();
        assert_eq!(places.grace_of(&shop()), PACE.grace);
    }

    #[tokio::test]
    async fn silence_ends_a_place_even_if_nobody_waits() {
        let pace = Pace {
            patience: Duration::from_millis(100),
            ..PACE
        };
        let places = Places::new(1, pace);
        let mut place = places.take(&shop()).await.unwrap();
        assert_eq!(place.wait(std::future::pending::<()>()).await, Err(Lost::Silent));
    }
}
