//! Why a stack can't be.

/// Why a stack can't be.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Validation items are not one a customer.
    #[error("there are validation items for {got} customers, and histories of {customers}")]
    Validation {
        /// Entries given.
        got: usize,
        /// Customers.
        customers: usize,
    },
    /// An item that the catalogue does not have.
    #[error("a history has item {item}; the catalogue has {items}")]
    Item {
        /// Its row.
        item: u32,
        /// Rows that there are.
        items: usize,
    },
    /// Weights are not one a channel.
    #[error("there are {got} weights for {channels} channels")]
    Weights {
        /// Weights given.
        got: usize,
        /// Channels.
        channels: usize,
    },
    /// A weight that is no number.
    #[error("the weight of channel {channel:?} is {weight}; it must be finite")]
    Weight {
        /// Of which channel.
        channel: String,
        /// The weight.
        weight: f32,
    },
    /// A channel that the weights are for is not there.
    #[error("there is no channel {channel:?}, which the weights were fitted with")]
    Missing {
        /// Its name.
        channel: String,
    },
}
