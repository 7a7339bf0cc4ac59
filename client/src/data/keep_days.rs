//! For how many days interactions are kept, as the owner writes it.

use serde::{Deserialize, Serialize};

/// A number of days, at least one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "i64", into = "u32")]
pub struct KeepDays(u32);

impl KeepDays {
    /// The days.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for KeepDays {
    type Error = String;

    fn try_from(days: i64) -> Result<Self, String> {
        match u32::try_from(days) {
            Ok(days) if (1..=MOST_DAYS).contains(&days) => Ok(Self(days)),
            _ => Err(format!(
                "keep_days is {days}; it is a number of days from 1 to {MOST_DAYS}, or left out to keep all"
            )),
        }
    }
}

impl From<KeepDays> for u32 {
    fn from(days: KeepDays) -> Self {
        days.0
    }
}

/// A hundred years.
const MOST_DAYS: u32 = 36_525;
