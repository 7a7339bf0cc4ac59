//! What a customer did lately, as rows of a catalogue.

use super::Customer;
use crate::events::live::Visit;

/// Rows of what a customer did lately.
#[derive(Debug, Default)]
pub struct VisitRows {
    /// Bought, or in the cart, earliest first.
    pub basket: Vec<u32>,
    /// Only looked at, earliest first.
    pub viewed: Vec<u32>,
    /// Brought back.
    pub returned: Vec<u32>,
    /// Of the basket, what is in the cart.
    pub cart: Vec<u32>,
}

impl VisitRows {
    /// Of a visit, whose items `find` finds by name: what the catalogue does not have can't speak for anything.
    pub fn of(visit: &Visit, find: impl Fn(&str) -> Option<u32>) -> Self {
        let rows = |names: &[String]| names.iter().filter_map(|name| find(name)).collect();
        Self {
            basket: rows(&visit.basket),
            viewed: rows(&visit.viewed),
            returned: rows(&visit.returned),
            cart: rows(&visit.cart),
        }
    }

    /// Whether nothing of it is known.
    pub fn is_empty(&self) -> bool {
        self.basket.is_empty() && self.viewed.is_empty() && self.returned.is_empty()
    }

    /// The customer in `row`, or somebody unknown, with it.
    pub fn customer(&self, row: Option<usize>) -> Customer<'_> {
        Customer {
            row,
            basket: &self.basket,
            viewed: &self.viewed,
            returned: &self.returned,
            cart: &self.cart,
        }
    }
}
