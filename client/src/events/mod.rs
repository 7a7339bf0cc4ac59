//! What a web shop reports while it happens: views, carts, purchases, returns.
//!
//! | module | what |
//! |---|---|
//! | `days` | its files, and what of a customer is in them |
//! | [`journal`] | on disk before it is acknowledged, one file a day; a day that is over is a source of the store of interactions |
//! | [`live`] | what the store does not have yet, in memory, for the next list |

pub(crate) mod days;
#[cfg(test)]
pub(crate) mod full_disk;
pub mod journal;
pub mod live;

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;

use crate::data::interaction::Kind;

/// One event, as it is acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The customer, as compared.
    pub user: String,
    /// The item, as the shop calls it.
    pub item: String,
    /// What was done.
    pub kind: Kind,
    /// When.
    pub time: Timestamp,
    /// Pieces.
    pub quantity: f32,
    /// What one cost, if known.
    pub price: Option<f32>,
    /// The order's number, if it has one.
    pub order: Option<String>,
    /// The list that the item was taken from, if it was.
    pub list: Option<String>,
    /// The shop's own name of the event: of two with one name the second is not counted.
    pub id: Option<String>,
}

/// A line of the journal: the columns that the store of interactions reads without any setting, and two of its own.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    user_id: String,
    item_id: String,
    timestamp: String,
    event: Kind,
    quantity: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
}

impl Event {
    pub(crate) fn line(&self) -> Vec<u8> {
        let is_return = self.kind == Kind::Return;
        let line = Line {
            user_id: self.user.clone(),
            item_id: self.item.clone(),
            timestamp: jiff::Timestamp::from_millisecond(self.time.0)
                .map_or_else(|_| self.time.to_string(), |at| at.to_string()),
            // As orders have it: fewer than none come back.
            event: if is_return { Kind::Purchase } else { self.kind },
            quantity: if is_return { -self.quantity } else { self.quantity },
            price: self.price,
            order_id: self.order.clone(),
            list_id: self.list.clone(),
            event_id: self.id.clone(),
        };
        let mut bytes = serde_json::to_vec(&line).expect("a line has a JSON form");
        bytes.push(b'\n');
        bytes
    }

    /// None of what is no line of a journal.
    fn of_line(line: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(line).ok()?;
        let time: jiff::Timestamp = line.timestamp.parse().ok()?;
        let is_return = line.quantity < 0.0 && line.event == Kind::Purchase;
        Some(Self {
            user: line.user_id,
            item: line.item_id,
            kind: if is_return { Kind::Return } else { line.event },
            time: Timestamp(time.as_millisecond()),
            quantity: line.quantity.abs(),
            price: line.price,
            order: line.order_id,
            list: line.list_id,
            id: line.event_id,
        })
    }
}

#[cfg(test)]
pub(crate) fn purchase(user: &str, item: &str, time: Timestamp) -> Event {
    Event {
        user: user.to_owned(),
        item: item.to_owned(),
        kind: Kind::Purchase,
        time,
        quantity: 1.0,
        price: None,
        order: None,
        list: None,
        id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written_and_a_return_is_fewer_than_none() {
        for kind in [
            Kind::Purchase,
            Kind::Return,
            Kind::View,
            Kind::Cart,
            Kind::Shown,
            Kind::Clicked,
        ] {
            let event = Event {
                kind,
                quantity: 2.0,
                price: Some(9.5),
                order: Some("o-1".to_owned()),
                list: Some("t-12".to_owned()),
                id: Some("e-7".to_owned()),
                ..purchase("anna@example.com", "tea \"green\"", Timestamp(1_800_000_000_123))
            };
            let line = event.line();
            assert_eq!(Event::of_line(line.trim_ascii_end()), Some(event));
        }
        let line = String::from_utf8(
            Event {
                kind: Kind::Return,
                ..purchase("a", "b", Timestamp(0))
            }
            .line(),
        )
        .unwrap();
        assert!(
            line.contains("\"event\":\"purchase\",\"quantity\":-1.0"),
            "{line}"
        );
        assert_eq!(Event::of_line(b"{\"user_id\":\"a\""), None);
    }
}
