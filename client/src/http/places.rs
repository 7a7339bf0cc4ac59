//! Room for a bounded number of connections: whoever has been idle longest makes way, so that idle ones keep nobody out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Counts arrivals and changes, in place of a clock.
    order: u64,
    connections: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    leave: Arc<Notify>,
    /// Requests that are being answered.
    at_work: usize,
    /// When the last of them ended.
    idle_since: u64,
    asked_to_leave: bool,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            taken: Mutex::default(),
        }
    }

    /// A place for a new connection; when all are taken, that of the connection which is idle longest. None when all are at
    /// work.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken();
        let staying = taken.connections.values().filter(|one| !one.asked_to_leave);
        if staying.count() >= self.most {
            let idle = taken
                .connections
                .values_mut()
                .filter(|one| one.at_work == 0 && !one.asked_to_leave);
            let longest = idle.min_by_key(|one| one.idle_since)?;
            longest.asked_to_leave = true;
            longest.leave.notify_one();
        }
        taken.order += 1;
        let (number, leave) = (taken.order, Arc::new(Notify::new()));
        let connection = Connection {
            leave: Arc::clone(&leave),
            at_work: 0,
            idle_since: number,
            asked_to_leave: false,
        };
        taken.connections.insert(number, connection);
        Some(Place {
            places: Arc::clone(self),
            number,
            leave,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    leave: Arc<Notify>,
}

impl Place {
    /// Until the guard is dropped nobody else gets this place.
    pub(super) fn at_work(&self) -> AtWork {
        if let Some(connection) = self.places.taken().connections.get_mut(&self.number) {
            connection.at_work += 1;
        }
        AtWork {
            places: Arc::clone(&self.places),
            number: self.number,
        }
    }

    /// Done when another connection needs the place.
    pub(super) async fn wanted_by_another(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().connections.remove(&self.number);
    }
}

/// A request is being answered.
pub(super) struct AtWork {
    places: Arc<Places>,
    number: u64,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.order += 1;
        let now = taken.order;
        if let Some(connection) = taken.connections.get_mut(&self.number) {
            connection.at_work -= 1;
            connection.idle_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_wanted(place: &Place) -> bool {
        use std::task::{Context, Poll, Waker};
        let mut wanted = std::pin::pin!(place.wanted_by_another());
        let mut context = Context::from_waker(Waker::noop());
        wanted.as_mut().poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn the_longest_idle_connection_makes_way_and_those_at_work_do_not() {
        let places = Arc::new(Places::new(2));
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        let at_work = first.at_work();
        let third = places.take().expect("the second one's place");
        assert!(!is_wanted(&first) && is_wanted(&second) && !is_wanted(&third));
        let busy = third.at_work();
        assert!(places.take().is_none(), "all are at work");
        drop(at_work);
        let fourth = places.take().expect("the first one is idle now");
        assert!(is_wanted(&first));
        drop((first, second, busy, third, fourth));
        assert!(places.taken().connections.is_empty());
    }

    #[test]
    fn ten_thousand_idle_connections_hold_no_more_than_there_is_and_the_next_one_is_served() {
        let places = Arc::new(Places::new(512));
        let mut idle = Vec::new();
        for _ in 0..10_000 {
            idle.push(places.take().expect("an idle one makes way"));
            // Those that are told to go do so.
            idle.retain(|place| !is_wanted(place));
            assert!(idle.len() <= 512);
        }
        let next = places.take().expect("an idle one makes way");
        let busy = next.at_work();
        assert!(is_wanted(&idle[0]) && !is_wanted(&next));
        drop(busy);
    }
}
