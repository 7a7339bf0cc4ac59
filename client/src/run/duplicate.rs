//! Two programs with one shop's key: each takes the other's place at the coordinator, for ever, unless one stops.

use std::collections::VecDeque;
use std::time::Duration;

use souk_common::clock::Timestamp;

/// When this program's connection was replaced lately.
#[derive(Debug, Default)]
pub(crate) struct Replaced(VecDeque<Timestamp>);

/// Somebody else has this shop's key.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "another souk-client runs with this shop's key: within {} seconds it took this one's place at the coordinator {MOST} \
     times. Is this folder a copy, or was it copied? Each copy charges a ledger of its own, so that neither knows all that \
     was spent on your customers' privacy. Stop both, keep the folder whose ledger.jsonl is the longer one, delete the \
     other; if nobody here made a copy, the key was stolen: have the operator revoke this shop, and join anew",
    WINDOW.as_secs()
)]
pub(crate) struct TwoWithOneKey;

impl Replaced {
    /// Notes that it happened.
    ///
    /// # Errors
    /// When it happens again and again: a program that is started anew replaces the dead one's connection once.
    pub(crate) fn note(&mut self, now: Timestamp) -> Result<(), TwoWithOneKey> {
        self.0.retain(|at| now.since(*at) < WINDOW);
        self.0.push_back(now);
        match self.0.len() < MOST {
            true => Ok(()),
            false => Err(TwoWithOneKey),
        }
    }
}

const MOST: usize = 3;
const WINDOW: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_three_times_within_five_minutes() {
        let mut replaced = Replaced::default();
        let mut at = |secs| replaced.note(Timestamp::from_secs(secs));
        assert_eq!((at(0), at(10)), (Ok(()), Ok(())));
        assert_eq!(at(301), Ok(()), "the first is long ago");
        assert_eq!(at(305), Err(TwoWithOneKey));
        assert!(TwoWithOneKey.to_string().contains("300 seconds"));
    }
}
