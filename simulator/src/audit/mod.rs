//! `souk-sim audit`.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the command that runs them is made beside them")
)]
pub(crate) mod attacks;
