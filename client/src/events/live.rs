//! Events that lists count at once: those that the store of interactions does not have yet.

use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use souk_common::clock::Timestamp;

use super::Event;
use crate::data::interaction::Kind;

/// Events by customer, in memory.
#[derive(Debug, Default)]
pub struct LiveEvents(RwLock<HashMap<String, VecDeque<LiveEvent>>>);

#[derive(Clone, Debug)]
struct LiveEvent {
    item: String,
    kind: Kind,
    time: Timestamp,
}

/// What a customer did lately, by the shop's names of items, earliest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Visit {
    /// Bought, or in the cart.
    pub basket: Vec<String>,
    /// Of the basket, what is in the cart.
    pub cart: Vec<String>,
    /// Only looked at.
    pub viewed: Vec<String>,
    /// Brought back.
    pub returned: Vec<String>,
}

impl LiveEvents {
    /// Takes events that were written.
    pub fn take(&self, events: &[Event]) {
        let mut users = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let known = users.entry(event.user.clone()).or_default();
            known.push_back(LiveEvent {
                item: event.item.clone(),
                kind: event.kind,
                time: event.time,
            });
            if known.len() > MOST_OF_ONE {
                known.pop_front();
            }
        }
    }

    /// What a customer did lately, as of `now`. A look counts for half an hour, a cart for a day, what was bought until the store
    /// has it.
    pub fn of(&self, user: &str, now: Timestamp) -> Visit {
        let users = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut visit = Visit::default();
        for event in users.get(user).into_iter().flatten() {
            let age = now.since(event.time);
            let drop = |from: &mut Vec<String>| from.retain(|item| *item != event.item);
            match event.kind {
                // An ad says nothing of what the customer has or wants.
                Kind::Shown | Kind::Clicked => continue,
                _ => drop(&mut visit.viewed),
            }
            match event.kind {
                Kind::View if age > A_LOOK || visit.basket.contains(&event.item) => {}
                Kind::View => visit.viewed.push(event.item.clone()),
                Kind::Cart if age > A_CART => {}
                Kind::Shown | Kind::Clicked => {}
                Kind::Cart | Kind::Purchase | Kind::Rated => {
                    drop(&mut visit.basket);
                    drop(&mut visit.cart);
                    drop(&mut visit.returned);
                    visit.basket.push(event.item.clone());
                    if event.kind == Kind::Cart {
                        visit.cart.push(event.item.clone());
                    }
                }
                Kind::Return => {
                    drop(&mut visit.basket);
                    drop(&mut visit.cart);
                    visit.returned.push(event.item.clone());
                }
            }
        }
        visit
    }

    /// What a customer bought, by the shop's names of items, and when, earliest first.
    pub fn purchases_of(&self, user: &str) -> Vec<(String, Timestamp)> {
        let users = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let events = users.get(user).into_iter().flatten();
        events
            .filter(|event| event.kind == Kind::Purchase)
            .map(|event| (event.item.clone(), event.time))
            .collect()
    }

    /// How many events of a customer there are.
    pub fn count_of(&self, user: &str) -> u64 {
        let users = self.0.read().unwrap_or_else(PoisonError::into_inner);
        users.get(user).map_or(0, |events| events.len() as u64)
    }

    /// Forgets what is older than the store's reading of it.
    pub fn forget_before(&self, time: Timestamp) {
        let mut users = self.0.write().unwrap_or_else(PoisonError::into_inner);
        users.retain(|_, events| {
            events.retain(|event| event.time >= time);
            !events.is_empty()
        });
    }

    /// Forgets a customer.
    pub fn forget(&self, user: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(user);
    }
}

const A_LOOK: Duration = Duration::from_secs(30 * 60);
const A_CART: Duration = Duration::from_secs(86_400);
const MOST_OF_ONE: usize = 500;

#[cfg(test)]
mod tests {
    use super::super::purchase;
    use super::*;

    const NOON: Timestamp = Timestamp(1_795_867_200_000);

    fn of(kinds: &[(&str, Kind)]) -> LiveEvents {
        let live = LiveEvents::default();
        let events: Vec<Event> = kinds
            .iter()
            .map(|(item, kind)| Event {
                kind: *kind,
                ..purchase("anna", item, NOON)
            })
            .collect();
        live.take(&events);
        live
    }

    fn texts(visit: &Visit) -> [Vec<&str>; 3] {
        [&visit.basket, &visit.viewed, &visit.returned]
            .map(|items| items.iter().map(String::as_str).collect())
    }

    #[test]
    fn the_last_word_on_an_item_counts() {
        let live = of(&[
            ("tea", Kind::View),
            ("pot", Kind::View),
            ("tea", Kind::Cart),
            ("tea", Kind::Purchase),
            ("cup", Kind::Return),
            ("jam", Kind::Purchase),
            ("jam", Kind::Return),
            ("tea", Kind::View),
        ]);
        let visit = live.of("anna", NOON);
        assert_eq!(texts(&visit), [vec!["tea"], vec!["pot"], vec!["cup", "jam"]]);
        assert!(visit.cart.is_empty(), "what was in it is bought");
        assert_eq!(
            of(&[("tea", Kind::Cart), ("pot", Kind::Purchase)])
                .of("anna", NOON)
                .cart,
            ["tea"]
        );
        assert_eq!(live.of("bert", NOON), Visit::default());
    }

    #[test]
    fn looks_and_carts_fade_and_purchases_stay_until_they_are_forgotten() {
        let live = of(&[("tea", Kind::View), ("pot", Kind::Cart), ("cup", Kind::Purchase)]);
        let hour = NOON + Duration::from_secs(3600);
        assert_eq!(
            texts(&live.of("anna", hour)),
            [vec!["pot", "cup"], vec![], vec![]]
        );
        let later = NOON + Duration::from_secs(90_000);
        assert_eq!(texts(&live.of("anna", later)), [vec!["cup"], vec![], vec![]]);
        live.forget_before(NOON);
        assert_eq!(live.of("anna", later).basket, ["cup"]);
        live.forget_before(later);
        assert_eq!(live.of("anna", later), Visit::default());
    }
}
