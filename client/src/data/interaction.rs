//! One line of a shop's history, as every source of them says it.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use souk_common::ids::Digester;

/// What a customer did with an item.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Bought it; also whatever else the owner lets count.
    Purchase,
    /// Brought it back: nets against purchases of the same customer and item.
    Return,
    /// Looked at it.
    View,
    /// Put it into the cart.
    Cart,
    /// Gave it stars, which [`Interaction::quantity`] says; counts as a purchase too.
    Rated,
    /// Was shown it, as an ad.
    Shown,
    /// Clicked on it when it was shown.
    Clicked,
}

/// One interaction, borrowed from the row it was read from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interaction<'a> {
    /// The customer's id, as compared (trimmed; an e-mail address in lower case).
    pub user: &'a str,
    /// The item's id, in the shop's own numbering.
    pub item: &'a str,
    /// Seconds since 1970, UTC.
    pub time: i64,
    /// What was done.
    pub kind: Kind,
    /// Pieces, at least zero; of [`Kind::Rated`], stars.
    pub quantity: f32,
    /// What one piece cost, if known.
    pub price: Option<f32>,
    /// The order that it is of, if the source says so.
    pub order: Option<OrderKey>,
}

/// One customer's order, told alike in every source: 64 bits of the digest of the order's number and the customer's id. With
/// the customer in it, no line of one customer's can have a say in another's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OrderKey(NonZeroU64);

impl OrderKey {
    /// Of an order's number and a customer's id, as compared; none if either is empty.
    pub fn of(order: &str, user: &str) -> Option<Self> {
        if order.is_empty() || user.is_empty() {
            return None;
        }
        let mut digester = Digester::default();
        digester.update(&(order.len() as u64).to_le_bytes());
        digester.update(order.as_bytes()).update(user.as_bytes());
        let digest = digester.finish();
        let first = digest
            .0
            .first_chunk()
            .expect("a digest has more than eight bytes");
        Self::from_bits(u64::from_le_bytes(*first).max(1))
    }

    /// As it is stored; 0 for none.
    pub fn to_bits(key: Option<Self>) -> u64 {
        key.map_or(0, |key| key.0.get())
    }

    /// From how it is stored.
    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }
}

/// Whoever takes interactions as they are read.
pub trait Sink {
    /// Takes one; they come in the source's order.
    ///
    /// # Errors
    /// Of the sink's disk.
    fn take(&mut self, interaction: &Interaction<'_>) -> std::io::Result<()>;

    /// Takes that of this order the item was not bought after all: it was cancelled or refunded, or no piece of it is left.
    ///
    /// # Errors
    /// Of the sink's disk.
    fn take_not_bought(&mut self, order: OrderKey, item: &str) -> std::io::Result<()>;
}
