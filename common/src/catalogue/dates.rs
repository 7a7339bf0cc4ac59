//! What a catalogue knows of when its items came out.

use super::Catalogue;
use crate::clock::Timestamp;

/// What is known of when items came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dates {
    /// All items.
    pub items: usize,
    /// Those that have a date.
    pub dated: usize,
    /// Those whose date is still to come.
    pub to_come: usize,
}

impl Dates {
    /// What of that is worth knowing, in words; none where no item has a date.
    pub fn words(self) -> Option<String> {
        let Self {
            items,
            dated,
            to_come,
        } = self;
        let mut text = format!("{dated} of {items} items have one");
        if dated < items {
            text += &format!("; {} have none and count as neither new nor old", items - dated);
        }
        if to_come > 0 {
            text += &format!("; {to_come} are still to come and count as none until then");
        }
        (dated > 0).then_some(text)
    }
}

impl Catalogue {
    /// How many items have a date, and how many of these dates are still to come; retired items are not counted.
    pub fn dates(&self, now: Timestamp) -> Dates {
        let sold = || self.items.iter().filter(|item| !item.retired);
        let dates = || sold().filter_map(|item| item.published);
        Dates {
            items: sold().count(),
            dated: dates().count(),
            to_come: dates().filter(|date| Timestamp::from_secs(*date) > now).count(),
        }
    }
}
