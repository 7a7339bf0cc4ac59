//! What data sets say of people beside their purchases.

/// One yes-or-no attribute of each customer, where it is known.
pub(crate) struct Attribute {
    /// What it says, for people.
    pub(crate) name: String,
    /// One a user of the data set.
    pub(crate) of: Vec<Option<bool>>,
}
