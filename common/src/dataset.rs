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

/// What one user said of items, in time order: stars for items that were rated, or whether an ad that was shown was clicked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    /// Rows of the catalogue. A rated item stands once, with the latest rating; an ad as often as it was shown.
    pub items: Vec<u32>,
    /// Seconds since 1970-01-01 UTC: when it was rated, or shown.
    pub times: Vec<i64>,
    /// Stars; or 1 clicked, 0 not.
    pub labels: Vec<f32>,
}

impl Labelled {
    /// How many labels.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the user said nothing.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The labels at these places, in this order.
    pub fn only(&self, places: impl IntoIterator<Item = usize>) -> Self {
        let mut kept = Self::default();
        for at in places {
            kept.items.push(self.items[at]);
            kept.times.push(self.times[at]);
            kept.labels.push(self.labels[at]);
        }
        kept
    }
}

/// The users of one shop (or of a whole set, before it is cut).
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// User ids as the shop writes them.
    pub users: Vec<String>,
    /// One a user, in the order of `users`.
    pub histories: Vec<History>,
    /// One a user, or none at all where nobody said anything.
    pub labelled: Vec<Labelled>,
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

    /// Those of `users` alone (positions, in the order wanted).
    pub fn subset(&self, users: &[usize]) -> Self {
        let labelled = users.iter().filter_map(|user| self.labelled.get(*user));
        Self {
            users: users.iter().map(|user| self.users[*user].clone()).collect(),
            histories: users.iter().map(|user| self.histories[*user].clone()).collect(),
            labelled: labelled.cloned().collect(),
        }
    }

    /// A user's labels; none of a data set without labels.
    pub fn labelled_of(&self, user: usize) -> Option<&Labelled> {
        self.labelled.get(user).filter(|labelled| !labelled.is_empty())
    }

    /// How many distinct (user, item) pairs.
    pub fn pairs(&self) -> usize {
        self.histories.iter().map(History::len).sum()
    }
}
