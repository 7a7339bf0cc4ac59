//! A shop's private histories, in memory. Readers are in `souk-client`'s `data`; splits in [`crate::eval`].

/// One user's interactions with distinct items, in time order (earliest first).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// Rows of the catalogue, distinct, in time order.
    pub items: Vec<u32>,
    /// Seconds since 1970-01-01 UTC, one an item: when the user first touched it.
    pub times: Vec<i64>,
}

impl History {
    /// How many distinct items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the user touched nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// The users of one shop (or of a whole set, before it is cut).
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// User ids as the shop writes them.
    pub users: Vec<String>,
    /// One a user, in the order of `users`.
    pub histories: Vec<History>,
}

impl Dataset {
    /// How many users.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many distinct (user, item) pairs.
    pub fn pairs(&self) -> usize {
        self.histories.iter().map(History::len).sum()
    }
}
