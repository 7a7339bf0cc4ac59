//! `souk-sim audit`.

pub(crate) mod attacks;
