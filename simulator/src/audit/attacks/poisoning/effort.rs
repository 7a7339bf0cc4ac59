//! How much is tried.

/// How much an audit tries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Effort {
    /// A minute or two: wide intervals.
    Short,
    /// As many trials as published figures take.
    #[default]
    Full,
}

impl Effort {
    /// One of two numbers.
    pub(crate) fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}
