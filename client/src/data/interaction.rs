//! One line of a shop's history, as every source of them says it.

use serde::{Deserialize, Serialize};

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
    /// Pieces, at least zero.
    pub quantity: f32,
    /// What one piece cost, if known.
    pub price: Option<f32>,
}

/// Whoever takes interactions as they are read.
pub trait Sink {
    /// Takes one; they come in the source's order.
    ///
    /// # Errors
    /// Of the sink's disk.
    fn take(&mut self, interaction: &Interaction<'_>) -> std::io::Result<()>;
}
